//! The text of a full thread dump, taken apart (`VM_PrintThreads` and `javaVFrame::print_lock_info_on` of the JDK).

use crate::core::facts::{FoundBy, Frame, LockFacts};

/// Lines that one thread's name may span.
const NAME_LINES: usize = 8;

/// A thread dump.
#[derive(Debug, Default, PartialEq)]
pub struct Dump {
    /// The JVM's version: `17.0.9+9`, `8u412`.
    pub version: Option<String>,
    /// All its threads, the JVM's own too.
    pub threads: Vec<Thread>,
}

/// One thread.
#[derive(Debug, Default, PartialEq)]
pub struct Thread {
    /// Its name.
    pub name: String,
    /// Its tid in the JVM's own pid namespace.
    pub inner: i32,
    /// Its state: `WAITING (parking)`; none for a thread of the JVM itself.
    pub state: Option<String>,
    /// Monitors and other locks.
    pub locks: Vec<LockFacts>,
    /// Its stack.
    pub frames: Vec<Frame>,
    /// The virtual thread that it carries.
    pub carried: Option<Carried>,
}

/// A virtual thread on a thread.
#[derive(Debug, Default, PartialEq)]
pub struct Carried {
    /// Its number.
    pub id: u64,
    /// Its stack, where it is told (from version 22 or so on).
    pub frames: Vec<Frame>,
    /// Whether what follows in the text is its stack.
    begun: bool,
}

impl Dump {
    /// Takes a thread dump apart. What it does not know it leaves out.
    pub fn parse(text: &str) -> Dump {
        let mut dump = Dump::default();
        let mut lines = text.lines();
        let mut thread: Option<Thread> = None;
        while let Some(line) = lines.next() {
            if line.starts_with('"') {
                dump.threads.extend(thread.take().map(Thread::finished));
                thread = head(line, &mut lines);
            } else if line.starts_with("JNI global ref") || line.starts_with("Found one Java-level deadlock") {
                break;
            } else if let Some(rest) = line.strip_prefix("Full thread dump ") {
                dump.version = version(rest);
            } else if let Some(thread) = &mut thread {
                thread.add(line);
            }
        }
        dump.threads.extend(thread.map(Thread::finished));
        dump.add_deadlocks(lines);
        dump
    }

    /// Adds who holds what, of the threads in a deadlock: the one thing that the JVM tells of such locks in any case.
    fn add_deadlocks<'t>(&mut self, lines: impl Iterator<Item = &'t str>) {
        let mut wanted: Option<LockFacts> = None;
        for line in lines {
            if let Some(lock) = line.trim().strip_prefix("waiting for ownable synchronizer ") {
                wanted = synchronizer(lock);
            } else if let Some(holder) = line.trim().strip_prefix("which is held by \"") {
                let holder = holder.trim_end_matches('"');
                let mut named = self.threads.iter_mut().filter(|thread| thread.name == holder);
                // Names need not be unique.
                if let (Some(lock), Some(thread), None) = (wanted.take(), named.next(), named.next())
                    && !thread.locks.contains(&lock)
                {
                    thread.locks.push(lock);
                }
            }
        }
    }

    /// Whether a thread waits for a lock of `java.util.concurrent.locks` of which no holder is known.
    pub fn misses_holder(&self) -> bool {
        let all = || self.threads.iter().flat_map(|thread| &thread.locks);
        let held = |wanted: &LockFacts| all().any(|lock| lock.held && lock.address == wanted.address);
        all().any(|lock| !lock.held && lock.class.ends_with("Sync") && !held(lock))
    }
}

impl Thread {
    fn add(&mut self, line: &str) {
        let line = line.trim();
        if let Some(state) = line.strip_prefix("java.lang.Thread.State: ") {
            self.state = Some(state.to_owned());
        } else if let Some(place) = line.strip_prefix("at ") {
            let own = &mut self.frames;
            let frames =
                self.carried.as_mut().filter(|carried| carried.begun).map_or(own, |carried| &mut carried.frames);
            frames.extend(frame(place));
        } else if let Some(lock) = line.strip_prefix("- ") {
            self.locks.extend(lock_of(lock));
        } else if let Some(id) = virtual_thread(line, "Carrying virtual thread #") {
            self.carried = Some(Carried { id, ..Carried::default() });
        } else if let Some(id) = virtual_thread(line, "Mounted virtual thread #") {
            self.carried = Some(Carried { id, begun: true, ..Carried::default() });
        }
    }

