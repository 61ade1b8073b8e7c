//! Options of a socket.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use self::number::*;
use crate::error::Error;
use crate::protocols::{Priorities, Priority};
use crate::transports::{MessageKind, Settings};

/// A value as it is given to the caller, who may have room for less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// Cut to the caller's room.
    Int(i32),
    /// Not given at all when there is no room for all of it.
    ExactInt(i32),
    Pointer(usize),
    Text(Vec<u8>),
}

/// Options that are plain numbers, with their defaults and ranges.
#[derive(Debug)]
pub struct Options {
    values: [AtomicI32; OPTIONS.len()],
    ipc_security: AtomicUsize,
    /// `None` while it is the default, the handle.
    name: Mutex<Option<Vec<u8>>>,
}

/// One option that is a plain number.
struct Plain {
    level: i32,
    number: i32,
    default: i32,
    min: i32,
    max: i32,
}

/// Where a plain option lives.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(not(test), allow(dead_code, reason = "some are only ever read back by their number"))]
enum Index {
    Linger,
    SendBuffer,
    RecvBuffer,
    SendTimeout,
    RecvTimeout,
    ReconnectInterval,
    ReconnectIntervalMax,
    SendPriority,
    RecvPriority,
    Ipv4Only,
    RecvMaxSize,
    MaxTtl,
    TcpNoDelay,
    WsMessageType,
    IpcOutputBuffer,
    IpcInputBuffer,
    IpcMode,
    TcpKeepalive,
    PeerInfo,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            values: std::array::from_fn(|index| AtomicI32::new(OPTIONS[index].default)),
            ipc_security: AtomicUsize::new(0),
            name: Mutex::new(None),
        }
    }
}

impl Options {
    fn value(&self, index: Index) -> i32 {
        self.values[index as usize].load(Ordering::Relaxed)
    }

    fn flag(&self, index: Index) -> bool {
        self.value(index) != 0
    }

    #[must_use]
    pub fn settings(&self) -> Settings {
        let ms = |index| Duration::from_millis(self.value(index).unsigned_abs().into());
        let send_buffer = self.value(Index::SendBuffer).unsigned_abs() as usize;
        Settings {
            send_buffer,
            send_budget: send_buffer,
            recv_buffer: self.value(Index::RecvBuffer).unsigned_abs() as usize,
            reconnect_interval: ms(Index::ReconnectInterval),
            reconnect_interval_max: ms(Index::ReconnectIntervalMax),
            ipv4_only: self.flag(Index::Ipv4Only),
            no_delay: self.flag(Index::TcpNoDelay),
            keepalive: match self.value(Index::TcpKeepalive) {
                0 => None,
                seconds => Some(Duration::from_secs(seconds.unsigned_abs().into())),
            },
            file_mode: u32::try_from(self.value(Index::IpcMode)).ok(),
            message_kind: u8::try_from(self.value(Index::WsMessageType))
                .ok()
                .and_then(MessageKind::from_number)
                .unwrap_or(MessageKind::Binary),
        }
    }

    /// The largest payload that is received, where there is a limit.
    #[must_use]
    pub fn recv_size_max(&self) -> Option<u64> {
        u64::try_from(self.value(Index::RecvMaxSize)).ok()
    }

    /// Whether messages come with what is known about their peers.
    #[must_use]
    #[inline]
    pub fn tells_peers(&self) -> bool {
        self.flag(Index::PeerInfo)
    }

    /// How many hops a request that is received may have made.
    #[must_use]
    pub fn hop_limit(&self) -> usize {
        self.value(Index::MaxTtl).unsigned_abs() as usize
    }

    /// The priorities of an endpoint that is made now.
    #[must_use]
    pub fn priorities(&self) -> Priorities {
        let priority = |index| Priority(self.value(index).unsigned_abs() as u8);
        Priorities { send: priority(Index::SendPriority), recv: priority(Index::RecvPriority) }
    }

    #[must_use]
    pub fn send_deadline(&self) -> Option<Instant> {
        deadline(self.value(Index::SendTimeout))
    }

    #[must_use]
    pub fn recv_deadline(&self) -> Option<Instant> {
        deadline(self.value(Index::RecvTimeout))
    }

