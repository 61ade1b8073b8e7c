//! Options of a socket: the table of its own level, and the values of all that are numbers.

use std::iter;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use super::option;
use super::option::*;
use crate::error::Error;
use crate::memory::{Attempt, OutOfMemory, Wiped};
use crate::message::Limit;
use crate::protocols::{Priorities, Priority};
use crate::sync::{
    Mutex, Rank,
    atomic::{AtomicBool, AtomicI32, AtomicU8, AtomicUsize, Ordering},
};
use crate::sys;
use crate::transports::{
    self, Guard, NETWORKS, Networks, Row, Secrecy, Settings, TEXTS, Text, Unit, Values, WhenFull,
};

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

/// What the options of one socket are set to.
#[derive(Debug)]
pub struct Options {
    /// Those that every socket has room for, in the order of [`PLACED`].
    values: [AtomicI32; COMMON],
    /// The one that is an address, which is nothing but kept.
    address: AtomicUsize,
    /// Of which buffers somebody has said how large they are to be. A byte for both, because with
    /// one more a socket would need another place of the allocator.
    chosen_buffers: AtomicU8,
    /// What of the seldom ones those have to know who come with each message.
    tells_peers: AtomicBool,
    drops_nothing: AtomicBool,
    counts_received: AtomicBool,
    /// `None` while none of them has been set.
    seldom: Mutex<Option<Box<Seldom>>>,
}

/// What few sockets set, in memory of its own: a socket that does not use it has no room for it.
#[derive(Debug)]
struct Seldom {
    /// In the order of [`PLACED`].
    values: [i32; SELDOM],
    /// What the user calls the socket. `None` while that is the default, the handle.
    name: Option<Vec<u8>>,
    /// In the order of [`TEXTS`].
    texts: [Wiped; TEXTS.len()],
}

/// Where the value of an option is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Common(usize),
    Seldom(usize),
}

impl Default for Seldom {
    fn default() -> Seldom {
        let mut values = [0; SELDOM];
        for (place, row) in &PLACED {
            if let Place::Seldom(at) = *place {
                values[at] = row.default;
            }
        }
        Seldom { values, name: None, texts: Default::default() }
    }
}

impl Default for Options {
    fn default() -> Options {
        Options {
            values: DEFAULTS.map(AtomicI32::new),
            address: AtomicUsize::new(0),
            chosen_buffers: AtomicU8::new(0),
            tells_peers: AtomicBool::new(false),
            drops_nothing: AtomicBool::new(false),
            counts_received: AtomicBool::new(false),
            seldom: Mutex::new(Rank::Seldom, None),
        }
    }
}