    /// A thread in `Object.wait` has given up the monitor that its frames show as locked.
    fn finished(mut self) -> Thread {
        let waits = self.state.as_deref().is_some_and(|state| state.ends_with("WAITING (on object monitor)"));
        if waits && self.locks.iter().all(|lock| lock.held) {
            // Compiled code does not say on what it waits: it must be a monitor that it had, mostly the last one.
            if let Some(last) = self.locks.first_mut() {
                last.held = false;
            }
        }
        let given_up: Vec<u64> = self.locks.iter().filter(|lock| !lock.held).map(|lock| lock.address).collect();
        let mut seen = Vec::new();
        self.locks.retain(|lock| {
            let first = !seen.contains(&(lock.address, lock.held));
            seen.push((lock.address, lock.held));
            first && !(lock.held && given_up.contains(&lock.address))
        });
        self
    }
}

/// `OpenJDK 64-Bit Server VM (17.0.9+9 mixed mode):`
fn version(rest: &str) -> Option<String> {
    let words = rest.split_once('(')?.1;
    let version = words.split([' ', ')', ',']).next().filter(|word| !word.is_empty())?;
    Some(public_version(version))
}

/// A version as people know it: HotSpot counted for itself up to Java 8, where `25.412-b08` was that of 8u412.
pub fn public_version(version: &str) -> String {
    let eight = version.strip_prefix("25.").and_then(|rest| rest.split_once("-b"));
    match eight {
        Some((update, _)) if !update.is_empty() && update.bytes().all(|c| c.is_ascii_digit()) => format!("8u{update}"),
        _ => version.to_owned(),
    }
}

/// `"main" #1 prio=5 os_prio=0 cpu=33.24ms elapsed=2.25s tid=0x… nid=0x59d3 waiting on condition  [0x…]`. The name may
/// hold anything, quotes and ends of lines too.
fn head<'t>(line: &str, lines: &mut (impl Iterator<Item = &'t str> + Clone)) -> Option<Thread> {
    let mut whole = line.to_owned();
    let mut more = lines.clone();
    for _ in 0..NAME_LINES {
        if whole.contains(" tid=0x") {
            *lines = more;
            return whole_head(&whole);
        }
        whole.push('\n');
        whole.push_str(more.next()?);
    }
    None
}

fn whole_head(text: &str) -> Option<Thread> {
    let (before, after) = text.rsplit_once(" tid=0x")?;
    let end = ["\" #", "\" prio=", "\" os_prio=", "\" daemon "].iter().filter_map(|mark| before.rfind(mark)).max()?;
    let number = match after.split_once(" nid=") {
        Some((_, number)) => number.split_whitespace().next()?,
        // A thread that carries a virtual one shows it behind its own number only: `#22 [11665]`.
        None => before.get(end..)?.split_once(" [")?.1.split(']').next()?,
    };
    // In hexadecimal up to version 20.
    let inner = match number.strip_prefix("0x") {
        Some(digits) => i32::from_str_radix(digits, 16).ok()?,
        None => number.parse().ok()?,
    };
    Some(Thread { name: before.get(1..end)?.to_owned(), inner, ..Thread::default() })
}

/// The number of a virtual thread after these words.
fn virtual_thread(line: &str, words: &str) -> Option<u64> {
    line.strip_prefix(words)?.split_whitespace().next()?.parse().ok()
}

/// `java.lang.Thread.sleep(java.base@17.0.15/Native Method)`, `com.shop.Main.run(Main.java:12)`.
fn frame(place: &str) -> Option<Frame> {
    let (function, source) = place.strip_suffix(')')?.rsplit_once('(')?;
    let source = source.rsplit('/').next().unwrap_or(source);
    let (file, line) = match source.rsplit_once(':') {
        Some((file, line)) => (file, line.parse().ok()),
        None => (source, None),
    };
    let known = !matches!(file, "Native Method" | "Unknown Source" | "");
    Some(Frame {
        function: Some(function.to_owned()),
        file: known.then(|| file.to_owned()),
        line: line.filter(|_| known),
        language: Some("java".to_owned()),
        found: FoundBy::Runtime,
        ..Frame::default()
    })
}

/// What stands behind the dash: `locked <0x…> (a java.lang.Object)`, `parking to wait for  <0x…> (a …)`; `<0x…> (a …)`
/// in the list of owned synchronizers.
fn lock_of(line: &str) -> Option<LockFacts> {
    if let Some(class) = line.strip_prefix("waiting on the Class initialization monitor for ") {
        return Some(LockFacts { address: 0, class: format!("initialization of {class}"), held: false });
    }
    let (what, rest) = line.split_once('<')?;
    let held = match what.trim() {
        "locked" | "" => true,
        "waiting to lock" | "waiting on" | "waiting to re-lock in wait()" | "parking to wait for" => false,
        // Of `eliminated` there is no lock.
        _ => return None,
    };
    let (address, class) = rest.split_once('>')?;
    let address = u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
    let class = class.trim().strip_prefix("(a ").and_then(|class| class.strip_suffix(')')).unwrap_or_default();
    Some(LockFacts { address, class: class.to_owned(), held })
}

