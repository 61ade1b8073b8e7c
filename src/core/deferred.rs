//! What a thread has sent and not yet seen written: it writes that before it blocks.
//!
//! The reactor would do it too, a little later; this way a request is on its way before its
//! sender waits for the answer.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use crate::sys;
use crate::transports::Connection;

/// Notes that `connection` has something gathered from this thread.
pub fn note(connection: &Arc<dyn Connection>) {
    let is_full = with_list(|list| {
        let last = list.last().map(Weak::as_ptr);
        let is_known = last.is_some_and(|last| std::ptr::addr_eq(last, Arc::as_ptr(connection)));
        if !is_known {
            list.push(Arc::downgrade(connection));
        }
        list.len() >= LIST_MAX
    });
    if is_full == Some(true) {
        write_out();
    }
}

/// Writes all of it.
pub fn write_out() {
    let is_empty = with_list(|list| list.is_empty());
    if is_empty != Some(false) {
        return;
    }
    let list = with_list(std::mem::take).unwrap_or_default();
    for connection in list.iter().filter_map(Weak::upgrade) {
        if let Some(stream) = connection.stream()
            && stream.has_unwritten()
        {
            stream.write_out();
        }
    }
}

/// `None` while the thread ends: the reactor takes care of what is left.
fn with_list<T>(change: impl FnOnce(&mut Vec<Weak<dyn Connection>>) -> T) -> Option<T> {
    let in_list = |noted: &RefCell<Noted>| {
        let noted = &mut *noted.borrow_mut();
        // What a forked child finds here is its parent's to write.
        if noted.generation != sys::generation() {
            *noted = Noted { generation: sys::generation(), list: Vec::new() };
        }
        change(&mut noted.list)
    };
    NOTED.try_with(in_list).ok()
}

thread_local! {
    static NOTED: RefCell<Noted> =
        const { RefCell::new(Noted { generation: 0, list: Vec::new() }) };
}

struct Noted {
    generation: usize,
    list: Vec<Weak<dyn Connection>>,
}

/// A thread that streams to more connections than this writes them all now and then.
const LIST_MAX: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixtures::FakeConnection;

    // Each test has a thread, and so a list, of its own.

    fn note(connection: &Arc<FakeConnection>) {
        super::note(&(Arc::clone(connection) as Arc<dyn Connection>));
    }

    fn noted() -> usize {
        with_list(|list| list.len()).unwrap()
    }

    #[test]
    fn what_was_noted_is_written_once() {
        let [one, other] = [3, 1].map(FakeConnection::over_stream);
        for connection in [&one, &one, &other, &one] {
            note(connection);
        }
        assert_eq!(noted(), 3, "only the same one in a row is recognised");
        write_out();
        assert_eq!((one.unwritten(), other.unwritten(), noted()), (1, 0, 0));
        write_out();
        assert_eq!(one.unwritten(), 1);
    }

    #[test]
    fn what_has_gone_meanwhile_or_has_no_stream_is_passed_over() {
        let gone = FakeConnection::over_stream(1);
        note(&gone);
        note(&FakeConnection::with_room(1));
        drop(gone);
        write_out();
        assert_eq!(noted(), 0);
    }

    #[test]
    fn the_list_has_an_end() {
        let many: Vec<_> = (0..LIST_MAX).map(|_| FakeConnection::over_stream(1)).collect();
        many[1..].iter().for_each(note);
        assert_eq!((noted(), many[1].unwritten()), (LIST_MAX - 1, 1));
        note(&many[0]);
        assert_eq!(noted(), 0);
        assert!(many.iter().all(|one| one.unwritten() == 0));
    }

    #[test]
    fn what_a_forked_childs_parent_noted_is_the_parents() {
        note(&FakeConnection::over_stream(1));
        NOTED.with(|noted| noted.borrow_mut().generation += 1);
        assert_eq!(noted(), 0);
    }
}
