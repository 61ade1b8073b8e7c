//! SURVEY: one asks many, and gathers what they answer in time.

use std::ffi::c_int;

pub const NN_PROTO_SURVEY: c_int = 6;

/// Sends a survey to all its peers and receives their responses until the deadline.
// Roles 0 and 1 were those of an older survey that cannot talk to this one.
pub const NN_SURVEYOR: c_int = NN_PROTO_SURVEY * 16 + 2;

/// Receives a survey, and sends the response to whoever asked.
pub const NN_RESPONDENT: c_int = NN_PROTO_SURVEY * 16 + 3;

/// An int, milliseconds, at level NN_SURVEYOR: how long responses to a survey are accepted; 1000
/// unless set.
pub const NN_SURVEYOR_DEADLINE: c_int = 1;