impl Options {
    /// Has what `other` has, but for its name and what else is seldom set, but for one.
    pub fn inherit(&self, other: &Options) {
        for (own, inherited) in self.values.iter().zip(&other.values) {
            own.store(inherited.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        self.tells_peers.store(other.tells_peers(), Ordering::Relaxed);
    }

    /// Sets an option that is a number, at whichever level.
    ///
    /// # Errors
    /// `UnknownOption`, `Invalid` for a value of the wrong length or out of range, `OutOfMemory`.
    pub fn set(&self, level: i32, option: i32, value: Option<&[u8]>) -> Result<(), Error> {
        if let Some(at) = Text::place(level, option) {
            return self.set_text(at, value.unwrap_or_default());
        }
        let mut tables = iter::once(&TABLE).chain(transports::TABLES);
        let table = tables.find(|table| table.level == level).ok_or(Error::UnknownOption)?;
        // The length is looked at before the option is, as the reference does.
        let bytes = value.unwrap_or_default();
        let number = table.len.integer(bytes).ok_or(Error::Invalid)?;
        let (place, row) = find(level, option)?;
        match (row.unit, place) {
            (Unit::Address, _) => self.address.store(bytes.as_ptr().addr(), Ordering::Relaxed),
            _ if !row.range.contains(&number) => return Err(Error::Invalid),
            (_, Place::Common(at)) => self.values[at].store(number, Ordering::Relaxed),
            (_, Place::Seldom(at)) => self.change(|seldom| seldom.values[at] = number)?,
        }
        if row.is(LEVEL, SEND_BUFFER.number) {
            self.chosen_buffers.fetch_or(SEND_CHOSEN, Ordering::Relaxed);
        } else if row.is(LEVEL, RECV_BUFFER.number) {
            self.chosen_buffers.fetch_or(RECV_CHOSEN, Ordering::Relaxed);
        } else if row.is(LEVEL, PEER_INFO.number) {
            self.tells_peers.store(number != 0, Ordering::Relaxed);
        } else if row.is(LEVEL, DROP.number) {
            self.drops_nothing.store(number == DROP_NOTHING, Ordering::Relaxed);
        } else if row.is(LEVEL, RECV_BUFFER_MESSAGES.number) {
            self.counts_received.store(number != 0, Ordering::Relaxed);
        }
        Ok(())
    }

    fn set_text(&self, at: usize, text: &[u8]) -> Result<(), Error> {
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        if text.len() > TEXTS[at].len_max {
            return Err(Error::Invalid);
        }
        let attempt = Attempt::begin()?;
        let mut owned = Wiped::copy_from(text)?;
        (TEXTS[at].check)(text)?;
        attempt.check()?;
        self.change(|seldom| std::mem::swap(&mut seldom.texts[at], &mut owned))
    }

    /// # Errors
    /// `OutOfMemory` when there is no room for what is seldom set.
    fn change(&self, change: impl FnOnce(&mut Seldom)) -> Result<(), Error> {
        // Memory is had before the lock is, and given back behind it.
        let attempt = Attempt::begin()?;
        let mut fresh = Box::<Seldom>::default();
        attempt.check()?;
        let mut seldom = self.seldom.lock();
        match &mut *seldom {
            Some(seldom) => change(seldom),
            none => {
                change(&mut fresh);
                *none = Some(fresh);
            }
        }
        Ok(())
    }

    /// What an option is set to that is a text; empty where it is not set.
    ///
    /// # Errors
    /// When memory for it cannot be had.
    pub fn text(&self, option: &Text) -> Result<Wiped, OutOfMemory> {
        let Some(at) = Text::place(option.level, option.number) else {
            return Ok(Wiped::default());
        };
        match &*self.seldom.lock() {
            Some(seldom) => Wiped::copy_from(seldom.texts[at].as_slice()),
            None => Ok(Wiped::default()),
        }
    }

    /// # Errors
    /// `UnknownOption`, also for what is secret; `OutOfMemory`.
    pub fn get(&self, level: i32, option: i32) -> Result<OptionValue, Error> {
        if let Some(at) = Text::place(level, option) {
            return match TEXTS[at].secrecy {
                Secrecy::Public => Ok(OptionValue::Text(self.text(TEXTS[at])?.as_slice().to_vec())),
                Secrecy::Secret => Err(Error::UnknownOption),
            };
        }
        let (place, row) = find(level, option)?;
        Ok(match (row.unit, place) {
            (Unit::Address, _) => OptionValue::Pointer(self.address.load(Ordering::Relaxed)),
            (_, Place::Common(at)) => OptionValue::Int(self.value(at)),
            (_, Place::Seldom(at)) => {
                let seldom = self.seldom.lock();
                OptionValue::Int(seldom.as_ref().map_or(row.default, |seldom| seldom.values[at]))
            }
        })
    }

    /// Whether they come with what those have said besides when they greeted.
    #[must_use]
    pub fn tells_headers(&self) -> bool {
        self.tells_peers() && self.get(LEVEL, PEER_INFO.number) == Ok(OptionValue::Int(2))
    }

    /// Whom what is bound now lets in.
    #[must_use]
    pub fn guard(&self) -> Guard {
        // It could be understood when it was set; if not, that is no reason to let everybody in.
        let text = self.text(&NETWORKS).map_err(Error::from);
        let networks = text.and_then(|text| Networks::parse(text.as_slice()));
        let networks = networks.unwrap_or_else(|_| Some(Networks::none())).map(Arc::new);
        let user = match self.get(LEVEL, ACCEPT_USER.number) {
            Ok(OptionValue::Int(user)) => u32::try_from(user).ok(),
            Ok(_) | Err(_) => None,
        };
        Guard { user, networks }
    }

    /// # Errors
    /// `Invalid` when it is too long, `OutOfMemory`.
    pub fn set_name(&self, name: &[u8]) -> Result<(), Error> {
        if name.len() > NAME_MAX {
            return Err(Error::Invalid);
        }
        let text = name.split(|byte| *byte == 0).next().unwrap_or_default();
        let attempt = Attempt::begin()?;
        let mut name = Some(text.to_vec());
        attempt.check()?;
        self.change(|seldom| std::mem::swap(&mut seldom.name, &mut name))
    }

    /// What the user calls the socket, if he has said so.
    #[must_use]
    pub fn name(&self) -> Option<Vec<u8>> {
        self.seldom.lock().as_ref().and_then(|seldom| seldom.name.clone())
    }

    /// The same for whoever must not wait for a thread that may never run again: the name is left
    /// out then.
    #[must_use]
    pub fn name_within_reach(&self) -> Option<Vec<u8>> {
        self.seldom.try_lock_for(PATIENCE)?.as_ref().and_then(|seldom| seldom.name.clone())
    }

    /// What transports may know at this moment.
    #[must_use]
    pub fn settings(&self) -> Settings {
        let ms = |at| Duration::from_millis(self.number(at).into());
        let chosen = self.chosen_buffers.load(Ordering::Relaxed);
        let grown = |which| (chosen & which == 0).then_some(BUFFER_GROWN);
        let send_buffer = self.number(const { place(&SEND_BUFFER) }) as usize;
        let seldom = self.seldom.lock();
        let seldom_value =
            |row: &Row, at: usize| seldom.as_ref().map_or(row.default, |seldom| seldom.values[at]);
        let values = PLACED[TABLE.rows.len()..].iter().map(|(place, row)| match *place {
            Place::Common(at) => self.value(at),
            Place::Seldom(at) => seldom_value(row, at),
        });
        let own =
            |row: &Row| seldom.as_ref().map_or(row.default, |it| it.values[seldom_place(row)]);
        Settings {
            send_buffer,
            send_budget: send_buffer,
            recv_buffer: self.recv_buffer(),
            send_messages: own(&SEND_BUFFER_MESSAGES).unsigned_abs() as usize,
            recv_messages: own(&RECV_BUFFER_MESSAGES).unsigned_abs() as usize,
            when_full: match own(&DROP) {
                DROP_OLDEST => WhenFull::DropOldest,
                _ => WhenFull::Refuse,
            },
            send_buffer_grown: grown(SEND_CHOSEN),
            recv_buffer_grown: grown(RECV_CHOSEN),
            reconnect_interval: ms(const { place(&RECONNECT_INTERVAL) }),
            reconnect_interval_max: ms(const { place(&RECONNECT_INTERVAL_MAX) }),
            ipv4_only: self.value(const { place(&IPV4_ONLY) }) != 0,
            values: Values::gather(values),
        }
    }

    /// The largest payload that is received, where there is a limit.
    #[must_use]
    pub fn recv_size_max(&self) -> Option<u64> {
        u64::try_from(self.value(const { place(&RECV_MAX_SIZE) })).ok()
    }

    /// Whether messages come with what is known about their peers.
    #[must_use]
    #[inline]
    pub fn tells_peers(&self) -> bool {
        self.tells_peers.load(Ordering::Relaxed)
    }

    /// How many bytes may wait to be received.
    #[must_use]
    pub fn recv_buffer(&self) -> usize {
        self.number(const { place(&RECV_BUFFER) }) as usize
    }

    /// How much may wait for one who receives.
    #[must_use]
    pub fn recv_limit(&self) -> Limit {
        if !self.counts_received.load(Ordering::Relaxed) {
            return self.recv_buffer().into();
        }
        let seldom = self.seldom.lock();
        let at = seldom_place(&RECV_BUFFER_MESSAGES);
        let messages = seldom.as_ref().map_or(0, |seldom| seldom.values[at]);
        Limit::of(messages.unsigned_abs() as usize, self.recv_buffer())
    }

    /// Whether nothing is dropped because a peer has no room, and the sender waits instead.
    #[must_use]
    pub fn drops_nothing(&self) -> bool {
        self.drops_nothing.load(Ordering::Relaxed)
    }

    /// How many hops a request that is received may have made.
    #[must_use]
    pub fn hop_limit(&self) -> usize {
        self.number(const { place(&MAX_TTL) }) as usize
    }

    /// The priorities of an endpoint that is made now.
    #[must_use]
    pub fn priorities(&self) -> Priorities {
        let priority = |at| Priority(self.number(at) as u8);
        Priorities {
            send: priority(const { place(&SEND_PRIORITY) }),
            recv: priority(const { place(&RECV_PRIORITY) }),
        }
    }

    #[must_use]
    pub fn send_deadline(&self) -> Option<Instant> {
        deadline(self.value(const { place(&SEND_TIMEOUT) }))
    }

    #[must_use]
    pub fn recv_deadline(&self) -> Option<Instant> {
        deadline(self.value(const { place(&RECV_TIMEOUT) }))
    }

    /// Until when closing may wait for a peer to read. `None` when it is not to wait.
    #[must_use]
    pub fn linger_deadline(&self) -> Option<Instant> {
        match self.value(const { place(&LINGER) }) {
            0 => None,
            linger => Some(deadline(linger).unwrap_or_else(|| sys::now() + FOR_EVER)),
        }
    }

    fn value(&self, at: usize) -> i32 {
        self.values[at].load(Ordering::Relaxed)
    }

    /// One that its range keeps from being negative.
    fn number(&self, at: usize) -> u32 {
        self.value(at).unsigned_abs()
    }
}

fn find(level: i32, option: i32) -> Result<(Place, &'static Row), Error> {
    PLACED.iter().find(|(_, row)| row.is(level, option)).copied().ok_or(Error::UnknownOption)
}

/// Where the value of a common option of the socket's own level is, known when this is compiled.
const fn place(option: &Row) -> usize {
    assert!(!is_seldom(option));
    let (mut at, mut place) = (0, 0);
    while !TABLE.rows[at].is(option.level, option.number) {
        place += !is_seldom(&TABLE.rows[at]) as usize;
        at += 1;
    }
    place
}

/// The same for one of those that are seldom set.
const fn seldom_place(option: &Row) -> usize {
    assert!(is_seldom(option));
    let (mut at, mut place) = (0, 0);
    while !TABLE.rows[at].is(option.level, option.number) {
        place += is_seldom(&TABLE.rows[at]) as usize;
        at += 1;
    }
    place
}

/// The reference's options have their place in every socket, the others when one is set.
const fn is_seldom(row: &Row) -> bool {
    row.number >= OWN
}

/// A negative number of milliseconds means for ever.
fn deadline(ms: i32) -> Option<Instant> {
    let ms = u64::try_from(ms).ok()?;
    Some(sys::now() + Duration::from_millis(ms))
}

/// Options of all levels, each with its place. The socket's own comes first.
static PLACED: [(Place, &Row); COMMON + SELDOM] = {
    let mut placed = [(Place::Common(0), row(0)); COMMON + SELDOM];
    let (mut at, mut common, mut seldom) = (0, 0, 0);
    while at < placed.len() {
        let row = row(at);
        placed[at] = if is_seldom(row) {
            seldom += 1;
            (Place::Seldom(seldom - 1), row)
        } else {
            common += 1;
            (Place::Common(common - 1), row)
        };
        at += 1;
    }
    placed
};

/// What the common ones are in a new socket.
const DEFAULTS: [i32; COMMON] = {
    let (mut values, mut at) = ([0; COMMON], 0);
    while at < PLACED.len() {
        if let (Place::Common(place), row) = PLACED[at] {
            values[place] = row.default;
        }
        at += 1;
    }
    values
};

const SELDOM: usize = {
    let (mut count, mut at) = (0, 0);
    while at < TABLE.rows.len() + transports::ROWS.len() {
        count += is_seldom(row(at)) as usize;
        at += 1;
    }
    count
};
const COMMON: usize = TABLE.rows.len() + transports::ROWS.len() - SELDOM;

/// The option that stands there among those of all levels.
const fn row(at: usize) -> &'static Row {
    let own = TABLE.rows.len();
    if at < own { &TABLE.rows[at] } else { transports::ROWS[at - own] }
}

/// How long a name may be locked by somebody who runs.
const PATIENCE: Duration = Duration::from_millis(20);

/// Longest name of a socket.
const NAME_MAX: usize = 63;
/// What takes the big messages of most programs whole.
const BUFFER_GROWN: u32 = 1024 * 1024;
/// Bits of the buffers that somebody has chosen.
const SEND_CHOSEN: u8 = 1;
const RECV_CHOSEN: u8 = 2;
/// Longer than any process waits.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Part;
    use crate::memory;

