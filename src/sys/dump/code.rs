//! What machine code of x86_64 tells: whether an address follows a call, whom that call calls, and how far a function
//! has moved its stack pointer. Pure functions on bytes.

/// A call that ends right before an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// To this distance from the address behind it.
    Direct(i32),
    /// Through a pointer at this distance from the address behind it.
    Through(i32),
    /// Through a register or a computed address.
    Indirect,
}

/// How many bytes before a return address are looked at.
pub const CALL_BYTES: usize = 8;

/// The call instruction that ends where `before` ends (the bytes before a return address), if there is one.
pub fn call_before(before: [u8; CALL_BYTES]) -> Option<Call> {
    let end = CALL_BYTES;
    let distance = |at: usize| i32::from_le_bytes([before[at], before[at + 1], before[at + 2], before[at + 3]]);
    if before[end - 5] == 0xe8 {
        return Some(Call::Direct(distance(end - 4)));
    }
    if before[end - 6] == 0xff && before[end - 5] == 0x15 {
        return Some(Call::Through(distance(end - 4)));
    }
    // ff /2, with or without a REX prefix, which does not change where it ends.
    let indirect = (2..=7).any(|length| {
        let at = end - length;
        before[at] == 0xff && call_length(before[at + 1], before.get(at + 2).copied().unwrap_or(0)) == Some(length)
    });
    indirect.then_some(Call::Indirect)
}

/// The length of `ff modrm [sib] [displacement]` if it is a call through a register or memory.
fn call_length(modrm: u8, sib: u8) -> Option<usize> {
    if modrm & 0x38 != 0x10 {
        return None;
    }
    let (mode, low) = (modrm >> 6, modrm & 7);
    let with_sib = usize::from(mode != 3 && low == 4);
    let displacement = match mode {
        0 if low == 5 => 4,
        0 if low == 4 && sib & 7 == 5 => 4,
        0 | 3 => 0,
        1 => 1,
        _ => 4,
    };
    Some(2 + with_sib + displacement)
}

/// Where a stub (PLT entry) jumps to, given its address and first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Jump {
    /// Straight to this address.
    To(u64),
    /// To the address stored here.
    Through(u64),
}

/// The jump that a stub at `address` consists of, if it is one.
pub fn stub(address: u64, bytes: [u8; 16]) -> Option<Jump> {
    let mut at = if bytes.starts_with(&[0xf3, 0x0f, 0x1e, 0xfa]) { 4 } else { 0 };
    if bytes[at] == 0xf2 {
        at += 1;
    }
    let target = |at: usize| {
        let distance = i32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?);
        Some(address.wrapping_add(at as u64 + 4).wrapping_add_signed(i64::from(distance)))
    };
    match bytes[at..] {
        [0xe9, ..] => target(at + 1).map(Jump::To),
        [0xff, 0x25, ..] => target(at + 2).map(Jump::Through),
        _ => None,
    }
}

/// How far below the frame pointer a function's prologue leaves the stack pointer, when the function starts with
/// `push rbp; mov rbp, rsp` and that part of it was run. `false` beside it when the stack pointer is also aligned,
/// so that the distance is only the least.
pub fn frame_size(code: &[u8]) -> Option<(u64, bool)> {
    let mut rest = code;
    skip(&mut rest, &[0xf3, 0x0f, 0x1e, 0xfa]);
    if !skip(&mut rest, &[0x55]) || !(skip(&mut rest, &[0x48, 0x89, 0xe5]) || skip(&mut rest, &[0x48, 0x8b, 0xec])) {
        return None;
    }
    let (mut size, mut exact) = (0u64, true);
    loop {
        match *rest {
            [0x50..=0x57, ..] => (size, rest) = (size + 8, &rest[1..]),
            [0x41, 0x50..=0x57, ..] => (size, rest) = (size + 8, &rest[2..]),
            [0x48, 0x83, 0xec, byte, ..] => (size, rest) = (size + u64::from(byte & 0x7f), &rest[4..]),
            [0x48, 0x83, 0xc4, 0x80, ..] => (size, rest) = (size + 128, &rest[4..]),
            [0x48, 0x81, 0xec, a, b, c, d, ..] => {
                (size, rest) = (size + u64::from(u32::from_le_bytes([a, b, c, d])), &rest[7..]);
            }
            // A probe of the page just taken: or qword [rsp], 0.
            [0x48, 0x83, 0x0c, 0x24, 0x00, ..] => rest = &rest[5..],
            // The loop that takes many pages: lea r11, [rsp-N], then sub, or, cmp, jne.
            [0x4c, 0x8d, 0x9c, 0x24, a, b, c, d, 0x48, 0x81, 0xec, 0, 0x10, 0, 0, ..] if rest.len() >= 25 => {
                let distance = i32::from_le_bytes([a, b, c, d]);
                (size, rest) = (size + u64::from(distance.unsigned_abs()), &rest[25..]);
            }
            [0x48, 0x83, 0xe4, ..] => return Some((size, false)),
            _ => return Some((size, exact)),
        }
        exact &= size < 1 << 30;
        if !exact {
            return Some((0, false));
        }
    }
}

