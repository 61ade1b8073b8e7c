//! Moments as RFC 3339 writes them, in UTC and to the microsecond.

use std::time::{SystemTime, UNIX_EPOCH};

pub fn text(moment: SystemTime) -> String {
    // A clock that is set to before 1970 knows no time at all.
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, rest) = (since.as_secs() / DAY, since.as_secs() % DAY);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    let micros = since.subsec_micros();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
}

/// The date so many days after the first of January 1970. A year is counted from the first of
/// March, so that the day that only some years have is their last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + DAYS_TO_1970;
    let (era, day) = (days / DAYS_OF_400_YEARS, days % DAYS_OF_400_YEARS);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months from March on have 153 days, and so have the next five.
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let year = 400 * era + year;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

const DAY: u64 = 86_400;
const DAYS_OF_400_YEARS: u64 = 146_097;
/// From the first of March of the year 0.
const DAYS_TO_1970: u64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> String {
        text(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn known_moments_have_their_dates() {
        assert_eq!(at(0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(at(951_782_399), "2000-02-28T23:59:59.000000Z");
        assert_eq!(at(951_782_400), "2000-02-29T00:00:00.000000Z");
        assert_eq!(at(1_000_000_000), "2001-09-09T01:46:40.000000Z");
        assert_eq!(at(4_107_542_399), "2100-02-28T23:59:59.000000Z");
        assert_eq!(at(4_107_542_400), "2100-03-01T00:00:00.000000Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let mut before = date(0);
        for days in 1..200_000 {
            let (year, month, day) = date(days);
            let follows = match before {
                (y, m, d) if d + 1 == day => (y, m) == (year, month),
                (y, m, d) if day == 1 && month > 1 => d >= 28 && (y, m + 1) == (year, month),
                (y, m, d) => (y + 1, 1, 1) == (year, month, day) && (m, d) == (12, 31),
            };
            assert!(follows, "{before:?}, then {:?}", (year, month, day));
            before = (year, month, day);
        }
    }

    #[test]
    fn a_clock_before_1970_is_no_panic() {
        assert_eq!(text(UNIX_EPOCH - Duration::from_secs(1)), at(0));
    }
}