    const TCP: i32 = -3;
    const IPC: i32 = -2;

    fn set(options: &Options, level: i32, option: i32, value: i32) -> Result<(), Error> {
        options.set(level, option, Some(&value.to_ne_bytes()))
    }

    #[test]
    fn one_option_is_an_address() {
        let rows = PLACED.iter().map(|(_, row)| row);
        assert_eq!(rows.filter(|row| row.unit == Unit::Address).count(), 1);
    }

    #[test]
    fn every_option_has_its_default_and_keeps_to_its_range() {
        let options = Options::default();
        for (_, row) in PLACED.iter().filter(|(_, row)| row.unit != Unit::Address) {
            let get = || options.get(row.level, row.number);
            let set = |value| set(&options, row.level, row.number, value);
            let (low, high) = (*row.range.start(), *row.range.end());
            assert_eq!(get(), Ok(OptionValue::Int(row.default)), "{row:?}");
            for value in [low, high] {
                assert_eq!(set(value), Ok(()), "{row:?}");
                assert_eq!(get(), Ok(OptionValue::Int(value)), "{row:?}");
            }
            for beyond in [low.checked_sub(1), high.checked_add(1)].into_iter().flatten() {
                assert_eq!(set(beyond), Err(Error::Invalid), "{row:?}");
            }
            assert_eq!(get(), Ok(OptionValue::Int(high)), "{row:?}");
        }
    }

