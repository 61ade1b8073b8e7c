//! Waiting for descriptors: epoll(7) and ppoll(2).

use std::os::fd::RawFd;

use super::calls::{answer, begin, kernel};
use super::faults::{Fault, one_of};
use super::kernel::State;
use super::object::{ALWAYS, Epoll, IN, Id, Kind, ONCE, OUT, Watched};
use super::stream::random;
use crate::sync::simulated::scheduler::{self, For, Woken};
use crate::sys::clock::Span;

/// # Safety
/// None is needed; the real one has no contract either.
pub unsafe fn epoll_create1(_flags: libc::c_int) -> libc::c_int {
    begin("epoll_create1");
    answer(kernel(|state| state.open_fresh(Kind::Epoll(Epoll::default()))))
}

/// # Safety
/// The event is null or lives during the call.
pub unsafe fn epoll_ctl(
    epoll: RawFd,
    operation: libc::c_int,
    descriptor: RawFd,
    event: *mut libc::epoll_event,
) -> libc::c_int {
    begin("epoll_ctl");
    // SAFETY: forwarded from our own contract.
    let asked = unsafe { event.read_unaligned() };
    answer(kernel(|state| {
        let id = state.id_of(descriptor)?;
        let can_fail = operation != libc::EPOLL_CTL_DEL;
        if can_fail && state.fault(|faults| Fault("epoll_ctl fails", faults.unwatchable)) {
            let is_new = operation == libc::EPOLL_CTL_ADD;
            return Err(one_of(if is_new {
                &[libc::ENOMEM, libc::ENOSPC]
            } else {
                &[libc::ENOMEM]
            }));
        }
        let (_, epoll) = state.epoll(epoll)?;
        let key = (descriptor, id);
        let is_known = epoll.watched.contains_key(&key);
        match (operation, is_known) {
            (libc::EPOLL_CTL_ADD, true) => return Err(libc::EEXIST),
            (libc::EPOLL_CTL_MOD | libc::EPOLL_CTL_DEL, false) => return Err(libc::ENOENT),
            (libc::EPOLL_CTL_DEL, true) => {
                epoll.watched.remove(&key);
            }
            _ => {
                let (events, number) = (asked.events, asked.u64);
                let watched = Watched { events, key: number, is_disarmed: false };
                epoll.watched.insert(key, watched);
            }
        }
        state.call_the_ready();
        Ok(0)
    }))
}

/// # Safety
/// There is room for `room` events.
pub unsafe fn epoll_wait(
    epoll: RawFd,
    events: *mut libc::epoll_event,
    room: libc::c_int,
    timeout: libc::c_int,
) -> libc::c_int {
    begin("epoll_wait");
    let nanoseconds = (timeout >= 0).then(|| timeout as u64 * 1_000_000);
    let id = match kernel(|state| state.epoll(epoll).map(|(id, _)| id)) {
        Ok(id) => id,
        Err(code) => return answer::<libc::c_int>(Err(code)),
    };
    let collect =
        |state: &mut State| Some(state.collect(id, room as usize)).filter(|it| !it.is_empty());
    let found = wait(&[(id, IN)], nanoseconds, collect);
    answer(found.map(|found| {
        let all = found.unwrap_or_default();
        for (place, (key, bits)) in all.iter().enumerate() {
            let event = libc::epoll_event { events: *bits, u64: *key };
            // SAFETY: forwarded from our own contract; no more than `room` are collected.
            let to = unsafe { events.add(place) };
            // SAFETY: as above.
            unsafe { to.write_unaligned(event) };
        }
        scheduler::note("epoll_wait", [epoll.into(), all.len() as i64]);
        all.len() as libc::c_int
    }))
}

/// # Safety
/// The entries and the timeout live during the call.
pub unsafe fn ppoll(
    entries: *mut libc::pollfd,
    count: libc::nfds_t,
    timeout: *const Span,
    _mask: *const libc::sigset_t,
) -> libc::c_int {
    begin("ppoll");
    let entries: &mut [libc::pollfd] = if count == 0 {
        &mut []
    } else {
        // SAFETY: forwarded from our own contract.
        unsafe { std::slice::from_raw_parts_mut(entries, count as usize) }
    };
    // SAFETY: forwarded from our own contract.
    let timeout = unsafe { timeout.as_ref() }.map(|limit| {
        (limit.seconds as u64)
            .saturating_mul(1_000_000_000)
            .saturating_add(limit.nanoseconds as u64)
    });
    if kernel(|state| Ok(state.fault(|faults| Fault("ENOMEM", faults.shortage)))) == Ok(true) {
        return answer::<libc::c_int>(Err(libc::ENOMEM));
    }
    let ids: Vec<Option<Id>> =
        entries.iter().map(|entry| kernel(|state| state.id_of(entry.fd)).ok()).collect();
    let interest: Vec<_> = ids
        .iter()
        .zip(&*entries)
        .filter_map(|(id, entry)| Some(((*id)?, entry.events as u32 | ALWAYS)))
        .collect();
    let collect = |state: &mut State| {
        let is_spurious = state.fault(|faults| Fault("spurious readiness", faults.spurious));
        let ready: Vec<(usize, u32)> = ids
            .iter()
            .zip(&*entries)
            .enumerate()
            .filter_map(|(place, (id, entry))| {
                let Some(id) = id else { return Some((place, libc::POLLNVAL as u32)) };
                let bits = state.readiness(*id) & (entry.events as u32 | ALWAYS);
                let bits = if is_spurious { entry.events as u32 } else { bits };
                (bits != 0).then_some((place, bits))
            })
            .collect();
        Some(ready).filter(|ready| !ready.is_empty())
    };
    let found = wait(&interest, timeout, collect);
    answer(found.map(|found| {
        entries.iter_mut().for_each(|entry| entry.revents = 0);
        let all = found.unwrap_or_default();
        for (place, bits) in &all {
            entries[*place].revents = *bits as libc::c_short;
        }
        scheduler::note("ppoll", [count as i64, all.len() as i64]);
        all.len() as libc::c_int
    }))
}

