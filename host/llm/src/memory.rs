//! Memory that was needed for a while goes back to the system.
//!
//! One of the files with `unsafe`: the C library's own function is declared here.

#![cfg_attr(
    all(target_os = "linux", target_env = "gnu"),
    expect(unsafe_code, reason = "a declaration of the C library's")
)]

/// Gives back what is freed but kept: glibc does so by itself only at the end of a heap, and only much at once. Of what
/// reading a vocabulary took, 13 MB remained.
pub(crate) fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: glibc's signature; any thread may call it at any time.
        unsafe extern "C" {
            safe fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        malloc_trim(0);
    }
}