    /// Until when closing may wait for a peer to read.
    #[must_use]
    pub fn linger_deadline(&self) -> Instant {
        deadline(self.value(Index::Linger)).unwrap_or_else(|| Instant::now() + FOR_EVER)
    }

    /// Sets an option that is a plain number, at whichever level.
    ///
    /// # Errors
    /// `UnknownOption`, `Invalid` for a value of the wrong length or out of range.
    pub fn set(&self, level: i32, option: i32, value: Option<&[u8]>) -> Result<(), Error> {
        match level {
            SOCKET_LEVEL | TCP_LEVEL | WS_LEVEL => {
                // The length is looked at before the option is, as the reference does.
                let value = value.and_then(|value| value.try_into().ok()).ok_or(Error::Invalid)?;
                self.set_plain(level, option, i32::from_ne_bytes(value))
            }
            IPC_LEVEL => self.set_ipc(option, value.unwrap_or_default()),
            // Transports that have no options.
            _ => Err(Error::UnknownOption),
        }
    }

    /// # Errors
    /// `UnknownOption`.
    pub fn get(&self, level: i32, option: i32) -> Result<OptionValue, Error> {
        if (level, option) == (IPC_LEVEL, IPC_SECURITY) {
            return Ok(OptionValue::Pointer(self.ipc_security.load(Ordering::Relaxed)));
        }
        let index = find(level, option)?;
        Ok(OptionValue::Int(self.values[index].load(Ordering::Relaxed)))
    }

    fn set_plain(&self, level: i32, option: i32, value: i32) -> Result<(), Error> {
        let index = find(level, option)?;
        let range = OPTIONS[index].min..=OPTIONS[index].max;
        if !range.contains(&value) {
            return Err(Error::Invalid);
        }
        self.values[index].store(value, Ordering::Relaxed);
        Ok(())
    }

    fn set_ipc(&self, option: i32, value: &[u8]) -> Result<(), Error> {
        let Some(number) = value.first_chunk::<4>() else { return Err(Error::Invalid) };
        if option == IPC_SECURITY {
            // The address itself is the value, on the one system where it means something.
            self.ipc_security.store(value.as_ptr().addr(), Ordering::Relaxed);
            return Ok(());
        }
        self.set_plain(IPC_LEVEL, option, i32::from_ne_bytes(*number))
    }

    /// # Errors
    /// `Invalid` when it is too long.
    pub fn set_name(&self, name: &[u8]) -> Result<(), Error> {
        if name.len() > NAME_MAX {
            return Err(Error::Invalid);
        }
        let text = name.split(|byte| *byte == 0).next().unwrap_or_default();
        *self.name.lock() = Some(text.to_vec());
        Ok(())
    }

    /// What the user calls the socket, if he has said so.
    #[must_use]
    pub fn name(&self) -> Option<Vec<u8>> {
        self.name.lock().clone()
    }
}

fn find(level: i32, option: i32) -> Result<usize, Error> {
    let is_it = |plain: &Plain| plain.level == level && plain.number == option;
    OPTIONS.iter().position(is_it).ok_or(Error::UnknownOption)
}

/// A negative number of milliseconds means for ever.
fn deadline(ms: i32) -> Option<Instant> {
    let ms = u64::try_from(ms).ok()?;
    Some(Instant::now() + Duration::from_millis(ms))
}

const fn plain(level: i32, number: i32, default: i32, min: i32, max: i32) -> Plain {
    Plain { level, number, default, min, max }
}

