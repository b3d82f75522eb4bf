//! Where the fields of Ruby's structures lie, by version. They are the same in all releases of one minor version up to
//! 3.4; on x86_64 and with glibc, as the sizes of locks are a part of it. Facts from Ruby's `vm_core.h`, `ractor_core.h`,
//! `thread_pthread.h` and `method.h`, by way of the bindings in the crate rbspy-ruby-structs 0.55.

/// Offsets in bytes, of one version.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// Whether threads belong to ractors (from 3.0 on).
    pub ractors: Option<Ractors>,
    /// `rb_vm_t`: the list of its threads, where there are no ractors.
    pub living_threads: u64,
    /// `rb_thread_t`.
    pub thread: Thread,
    /// `rb_execution_context_t`: its thread; stack, size and frame come first.
    pub context_thread: u64,
    /// `rb_control_frame_t`: its size.
    pub frame_size: u64,
    /// `rb_iseq_constant_body`: the table of lines. All before it has kept its place.
    pub lines: u64,
    /// The size of one line's entry.
    pub line_size: u64,
    /// Strings hold their length beside their text (from 3.2 on), not in their flags.
    pub wide_strings: bool,
}

/// Of `rb_vm_t` and `rb_ractor_t`.
#[derive(Debug, Clone, Copy)]
pub struct Ractors {
    /// In a ractor: the list of its threads.
    pub threads: u64,
    /// In a ractor: where it hangs in the list of ractors.
    pub node: u64,
}

/// Of `rb_thread_t`; it begins with where it hangs in the list of threads.
#[derive(Debug, Clone, Copy)]
pub struct Thread {
    /// The virtual machine.
    pub vm: u64,
    /// The execution context.
    pub context: u64,
    /// What leads to its number.
    pub native: Native,
    /// The bits that begin with its status.
    pub status: u64,
    /// The mutex that it waits for, a value; the first of those that it holds is the next field.
    pub locking: u64,
    /// Its name, a value.
    pub name: u64,
    /// Where else it may be: up to 3.0 it stands behind a place for registers, whose size depends on the compiler.
    pub name_else: u64,
}

/// What leads to a thread's number.
#[derive(Debug, Clone, Copy)]
pub enum Native {
    /// A `pthread_t` here.
    Pthread(u64),
    /// A tid here.
    Tid(u64),
    /// A pointer here to what has a tid there.
    Through(u64, u64),
}

/// In `rb_vm_t`: the list of ractors, and the first of them.
pub const RACTORS: u64 = 8;
/// In `rb_vm_t`: the main ractor.
pub const MAIN_RACTOR: u64 = 32;
/// In `rb_thread_t` with ractors: its ractor.
pub const THREAD_RACTOR: u64 = 24;

const THREE: Layout = Layout {
    ractors: Some(Ractors { threads: 304, node: 568 }),
    living_threads: 0,
    thread: Thread {
        vm: 32,
        context: 40,
        native: Native::Pthread(80),
        status: 88,
        locking: 256,
        name: 384,
        name_else: 544,
    },
    context_thread: 56,
    frame_size: 56,
    lines: 120,
    line_size: 8,
    wide_strings: false,
};

const THREE_THREE: Layout = Layout {
    ractors: Some(Ractors { threads: 256, node: 432 }),
    thread: Thread {
        vm: 32,
        context: 48,
        native: Native::Through(40, 24),
        status: 240,
        locking: 344,
        name: 432,
        name_else: 432,
    },
    context_thread: 48,
    lines: 112,
    line_size: 12,
    wide_strings: true,
    ..THREE
};

impl Layout {
    /// That of a version (`3.1.7`); `None` when it is not known.
    pub fn of(version: &str) -> Option<Layout> {
        let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
        Some(match (numbers.next()?, numbers.next()?) {
            (2, 7) => Layout {
                ractors: None,
                living_threads: 312,
                thread: Thread {
                    vm: 24,
                    context: 32,
                    native: Native::Pthread(72),
                    status: 80,
                    locking: 248,
                    name: 360,
                    name_else: 520,
                },
                ..THREE
            },
            (3, 0) => THREE,
            (3, 1) => Layout {
                thread: Thread {
                    native: Native::Tid(88),
                    status: 92,
                    locking: 264,
                    name: 352,
                    name_else: 352,
                    ..THREE.thread
                },
                context_thread: 48,
                frame_size: 64,
                line_size: 12,
                ..THREE
            },
            (3, 2) => Layout {
                ractors: THREE.ractors,
                thread: Thread {
                    native: Native::Through(40, 16),
                    status: 112,
                    locking: 216,
                    name: 304,
                    name_else: 304,
                    ..THREE_THREE.thread
                },
                frame_size: 64,
                ..THREE_THREE
            },
            (3, 3) => THREE_THREE,
            (3, 4) => Layout { thread: Thread { name: 448, name_else: 448, ..THREE_THREE.thread }, ..THREE_THREE },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_versions_and_others() {
        for version in ["2.7.8", "3.0.0", "3.1.7", "3.2.2", "3.3.8", "3.4.1"] {
            assert!(Layout::of(version).is_some(), "{version}");
        }
        for version in ["2.6.10", "4.0.0", "3", "", "x.y"] {
            assert!(Layout::of(version).is_none(), "{version}");
        }
    }
}