    #[test]
    fn no_two_options_have_a_number_in_common() {
        for (place, row) in PLACED {
            assert_eq!(find(row.level, row.number), Ok((place, row)));
        }
    }

    #[test]
    fn the_length_is_looked_at_before_the_option() {
        let options = Options::default();
        for level in [LEVEL, TCP, -4] {
            for value in [None, Some(&[0; 3][..]), Some(&[0; 5])] {
                for option in [99, 1] {
                    assert_eq!(options.set(level, option, value), Err(Error::Invalid));
                }
            }
            assert_eq!(set(&options, level, 99, 0), Err(Error::UnknownOption));
        }
        assert_eq!(options.set(IPC, 99, Some(&[0; 3])), Err(Error::Invalid));
        assert_eq!(options.set(IPC, 99, Some(&[0; 5])), Err(Error::UnknownOption));
        assert_eq!(options.set(IPC, 2, Some(&[7, 0, 0, 0, 9])), Ok(()));
        assert_eq!(options.get(IPC, 2), Ok(OptionValue::Int(7_i32.to_le())));
        // Levels without options look at nothing.
        for level in [-1, -5, 5] {
            assert_eq!(options.set(level, 1, None), Err(Error::UnknownOption));
            assert_eq!(options.get(level, 1), Err(Error::UnknownOption));
        }
    }

