//! Places at which a tracer may stop the library and look: a nop each, and a note in the file that
//! says where it is, and where its arguments are.
//!
//! The notes have the form of SystemTap's `<sys/sdt.h>`, version 3, which perf, bpftrace, gdb and
//! SystemTap read. A nop is what a probe on the way of a message costs while nobody looks. The
//! others are asked first whether anybody does: who looks counts himself in, from outside.
//!
//! doc/probes.md is the manual. On other systems, and on processors for which nobody has said how
//! arguments are spelled, there are no probes.

use std::ffi::CStr;
use std::sync::atomic::{AtomicU16, Ordering};

/// Where the arguments are, as the assembler writes operands.
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
macro_rules! spell {
    (on_the_way) => {
        "-4@{offset}(%{socket}) 8@%{bytes}"
    };
    (counted) => {
        "-4@%{socket:e} -8@%{number} 8@%{words}"
    };
}
#[cfg(all(target_os = "linux", target_arch = "aarch64", not(miri)))]
macro_rules! spell {
    (on_the_way) => {
        "-4@[{socket}, {offset}] 8@{bytes}"
    };
    (counted) => {
        "-4@{socket:x} -8@{number} 8@{words}"
    };
}

/// A nop, and the note about it: its name, the counter of those who look, its arguments.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
macro_rules! place {
    ($name:literal, $arguments:ident, [$($value:ident),*], $lookers:literal $($symbol:tt)*) => {
        // SAFETY: the only instruction does nothing. The rest goes to sections that hold no code,
        // and its labels are numbers, of which there may be many.
        unsafe {
            std::arch::asm!(
                "990: nop",
                ".pushsection .note.stapsdt, \"?\", \"note\"",
                ".balign 4",
                ".4byte 992f-991f, 994f-993f, 3",
                "991: .asciz \"stapsdt\"",
                "992: .balign 4",
                "993: .8byte 990b, _.stapsdt.base",
                concat!(".8byte ", $lookers),
                ".asciz \"spmsg\"",
                concat!(".asciz \"", $name, "\""),
                concat!(".asciz \"", spell!($arguments), "\""),
                "994: .balign 4",
                ".popsection",
                // Readers see by this how far the addresses were moved. It is kept although no code
                // refers to it.
                ".ifndef _.stapsdt.base",
                ".pushsection .stapsdt.base, \"aGR\", \"progbits\", .stapsdt.base, comdat",
                ".weak _.stapsdt.base",
                ".hidden _.stapsdt.base",
                "_.stapsdt.base: .space 1",
                ".size _.stapsdt.base, 1",
                ".popsection",
                ".endif",
                $($value = in(reg) $value,)*
                $($symbol)*
                options(nostack, preserves_flags, readonly),
            );
        }
    };
}

/// Where there are none.
#[cfg(not(all(
    target_os = "linux",
    any(target_arch = "x86_64", target_arch = "aarch64"),
    not(miri)
)))]
macro_rules! place {
    ($name:literal, $arguments:ident, [$($value:ident),*], $($lookers:tt)*) => {
        let _ = ($($value),*);
    };
}

/// The counters of those who look, in pages of the file in which nothing else lies: while a process
/// begins, the page at which its data begin is there twice, once among what is about to become
/// read-only, and that is where the kernel would count.
#[cfg_attr(not(target_arch = "aarch64"), repr(C, align(4096)))]
#[cfg_attr(target_arch = "aarch64", repr(C, align(65536)))]
struct Lookers([AtomicU16; 6]);

#[cfg_attr(target_os = "linux", unsafe(link_section = ".probes"))]
static LOOKERS: Lookers = Lookers([const { AtomicU16::new(0) }; 6]);

/// A probe with the counter in that place.
macro_rules! counted {
    ($name:literal, $at:literal) => {{
        #[inline(never)]
        fn place(socket: i32, number: i64, words: &CStr) {
            let words = words.as_ptr();
            place!($name, counted, [socket, number, words],
                "{lookers} + {at}" lookers = sym LOOKERS, at = const 2 * $at,);
        }
        Probe { lookers: &LOOKERS.0[$at], place }
    }};
}

/// A probe for which something has to be prepared.
pub struct Probe {
    /// The kernel, or a debugger, counts here how many look.
    lookers: &'static AtomicU16,
    place: fn(i32, i64, &CStr),
}

impl Probe {
    /// Whether anybody looks.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.lookers.load(Ordering::Relaxed) != 0
    }

    /// Shows what has happened to a socket, in a number and in words.
    pub fn show(&self, socket: i32, number: i64, words: &CStr) {
        (self.place)(socket, number, words);
    }
}

/// A message was accepted from a caller. The number of the socket lies in it at that offset, where
/// only those look for it who look.
#[allow(clippy::inline_always, reason = "it is a nop")]
#[inline(always)]
pub fn sent<T, const OFFSET: usize>(socket: &T, bytes: u64) {
    place!("send", on_the_way, [socket, bytes], "0" offset = const OFFSET,);
}

/// The same for one that a caller has received.
#[allow(clippy::inline_always, reason = "it is a nop")]
#[inline(always)]
pub fn received<T, const OFFSET: usize>(socket: &T, bytes: u64) {
    place!("recv", on_the_way, [socket, bytes], "0" offset = const OFFSET,);
}

/// An attempt to connect is over: endpoint, why it failed.
pub static CONNECT: Probe = counted!("connect", 0);
/// The same of a peer that has come.
pub static ACCEPT: Probe = counted!("accept", 1);
/// Messages were accepted, and go nowhere: how many, why.
pub static DROP: Probe = counted!("drop", 2);
/// A message is left to its sender: its size, why.
pub static REFUSE: Probe = counted!("refuse", 3);
/// A thread goes to sleep in a call: nothing, what for.
pub static SLEEP: Probe = counted!("sleep", 4);
/// It goes on: nothing, why.
pub static WAKE: Probe = counted!("wake", 5);
