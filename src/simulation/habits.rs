//! What all programs do.

use std::time::Duration;

use super::api::{self, Code};
use crate::ffi::abi::nn::*;
use crate::sync::simulated::scheduler;
use crate::sync::simulated::thread::sleep;
use crate::sys::{self, WaitFor};

/// Calls again what has failed for want of something.
pub fn persist(call: impl Fn() -> Result<i32, Code>) -> i32 {
    for _ in 0..2000 {
        match call() {
            Ok(value) => return value,
            Err(code @ (libc::EINVAL | libc::EBADF | libc::EFAULT | libc::ENOTSUP)) => {
                scheduler::fail(&format!("a call fails that should not: {code}"));
            }
            Err(_) => sleep(Duration::from_millis(5)),
        }
    }
    scheduler::fail("a call never succeeds");
    0
}

/// Waits for one of the socket's descriptors.
pub fn watch(handle: i32, option: i32) {
    let descriptor = loop {
        match api::get(handle, NN_SOL_SOCKET, option) {
            Ok(descriptor) => break descriptor,
            Err(libc::EBADF) => return,
            Err(_) => sleep(Duration::from_millis(1)),
        }
    };
    // Longer than anybody is patient, but not for ever: who closes the socket meanwhile may have
    // made the number another socket's.
    let limit = Duration::from_secs(600);
    let _ = sys::poll(std::iter::once((descriptor, WaitFor::Readable)), Some(limit));
}

pub fn draw(least: u64, most: u64) -> u64 {
    scheduler::draw(|random| random.between(least, most)).unwrap_or(least)
}

/// Does something else for a while, now and then.
pub fn pause(most: u64) {
    if most > 0 && draw(0, 3) == 0 {
        sleep(Duration::from_nanos(draw(0, most)));
    }
}

/// A socket that lingers for long, with these options of its own level.
pub fn open(domain: i32, protocol: i32, options: &[(i32, i32)]) -> i32 {
    let handle = persist(|| api::open(domain, protocol));
    for (option, value) in [(NN_LINGER, 600_000)].iter().chain(options) {
        api::set(handle, NN_SOL_SOCKET, *option, *value).expect("the option is fine");
    }
    handle
}

pub fn open_context(handle: i32) -> i32 {
    persist(|| api::context(handle))
}

pub fn bind(handle: i32, address: &str) -> i32 {
    persist(|| api::bind(handle, address))
}

pub fn connect(handle: i32, address: &str) -> i32 {
    persist(|| api::connect(handle, address))
}

/// Closes it, which must not take longer than that.
pub fn close(handle: i32, most: Duration) {
    let began = sys::now();
    if api::close(handle).is_err() {
        scheduler::fail("a socket is not closed");
    }
    let took = sys::now() - began;
    if took > most {
        scheduler::fail(&format!("closing takes long: {took:?}"));
    }
}

/// As long as nothing lingers.
pub const PROMPTLY: Duration = Duration::from_secs(2);
