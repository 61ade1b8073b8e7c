//! Greeting on a WebSocket: one asks, the other answers.
//!
//! A server that cannot take a peer in now, such as a PAIR that has its peer, keeps it waiting
//! until it can: libnanomsg never comes back to a server that has refused it.

use std::time::Duration;

use super::address::Resource;
use super::frame::{Kind, Role};
use super::handshake::{self, Agreement, Demand, Denial, HEAD_MAX};
use super::headers;
use super::option;
use crate::memory::{self, OutOfMemory};
use crate::sys::random_bytes;
use crate::transports::stream::{Claim, Codec, Decline, Greeter, Heard, Welcome, Wire, Wishes};
use crate::transports::{Host, Report};

/// How listeners begin.
pub struct Server {
    pub path: Option<String>,
}

/// How dialers begin.
pub struct Client {
    pub resource: Resource,
    /// As it was when the dialer was made.
    pub kind: Kind,
    /// Lines of the request besides, likewise.
    pub headers: Vec<u8>,
}

struct ServerGreeter {
    demand: Demand,
    kind: Kind,
    wishes: Wishes,
    head: Head,
    agreement: Option<Agreement>,
    claim: Claim,
}

struct ClientGreeter {
    request: Vec<u8>,
    key: String,
    token: String,
    kind: Kind,
    wishes: Wishes,
    head: Head,
    claim: Claim,
}

/// What becomes of headers that have no part in the handshake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Keeps {
    #[default]
    Nothing,
    Headers,
}

/// A head that is arriving, and what comes behind it.
#[derive(Default)]
struct Head {
    keeps: Keeps,
    bytes: Vec<u8>,
    /// Its length, once it is complete.
    len: Option<usize>,
}

impl Wire for Server {
    fn greeter(&self, host: &dyn Host) -> Box<dyn Greeter> {
        Box::new(ServerGreeter {
            demand: Demand {
                token: handshake::token(host.own_type().name),
                if_nameless: host.if_nameless(),
                path: self.path.clone(),
            },
            kind: option::message_kind(&host.settings()),
            wishes: wishes(host),
            head: Head::of(host),
            agreement: None,
            claim: Claim::Nothing,
        })
    }
}

impl Wire for Client {
    fn greeter(&self, host: &dyn Host) -> Box<dyn Greeter> {
        let token = handshake::token(host.peer_type().name);
        let key = handshake::key(random_bytes());
        let Resource { host: name, path } = &self.resource;
        Box::new(ClientGreeter {
            request: handshake::request(name, path, &key, &token, &self.headers),
            key,
            token,
            kind: self.kind,
            wishes: wishes(host),
            head: Head::of(host),
            claim: Claim::Nothing,
        })
    }
}

fn wishes(host: &dyn Host) -> Wishes {
    Wishes { patience: option::patience(&host.settings()), headers: None }
}

impl Head {
    fn of(host: &dyn Host) -> Head {
        let keeps = if host.wants_headers() { Keeps::Headers } else { Keeps::Nothing };
        Head { keeps, ..Head::default() }
    }

    /// What somebody wants to know of it. Without memory for that it is not told.
    fn told(&self) -> Option<Box<[u8]>> {
        match self.keeps {
            Keeps::Headers => headers::told(self.as_slice()).ok().map(Vec::into_boxed_slice),
            Keeps::Nothing => None,
        }
    }

    fn wanted(&self) -> usize {
        HEAD_MAX - self.bytes.len()
    }

    /// Takes bytes that have arrived. True when the head is complete with them.
    fn absorb(&mut self, bytes: &[u8]) -> Result<bool, OutOfMemory> {
        let seen = self.bytes.len();
        memory::reserve(&mut self.bytes, bytes.len())?;
        self.bytes.extend_from_slice(bytes);
        if self.len.is_none() {
            self.len = handshake::head_len(&self.bytes, seen);
        }
        Ok(self.len.is_some())
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len.unwrap_or_default()]
    }

    fn take_rest(&mut self) -> Vec<u8> {
        self.bytes.split_off(self.len.unwrap_or_default())
    }
}

impl Greeter for ServerGreeter {
    fn limit(&self) -> Duration {
        LIMIT
    }

