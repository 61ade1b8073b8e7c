//! dlopen(3): a library that is loaded when it is first of use.

use std::ffi::{CStr, CString, OsStr, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::process::is_privileged;

/// What `entry` names in the first library that is there: of these names, beside our own first, and
/// then wherever the system looks. It stays for as long as the process does.
pub fn symbol(names: &[&CStr], entry: &CStr) -> Option<*mut c_void> {
    let beside = names.iter().filter_map(|name| beside_us(name));
    let elsewhere = names.iter().map(|name| (*name).to_owned());
    beside.chain(elsewhere).find_map(|name| symbol_in(&name, entry))
}

fn symbol_in(name: &CStr, entry: &CStr) -> Option<*mut c_void> {
    let flags = libc::RTLD_NOW | libc::RTLD_LOCAL | libc::RTLD_NODELETE;
    // SAFETY: the name ends with a zero. What the library does when it is loaded is its maker's
    // business; ours does nothing.
    let library = unsafe { libc::dlopen(name.as_ptr(), flags) };
    if library.is_null() {
        return None;
    }
    // SAFETY: it was opened a line ago, and the name ends with a zero.
    let symbol = unsafe { libc::dlsym(library, entry.as_ptr()) };
    (!symbol.is_null()).then_some(symbol)
}

/// The path of a file in the directory of the library, or the program, that this is a part of.
///
/// A program says itself what it is called, so that whoever starts one that may do more than he may
/// would choose what it loads.
fn beside_us(name: &CStr) -> Option<CString> {
    if is_privileged() {
        return None;
    }
    let mut info = MaybeUninit::<libc::Dl_info>::zeroed();
    let own = symbol as fn(&[&CStr], &CStr) -> Option<*mut c_void>;
    // SAFETY: an address is looked up, and there is room for the answer.
    if unsafe { libc::dladdr(own as *const c_void, info.as_mut_ptr()) } == 0 {
        return None;
    }
    // SAFETY: it was filled, and zero is a value of each of its fields.
    let path = unsafe { info.assume_init() }.dli_fname;
    if path.is_null() {
        return None;
    }
    // SAFETY: it is the name of what is loaded, which ends with a zero and stays as long as we do.
    let path = unsafe { CStr::from_ptr(path) };
    beside(Path::new(OsStr::from_bytes(path.to_bytes())), name)
}

/// A path that does not begin at the root is what a program was started by, which may be found
/// through PATH and says nothing of a directory: what lies in that of the moment is not ours.
fn beside(own: &Path, name: &CStr) -> Option<CString> {
    if !own.is_absolute() {
        return None;
    }
    let beside = own.parent()?.join(OsStr::from_bytes(name.to_bytes()));
    CString::new(beside.as_os_str().as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_looked_for_in_the_directory_of_the_moment() {
        let beside = |own| beside(Path::new(own), c"other.so.0");
        assert_eq!(beside("/usr/lib/libspmsg.so.0").as_deref(), Some(c"/usr/lib/other.so.0"));
        assert_eq!(
            ["program", "./program", "lib/libspmsg.so.0", ""].map(beside),
            [None, None, None, None]
        );
    }
}
