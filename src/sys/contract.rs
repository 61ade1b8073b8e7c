//! What each implementation of this folder keeps that waits or wakes: tests of Linux's own calls,
//! and of what stands for them on other systems.

use super::*;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const NOW: Option<Duration> = Some(Duration::ZERO);
const ENDED: Interest = Interest { readable: false, writable: false, ended: true, once: false };

/// Key, readable, writable, ended.
fn wait(epoll: &Epoll, timeout: Option<Duration>) -> Vec<(u64, bool, bool, bool)> {
    let mut events = EventBuffer::default();
    epoll.wait(&mut events, timeout).unwrap();
    events.iter().map(|event| (event.key, event.readable, event.writable, event.ended)).collect()
}

#[test]
fn reports_what_was_asked_for_under_its_key() {
    let epoll = Epoll::new().unwrap();
    let (own, peer) = OsStream::pair();
    epoll.add(own.as_raw_fd(), Interest::READABLE, 7).unwrap();
    assert_eq!(wait(&epoll, NOW), []);
    peer.write(&[IoSlice::new(b"x")]).unwrap();
    assert_eq!(wait(&epoll, None), [(7, true, false, false)]);
    epoll.modify(own.as_raw_fd(), Interest::ANYTHING, 8).unwrap();
    assert_eq!(wait(&epoll, None), [(8, true, true, false)]);
    epoll.remove(own.as_raw_fd()).unwrap();
    assert_eq!(wait(&epoll, NOW), []);
    assert!(epoll.remove(own.as_raw_fd()).is_err());
}

#[test]
fn an_end_is_seen_by_who_does_not_want_to_read() {
    let epoll = Epoll::new().unwrap();
    let (own, peer) = OsStream::pair();
    epoll.add(own.as_raw_fd(), ENDED, 1).unwrap();
    peer.write(&[IoSlice::new(b"x")]).unwrap();
    assert_eq!(wait(&epoll, NOW), []);
    peer.end();
    assert_eq!(wait(&epoll, None), [(1, false, false, true)]);
}

#[test]
fn once_means_once_until_it_is_asked_for_again() {
    let epoll = Epoll::new().unwrap();
    let (own, peer) = OsStream::pair();
    let once = Interest { once: true, ..Interest::READABLE };
    epoll.add(own.as_raw_fd(), once, 1).unwrap();
    peer.write(&[IoSlice::new(b"x")]).unwrap();
    assert_eq!(wait(&epoll, None).len(), 1);
    peer.write(&[IoSlice::new(b"x")]).unwrap();
    assert_eq!(wait(&epoll, NOW), []);
    epoll.modify(own.as_raw_fd(), once, 1).unwrap();
    assert_eq!(wait(&epoll, None).len(), 1);
}

#[test]
fn no_timeout_is_early() {
    let epoll = Epoll::new().unwrap();
    for micros in [1, 999, 1001, 2500] {
        let (began, timeout) = (Instant::now(), Duration::from_micros(micros));
        assert_eq!(wait(&epoll, Some(timeout)), []);
        assert!(began.elapsed() >= timeout);
        let began = Instant::now();
        assert!(!epoll.wait_briefly(timeout).unwrap());
        assert!(began.elapsed() >= timeout);
    }
}

#[test]
fn a_short_look_says_whether_there_is_something() {
    let epoll = Epoll::new().unwrap();
    let (own, _peer) = OsStream::pair();
    epoll.add(own.as_raw_fd(), Interest::ANYTHING, 1).unwrap();
    assert!(epoll.wait_briefly(Duration::from_secs(1)).unwrap());
}

#[test]
fn an_end_is_seen_behind_more_and_more_that_nobody_reads() {
    let epoll = Epoll::new().unwrap();
    let (own, peer) = OsStream::pair();
    epoll.add(own.as_raw_fd(), Interest { once: true, ..ENDED }, 1).unwrap();
    for _ in 0..3 {
        peer.write(&[IoSlice::new(b"x")]).unwrap();
        assert_eq!(wait(&epoll, NOW), []);
    }
    peer.end();
    assert_eq!(wait(&epoll, None), [(1, false, false, true)]);
    assert_eq!(wait(&epoll, NOW), []);
    epoll.modify(own.as_raw_fd(), Interest { once: true, ..ENDED }, 2).unwrap();
    assert_eq!(wait(&epoll, None), [(2, false, false, true)]);
}

