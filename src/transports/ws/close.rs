//! Why a connection is closed, and what is said about it (RFC 6455 section 7.4). Pure.

use crate::transports::Fault;

/// The frame with which we leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close {
    pub code: u16,
    /// The peer may be talked to again.
    pub comes_back: bool,
}

/// A peer broke the rules of WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    Protocol,
    NotText,
    /// So much, where no more than that may come.
    TooLarge {
        size: u64,
        limit: Option<u64>,
    },
}

impl Violation {
    /// A message that is too large is no reason never to talk again: tcp does.
    #[must_use]
    pub fn close(self) -> Close {
        match self {
            Violation::Protocol => Close { code: PROTOCOL_ERROR, comes_back: false },
            Violation::NotText => Close { code: NOT_TEXT, comes_back: false },
            Violation::TooLarge { .. } => Close { code: TOO_LARGE, comes_back: true },
        }
    }
}

impl From<Violation> for Fault {
    fn from(violation: Violation) -> Fault {
        match violation {
            Violation::Protocol | Violation::NotText => Fault::Violation,
            Violation::TooLarge { size, limit } => Fault::TooLarge { size, limit },
        }
    }
}

impl Close {
    /// What a peer that leaves with it says to be wrong.
    #[must_use]
    pub fn complaint(self) -> Option<Fault> {
        (self.code == TOO_LARGE).then_some(Fault::TooLargeForPeer)
    }
}

/// Our answer to a close frame with that payload.
#[must_use]
pub fn answer(payload: &[u8]) -> Close {
    let code = match payload {
        [] => NORMAL,
        [high, low, reason @ ..] if std::str::from_utf8(reason).is_ok() => {
            u16::from_be_bytes([*high, *low])
        }
        _ => return Violation::Protocol.close(),
    };
    match code {
        NORMAL | GOING_AWAY | TOO_LARGE => Close { code, comes_back: true },
        1002 | 1003 | 1007 | 1008 | 1010 | 1011 | 3000..=4999 => Close { code, comes_back: false },
        _ => Violation::Protocol.close(),
    }
}

const NORMAL: u16 = 1000;
const GOING_AWAY: u16 = 1001;
const PROTOCOL_ERROR: u16 = 1002;
const NOT_TEXT: u16 = 1007;
const TOO_LARGE: u16 = 1009;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_with_the_code_of_the_peer_when_it_is_one() {
        assert_eq!(answer(b""), Close { code: 1000, comes_back: true });
        for code in (0..=u16::MAX).step_by(if cfg!(miri) { 499 } else { 1 }) {
            let is_one = matches!(code, 1000..=1003 | 1007..=1011 | 3000..=4999);
            let expected = if is_one { code } else { 1002 };
            assert_eq!(answer(&code.to_be_bytes()).code, expected);
        }
    }

    #[test]
    fn refuses_what_is_no_payload_of_a_close() {
        assert_eq!(answer(b"\x03").code, 1002);
        assert_eq!(answer(b"\x03\xe8bye").code, 1000);
        assert_eq!(answer(b"\x03\xe8\xff").code, 1002);
    }

    #[test]
    fn only_a_message_that_is_too_large_is_complained_of() {
        assert_eq!(answer(&1009u16.to_be_bytes()).complaint(), Some(Fault::TooLargeForPeer));
        assert_eq!(answer(&1000u16.to_be_bytes()).complaint(), None);
        assert_eq!(answer(b"").complaint(), None);
    }

    #[test]
    fn a_farewell_is_not_for_ever() {
        let comes_back = |code: u16| answer(&code.to_be_bytes()).comes_back;
        assert!(comes_back(1000) && comes_back(1001) && comes_back(1009));
        assert!(!comes_back(1002) && !comes_back(1011) && !comes_back(4000) && !comes_back(1006));
    }
}
