//! The registers of an x86_64 thread, as far as they are known, by their DWARF numbers.

/// How many: 16 general ones and the program counter.
pub const COUNT: usize = 17;
/// The frame pointer, `rbp`.
pub const FP: usize = 6;
/// The stack pointer, `rsp`.
pub const SP: usize = 7;
/// The program counter, `rip` (DWARF's return address column).
pub const PC: usize = 16;

/// The registers of one frame. A blocked thread shows only `sp` and `pc`; others become known while its stack is
/// walked, where functions saved them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Registers {
    values: [Option<u64>; COUNT],
}

impl Registers {
    /// Registers of which only the stack pointer and the program counter are known.
    pub fn blocked(sp: u64, pc: u64) -> Registers {
        let mut registers = Registers::default();
        registers.set(SP, Some(sp));
        registers.set(PC, Some(pc));
        registers
    }

    /// Registers of a thread blocked in a system call: its arguments are still where they were passed.
    pub fn in_call(sp: u64, pc: u64, arguments: [u64; 6]) -> Registers {
        let mut registers = Registers::blocked(sp, pc);
        // rdi, rsi, rdx, r10, r8, r9.
        for (number, argument) in [5, 4, 1, 10, 8, 9].into_iter().zip(arguments) {
            registers.set(number, Some(argument));
        }
        registers
    }

    /// The value of the register with the DWARF number `number`, if it is known.
    pub fn get(&self, number: usize) -> Option<u64> {
        self.values.get(number).copied().flatten()
    }

    /// Sets one; numbers beyond the 17 (vector registers) are ignored.
    pub fn set(&mut self, number: usize, value: Option<u64>) {
        if let Some(place) = self.values.get_mut(number) {
            *place = value;
        }
    }

    /// The program counter; 0 when unknown.
    pub fn pc(&self) -> u64 {
        self.get(PC).unwrap_or(0)
    }

    /// The stack pointer; 0 when unknown.
    pub fn sp(&self) -> u64 {
        self.get(SP).unwrap_or(0)
    }

    /// Whether the calling convention has a called function keep this register: `rbx`, `rbp`, `r12` to `r15`.
    pub fn is_callee_saved(number: usize) -> bool {
        matches!(number, 3 | FP | 12..=15)
    }

    /// All registers of a thread that is held by `ptrace(2)`.
    #[cfg(target_arch = "x86_64")]
    pub fn held(regs: &libc::user_regs_struct) -> Registers {
        let by_number = [
            regs.rax, regs.rdx, regs.rcx, regs.rbx, regs.rsi, regs.rdi, regs.rbp, regs.rsp, regs.r8, regs.r9, regs.r10,
            regs.r11, regs.r12, regs.r13, regs.r14, regs.r15, regs.rip,
        ];
        Registers { values: by_number.map(Some) }
    }
}
