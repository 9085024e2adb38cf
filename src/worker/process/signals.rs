//! A job begins with default signals and an empty mask, whatever `orchestrate` was started with.

use std::mem::MaybeUninit;
use std::ptr;

/// Whether this process ignores a signal, as `nohup` makes it ignore `SIGHUP`.
#[must_use]
pub fn is_ignored(signal: libc::c_int) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: `sigaction` only writes to the structure it is given, which is read where that succeeded.
    unsafe {
        libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

extern "C" fn nothing(_: libc::c_int) {}

/// Makes every signal of this process default that was ignored, so that jobs get them so. `SIGPIPE` gets a handler that does
/// nothing: the worker must outlive a closed pipe to end its job, and `exec` makes a handler default again (signal(7)).
pub fn start_clean() {
    for signal in 1..=libc::SIGRTMAX() {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: `sigaction` only writes to the structure it is given, and an all-zero one is valid: default, no flags.
        unsafe {
            if libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) != 0 {
                continue;
            }
            let mut action = action.assume_init();
            if signal == libc::SIGPIPE {
                action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
                action.sa_flags = libc::SA_RESTART;
            } else if action.sa_sigaction == libc::SIG_IGN {
                action.sa_sigaction = libc::SIG_DFL;
                action.sa_flags = 0;
            } else {
                continue;
            }
            libc::sigaction(signal, &raw const action, ptr::null_mut());
        }
    }
    // SAFETY: an empty set is made and set; nothing else is touched.
    unsafe {
        let mut none = MaybeUninit::<libc::sigset_t>::zeroed();
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), ptr::null_mut());
    }
}