fn skip(rest: &mut &[u8], prefix: &[u8]) -> bool {
    match rest.strip_prefix(prefix) {
        Some(after) => {
            *rest = after;
            true
        }
        None => false,
    }
}

/// Whether this is what a signal handler returns to: `mov rax, 15; syscall` (`rt_sigreturn(2)`).
pub fn is_signal_return(code: [u8; 9]) -> bool {
    code == [0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(bytes: &[u8]) -> [u8; CALL_BYTES] {
        let mut out = [0x90; CALL_BYTES];
        out[CALL_BYTES - bytes.len()..].copy_from_slice(bytes);
        out
    }

    #[test]
    fn calls_are_recognised_in_all_their_forms() {
        assert_eq!(call_before(before(&[0xe8, 1, 0, 0, 0])), Some(Call::Direct(1)));
        assert_eq!(call_before(before(&[0xff, 0x15, 2, 0, 0, 0])), Some(Call::Through(2)));
        let indirect: [&[u8]; 9] = [
            &[0xff, 0xd0],                         // call rax
            &[0x41, 0xff, 0xd4],                   // call r12
            &[0xff, 0x10],                         // call [rax]
            &[0xff, 0x50, 0x18],                   // call [rax+24]
            &[0xff, 0x54, 0x24, 0x08],             // call [rsp+8]
            &[0x41, 0xff, 0x14, 0xdc],             // call [r12+rbx*8]
            &[0xff, 0x90, 0, 1, 0, 0],             // call [rax+256]
            &[0xff, 0x94, 0x24, 0, 1, 0, 0],       // call [rsp+256]
            &[0xff, 0x14, 0x25, 0, 0, 0x60, 0xff], // call [abs]
        ];
        for bytes in indirect {
            assert_eq!(call_before(before(bytes)), Some(Call::Indirect), "{bytes:x?}");
        }
        for bytes in [&[0x90; 8][..], &[0xff, 0xe0], &[0xff, 0x25, 0, 0, 0, 0], &[0xff, 0x70, 0x18]] {
            assert_eq!(call_before(before(bytes)), None, "{bytes:x?}");
        }
    }

    #[test]
    fn prologues_tell_the_size_of_the_frame() {
        assert_eq!(frame_size(&[0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20, 0x90]), Some((0x20, true)));
        let with_pushes =
            [0xf3, 0x0f, 0x1e, 0xfa, 0x55, 0x48, 0x89, 0xe5, 0x41, 0x57, 0x53, 0x48, 0x81, 0xec, 0, 2, 0, 0];
        assert_eq!(frame_size(&with_pushes), Some((0x210, true)));
        assert_eq!(frame_size(&[0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe4, 0xf0]), Some((0, false)));
        assert_eq!(frame_size(&[0x48, 0x83, 0xec, 0x20]), None);
        assert_eq!(frame_size(&[]), None);
        let mut many = vec![0x55, 0x48, 0x89, 0xe5, 0x4c, 0x8d, 0x9c, 0x24];
        many.extend((-0x8000i32).to_le_bytes());
        many.extend([0x48, 0x81, 0xec, 0, 0x10, 0, 0, 0x48, 0x83, 0x0c, 0x24, 0, 0x4c, 0x39, 0xdc, 0x75, 0xef]);
        many.extend([0x48, 0x83, 0xec, 0x10, 0xc3]);
        assert_eq!(frame_size(&many), Some((0x8010, true)));
    }

    #[test]
    fn stubs_are_followed() {
        let mut bytes = [0u8; 16];
        bytes[..6].copy_from_slice(&[0xff, 0x25, 0x10, 0, 0, 0]);
        assert_eq!(stub(0x1000, bytes), Some(Jump::Through(0x1016)));
        bytes[..10].copy_from_slice(&[0xf3, 0x0f, 0x1e, 0xfa, 0xf2, 0xff, 0x25, 0x10, 0, 0]);
        assert_eq!(stub(0x1000, bytes), Some(Jump::Through(0x101b)));
        bytes[..5].copy_from_slice(&[0xe9, 0xfb, 0xff, 0xff, 0xff]);
        assert_eq!(stub(0x1000, bytes), Some(Jump::To(0x1000)));
        assert_eq!(stub(0x1000, [0x90; 16]), None);
    }
}