#[test]
fn room_is_seen_by_who_waits_for_that_and_an_end() {
    let epoll = Epoll::new().unwrap();
    let (own, peer) = OsStream::pair();
    while own.write(&[IoSlice::new(&[7; 4096])]).unwrap() > 0 {}
    let room = Interest { writable: true, once: true, ..ENDED };
    epoll.add(own.as_raw_fd(), room, 1).unwrap();
    peer.write(&[IoSlice::new(b"x")]).unwrap();
    assert_eq!(wait(&epoll, NOW), []);
    let mut buffer = vec![0; 1 << 20];
    while let Read::Bytes(_) = peer.read(None, &mut buffer) {}
    assert_eq!(wait(&epoll, None), [(1, false, true, false)]);
    assert_eq!(wait(&epoll, NOW), []);
    epoll.modify(own.as_raw_fd(), room, 1).unwrap();
    drop(peer);
    assert!(wait(&epoll, None).iter().all(|(_, _, _, is_ended)| *is_ended));
}

#[test]
fn a_stream_that_cannot_be_connected_has_ended() {
    // Nobody listens at a port that was somebody's a moment ago.
    let free = OsListener::new(&loopback(0)).unwrap();
    free.bind(&loopback(0)).unwrap();
    let address = Address::Internet(free.own_address().unwrap());
    let epoll = Epoll::new().unwrap();
    let mut stream = OsStream::new(&address).unwrap();
    let Ok(false) = stream.connect(&address) else { return };
    let once = Interest { writable: true, once: true, ..Interest::default() };
    epoll.add(stream.as_raw_fd(), once, 1).unwrap();
    assert!(matches!(wait(&epoll, None)[..], [(1, _, _, true)]));
    assert!(stream.connected().is_err());
}

fn loopback(port: u16) -> Address {
    Address::Internet(std::net::SocketAddr::from(([127, 0, 0, 1], port)))
}

#[test]
fn a_descriptor_is_watched_once() {
    let epoll = Epoll::new().unwrap();
    let (own, _peer) = OsStream::pair();
    let descriptor = own.as_raw_fd();
    assert!(epoll.modify(descriptor, Interest::READABLE, 1).is_err());
    epoll.add(descriptor, Interest::READABLE, 1).unwrap();
    assert!(epoll.add(descriptor, Interest::READABLE, 2).is_err());
    epoll.remove(descriptor).unwrap();
    epoll.add(descriptor, Interest::READABLE, u64::MAX).unwrap();
    for bad in [-1, RawFd::MAX] {
        assert!(epoll.add(bad, Interest::READABLE, 1).is_err());
        assert!(epoll.remove(bad).is_err());
    }
}

#[test]
fn a_wait_is_ended_in_the_name_of_a_descriptor_that_is_watched() {
    let epoll = Epoll::new().unwrap();
    let (own, _peer) = OsStream::pair();
    assert!(!epoll.rouse(own.as_raw_fd(), 3));
    epoll.add(own.as_raw_fd(), Interest::READABLE, 3).unwrap();
    assert!(epoll.rouse(own.as_raw_fd(), 3));
    assert!(epoll.wait_briefly(Duration::ZERO).unwrap());
    assert_eq!(wait(&epoll, None), [(3, false, true, false)]);
}

fn is_readable(event_fd: &EventFd) -> bool {
    let wait = std::iter::once((event_fd.as_raw_fd(), WaitFor::Readable));
    !poll(wait, Some(Duration::ZERO)).unwrap().is_empty()
}

#[test]
fn is_readable_from_the_signal_to_the_drain() {
    let event_fd = EventFd::new().unwrap();
    assert!(!is_readable(&event_fd));
    assert!(!event_fd.drain());
    assert!(event_fd.signal() && event_fd.signal());
    assert!(is_readable(&event_fd));
    assert!(event_fd.drain());
    assert!(!is_readable(&event_fd));
}

#[test]
fn who_has_been_signalled_very_often_is_drained_at_once() {
    let event_fd = EventFd::new().unwrap();
    for _ in 0..100_000 {
        assert!(event_fd.signal());
    }
    assert!(is_readable(&event_fd));
    assert!(event_fd.drain());
    assert!(!is_readable(&event_fd));
}

