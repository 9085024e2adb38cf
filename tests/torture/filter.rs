//! System calls that the kernel refuses to a program and all that it starts: seccomp(2).

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// What becomes of a call.
#[derive(Clone, Copy)]
pub struct Filter {
    call: libc::c_long,
    /// Whether only calls count whose first argument is negative.
    negative: bool,
    action: u32,
}

impl Filter {
    /// A file system that has no locks of this kind.
    pub fn no_locks() -> Self {
        Self {
            call: libc::SYS_flock,
            negative: false,
            action: libc::SECCOMP_RET_ERRNO | libc::EOPNOTSUPP.unsigned_abs(),
        }
    }

    /// Whoever signals a group of processes by its number is killed.
    pub fn no_signals_to_groups() -> Self {
        Self {
            call: libc::SYS_kill,
            negative: true,
            action: libc::SECCOMP_RET_KILL_PROCESS,
        }
    }

    /// For the kernel's machine of filters: the data of a call are its number, the architecture, the address and the arguments.
    fn code(self) -> Vec<libc::sock_filter> {
        const FIRST_ARGUMENT: u32 = 16;
        const SIGN: u32 = 1 << 31;
        let step = |code: u32, jt: u8, jf: u8, k: u32| libc::sock_filter {
            code: u16::try_from(code).unwrap(),
            jt,
            jf,
            k,
        };
        let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
        let jump = libc::BPF_JMP | libc::BPF_K;
        let number = u32::try_from(self.call).unwrap();
        let mut code = vec![step(load, 0, 0, 0)];
        if self.negative {
            code.push(step(jump | libc::BPF_JEQ, 0, 3, number));
            code.push(step(load, 0, 0, FIRST_ARGUMENT));
            code.push(step(jump | libc::BPF_JSET, 0, 1, SIGN));
        } else {
            code.push(step(jump | libc::BPF_JEQ, 0, 1, number));
        }
        code.push(step(libc::BPF_RET | libc::BPF_K, 0, 0, self.action));
        code.push(step(
            libc::BPF_RET | libc::BPF_K,
            0,
            0,
            libc::SECCOMP_RET_ALLOW,
        ));
        code
    }
}

/// Puts filters before a command.
pub fn filter(command: &mut Command, filters: &[Filter]) {
    for filter in filters {
        let code = filter.code();
        // SAFETY: between fork and exec only `prctl` is called, over memory that the closure owns (signal-safety(7)).
        unsafe {
            command.pre_exec(move || {
                let program = libc::sock_fprog {
                    len: u16::try_from(code.len()).unwrap_or(0),
                    filter: code.as_ptr().cast_mut(),
                };
                if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
                    || libc::prctl(
                        libc::PR_SET_SECCOMP,
                        libc::SECCOMP_MODE_FILTER,
                        &raw const program,
                    ) != 0
                {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
    }
}
