//! Names of the system calls in which a thread can stay.

macro_rules! names {
    ($number:expr, $($(#[$attribute:meta])* $name:ident)*) => {
        $($(#[$attribute])* if $number == libc::$name { return stringify!($name).strip_prefix("SYS_"); })*
    };
}

/// The name of the system call with this number on this architecture, if a thread can block in it.
pub fn name(number: i64) -> Option<&'static str> {
    names! { number,
        SYS_read SYS_write SYS_readv SYS_writev SYS_pread64 SYS_pwrite64 SYS_preadv SYS_pwritev SYS_preadv2
        SYS_pwritev2 SYS_sendfile SYS_splice SYS_tee SYS_vmsplice SYS_copy_file_range SYS_recvfrom SYS_recvmsg
        SYS_recvmmsg SYS_sendto SYS_sendmsg SYS_sendmmsg SYS_connect SYS_accept SYS_accept4 SYS_openat SYS_openat2
        SYS_close SYS_futex SYS_futex_waitv SYS_flock SYS_fcntl SYS_wait4 SYS_waitid SYS_epoll_pwait SYS_epoll_pwait2
        SYS_ppoll SYS_pselect6 SYS_nanosleep SYS_clock_nanosleep SYS_rt_sigtimedwait SYS_rt_sigsuspend SYS_getrandom
        SYS_semop SYS_semtimedop SYS_msgrcv SYS_msgsnd SYS_mq_timedreceive SYS_mq_timedsend SYS_io_uring_enter
        SYS_io_getevents SYS_restart_syscall SYS_fsync SYS_fdatasync SYS_sync SYS_syncfs SYS_sync_file_range SYS_msync
        SYS_ioctl SYS_clone SYS_clone3 SYS_execve SYS_execveat SYS_exit SYS_exit_group SYS_ptrace SYS_mmap SYS_munmap
        SYS_mprotect SYS_madvise SYS_mlock SYS_process_vm_readv SYS_fallocate SYS_ftruncate SYS_truncate
        SYS_renameat2 SYS_unlinkat SYS_mkdirat SYS_linkat SYS_newfstatat SYS_statx SYS_faccessat SYS_readlinkat
        SYS_getdents64 SYS_mount SYS_umount2 SYS_finit_module SYS_delete_module SYS_userfaultfd SYS_membarrier
        SYS_sched_yield SYS_seccomp SYS_bind SYS_listen SYS_shutdown SYS_fstat SYS_statfs SYS_fstatfs SYS_add_key
        SYS_request_key SYS_keyctl SYS_swapon SYS_reboot SYS_getsockopt SYS_setns SYS_unshare SYS_kill SYS_tgkill
        #[cfg(target_arch = "x86_64")] SYS_open
        #[cfg(target_arch = "x86_64")] SYS_creat
        #[cfg(target_arch = "x86_64")] SYS_poll
        #[cfg(target_arch = "x86_64")] SYS_select
        #[cfg(target_arch = "x86_64")] SYS_epoll_wait
        #[cfg(target_arch = "x86_64")] SYS_pause
        #[cfg(target_arch = "x86_64")] SYS_fork
        #[cfg(target_arch = "x86_64")] SYS_vfork
        #[cfg(target_arch = "x86_64")] SYS_stat
        #[cfg(target_arch = "x86_64")] SYS_lstat
        #[cfg(target_arch = "x86_64")] SYS_access
        #[cfg(target_arch = "x86_64")] SYS_rename
        #[cfg(target_arch = "x86_64")] SYS_unlink
        #[cfg(target_arch = "x86_64")] SYS_rmdir
        #[cfg(target_arch = "x86_64")] SYS_mkdir
        #[cfg(target_arch = "x86_64")] SYS_readlink
        #[cfg(target_arch = "x86_64")] SYS_getdents
    }
    // Newer than the tables of the C library: futex_wait, the same number everywhere.
    (number == 455).then_some("futex_wait")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_numbers() {
        assert_eq!(name(libc::SYS_connect), Some("connect"));
        assert_eq!(name(libc::SYS_clock_nanosleep), Some("clock_nanosleep"));
        assert_eq!(name(455), Some("futex_wait"));
        assert_eq!(name(-1), None);
        assert_eq!(name(100_000), None);
    }
}
