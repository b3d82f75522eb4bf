//! The environment of this process, read in place.

use std::ffi::CStr;

unsafe extern "C" {
    /// The variables of this process (`environ(7)`): texts up to a null pointer.
    static environ: *const *const libc::c_char;
}

/// The variables that this process was started with, `NAME=VALUE` each, in their order. They are not copied: most of
/// them go on to a child as they are, at every start.
pub fn inherited() -> impl Iterator<Item = &'static CStr> {
    // SAFETY: libc has set it before `main`, and nothing in this program changes a variable after that.
    let mut next = unsafe { environ };
    std::iter::from_fn(move || {
        if next.is_null() {
            return None;
        }
        // SAFETY: the array goes up to a null pointer, which `next` has not passed; the texts end with a NUL and live as
        // long as the process.
        unsafe {
            let text = *next;
            if text.is_null() {
                return None;
            }
            next = next.add(1);
            Some(CStr::from_ptr(text))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_variables_are_there() {
        let here: Vec<&CStr> = inherited().collect();
        let path = std::env::var("PATH").unwrap();
        assert!(here.iter().any(|variable| variable.to_bytes() == format!("PATH={path}").as_bytes()));
        assert_eq!(here.len(), std::env::vars_os().count());
    }
}
