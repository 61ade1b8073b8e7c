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

/// Core numbers statistics for itself; the headers are the law.
const _: () = {
    use super::abi::{nn::*, spmsg::*};
    use crate::core::statistic_number as core;
    assert!(core::ESTABLISHED == NN_STAT_ESTABLISHED_CONNECTIONS);
    assert!(core::ACCEPTED == NN_STAT_ACCEPTED_CONNECTIONS);
    assert!(core::DROPPED == NN_STAT_DROPPED_CONNECTIONS);
    assert!(core::BROKEN == NN_STAT_BROKEN_CONNECTIONS);
    assert!(core::CONNECT_ERRORS == NN_STAT_CONNECT_ERRORS);
    assert!(core::BIND_ERRORS == NN_STAT_BIND_ERRORS);
    assert!(core::ACCEPT_ERRORS == NN_STAT_ACCEPT_ERRORS);
    assert!(core::CONNECTIONS == NN_STAT_CURRENT_CONNECTIONS);
    assert!(core::IN_PROGRESS == NN_STAT_INPROGRESS_CONNECTIONS);
    assert!(core::ENDPOINT_ERRORS == NN_STAT_CURRENT_EP_ERRORS);
    assert!(core::MESSAGES_SENT == NN_STAT_MESSAGES_SENT);
    assert!(core::MESSAGES_RECEIVED == NN_STAT_MESSAGES_RECEIVED);
    assert!(core::BYTES_SENT == NN_STAT_BYTES_SENT);
    assert!(core::BYTES_RECEIVED == NN_STAT_BYTES_RECEIVED);
    assert!(core::SEND_PRIORITY == NN_STAT_CURRENT_SND_PRIORITY);
    assert!(core::MESSAGES_DROPPED == SPMSG_STAT_MESSAGES_DROPPED);
    assert!(core::VIOLATIONS == SPMSG_STAT_VIOLATIONS);
    assert!(core::TURNED_AWAY == SPMSG_STAT_TURNED_AWAY);
};
