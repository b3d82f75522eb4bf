//! Limits and use of memory, as the launcher's own cgroup tells them (`cgroups(7)`), and the launcher's own.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use crate::core::facts::MemoryFacts;

/// musl's own heap asks the kernel for each few pages and gives them back at once: a start spent a tenth of its time there.
#[cfg(target_env = "musl")]
#[global_allocator]
static HEAP: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Has all threads allocate from one heap (`mallopt(3)`): one of its own for each costs a start three calls and the
/// launcher some pages, and its few threads hardly ever allocate at once. Elsewhere there is one heap anyhow.
pub fn share_one_heap() {
    // SAFETY: only a parameter of malloc is set.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1)
    };
}

unsafe extern "C" {
    /// Where the program begins in memory, with the head of its file: both ld and lld define it.
    #[link_name = "__executable_start"]
    static PROGRAM_START: u8;
}

/// Lets go of the pages of the program itself: they are in the page cache, and those that are needed again are mapped
/// again as they are touched (`madvise(2)`, `MADV_DONTNEED`). For a process that is going to wait for long. It neither
/// allocates nor locks.
pub fn forget_program() {
    // SAFETY: only values are asked for, which libc has from the program's start.
    let [headers, count] = [libc::AT_PHDR, libc::AT_PHNUM].map(|of| unsafe { libc::getauxval(of) });
    if headers == 0 {
        return;
    }
    let headers = std::ptr::with_exposed_provenance::<libc::Elf64_Phdr>(headers as usize);
    // SAFETY: the kernel has put there where this program's headers lie and how many there are: they are mapped with it, and
    // never written to.
    let headers = unsafe { std::slice::from_raw_parts(headers, count as usize) };
    let loaded = || headers.iter().filter(|header| header.p_type == libc::PT_LOAD);
    // The first part of the file is where the program begins, wherever it was meant to.
    let Some(first) = loaded().find(|header| header.p_offset == 0) else { return };
    let moved = (&raw const PROGRAM_START).addr().wrapping_sub(first.p_vaddr as usize);
    // Constants and code: what is never written to.
    for part in loaded().filter(|header| header.p_flags & libc::PF_W == 0) {
        let start = moved.wrapping_add(part.p_vaddr as usize);
        // SAFETY: what lies there is mapped from the program's file and was never written to, so that its pages are read back
        // as they were.
        unsafe { drop_pages(start..start + part.p_memsz as usize) };
    }
}

/// Lets go of the whole pages in a range (`madvise(2)`, `MADV_DONTNEED`): what is mapped from a file is read from it again,
/// all else is zero from then on. It neither allocates nor locks.
///
/// # Safety
/// Nothing in them is used any more, or what is reads the same again.
pub(super) unsafe fn drop_pages(range: Range<usize>) {
    // SAFETY: only a value is asked for, which libc has from the program's start.
    let page = SMALLEST_PAGE.max(unsafe { libc::getauxval(libc::AT_PAGESZ) } as usize);
    let start = range.start.next_multiple_of(page);
    // The kernel would take the whole of the last page.
    let end = range.end / page * page;
    if start < end {
        // SAFETY: the caller's promise; a place where nothing is mapped is an error, not a fault.
        unsafe { libc::madvise(std::ptr::with_exposed_provenance_mut(start), end - start, libc::MADV_DONTNEED) };
    }
}

/// So much below a frame is in use by a system call that it makes, and by what the compiler puts there, in bytes.
const CALL: usize = 512;

/// So deep the stack of a process is let go of: what lies below it at least is free of other mappings (`mmap_base` of the
/// kernel keeps 128 MiB free).
const DEPTH: usize = 1 << 20;

/// Lets go of the pages of the stack below the frame of the caller, which has called deeper before, for a process that is
/// going to wait for long. Of a main thread alone: below the stack of another one anything may lie. It neither allocates nor
/// locks.
#[inline(never)]
pub fn forget_stack() {
    // SAFETY: no memory is involved.
    if unsafe { libc::syscall(libc::SYS_gettid) != libc::syscall(libc::SYS_getpid) } {
        return;
    }
    let here = 0_u8;
    let end = ((&raw const here).addr() - CALL) / SMALLEST_PAGE * SMALLEST_PAGE;
    // SAFETY: nothing there is alive: what was called has returned, and the call that is made here lies above it. What is
    // called later finds zeroes, as on a stack that has not been used yet. Where nothing is mapped that is an error, after
    // the rest was done.
    unsafe { libc::madvise((end - DEPTH) as *mut libc::c_void, DEPTH, libc::MADV_DONTNEED) };
}

/// The smallest page that there is.
const SMALLEST_PAGE: usize = 4096;

