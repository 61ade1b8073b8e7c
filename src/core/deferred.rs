//! What a thread has sent and not yet seen written: it writes that before it blocks.
//!
//! The reactor would do it too, a little later; this way a request is on its way before its
//! sender waits for the answer.

use std::cell::RefCell;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Weak};

use crate::memory;
use crate::sys::{self, Belongings};
use crate::transports::Connection;

/// Notes that `connection` has something gathered from this thread.
pub fn note(connection: &Arc<dyn Connection>) {
    let is_full = with_noted(|noted| {
        let list = &mut *noted.list;
        let last = list.last().map(Weak::as_ptr);
        if last.is_some_and(|last| std::ptr::addr_eq(last, Arc::as_ptr(connection))) {
            return false;
        }
        noted.is_kept = noted.is_kept || sys::at_thread_end(Belongings::Gathered, forget);
        if !noted.is_kept || memory::reserve(list, 1).is_err() {
            // The reactor writes this one. That the others are written gives memory back.
            return true;
        }
        list.push(Arc::downgrade(connection));
        list.len() >= LIST_MAX
    });
    if is_full {
        write_out();
    }
}

/// Writes all of it.
pub fn write_out() {
    if with_noted(|noted| noted.list.is_empty()) {
        return;
    }
    let list = with_noted(|noted| std::mem::take(&mut *noted.list));
    for connection in list.iter().filter_map(Weak::upgrade) {
        if let Some(stream) = connection.stream()
            && stream.has_unwritten()
        {
            stream.write_out();
        }
    }
}

fn with_noted<T>(change: impl FnOnce(&mut Noted) -> T) -> T {
    NOTED.with(|noted| {
        let noted = &mut *noted.borrow_mut();
        // What a forked child finds here is its parent's to write.
        if noted.generation != sys::generation() {
            noted.generation = sys::generation();
            noted.list.clear();
        }
        change(noted)
    })
}

/// The thread ends: the reactor takes care of what is left.
fn forget() {
    drop(with_noted(|noted| std::mem::take(&mut *noted.list)));
}

// Without a destructor, for the reason that `sys::at_thread_end` has.
thread_local! {
    static NOTED: RefCell<Noted> = const {
        RefCell::new(Noted { generation: 0, list: ManuallyDrop::new(Vec::new()), is_kept: false })
    };
}

struct Noted {
    generation: usize,
    list: ManuallyDrop<Vec<Weak<dyn Connection>>>,
    /// Somebody takes the list away when the thread ends.
    is_kept: bool,
}

/// A thread that streams to more connections than this writes them all now and then.
const LIST_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::fixtures::FakeConnection;

    // Each test has a thread, and so a list, of its own.

    fn note(connection: &Arc<FakeConnection>) {
        super::note(&(Arc::clone(connection) as Arc<dyn Connection>));
    }

    fn noted() -> usize {
        with_noted(|noted| noted.list.len())
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

    #[test]
    fn a_thread_that_ends_leaves_nothing_behind() {
        let connection = FakeConnection::over_stream(1);
        std::thread::scope(|scope| drop(scope.spawn(|| note(&connection)).join()));
        assert_eq!((Arc::weak_count(&connection), connection.unwritten()), (0, 1));
    }

    #[test]
    fn without_memory_the_reactor_is_relied_on() {
        let [one, other] = [1, 1].map(FakeConnection::over_stream);
        note(&one);
        with_noted(|noted| noted.list.shrink_to_fit());
        memory::without_memory(|| note(&other));
        assert_eq!((one.unwritten(), other.unwritten(), noted()), (0, 1, 0));
    }
}
