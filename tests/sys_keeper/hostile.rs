//! Services that behave badly, and a kernel that knows little: parts of `roles`.

use std::io::Write;
use std::sync::atomic::{AtomicI64, Ordering};

fn fork() -> i32 {
    // SAFETY: the children of these roles only fork, wait and end.
    unsafe { libc::fork() }
}

fn end() -> ! {
    // SAFETY: ends the process without running anything else.
    unsafe { libc::_exit(0) }
}

/// Leaves ten thousand orphans: a child that forks them and ends, a hundred at a time, while they end one by one.
pub fn orphaning() {
    for _ in 0..100 {
        match fork() {
            0 => {
                for _ in 0..100 {
                    if fork() == 0 {
                        end();
                    }
                }
                end()
            }
            // SAFETY: no status is asked for.
            child => unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) },
        };
    }
    end()
}

/// A service whose every process forks for ever, in sessions of their own, with at most 200 at a time.
pub fn exploding() -> ! {
    // SAFETY: fresh shared memory of one page, zeroed, which lives as long as these processes; the number in it is only
    // used atomically.
    let alive = unsafe {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        let memory = libc::mmap(std::ptr::null_mut(), 4096, protection, flags, -1, 0);
        assert_ne!(memory, libc::MAP_FAILED);
        &*memory.cast::<AtomicI64>()
    };
    alive.store(1, Ordering::SeqCst);
    let mut full = false;
    loop {
        if alive.fetch_add(1, Ordering::SeqCst) < 200 {
            match fork() {
                0 => {
                    full = true;
                    // SAFETY: no memory is involved; children are reaped by nobody.
                    unsafe {
                        libc::setsid();
                        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
                    }
                }
                -1 => {
                    alive.fetch_sub(1, Ordering::SeqCst);
                }
                // The parent leaves its place to its child's children, now and then.
                child if full && child % 2 == 0 => {
                    alive.fetch_sub(1, Ordering::SeqCst);
                    end()
                }
                _ => {}
            }
        } else {
            alive.fetch_sub(1, Ordering::SeqCst);
            if !full {
                full = true;
                std::io::stdout().write_all(b"@full\n").unwrap();
            }
        }
    }
}

/// A seccomp filter for this process and all it makes.
pub fn deny() {
    let instruction = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equals = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let bits = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    let returns = libc::BPF_RET | libc::BPF_K;
    // struct seccomp_data: the number lies at 0, the low half of the first argument at 16.
    let mut filter = [
        instruction(load, 0, 0, 0),
        instruction(equals, libc::SYS_close_range as u32, 5, 0),
        instruction(equals, libc::SYS_pidfd_open as u32, 4, 0),
        instruction(equals, libc::SYS_pidfd_send_signal as u32, 3, 0),
        instruction(equals, libc::SYS_clone as u32, 0, 3),
        instruction(load, 16, 0, 0),
        instruction(bits, libc::CLONE_VFORK as u32, 0, 1),
        instruction(returns, libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32, 0, 0),
        instruction(returns, libc::SECCOMP_RET_ALLOW, 0, 0),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: the program lives through the call.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
    }
}
