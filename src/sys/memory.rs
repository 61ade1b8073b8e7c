//! mincore(2): whether memory of the application is there.

/// Whether there is memory where somebody says that bytes are. Whether it may be read is not told.
#[must_use]
pub fn is_mapped(bytes: &[u8]) -> bool {
    if cfg!(any(miri, simulated)) || !cfg!(target_os = "linux") {
        return true;
    }
    let first = bytes.as_ptr().addr() / PAGE;
    let end = (bytes.as_ptr().addr() + bytes.len()).div_ceil(PAGE);
    (first..end).step_by(PAGES_AT_ONCE).all(|page| {
        let start = bytes.as_ptr().with_addr(page * PAGE).cast_mut();
        let len = PAGES_AT_ONCE.min(end - page) * PAGE;
        let mut residency = [0_u8; PAGES_AT_ONCE];
        // SAFETY: the kernel writes a byte for each page, and reads nothing that is in them.
        let result = unsafe { libc::mincore(start.cast(), len, residency.as_mut_ptr().cast()) };
        // It has no other reason than that to say so of these arguments.
        result == 0 || std::io::Error::last_os_error().raw_os_error() != Some(libc::ENOMEM)
    })
}

const PAGE: usize = 4096;
const PAGES_AT_ONCE: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use std::slice;

    #[test]
    #[cfg_attr(miri, ignore = "asks the kernel")]
    fn memory_is_there_unless_a_page_is_missing() {
        let bytes = vec![1_u8; 100_000];
        assert!(is_mapped(&bytes) && is_mapped(&bytes[77..]));
        let (pages, kind) = (2 * PAGES_AT_ONCE + 3, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a mapping of its own, of which nothing is read.
        unsafe {
            let read = libc::PROT_READ;
            let start = libc::mmap(std::ptr::null_mut(), pages * PAGE, read, kind, -1, 0);
            assert_ne!(start, libc::MAP_FAILED);
            let first = start.cast::<u8>();
            let whole = slice::from_raw_parts(first, pages * PAGE);
            assert!(is_mapped(whole));
            let hole = first.add((pages - 1) * PAGE);
            assert_eq!(libc::munmap(hole.cast(), PAGE), 0);
            assert!(is_mapped(&whole[..(pages - 1) * PAGE]));
            assert!(!is_mapped(whole) && !is_mapped(&whole[(pages - 2) * PAGE + 5..]));
            libc::munmap(start, (pages - 1) * PAGE);
        }
    }
}