/// Gives back what was freed (`malloc_trim(3)`), where the heap is glibc's.
pub fn trim_heap() {
    // SAFETY: malloc's own business.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}

/// The launcher's own cgroup, of version 2 or 1 of the memory controller: it does not move to another one.
struct Own {
    folder: PathBuf,
    files: &'static Files,
}

/// What the files of a version are called.
struct Files {
    mount: &'static str,
    limit: &'static str,
    peak: &'static str,
    events: &'static str,
}

const VERSION_1: Files = Files {
    mount: "/sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    peak: "memory.max_usage_in_bytes",
    events: "memory.oom_control",
};
const VERSION_2: Files =
    Files { mount: "/sys/fs/cgroup", limit: "memory.max", peak: "memory.peak", events: "memory.events" };

/// What the memory controller says of the launcher's own cgroup; `None` where there is none.
pub fn of_own_cgroup() -> Option<MemoryFacts> {
    let kills = kills_in_own_cgroup()?;
    let Own { folder, files } = own()?;
    // Without a limit version 1 says the largest number that is a multiple of the page size.
    let limit = number(&folder.join(files.limit)).filter(|limit| *limit < 1 << 62);
    Some(MemoryFacts { limit, own: false, peak: number(&folder.join(files.peak)), kills })
}

/// What the memory controller says of a service's own cgroup (version 2); `None` where it has none. All kills are of this
/// generation.
pub fn of_cgroup(folder: &Path) -> Option<MemoryFacts> {
    let kills = keyed(&folder.join(VERSION_2.events), "oom_kill")?;
    let limit = number(&folder.join(VERSION_2.limit));
    Some(MemoryFacts { limit, own: true, peak: number(&folder.join(VERSION_2.peak)), kills })
}

/// Has the kills be counted where the launcher is now, in a group below its own one (version 2): those of groups beside
/// it are counted there.
pub fn count_kills_in(folder: &Path) {
    let events = folder.join(VERSION_2.events);
    if own().is_some_and(|own| std::ptr::eq(own.files, &VERSION_2)) && events.exists() {
        let _ = KILLS.set(events);
    }
}

/// Where kills are counted, when not where the limit is.
static KILLS: OnceLock<PathBuf> = OnceLock::new();

/// How many processes of the launcher's own cgroup the kernel has killed for want of memory so far. One file is read:
/// it is asked for at every start.
pub fn kills_in_own_cgroup() -> Option<u64> {
    let Own { folder, files } = own()?;
    match KILLS.get() {
        Some(events) => keyed(events, "oom_kill"),
        None => keyed(&folder.join(files.events), "oom_kill"),
    }
}

fn own() -> Option<&'static Own> {
    static OWN: OnceLock<Option<Own>> = OnceLock::new();
    OWN.get_or_init(find_own).as_ref()
}

fn find_own() -> Option<Own> {
    let memberships = fs::read_to_string("/proc/self/cgroup").ok()?;
    let version1 = memberships.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let controllers = parts.next()?;
        controllers.split(',').any(|name| name == "memory").then(|| parts.next())?
    });
    let version2 = || memberships.lines().find_map(|line| line.strip_prefix("0::"));
    let (files, path) = version1.map(|path| (&VERSION_1, path)).or_else(|| Some((&VERSION_2, version2()?)))?;
    // In a container the path may be the one on the host, while the mount shows the cgroup itself at the top.
    let whole = Path::new(files.mount).join(path.trim_start_matches('/'));
    let folder = [whole, PathBuf::from(files.mount)].into_iter().find(|folder| folder.join(files.events).exists())?;
    Some(Own { folder, files })
}

/// A file that holds one number, or `max`.
fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// The value of `key` in a file of lines `key value`.
fn keyed(path: &Path, key: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mappings of this program's own file that are read alone, and how much of them is there, in KiB. What other tests
    /// allocate meanwhile is not in them, nor where they map the file once more, to read its symbols: far from the code.
    fn own() -> Vec<(std::ops::Range<usize>, u64)> {
        let program = fs::read_link("/proc/self/exe").unwrap();
        let (mut found, mut place) = (Vec::new(), None);
        for line in fs::read_to_string("/proc/self/smaps").unwrap().lines() {
            let mut words = line.split_whitespace();
            match (words.next().unwrap(), words.next().unwrap_or_default()) {
                ("Rss:", size) => found.extend(place.take().map(|place| (place, size.parse().unwrap()))),
                (range, "r--p" | "r-xp") if line.ends_with(program.to_str().unwrap()) => {
                    let (start, end) = range.split_once('-').unwrap();
                    let number = |text| usize::from_str_radix(text, 16).unwrap();
                    let near = number(start).abs_diff(forget_program as *const () as usize) < 1 << 30;
                    place = near.then(|| number(start)..number(end));
                }
                _ => {}
            }
        }
        found
    }

    #[test]
    fn a_program_that_was_forgotten_goes_on() {
        // All of it is there: other tests, which run meanwhile, have only some of it back when it is measured.
        for page in own().into_iter().flat_map(|(place, _)| place.step_by(4096)) {
            // SAFETY: the program lies there, which is never unmapped.
            std::hint::black_box(unsafe { (page as *const u8).read_volatile() });
        }
        let before = own();
        forget_program();
        let after = own();
        // Code and constants, in whatever order the linker has put them; the head alone may have a part of its own.
        for ((place, before), (_, after)) in before.iter().zip(&after).filter(|((_, before), _)| *before > 64) {
            assert!(after < before, "{place:x?}: {before} KiB, then {after} KiB");
        }
        assert_eq!(format!("{:?}", std::time::Duration::from_millis(1500)), "1.5s");
    }
}
