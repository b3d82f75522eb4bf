//! How fast lines of 100 bytes get through: by the clock, and by the CPU time of the one in between.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::measure::cpu_ticks;
use super::{LAUNCHER, installed, write_file};

/// How much is written, in bytes.
const BYTES: u64 = 1 << 30;

/// The line that is written again and again, 100 bytes with its end.
const LINE: [u8; 100] = {
    let mut line = [b'x'; 100];
    line[99] = b'\n';
    line
};

/// Plays the service: writes so many bytes of lines, 64 KB at once, or each by itself with a second word; then makes the
/// file that its environment names.
pub fn write(bytes: &str, each: Option<&str>) {
    let bytes: usize = bytes.parse().expect("a number of bytes");
    let block: Vec<u8> = if each.is_some() { LINE.to_vec() } else { LINE.repeat(655) };
    let mut out =
        std::fs::File::from(std::os::fd::AsFd::as_fd(&std::io::stdout()).try_clone_to_owned().expect("stdout"));
    for _ in 0..bytes.div_ceil(block.len()) {
        out.write_all(&block).expect("lines are written");
    }
    if let Ok(path) = std::env::var("DONE") {
        std::fs::write(path, "").expect("the end is told");
    }
}

/// How lines are written.
#[derive(Clone, Copy)]
struct Way {
    title: &'static str,
    bytes: u64,
    word: &'static str,
}

/// One that carries lines.
struct Carrier {
    name: &'static str,
    /// Its command line in a shell, where WRITER stands for the service's command.
    script: String,
    /// The name of the process whose CPU time counts.
    process: &'static str,
}

/// Measures all of them, of each way of writing.
pub fn all(folder: &Path) {
    let ways = [
        Way { title: "64 KB a write", bytes: BYTES, word: "" },
        Way { title: "a line a write", bytes: BYTES / 8, word: " each" },
    ];
    for way in ways {
        println!("lines of 100 bytes, {} MB, {}", way.bytes / 1_000_000, way.title);
        println!("{:26}{:>12}{:>22}", "", "MB/s", "MB per CPU second");
        for carrier in carriers(folder) {
            carrier.measure(folder, way);
        }
        println!();
    }
}

fn carriers(folder: &Path) -> Vec<Carrier> {
    let at = |name: &str| folder.join(name).display().to_string();
    let service = |name: &str, format: &str, log: &str| {
        let text = format!(
            "[launcher]\nlog_format = \"{format}\"\nreport_dir = \"{}\"\n[service.api]\ncommand = [\"sh\", \"-c\", \"exec $WRITER\"]\n\
             ready = \"exited\"\nstart_timeout = \"10m\"\n{log}",
            at("reports")
        );
        write_file(&folder.join(name), &text, 0o644);
        format!("exec {LAUNCHER} run -c {} 2>/dev/null", at(name))
    };
    let file = format!(
        "[service.api.log]\nforward = false\nfile = {:?}\nmax_size = \"100MiB\"\ncompress = false\nkeep = 2\n",
        at("l/api.log")
    );
    write_file(&folder.join("Procfile"), "api: exec $WRITER\n", 0o644);
    let supervisord = format!(
        "[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile={}\n[program:api]\ncommand=sh -c \"exec $WRITER\"\n\
         startsecs=0\nautorestart=false\nstdout_logfile={}\nstdout_logfile_maxbytes=100MB\nstdout_logfile_backups=2\n",
        at("s.pid"),
        at("s/api.log")
    );
    write_file(&folder.join("supervisord.conf"), &supervisord, 0o644);
    for log in ["s6", "multilog", "svlogd", "s", "l"] {
        write_file(&folder.join(log).join("config"), "s104857600\nn2\n", 0o644);
    }
    let carrier =
        |name, program: &str, script: String, process| installed(program).then_some(Carrier { name, script, process });
    let all = [
        carrier("cat", "cat", "$WRITER | cat".into(), "cat"),
        carrier("launcher, one command", LAUNCHER, format!("exec {LAUNCHER} run -- $WRITER 2>/dev/null"), "launcher"),
        carrier("launcher, prefixed", LAUNCHER, service("text.toml", "text", ""), "launcher"),
        carrier("launcher, JSON", LAUNCHER, service("json.toml", "json", ""), "launcher"),
        carrier("launcher, file", LAUNCHER, service("file.toml", "text", &file), "launcher"),
        carrier("s6-log, file", "s6-log", format!("$WRITER | s6-log n2 s104857600 {}", at("s6")), "s6-log"),
        carrier(
            "multilog, file",
            "multilog",
            format!("$WRITER | multilog n2 s16777215 {}", at("multilog")),
            "multilog",
        ),
        carrier("svlogd, file", "svlogd", format!("$WRITER | svlogd {}", at("svlogd")), "svlogd"),
        carrier(
            "supervisord, file",
            "supervisord",
            format!("exec supervisord -c {}", at("supervisord.conf")),
            "supervisord",
        ),
        carrier("honcho", "honcho", format!("exec honcho -f {} start", at("Procfile")), "honcho"),
        carrier("foreman", "foreman", format!("exec foreman start -f {}", at("Procfile")), "foreman"),
    ];
    all.into_iter().flatten().collect()
}

impl Carrier {
    /// Runs it and prints its line. What is slow is given less to carry.
    fn measure(&self, folder: &Path, way: Way) {
        let slow = matches!(self.name, "honcho" | "foreman");
        let bytes = if slow { way.bytes / 64 } else { way.bytes };
        let own = std::env::current_exe().expect("this program's path");
        let done = folder.join("done");
        let _ = std::fs::remove_file(&done);
        let mut command = Command::new("sh");
        command.arg("-c").arg(&self.script).env("DONE", &done).env("PYTHONUNBUFFERED", "1");
        command.env("WRITER", format!("{} write={bytes}{}", own.display(), way.word));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let began = Instant::now();
        let mut child = command.spawn().expect("a shell");
        let mut out = child.stdout.take().expect("its output");
        let drain = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            while out.read(&mut buffer).is_ok_and(|length| length > 0) {}
        });
        let (wall, ticks) = self.watch(&mut child, &done, began);
        drain.join().expect("what it wrote is read");
        let megabytes = bytes as f64 / 1e6;
        let by_cpu = if ticks == 0 { "–".to_owned() } else { format!("{:.0}", megabytes / (ticks as f64 / 100.0)) };
        println!("{:26}{:>12.0}{by_cpu:>22}", self.name, megabytes / wall.as_secs_f64());
    }

    /// Until all is written and, where the process ends with it, it has ended: how long that took, and the CPU time of
    /// the process.
    fn watch(&self, child: &mut Child, done: &Path, began: Instant) -> (Duration, u64) {
        let (mut wall, mut ticks, mut asked) = (None, 0, false);
        loop {
            let all = super::measure::tree(child.id());
            let carriers = all.into_iter().filter(|pid| super::measure::name(*pid) == self.process);
            // The one that works: the launcher's keeper has a name of its own.
            ticks = carriers.filter_map(cpu_ticks).max().unwrap_or(0).max(ticks);
            if wall.is_none() && done.exists() {
                wall = Some(began.elapsed());
            }
            if child.try_wait().expect("its end").is_some() {
                return (wall.unwrap_or_else(|| began.elapsed()), ticks);
            }
            // It would stay without its program.
            if self.process == "supervisord" && wall.is_some() && !std::mem::replace(&mut asked, true) {
                // SAFETY: kill(2) takes no pointers.
                unsafe { libc::kill(child.id() as i32, libc::SIGTERM) };
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