/// `0x000000069ed13068, (a java.util.concurrent.locks.ReentrantLock$NonfairSync),`
fn synchronizer(text: &str) -> Option<LockFacts> {
    let (address, class) = text.split_once(", (a ")?;
    let address = u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
    Some(LockFacts { address, class: class.split(')').next()?.to_owned(), held: true })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DUMP: &str = include_str!("threads.txt");

    fn lock(address: u64, class: &str, held: bool) -> LockFacts {
        LockFacts { address, class: class.to_owned(), held }
    }

    fn thread<'d>(dump: &'d Dump, name: &str) -> &'d Thread {
        dump.threads.iter().find(|thread| thread.name == name).unwrap_or_else(|| panic!("no {name} in {dump:#?}"))
    }

    #[test]
    fn takes_a_dump_of_many_versions_apart() {
        let dump = Dump::parse(DUMP);
        assert_eq!(dump.version.as_deref(), Some("17.0.15+6-Debian-1deb12u1"));
        let names: Vec<_> = dump.threads.iter().map(|thread| (thread.name.as_str(), thread.inner)).collect();
        let wanted = [
            ("main", 0x59d3),
            ("wait\"er #7\nof two lines", 0x59e5),
            ("taxer", 16103),
            ("compiled", 17),
            ("initializer", 18),
            ("carrier", 19),
            ("VM Thread", 0x59d9),
        ];
        assert_eq!(names, wanted);
        let main = thread(&dump, "main");
        assert_eq!(main.state.as_deref(), Some("TIMED_WAITING (sleeping)"));
        let frames: Vec<_> = main
            .frames
            .iter()
            .map(|frame| (frame.function.as_deref().unwrap(), frame.file.as_deref(), frame.line))
            .collect();
        let wanted = [
            ("java.lang.Thread.sleep", None, None),
            ("Victim.main", Some("Victim.java"), Some(4)),
            ("Victim$$Lambda$1/0x00007f9d30000a08.run", None, None),
            ("com.shop.Script.body", Some("Script.kt"), None),
        ];
        assert_eq!(frames, wanted);
        assert_eq!(thread(&dump, "VM Thread").state, None);
        let carrier = thread(&dump, "carrier");
        let carried = carrier.carried.as_ref().unwrap();
        let function = |frames: &[Frame]| frames[0].function.clone().unwrap();
        assert_eq!((carried.id, function(&carried.frames).as_str()), (20, "Shop.spin"));
        assert_eq!(function(&carrier.frames), "jdk.internal.vm.Continuation.run");
    }

    #[test]
    fn locks_are_held_or_waited_for() {
        let dump = Dump::parse(DUMP);
        let sync = "java.util.concurrent.locks.ReentrantLock$NonfairSync";
        assert_eq!(thread(&dump, "main").locks, [lock(0x10, "java.lang.StringBuilder", true)]);
        // What `Object.wait` has given up is not held any more.
        assert_eq!(thread(&dump, "wait\"er #7\nof two lines").locks, [lock(0x69ec19078, "java.lang.Object", false)]);
        assert_eq!(thread(&dump, "taxer").locks, [lock(0x20, sync, false), lock(0x30, sync, true)]);
        assert_eq!(thread(&dump, "compiled").locks, [lock(0x40, "X", false), lock(0x50, "Y", true)]);
        assert_eq!(thread(&dump, "initializer").locks, [lock(0, "initialization of com.shop.Config", false)]);
        // Known by the deadlock only.
        assert_eq!(thread(&dump, "VM Thread").locks, [lock(0x77, sync, true)]);
        assert!(dump.misses_holder());
        let whole = DUMP.replace("<0x0000000000000030> (a java.util", "<0x0000000000000020> (a java.util");
        assert!(
            !Dump::parse(&whole.replacen("for  <0x0000000000000020>", "for  <0x0000000000000010>", 1)).misses_holder()
        );
    }

    #[test]
    fn versions_are_those_that_people_know() {
        assert_eq!(public_version("25.412-b08"), "8u412");
        assert_eq!(public_version("25.0.2+10-LTS"), "25.0.2+10-LTS");
        assert_eq!(public_version("25.x-b08"), "25.x-b08");
    }

    #[test]
    fn noise_is_left_out() {
        for text in ["", "\"", "\"a\" nid=", "\"a nid=0x1", "\tat x(", "\t- locked <", "Full thread dump ("] {
            assert_eq!(Dump::parse(text).threads, [], "{text}");
        }
        let cut: Vec<usize> = DUMP.char_indices().map(|(at, _)| at).collect();
        for end in cut {
            Dump::parse(&DUMP[..end]);
        }
        assert_eq!(Dump::parse("\"gone\" #4 tid=0x1 nid=NA runnable\n\"b\" #5 tid=0x2 nid=7 x").threads.len(), 1);
    }
}
