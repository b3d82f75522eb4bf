//! Measures the launcher beside tini, dumb-init and runit on the same machine in one run: compare ratios, not figures.
//!
//! `benches/run` builds and runs it. It is no test: a busy machine makes no build fail.
#![allow(clippy::disallowed_methods, reason = "not part of the launcher")]

mod child;
mod parts;
mod supervised;

use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use supervised::Supervised;

/// Runs of `X -- true`, of each in turn.
const STARTS: usize = 1000;
/// Starts with READY=1.
const NOTIFIED: usize = 100;
/// Restarts after `kill -9`.
const RESTARTS: usize = 10;
/// So long wake-ups are counted.
const IDLE: Duration = Duration::from_secs(10);

/// A program that is measured: its name and the words before the command.
struct Peer {
    name: &'static str,
    words: Vec<&'static str>,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let Some(role) = words.first().and_then(|word| word.strip_prefix("child=")) {
        return child::play(role);
    }
    let peers = peers();
    starts(&peers);
    idle(&peers);
    ready();
    restarts();
    parts::all();
    let _ = std::fs::remove_file(launcher());
}

/// The launcher as an installation leaves it: a copy. How a file was written is how the page cache keeps it until it is
/// read from the disk again: page by page by the linker, which costs a start a tenth of a millisecond.
fn launcher() -> &'static str {
    static COPY: OnceLock<String> = OnceLock::new();
    COPY.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("launcher-bench-{}-program", std::process::id()));
        std::fs::copy(env!("CARGO_BIN_EXE_launcher"), &path).expect("a copy of the launcher");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, executable).expect("an executable copy");
        path.into_os_string().into_string().expect("a temporary folder with a plain name")
    })
}

/// All that are installed, and no one at all as the measure of the machine itself.
fn peers() -> Vec<Peer> {
    let all: [(&str, &[&str]); 5] = [
        ("(none)", &[]),
        ("launcher", &[launcher(), "run", "--"]),
        ("tini", &["tini", "-s", "--"]),
        ("tini-static", &["tini-static", "-s", "--"]),
        ("dumb-init", &["dumb-init", "--"]),
    ];
    let there = |words: &[&str]| words.first().is_none_or(|program| installed(program));
    all.into_iter()
        .filter(|(_, words)| there(words))
        .map(|(name, words)| Peer { name, words: words.to_vec() })
        .collect()
}

fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    program.starts_with('/') || std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// The wall time of `X -- true`, of all in turn, so that what the machine does meanwhile meets all alike.
fn starts(peers: &[Peer]) {
    println!("wall time of `X -- true`, {STARTS} runs of each in turn");
    println!("  {:<12} {:>9} {:>9} {:>9} {:>9}   of tini's", "", "median", "p10", "p90", "added");
    let mut times: Vec<Vec<Duration>> = peers.iter().map(|_| Vec::with_capacity(STARTS)).collect();
    for _ in 0..STARTS {
        for (peer, times) in peers.iter().zip(&mut times) {
            let words: Vec<&str> = peer.words.iter().copied().chain(["true"]).collect();
            let begun = Instant::now();
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let status = command.status();
            times.push(begun.elapsed());
            assert!(status.is_ok_and(|status| status.success()), "{} -- true", peer.name);
        }
    }
    let bare = percentile(&mut times[0], 50);
    let tini = peers.iter().position(|peer| peer.name == "tini").map(|index| percentile(&mut times[index], 50));
    for (peer, times) in peers.iter().zip(&mut times) {
        let median = percentile(times, 50);
        let ratio = tini.map_or("–".into(), |tini| format!("{:.2}", median.as_secs_f64() / tini.as_secs_f64()));
        let (low, high) = (percentile(times, 10), percentile(times, 90));
        let added = median.saturating_sub(bare);
        println!("  {:<12} {:>9} {:>9} {:>9} {:>9}   {ratio}", peer.name, ms(median), ms(low), ms(high), ms(added));
    }
}

/// Memory and wake-ups with one idle child.
fn idle(peers: &[Peer]) {
    println!("\none idle child, {} s", IDLE.as_secs());
    println!("  {:<12} {:>9} {:>9} {:>9} {:>9}", "", "processes", "PSS", "wake-ups", "CPU");
    let running: Vec<(&str, Supervised)> =
        peers[1..].iter().map(|peer| (peer.name, Supervised::start(&peer.words, "idle"))).collect();
    // A moment for what is done once after the start.
    std::thread::sleep(Duration::from_secs(1));
    let before: Vec<(u64, u64)> = running.iter().map(|(_, peer)| (peer.switches(), peer.cpu_ticks())).collect();
    std::thread::sleep(IDLE);
    for ((name, peer), (switches, ticks)) in running.iter().zip(before) {
        let pss = peer.pss_kib() as f64 / 1024.0;
        let (switches, ticks) = (peer.switches() - switches, peer.cpu_ticks() - ticks);
        let count = peer.supervisors().len();
        println!("  {name:<12} {count:>9} {pss:>6.2} MB {switches:>9} {:>6} ms", ticks * 10);
    }
}

/// From `sendmsg(2)` of READY=1 to the moment at which the launcher has processed it: it closes the descriptor of a
/// BARRIER=1 sent right behind. Both ways are in it, so the launcher saw READY=1 earlier than that.
fn ready() {
    let words = [launcher(), "run", "--ready", "notify", "--"];
    let mut times: Vec<Duration> = (0..NOTIFIED)
        .map(|_| {
            let mut run = Supervised::start(&words, "notify");
            Duration::from_nanos(run.number())
        })
        .collect();
    println!("\nREADY=1 sent until it was processed, {NOTIFIED} starts");
    println!(
        "  {:<12} {:>9} median {:>9} p90",
        "launcher",
        ms(percentile(&mut times, 50)),
        ms(percentile(&mut times, 90))
    );
}

/// From `kill -9` of the child until the next one's first line, at its own clock.
fn restarts() {
    println!("\nrestart after kill -9 without backoff, {RESTARTS} times, each after 1.1 s (runit waits 1 s else)");
    let flags = ["--restart", "always", "--backoff", "0ms..0ms", "--max-failures", "0", "--log-level", "error", "--"];
    let words: Vec<&str> = [launcher(), "run"].into_iter().chain(flags).collect();
    let folder = std::env::temp_dir().join(format!("launcher-bench-{}", std::process::id()));
    let mut all = vec![("launcher", Supervised::start(&words, "stamp"))];
    if installed("runsv") {
        all.push(("runit", Supervised::start_runsv(&folder, "stamp")));
    }
    for (name, run) in &mut all {
        let mut times: Vec<Duration> = (0..RESTARTS).map(|_| one_restart(run)).collect();
        let (median, high) = (percentile(&mut times, 50), percentile(&mut times, 90));
        println!("  {name:<12} {:>9} median {:>9} p90", ms(median), ms(high));
    }
    drop(all);
    let _ = std::fs::remove_dir_all(folder);
}

fn one_restart(run: &mut Supervised) -> Duration {
    std::thread::sleep(Duration::from_millis(1100));
    let killed = child::now();
    run.kill_child();
    let started = run.number();
    Duration::from_nanos(started.saturating_sub(killed))
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort();
    times[(times.len() - 1) * percent / 100]
}

fn ms(time: Duration) -> String {
    format!("{:.3} ms", time.as_secs_f64() * 1000.0)
}
