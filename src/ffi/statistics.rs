//! Statistics, one number at a time.

use super::enter_socket;
use std::ffi::c_int;

/// Gives the value of a statistic of the socket, one of NN_STAT_*.
///
/// Returns the largest number that there is with errno EBADF, or EINVAL for an unknown statistic.
/// NN_STAT_CURRENT_SND_PRIORITY has that value, too, while there is no peer to send to.
#[unsafe(no_mangle)]
pub extern "C" fn nn_get_statistic(s: c_int, stat: c_int) -> u64 {
    enter_socket(s, |socket| socket.statistic(stat))
}