    #[test]
    fn an_address_is_kept_as_it_is() {
        let (options, value) = (Options::default(), [0; 8]);
        assert_eq!(options.get(IPC, 1), Ok(OptionValue::Pointer(0)));
        options.set(IPC, 1, Some(&value)).unwrap();
        assert_eq!(options.get(IPC, 1), Ok(OptionValue::Pointer(value.as_ptr().addr())));
    }

    #[test]
    fn transports_read_what_was_set_for_them() {
        use crate::transports::{ipc_option, tcp_option, ws_option};
        let options = Options::default();
        let before = options.settings();
        assert!(!tcp_option::no_delay(&before));
        assert_eq!(tcp_option::keepalive(&before), None);
        assert_eq!(ipc_option::mode(&before), None);
        for (row, value) in [
            (tcp_option::NO_DELAY, 1),
            (tcp_option::KEEPALIVE, 30),
            (ipc_option::MODE, 0o600),
            (ws_option::MESSAGE_TYPE, 1),
            (SEND_BUFFER, 5000),
            (RECONNECT_INTERVAL, 20),
        ] {
            set(&options, row.level, row.number, value).unwrap();
        }
        let after = options.settings();
        assert!(tcp_option::no_delay(&after));
        assert_eq!(tcp_option::keepalive(&after), Some(Duration::from_secs(30)));
        assert_eq!(ipc_option::mode(&after), Some(0o600));
        assert_eq!(ws_option::message_kind(&after), transports::MessageKind::Text);
        assert_eq!((after.send_buffer, after.recv_buffer), (5000, 131_072));
        // One that was set stays as it is, even to what it was before.
        assert_eq!((after.send_buffer_grown, after.recv_buffer_grown), (None, Some(BUFFER_GROWN)));
        set(&options, RECV_BUFFER.level, RECV_BUFFER.number, 131_072).unwrap();
        assert_eq!(options.settings().recv_buffer_grown, None);
        assert_eq!(after.reconnect_interval, Duration::from_millis(20));
    }