/// Waits until `collect` finds something; `None` when the time is over.
fn wait<T>(
    interest: &[(Id, u32)],
    timeout: Option<u64>,
    collect: impl Fn(&mut State) -> Option<T>,
) -> Result<Option<T>, i32> {
    let now = scheduler::now().unwrap_or_default();
    let until = timeout.map(|timeout| now.saturating_add(timeout));
    let can_be_signalled = timeout != Some(0) && !scheduler::is_masked();
    let signal = kernel(|state| {
        let strikes = can_be_signalled && state.fault(|faults| Fault("EINTR", faults.interrupted));
        Ok(strikes.then(|| now + random(0, 2_000_000)))
    })?;
    kernel(|state| {
        interest.iter().for_each(|(id, _)| state.hold(*id));
        Ok(())
    })?;
    let result = wait_for(interest, timeout, until, signal, collect);
    kernel(|state| {
        interest.iter().for_each(|(id, _)| state.let_go(*id));
        state.call_the_ready();
        Ok(())
    })?;
    result
}

fn wait_for<T>(
    interest: &[(Id, u32)],
    timeout: Option<u64>,
    until: Option<u64>,
    signal: Option<u64>,
    collect: impl Fn(&mut State) -> Option<T>,
) -> Result<Option<T>, i32> {
    let this = scheduler::number();
    loop {
        let found = kernel(|state| {
            let found = collect(state);
            if found.is_none() && timeout != Some(0) {
                state.waiting.insert(this, interest.to_vec());
            }
            Ok(found)
        })?;
        if found.is_some() || timeout == Some(0) {
            return Ok(found);
        }
        let earliest = until.into_iter().chain(signal).min();
        let woken = scheduler::block(For::Call, earliest);
        let found = kernel(|state| {
            state.waiting.remove(&this);
            Ok(if woken == Woken::TimedOut { collect(state) } else { None })
        })?;
        match woken {
            Woken::Called => {}
            Woken::TimedOut if found.is_some() => return Ok(found),
            Woken::TimedOut if signal.is_some() && earliest == signal => return Err(libc::EINTR),
            Woken::TimedOut => return Ok(None),
        }
    }
}

impl State {
    /// What a poller reports.
    fn collect(&mut self, id: Id, room: usize) -> Vec<(u64, u32)> {
        let is_spurious = self.fault(|faults| Fault("spurious readiness", faults.spurious));
        let Some(Kind::Epoll(epoll)) = self.objects.get(&id).map(|object| &object.kind) else {
            return Vec::new();
        };
        let ready = epoll.watched.iter().filter_map(|((descriptor, object), watched)| {
            if watched.is_disarmed {
                return None;
            }
            let mut bits = self.readiness(*object) & (watched.events | ALWAYS);
            let is_stream =
                matches!(self.objects.get(object).map(|it| &it.kind), Some(Kind::Stream(_)));
            if bits == 0 && is_spurious && is_stream {
                bits = watched.events & (IN | OUT);
            }
            (bits != 0).then_some((*descriptor, *object, watched.key, bits))
        });
        let mut ready: Vec<_> = ready.collect();
        if ready.is_empty() {
            return Vec::new();
        }
        let start = random(0, ready.len() as u64 - 1) as usize;
        ready.rotate_left(start);
        ready.truncate(room);
        let Some(Kind::Epoll(epoll)) = self.objects.get_mut(&id).map(|object| &mut object.kind)
        else {
            return Vec::new();
        };
        for (descriptor, object, _, _) in &ready {
            if let Some(watched) = epoll.watched.get_mut(&(*descriptor, *object)) {
                watched.is_disarmed |= watched.events & ONCE != 0;
            }
        }
        ready.into_iter().map(|(_, _, key, bits)| (key, bits)).collect()
    }

    /// Wakes those who wait for what is ready now.
    pub fn call_the_ready(&mut self) {
        let is_ready = |interest: &Vec<(Id, u32)>| {
            interest.iter().any(|(id, mask)| self.readiness(*id) & mask != 0)
        };
        let ready: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, interest)| is_ready(interest))
            .map(|(number, _)| *number)
            .collect();
        for number in ready {
            self.waiting.remove(&number);
            scheduler::call(number);
        }
    }
}
