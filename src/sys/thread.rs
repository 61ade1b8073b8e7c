//! Properties of the calling thread.

/// Has the kernel end this thread's sleeps when they are over, and not up to 50 microseconds later
/// for the sake of its batteries.
pub fn wake_in_time() {
    // SAFETY: no pointer is passed. Without this the thread is merely late.
    #[cfg(target_os = "linux")]
    unsafe {
        libc::prctl(libc::PR_SET_TIMERSLACK, 1_usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slack_is_the_least_there_is() {
        let slack = std::thread::spawn(|| {
            wake_in_time();
            // SAFETY: no pointer is passed.
            unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) }
        });
        assert_eq!(slack.join().unwrap(), 1);
    }
}
