//! The library's functions as a C program calls them, and a note of each call in the history.

use std::ffi::{CString, c_int, c_void};

use crate::ffi::abi::nn::*;
use crate::ffi::{device, errno, extension, options, poll, socket, statistics, transfer};
use crate::sync::simulated::scheduler;

pub type Code = c_int;

fn outcome(call: &'static str, handle: c_int, result: c_int) -> Result<c_int, Code> {
    if result >= 0 {
        scheduler::note(call, [handle.into(), result.into()]);
        return Ok(result);
    }
    let code = errno::nn_errno();
    scheduler::note(call, [handle.into(), -i64::from(code)]);
    Err(code)
}

pub fn open(domain: c_int, protocol: c_int) -> Result<c_int, Code> {
    outcome("nn_socket", protocol, socket::nn_socket(domain, protocol))
}

pub fn context(handle: c_int) -> Result<c_int, Code> {
    outcome("spmsg_context", handle, extension::spmsg_context(handle))
}

pub fn close(handle: c_int) -> Result<c_int, Code> {
    scheduler::note("nn_close begins", [handle.into(), 0]);
    outcome("nn_close", handle, socket::nn_close(handle))
}

pub fn bind(handle: c_int, address: &str) -> Result<c_int, Code> {
    let address = CString::new(address).unwrap();
    // SAFETY: a string that ends with a zero.
    outcome("nn_bind", handle, unsafe { socket::nn_bind(handle, address.as_ptr()) })
}

pub fn connect(handle: c_int, address: &str) -> Result<c_int, Code> {
    let address = CString::new(address).unwrap();
    // SAFETY: a string that ends with a zero.
    outcome("nn_connect", handle, unsafe { socket::nn_connect(handle, address.as_ptr()) })
}

pub fn shutdown(handle: c_int, endpoint: c_int) -> Result<c_int, Code> {
    outcome("nn_shutdown", handle, socket::nn_shutdown(handle, endpoint))
}

pub fn send(handle: c_int, body: &[u8], flags: c_int) -> Result<c_int, Code> {
    scheduler::note("nn_send begins", [handle.into(), body.len() as i64]);
    // SAFETY: the bytes are there.
    let sent = unsafe { transfer::nn_send(handle, body.as_ptr().cast(), body.len(), flags) };
    outcome("nn_send", handle, sent)
}

pub fn recv(handle: c_int, flags: c_int) -> Result<Vec<u8>, Code> {
    scheduler::note("nn_recv begins", [handle.into(), flags.into()]);
    let mut place: *mut c_void = std::ptr::null_mut();
    // SAFETY: the place is there.
    let got = unsafe { transfer::nn_recv(handle, (&raw mut place).cast(), NN_MSG, flags) };
    let len = outcome("nn_recv", handle, got)? as usize;
    // SAFETY: the library gave us so many bytes.
    let body = unsafe { std::slice::from_raw_parts(place.cast::<u8>(), len) }.to_vec();
    // SAFETY: it is ours, and nobody uses it any more.
    unsafe { crate::ffi::message::nn_freemsg(place) };
    Ok(body)
}

pub fn set(handle: c_int, level: c_int, option: c_int, value: c_int) -> Result<c_int, Code> {
    // SAFETY: a live number of that size.
    let result = unsafe {
        options::nn_setsockopt(handle, level, option, (&raw const value).cast(), size_of::<c_int>())
    };
    outcome("nn_setsockopt", handle, result)
}

pub fn set_bytes(handle: c_int, level: c_int, option: c_int, value: &[u8]) -> Result<c_int, Code> {
    // SAFETY: the bytes are there.
    let result = unsafe {
        options::nn_setsockopt(handle, level, option, value.as_ptr().cast(), value.len())
    };
    outcome("nn_setsockopt", handle, result)
}

pub fn get(handle: c_int, level: c_int, option: c_int) -> Result<c_int, Code> {
    let (mut value, mut size): (c_int, usize) = (0, size_of::<c_int>());
    // SAFETY: room for one number.
    let result = unsafe {
        options::nn_getsockopt(handle, level, option, (&raw mut value).cast(), &raw mut size)
    };
    outcome("nn_getsockopt", handle, result).map(|_| value)
}

/// What of `events` holds, for one socket.
pub fn poll_one(handle: c_int, events: i16, timeout: c_int) -> Result<i16, Code> {
    let mut entry = nn_pollfd { fd: handle, events, revents: 0 };
    // SAFETY: one entry.
    let result = unsafe { poll::nn_poll(&raw mut entry, 1, timeout) };
    outcome("nn_poll", handle, result).map(|_| entry.revents)
}

pub fn run_device(one: c_int, other: c_int) -> Code {
    outcome("nn_device", one, device::nn_device(one, other)).unwrap_err()
}

pub fn statistic(handle: c_int, number: c_int) -> u64 {
    statistics::nn_get_statistic(handle, number)
}

pub fn terminate() {
    scheduler::note("nn_term begins", [0, 0]);
    socket::nn_term();
    scheduler::note("nn_term", [0, 0]);
}