/// In the order of [`Index`].
static OPTIONS: [Plain; 19] = [
    plain(SOCKET_LEVEL, LINGER, 1000, i32::MIN, i32::MAX),
    plain(SOCKET_LEVEL, SEND_BUFFER, 131_072, 1, i32::MAX),
    plain(SOCKET_LEVEL, RECV_BUFFER, 131_072, 1, i32::MAX),
    plain(SOCKET_LEVEL, SEND_TIMEOUT, -1, i32::MIN, i32::MAX),
    plain(SOCKET_LEVEL, RECV_TIMEOUT, -1, i32::MIN, i32::MAX),
    plain(SOCKET_LEVEL, RECONNECT_INTERVAL, 100, 0, i32::MAX),
    plain(SOCKET_LEVEL, RECONNECT_INTERVAL_MAX, 0, 0, i32::MAX),
    plain(SOCKET_LEVEL, SEND_PRIORITY, 8, 1, 16),
    plain(SOCKET_LEVEL, RECV_PRIORITY, 8, 1, 16),
    plain(SOCKET_LEVEL, IPV4_ONLY, 1, 0, 1),
    plain(SOCKET_LEVEL, RECV_MAX_SIZE, 1_048_576, -1, i32::MAX),
    plain(SOCKET_LEVEL, MAX_TTL, 8, 1, 255),
    plain(TCP_LEVEL, TCP_NO_DELAY, 0, 0, 1),
    plain(WS_LEVEL, WS_MESSAGE_TYPE, 2, 1, 2),
    plain(IPC_LEVEL, IPC_OUTPUT_BUFFER, 4096, i32::MIN, i32::MAX),
    plain(IPC_LEVEL, IPC_INPUT_BUFFER, 4096, i32::MIN, i32::MAX),
    plain(IPC_LEVEL, IPC_MODE, -1, -1, 0o777),
    // More is more than the kernel can count.
    plain(TCP_LEVEL, TCP_KEEPALIVE, 0, 0, 32_767),
    plain(SOCKET_LEVEL, PEER_INFO, 0, 0, 1),
];

/// Levels and options as C numbers them; `ffi/options.rs` holds them to the headers.
pub mod number {
    pub const SOCKET_LEVEL: i32 = 0;
    pub const IPC_LEVEL: i32 = -2;
    pub const TCP_LEVEL: i32 = -3;
    pub const WS_LEVEL: i32 = -4;

    pub const LINGER: i32 = 1;
    pub const SEND_BUFFER: i32 = 2;
    pub const RECV_BUFFER: i32 = 3;
    pub const SEND_TIMEOUT: i32 = 4;
    pub const RECV_TIMEOUT: i32 = 5;
    pub const RECONNECT_INTERVAL: i32 = 6;
    pub const RECONNECT_INTERVAL_MAX: i32 = 7;
    pub const SEND_PRIORITY: i32 = 8;
    pub const RECV_PRIORITY: i32 = 9;
    pub const SEND_DESCRIPTOR: i32 = 10;
    pub const RECV_DESCRIPTOR: i32 = 11;
    pub const DOMAIN: i32 = 12;
    pub const PROTOCOL: i32 = 13;
    pub const IPV4_ONLY: i32 = 14;
    pub const SOCKET_NAME: i32 = 15;
    pub const RECV_MAX_SIZE: i32 = 16;
    pub const MAX_TTL: i32 = 17;
    pub const TCP_NO_DELAY: i32 = 1;
    pub const WS_MESSAGE_TYPE: i32 = 1;
    pub const IPC_SECURITY: i32 = 1;
    pub const IPC_OUTPUT_BUFFER: i32 = 2;
    pub const IPC_INPUT_BUFFER: i32 = 3;
    /// What the reference does not have is far away from what it has.
    pub const IPC_MODE: i32 = 0x5350_0002;
    pub const TCP_KEEPALIVE: i32 = 0x5350_0003;
    pub const PEER_INFO: i32 = 0x5350_0001;
}

/// Longest name of a socket.
const NAME_MAX: usize = 63;
/// Longer than any process waits.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_index_and_the_table_agree() {
        let options = Options::default();
        assert_eq!(options.value(Index::Linger), 1000);
        assert_eq!(options.value(Index::RecvBuffer), 131_072);
        assert_eq!(options.value(Index::ReconnectIntervalMax), 0);
        assert_eq!(options.value(Index::SendPriority), 8);
        assert_eq!(options.value(Index::RecvPriority), 8);
        assert!(options.flag(Index::Ipv4Only));
        assert_eq!(options.value(Index::RecvMaxSize), 1_048_576);
        assert_eq!(options.value(Index::MaxTtl), 8);
        assert!(!options.flag(Index::TcpNoDelay));
        assert_eq!(options.value(Index::WsMessageType), 2);
        assert_eq!(options.value(Index::IpcOutputBuffer), 4096);
        assert_eq!(options.value(Index::IpcInputBuffer), 4096);
        assert_eq!(options.value(Index::IpcMode), -1);
        assert_eq!(options.value(Index::TcpKeepalive), 0);
        assert!(!options.flag(Index::PeerInfo));
        assert_eq!(Index::PeerInfo as usize, OPTIONS.len() - 1);
    }
}
