//! REQREP: one asks, one of many answers.

use std::ffi::{c_int, c_void};

pub const NN_PROTO_REQREP: c_int = 3;

/// Sends a request to one of its peers and receives the reply to it.
pub const NN_REQ: c_int = NN_PROTO_REQREP * 16;

/// Receives a request, and sends the reply to whoever asked.
pub const NN_REP: c_int = NN_PROTO_REQREP * 16 + 1;

/// An int, milliseconds, at level NN_REQ: a request without reply is sent again after this time;
/// 60000 unless set.
pub const NN_REQ_RESEND_IVL: c_int = 1;

/// Room for a number or an address. No function takes it.
#[derive(Clone, Copy)]
#[repr(C)]
pub union nn_req_handle {
    pub i: c_int,
    pub ptr: *mut c_void,
}