    #[test]
    fn a_name_ends_at_its_first_zero() {
        let options = Options::default();
        assert_eq!(options.name(), None);
        options.set_name(b"ab\0c").unwrap();
        assert_eq!(options.name(), Some(b"ab".to_vec()));
        assert_eq!(options.set_name(&[b'a'; 64]), Err(Error::Invalid));
        assert_eq!(options.set_name(&[b'a'; 63]), Ok(()));
        assert_eq!(options.set_name(b""), Ok(()));
        assert_eq!(options.name(), Some(Vec::new()));
    }

    #[test]
    fn what_is_seldom_set_has_no_room_in_every_socket() {
        let options = Options::default();
        assert!(options.seldom.lock().is_none());
        let _ = options.settings();
        set(&options, LEVEL, LINGER.number, 5).unwrap();
        assert!(options.seldom.lock().is_none());
        set(&options, LEVEL, PEER_INFO.number, 1).unwrap();
        options.set_name(b"called").unwrap();
        assert!(options.tells_peers());
        assert_eq!(options.get(LEVEL, PEER_INFO.number), Ok(OptionValue::Int(1)));
        assert_eq!(options.name(), Some(b"called".to_vec()));
    }

    #[test]
    fn texts_are_kept_if_they_can_be_understood() {
        let options = Options::default();
        let set = |text: &[u8]| options.set(LEVEL, NETWORKS.number, Some(text));
        let get = || options.get(LEVEL, NETWORKS.number);
        assert_eq!(get(), Ok(OptionValue::Text(Vec::new())));
        assert!(options.guard().networks.is_none() && options.seldom.lock().is_none());
        assert_eq!(set(b"::1, 10.0.0.0/8\0rest"), Ok(()));
        assert_eq!(get(), Ok(OptionValue::Text(b"::1, 10.0.0.0/8".to_vec())));
        let parsed = Networks::parse(b"::1,10.0.0.0/8").unwrap();
        assert_eq!(options.guard().networks.as_deref(), parsed.as_ref());
        assert_eq!(set(b"::1, x"), Err(Error::Malformed(Part::Network(2))));
        assert_eq!(set(&[b' '; 4097]), Err(Error::Invalid));
        assert_eq!(options.guard().networks.as_deref(), parsed.as_ref(), "it is as it was");
        assert_eq!(options.set(LEVEL, NETWORKS.number, None), Ok(()));
        assert!(options.guard().networks.is_none());
        let without = memory::without_memory(|| set(b"::1"));
        assert_eq!(without, Err(Error::OutOfMemory));
    }

    #[test]
    fn a_user_is_one_or_all() {
        let options = Options::default();
        let user = |value| {
            super::tests::set(&options, LEVEL, ACCEPT_USER.number, value).unwrap();
            options.guard().user
        };
        assert_eq!(
            [-1, 0, 1000, i32::MAX].map(user),
            [None, Some(0), Some(1000), Some(0x7fff_ffff)]
        );
    }

    #[test]
    fn negative_times_are_for_ever() {
        let options = Options::default();
        assert_eq!(options.send_deadline(), None);
        set(&options, LEVEL, SEND_TIMEOUT.number, i32::MIN).unwrap();
        assert_eq!(options.send_deadline(), None);
        set(&options, LEVEL, SEND_TIMEOUT.number, 0).unwrap();
        assert!(options.send_deadline().unwrap() <= Instant::now());
        set(&options, LEVEL, LINGER.number, -1).unwrap();
        assert!(options.linger_deadline().unwrap() > Instant::now() + FOR_EVER / 2);
        set(&options, LEVEL, RECV_MAX_SIZE.number, -1).unwrap();
        assert_eq!(options.recv_size_max(), None);
    }
}