#[test]
fn a_descriptor_that_was_closed_and_opened_anew_is_seen_not_to_be_intact() {
    let event_fd = EventFd::new().unwrap();
    assert!(event_fd.is_intact());
    let file = std::fs::File::open("/dev/null").unwrap();
    // SAFETY: the descriptor stays open, and is ours.
    unsafe { libc::dup2(file.as_raw_fd(), event_fd.as_raw_fd()) };
    assert!(!event_fd.is_intact());
}

#[test]
fn a_number_that_has_changed_is_not_waited_for() {
    let word = AtomicU32::new(2);
    assert_eq!(futex_wait(&word, 1, None), Waited::Woken);
}

#[test]
fn no_deadline_is_early_and_one_that_has_passed_is_over() {
    let word = AtomicU32::new(1);
    let deadline = Instant::now() + Duration::from_micros(1500);
    // It may end before for no reason.
    while futex_wait(&word, 1, Some(deadline)) != Waited::TimedOut {}
    assert!(Instant::now() >= deadline);
    assert_eq!(futex_wait(&word, 1, Some(deadline)), Waited::TimedOut);
}

#[test]
fn everybody_is_woken() {
    let word = AtomicU32::new(1);
    thread::scope(|scope| {
        let wait = || while futex_wait(&word, 1, None) != Waited::Woken {};
        (0..3).for_each(|_| drop(scope.spawn(wait)));
        // Whoever comes later finds that the number has changed.
        word.store(2, Ordering::SeqCst);
        futex_wake_all(&word);
    });
}

/// How a nap on a number ends that is `expected`.
fn slept_on(word: &AtomicU32, expected: u32, until: Option<Instant>) -> Slept {
    nap(Nap::Word(word, expected), until)
}

#[test]
fn a_nap_on_a_number_ends_when_it_changes_or_its_time_is_over() {
    let word = AtomicU32::new(1);
    assert_eq!(slept_on(&word, 2, None), Slept::Woken);
    let until = Instant::now() + Duration::from_micros(1500);
    while slept_on(&word, 1, Some(until)) != Slept::TimedOut {}
    assert!(Instant::now() >= until);
    thread::scope(|scope| {
        let sleep = || {
            while word.load(Ordering::SeqCst) == 1 {
                assert_eq!(slept_on(&word, 1, None), Slept::Woken);
            }
        };
        (0..3).for_each(|_| drop(scope.spawn(sleep)));
        word.store(2, Ordering::SeqCst);
        futex_wake_all(&word);
    });
}

#[test]
fn no_nap_is_left_asleep() {
    const ROUNDS: u32 = 2_000;
    let (ping, pong) = (AtomicU32::new(0), AtomicU32::new(0));
    let reach = |word: &AtomicU32, round: u32| {
        while word.load(Ordering::SeqCst) != round {
            slept_on(word, round - 1, None);
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| {
            for round in 1..=ROUNDS {
                reach(&ping, round);
                pong.store(round, Ordering::SeqCst);
                futex_wake_all(&pong);
            }
        });
        for round in 1..=ROUNDS {
            ping.store(round, Ordering::SeqCst);
            futex_wake_all(&ping);
            reach(&pong, round);
        }
    });
}

#[test]
fn a_signal_ends_every_nap() {
    let slept = interrupted(|| slept_on(&AtomicU32::new(1), 1, None));
    assert_eq!(slept, Slept::Interrupted);
    let slept = interrupted(|| {
        let epoll = Epoll::new().unwrap();
        nap(Nap::Events(&epoll, &mut EventBuffer::default()), None)
    });
    assert_eq!(slept, Slept::Interrupted);
    assert_eq!(interrupted(|| nap(Nap::Ready(&mut []), None)), Slept::Interrupted);
}

#[test]
fn a_nap_in_front_of_a_poller_has_its_reports() {
    let epoll = Epoll::new().unwrap();
    let (own, peer) = OsStream::pair();
    epoll.add(own.as_raw_fd(), Interest::READABLE, 5).unwrap();
    let mut events = EventBuffer::default();
    let soon = Instant::now() + Duration::from_millis(2);
    assert_eq!(nap(Nap::Events(&epoll, &mut events), Some(soon)), Slept::TimedOut);
    assert!(Instant::now() >= soon);
    assert_eq!(events.iter().count(), 0);
    peer.write(&[IoSlice::new(b"x")]).unwrap();
    assert_eq!(nap(Nap::Events(&epoll, &mut events), None), Slept::Woken);
    assert_eq!(events.iter().map(|event| event.key).collect::<Vec<_>>(), [5]);
}