    fn open(&mut self, _welcome: Welcome) -> Vec<u8> {
        Vec::new()
    }

    fn wanted(&self) -> usize {
        self.head.wanted()
    }

    fn absorb(&mut self, bytes: &[u8]) -> Heard {
        let refused = |why| Heard::Refused(handshake::refusal(why));
        let Ok(is_complete) = self.head.absorb(bytes) else { return Heard::Refused(Vec::new()) };
        if !handshake::may_be_request(&self.head.bytes) {
            return refused(Denial::BadRequest);
        }
        if !is_complete {
            let is_too_large = self.head.wanted() == 0;
            return if is_too_large { refused(Denial::HeadTooLarge) } else { Heard::More };
        }
        if self.agreement.is_none() {
            match handshake::judge_request(self.head.as_slice(), &self.demand) {
                Ok(agreement) => self.agreement = Some(agreement),
                Err(Denial::OtherType) => {
                    let name = handshake::type_name(self.head.as_slice());
                    self.claim = Claim::Seeks(name.unwrap_or_default());
                    return Heard::Refused(handshake::refusal_naming(&self.demand.token));
                }
                Err(why) => return refused(why),
            }
        }
        Heard::Complete
    }

    fn claim(&self) -> Claim {
        self.claim.clone()
    }

    fn is_committed(&self) -> bool {
        false
    }

    fn accept(&mut self) -> Vec<u8> {
        self.agreement.take().map_or_else(Vec::new, |agreement| handshake::acceptance(&agreement))
    }

    fn decline(&mut self) -> Decline {
        Decline::AtLimit(handshake::refusal(Denial::Unavailable))
    }

    fn take_rest(&mut self) -> Vec<u8> {
        self.head.take_rest()
    }

    fn codec(&self) -> Codec {
        super::codec(Role::Server, self.kind)
    }

    fn wishes(&mut self) -> Wishes {
        Wishes { headers: self.head.told(), ..std::mem::take(&mut self.wishes) }
    }

    fn failure(&self) -> Option<Report> {
        None
    }
}

impl ClientGreeter {
    /// What a server says of itself that we do not talk to.
    fn claimed(&self) -> Claim {
        let head = self.head.as_slice();
        match (handshake::type_name(head), handshake::status(head)) {
            (Some(name), _) if handshake::token(&name) != self.token => Claim::TypeName(name),
            (_, Some(status)) if status != 101 => Claim::Status(status),
            (Some(_) | None, Some(_) | None) => Claim::Nothing,
        }
    }
}

impl Greeter for ClientGreeter {
    fn limit(&self) -> Duration {
        LIMIT
    }

    fn open(&mut self, _welcome: Welcome) -> Vec<u8> {
        std::mem::take(&mut self.request)
    }

    fn wanted(&self) -> usize {
        self.head.wanted()
    }

    fn absorb(&mut self, bytes: &[u8]) -> Heard {
        let refused = Heard::Refused(Vec::new());
        let Ok(is_complete) = self.head.absorb(bytes) else { return refused };
        if !is_complete {
            return if self.head.wanted() == 0 { refused } else { Heard::More };
        }
        match handshake::judge_response(self.head.as_slice(), &self.key, &self.token) {
            Ok(()) => Heard::Complete,
            Err(_) => {
                self.claim = self.claimed();
                refused
            }
        }
    }

    fn claim(&self) -> Claim {
        self.claim.clone()
    }

    /// Who has agreed takes himself for connected.
    fn is_committed(&self) -> bool {
        true
    }

    fn accept(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn decline(&mut self) -> Decline {
        Decline::AtOnce
    }

    fn take_rest(&mut self) -> Vec<u8> {
        self.head.take_rest()
    }

    fn codec(&self) -> Codec {
        super::codec(Role::Client, self.kind)
    }

    fn wishes(&mut self) -> Wishes {
        Wishes { headers: self.head.told(), ..std::mem::take(&mut self.wishes) }
    }

    fn failure(&self) -> Option<Report> {
        None
    }
}

/// transports 7.4 and 7.5, from the moment the stream is there.
const LIMIT: Duration = Duration::from_millis(5000);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transports::IfNameless;

