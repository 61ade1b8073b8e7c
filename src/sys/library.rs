//! dlopen(3): a library that is loaded when it is first of use.

use std::ffi::{CStr, CString, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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
fn beside_us(name: &CStr) -> Option<CString> {
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
    let path = Path::new(std::ffi::OsStr::from_bytes(unsafe { CStr::from_ptr(path) }.to_bytes()));
    let beside = path.parent()?.join(std::ffi::OsStr::from_bytes(name.to_bytes()));
    // A name without a slash would be looked for wherever libraries are.
    let beside = if beside.components().count() > 1 { beside } else { Path::new(".").join(beside) };
    CString::new(beside.as_os_str().as_bytes()).ok()
}
