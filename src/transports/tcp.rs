//! tcp: addresses; everything else is shared (`stream/`).

use std::sync::Arc;

use super::address::{self, literals, text};
use super::sp::frame::Framing;
use super::stream::{Bound, Dialer, Listener};
use super::{Dialect, Host, Maker, Transport};
use crate::error::Error;
use crate::sys::{Address, OsListener};

pub struct Tcp;

impl Transport for Tcp {
    fn scheme(&self) -> &'static str {
        "tcp"
    }

    fn bind(
        &self,
        address: &[u8],
        dialect: Dialect,
        host: Arc<dyn Host>,
    ) -> Result<Arc<dyn Maker>, Error> {
        let address = address::to_bind(&text(address), literals(&*host), dialect.into())?;
        let listener = OsListener::listening(&Address::Internet(address), BACKLOG)?;
        let address = listener.bound_address(address).to_string();
        Ok(Listener::new(Bound::plain(listener, address), Box::new(Framing::Tcp), host)?)
    }

    fn connect(
        &self,
        address: &[u8],
        _dialect: Dialect,
        host: Arc<dyn Host>,
    ) -> Result<Arc<dyn Maker>, Error> {
        let target = address::to_connect(&text(address), literals(&*host))?;
        Ok(Dialer::new(target, Box::new(Framing::Tcp), host)?)
    }
}

const BACKLOG: i32 = 100;

/// Options of connections over a network, by their rows and by what they mean. Other streams heed
/// them, too, as far as they can; `ffi/options.rs` holds the numbers to the headers.
pub mod option {
    use std::time::Duration;

    use crate::transports::Settings;
    use crate::transports::options::{Len, Row, Table, Unit};

    pub const LEVEL: i32 = -3;

    pub static TABLE: Table = Table { level: LEVEL, len: Len::Exact, rows: &[NO_DELAY, KEEPALIVE] };

    pub const NO_DELAY: Row = Row {
        level: LEVEL,
        number: 1,
        name: "no delay",
        default: 0,
        range: 0..=1,
        unit: Unit::Flag,
    };

    /// More seconds are more than the kernel can count. What the reference does not have is far
    /// away from what it has.
    pub const KEEPALIVE: Row = Row {
        level: LEVEL,
        number: 0x5350_0003,
        name: "keepalive",
        default: 0,
        range: 0..=32_767,
        unit: Unit::Seconds,
    };

    /// Whether the application wants no gathering of its messages.
    #[must_use]
    pub fn no_delay(settings: &Settings) -> bool {
        settings.values.get(&NO_DELAY) != 0
    }

    /// How long a peer over a network may be silent before it is asked whether it is there.
    #[must_use]
    pub fn keepalive(settings: &Settings) -> Option<Duration> {
        match settings.values.get(&KEEPALIVE) {
            0 => None,
            seconds => Some(Duration::from_secs(seconds.unsigned_abs().into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Traits;
    use crate::transports::suite::{self, Subject};
    use std::time::Duration;

    #[test]
    fn exchanges_messages_of_all_sizes_both_ways() {
        suite::exchanges_messages_of_all_sizes_both_ways(Subject::Tcp);
    }

    #[test]
    fn a_busy_address_is_refused_and_stays_whose_it_is() {
        suite::a_busy_address_is_refused_and_stays_whose_it_is(Subject::Tcp);
    }

    #[test]
    fn an_address_is_free_right_after_the_close() {
        suite::an_address_is_free_right_after_the_close(Subject::Tcp);
    }

    #[test]
    fn a_dialer_that_comes_first_waits_for_a_listener() {
        suite::a_dialer_that_comes_first_waits_for_a_listener(Subject::Tcp);
    }

    #[test]
    fn a_lost_peer_is_connected_to_again() {
        suite::a_lost_peer_is_connected_to_again(Subject::Tcp);
    }

    #[test]
    fn a_peer_of_the_wrong_type_is_refused_on_both_sides() {
        suite::a_peer_of_the_wrong_type_is_refused_on_both_sides(Subject::Tcp);
    }

    #[test]
    fn who_is_not_wanted_now_is_taken_in_later_and_knows_nothing_before() {
        suite::who_is_not_wanted_now_is_taken_in_later_and_knows_nothing_before(Subject::Tcp);
    }

    #[test]
    fn a_dialer_whose_socket_wants_nobody_waits_with_its_attempt() {
        suite::a_dialer_whose_socket_wants_nobody_waits_with_its_attempt(Subject::Tcp);
    }

    #[test]
    fn a_silent_peer_is_dropped_at_the_limit() {
        suite::a_silent_peer_is_dropped_at_the_limit(Subject::Tcp);
    }

    #[test]
    fn garbage_is_refused_and_hurts_nobody_else() {
        suite::garbage_is_refused_and_hurts_nobody_else(Subject::Tcp);
    }

    #[test]
    fn half_a_greeting_is_none() {
        suite::half_a_greeting_is_none(Subject::Tcp);
    }

    #[test]
    fn a_close_during_the_greeting_drops_it_once() {
        suite::a_close_during_the_greeting_drops_it_once(Subject::Tcp);
    }

    #[test]
    fn a_close_between_attempts_reports_nothing() {
        suite::a_close_between_attempts_reports_nothing(Subject::Tcp);
    }

    #[test]
    fn a_message_beyond_the_limit_ends_its_own_connection_only() {
        suite::a_message_beyond_the_limit_ends_its_own_connection_only(Subject::Tcp);
    }

    #[test]
    fn a_close_delivers_what_the_kernel_has() {
        suite::a_close_delivers_what_the_kernel_has(Subject::Tcp);
    }

    #[test]
    fn options_say_what_they_mean() {
        let settings = |no_delay, keepalive| {
            let values = [(&option::NO_DELAY, no_delay), (&option::KEEPALIVE, keepalive)];
            Traits::pair().with(&values).settings
        };
        let meaning = |settings| (option::no_delay(&settings), option::keepalive(&settings));
        assert_eq!(meaning(settings(0, 0)), (false, None));
        assert_eq!(meaning(settings(1, 7)), (true, Some(Duration::from_secs(7))));
        assert_eq!(meaning(Traits::pair().settings), (false, None));
    }
}