    fn server() -> ServerGreeter {
        let token = handshake::token("pair");
        ServerGreeter {
            demand: Demand { token, if_nameless: IfNameless::Refuse, path: None },
            kind: Kind::Binary,
            wishes: Wishes::default(),
            head: Head::default(),
            agreement: None,
            claim: Claim::Nothing,
        }
    }

    fn client() -> ClientGreeter {
        let (token, key) = (handshake::token("pair"), handshake::key([7; 16]));
        let request = handshake::request("h", "/", &key, &token, b"");
        ClientGreeter {
            request,
            key,
            token,
            kind: Kind::Binary,
            wishes: Wishes::default(),
            head: Head::default(),
            claim: Claim::Nothing,
        }
    }

    fn say_no(why: Denial) -> Heard {
        Heard::Refused(handshake::refusal(why))
    }

    #[test]
    fn both_sides_agree_however_their_words_are_cut() {
        let request = client().open(Welcome::Wanted);
        for cut in (1..request.len()).step_by(if cfg!(miri) { 41 } else { 1 }) {
            let mut server = server();
            assert_eq!(server.open(Welcome::Wanted), b"");
            assert_eq!(server.absorb(&request[..cut]), Heard::More);
            assert_eq!(server.absorb(&[&request[cut..], b"early"].concat()), Heard::Complete);
            let response = server.accept();
            assert_eq!(server.take_rest(), b"early");
            let cut = cut.min(response.len() - 1);
            let mut client = client();
            assert_eq!(client.absorb(&response[..cut]), Heard::More);
            assert_eq!(client.absorb(&[&response[cut..], b"too"].concat()), Heard::Complete);
            assert_eq!(client.take_rest(), b"too");
        }
    }

    #[test]
    fn who_is_refused_tells_what_it_is() {
        let mut server = server();
        let request =
            handshake::request("h", "/", "dGhlIHNhbXBsZSBub25jZQ==", &handshake::token("sub"), b"");
        let Heard::Refused(answer) = server.absorb(&request) else { panic!("a PAIR is no SUB") };
        assert_eq!(server.claim(), Claim::Seeks("sub".into()));
        // A client for a SUB hears that there is a PAIR.
        let mut client = client();
        client.token = handshake::token("sub");
        assert_eq!(client.absorb(&answer), Heard::Refused(Vec::new()));
        assert_eq!(client.claim(), Claim::TypeName("pair".into()));
        let mut client = self::client();
        let answer = handshake::refusal(Denial::NotFound);
        assert_eq!(client.absorb(&answer), Heard::Refused(Vec::new()));
        assert_eq!(client.claim(), Claim::Status(404));
    }

    #[test]
    #[cfg_attr(miri, ignore = "too much to interpret")]
    fn a_head_has_an_end_or_is_too_large() {
        let mut server = server();
        assert_eq!(server.absorb(b"GET / HTTP/1.1\r\nA: "), Heard::More);
        while server.wanted() > 1 {
            let more = server.wanted().min(1000);
            let expected =
                if more == server.wanted() { say_no(Denial::HeadTooLarge) } else { Heard::More };
            assert_eq!(server.absorb(&vec![b'a'; more]), expected);
        }
        let mut client = client();
        let endless = vec![b'a'; client.wanted()];
        assert_eq!(client.absorb(&endless), Heard::Refused(Vec::new()));
    }

    #[test]
    fn other_languages_are_recognised_by_their_first_bytes() {
        for bytes in
            [&b"\x16\x03\x01"[..], b"\0SP\0", b"POST", b"\r\n", b"\r\nGET / HTTP/1.1\r\n\r\n"]
        {
            assert_eq!(server().absorb(bytes), say_no(Denial::BadRequest), "{bytes:?}");
        }
    }

    #[test]
    fn what_comes_while_a_peer_is_held_is_kept() {
        let (mut server, request) = (server(), client().open(Welcome::Wanted));
        assert_eq!(server.absorb(&request), Heard::Complete);
        assert!(matches!(server.decline(), Decline::AtLimit(_)));
        assert_eq!(server.absorb(b"early"), Heard::Complete);
        assert!(server.accept().starts_with(b"HTTP/1.1 101"));
        assert_eq!(server.take_rest(), b"early");
    }
}
