//! Many services that do nothing: how long until all run, and what it costs to look after them.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::measure::{cpu_ticks, name, pss_kib, tree};
use super::{LAUNCHER, installed, write_file};

/// How long is waited for all to be up.
const PATIENCE: Duration = Duration::from_secs(120);
/// After this all have made themselves as small as they do.
const REST: Duration = Duration::from_secs(2);
/// So long CPU time is counted.
const IDLE: Duration = Duration::from_secs(10);

/// The services: a name of their own, so that they are told from those that look after them.
const SERVICE: &str = "sleep";

/// One that looks after services.
struct Keeper {
    name: &'static str,
    command: Vec<String>,
    /// The most services that are tried with it.
    most: usize,
}

/// Measures all of them with 100 and with 1000 services.
pub fn all(folder: &Path) {
    for count in [100, 1000] {
        println!("{count} services that sleep");
        println!("{:16}{:>12}{:>12}{:>12}{:>16}", "", "all up", "processes", "PSS", "CPU in 10 s");
        for keeper in keepers(folder, count).into_iter().filter(|keeper| count <= keeper.most) {
            keeper.measure(count);
        }
        println!();
    }
}

fn keepers(folder: &Path, count: usize) -> Vec<Keeper> {
    let folder = folder.join(count.to_string());
    let (mut own, mut procfile) = (String::new(), String::new());
    let mut supervisord = format!(
        "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\nminfds=8192\npidfile={}\n",
        folder.join("s.pid").display()
    );
    for number in 0..count {
        own += &format!("[service.s{number}]\ncommand = [\"sleep\", \"1000\"]\nready = \"started\"\n");
        procfile += &format!("s{number}: exec sleep 1000\n");
        supervisord += &format!("[program:s{number}]\ncommand=sleep 1000\nstdout_logfile=NONE\nstderr_logfile=NONE\n");
        for scan in ["s6", "runit"] {
            write_file(&folder.join(format!("{scan}/s{number}/run")), "#!/bin/sh\nexec sleep 1000\n", 0o755);
        }
    }
    let at = |name: &str| folder.join(name).display().to_string();
    write_file(&folder.join("launcher.toml"), &own, 0o644);
    write_file(&folder.join("Procfile"), &procfile, 0o644);
    write_file(&folder.join("supervisord.conf"), &supervisord, 0o644);
    let keeper = |name, words: &[&str], most| {
        let command = words.iter().map(|word| (*word).to_owned()).collect();
        installed(words[0]).then_some(Keeper { name, command, most })
    };
    let all = [
        keeper("launcher", &[LAUNCHER, "run", "-c", &at("launcher.toml")], 1000),
        keeper("s6", &["s6-svscan", "-c", "2000", &at("s6")], 1000),
        keeper("runit", &["runsvdir", &at("runit")], 1000),
        keeper("supervisord", &["supervisord", "-c", &at("supervisord.conf")], 1000),
        keeper("honcho", &["honcho", "-f", &at("Procfile"), "start"], 100),
        keeper("foreman", &["foreman", "start", "-f", &at("Procfile")], 100),
    ];
    all.into_iter().flatten().collect()
}

impl Keeper {
    fn measure(&self, count: usize) {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let began = Instant::now();
        let mut child = command.spawn().expect("it starts");
        let up = |pids: &[u32]| pids.iter().filter(|pid| name(**pid) == SERVICE).count();
        while up(&tree(child.id())) < count && began.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(5));
        }
        let took = began.elapsed();
        std::thread::sleep(REST);
        let all = tree(child.id());
        let running = up(&all);
        let own: Vec<u32> = all.into_iter().filter(|pid| name(*pid) != SERVICE).collect();
        let pss: u64 = own.iter().map(|pid| pss_kib(*pid)).sum();
        let ticks = || own.iter().filter_map(|pid| cpu_ticks(*pid)).sum::<u64>();
        let before = ticks();
        std::thread::sleep(IDLE);
        let used = ticks().saturating_sub(before) * 10;
        let took = if running < count { format!("{running} only") } else { format!("{:.2} s", took.as_secs_f64()) };
        println!("{:16}{took:>12}{:>12}{:>9.1} MB{used:>13} ms", self.name, own.len(), pss as f64 / 1024.0);
        end(&mut child);
    }
}

/// Ends it and all that it started.
fn end(child: &mut Child) {
    let all = tree(child.id());
    // SAFETY: kill(2) takes no pointers.
    unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
    let asked = Instant::now();
    while child.try_wait().expect("its end").is_none() && asked.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(10));
    }
    for pid in all {
        // SAFETY: kill(2) takes no pointers.
        unsafe { libc::kill(pid as i32, libc::SIGKILL) };
    }
    let _ = child.wait();
}
