//! Facts drawn by chance: inconsistent, half-read, with numbers that point nowhere.

use std::time::Duration;

use crate::core::exit::Ending;
use crate::core::facts::*;
use crate::core::settings::{Listen, PortMode, Ready};
use crate::core::signal::Signal;

/// Draws from a seed; the same seed gives the same facts.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides.max(1)
    }

    fn coin(&mut self) -> bool {
        self.roll(2) == 0
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len() as u64) as usize].clone()
    }

    fn some<T>(&mut self, value: impl FnOnce(&mut Dice) -> T) -> Option<T> {
        if self.coin() { Some(value(self)) } else { None }
    }

    fn several<T>(&mut self, most: u64, mut value: impl FnMut(&mut Dice) -> T) -> Vec<T> {
        (0..self.roll(most + 1)).map(|_| value(self)).collect()
    }

    fn text(&mut self) -> String {
        self.pick(&[
            "",
            "api",
            "/usr/bin/python3",
            "127.0.0.1:5432",
            "[::1]:53",
            "db:6379",
            ":",
            "::",
            "日本",
            "a\x1b[2Jb",
            "getaddrinfo",
            "main.init",
            "connection refused 10.0.0.1:80",
            "panic: x",
            "Traceback (most recent call last)",
            "EADDRINUSE",
            "--password",
            "token=abc",
            "thread 'main' panicked at ",
            "=",
            "://@",
            "\n\n",
            "pipe:[1]",
            "READY=1",
        ])
        .to_owned()
    }

    fn pid(&mut self) -> i32 {
        self.pick(&[-1, 0, 1, 10, 11, 12, 13, 14, i32::MAX, i32::MIN])
    }

    fn time(&mut self) -> Duration {
        self.pick(&[Duration::ZERO, Duration::from_millis(7), Duration::from_secs(61), Duration::from_millis(u64::MAX)])
    }

    fn samples(&mut self) -> Samples {
        Samples { first: self.roll(99), second: self.some(|d| d.pick(&[0, 50, 150, u64::MAX])), apart: self.time() }
    }

    fn name(&mut self) -> ProcessName {
        ProcessName { pid: self.pid(), name: self.text() }
    }

    fn names(&mut self) -> Vec<ProcessName> {
        self.several(3, Dice::name)
    }

    fn socket(&mut self) -> SocketFacts {
        SocketFacts {
            protocol: self.pick(&["tcp", "tcp6", "udp", "unix", "", "netlink"]).to_owned(),
            inode: self.roll(9),
            state: self.pick(&["syn-sent", "established", "listen", "connecting", "", "close-wait"]).to_owned(),
            local: self.some(Dice::text),
            peer: self.some(Dice::text),
            asks: self.some(Dice::text),
            peer_processes: self.names(),
            unaccepted: self.coin(),
            peer_listener: self.some(|d| {
                Box::new(ListenerFacts {
                    listens: d.coin(),
                    queued: d.roll(3) as u32,
                    backlog: d.roll(3) as u32,
                    processes: d.names(),
                })
            }),
            last_received_ms: self.some(|d| d.roll(99)),
            last_sent_ms: self.some(|d| d.roll(99)),
            received: self.some(|d| d.roll(9)),
            arrivals: self.some(|d| d.roll(9) as u32),
            acknowledged: self.some(Dice::coin),
            retransmits: self.some(|d| d.roll(9) as u32),
            receive_queue: self.roll(2) as u32,
            send_queue: self.roll(2) as u32,
        }
    }

    fn file(&mut self) -> FileFacts {
        use FileKind::*;
        let kind = self.pick(&[Regular, Terminal, Pipe, Fifo, Device, Directory, Anonymous]);
        let passed_on_to = self.some(Dice::names);
        FileFacts { kind, path: self.text(), peers: self.names(), peers_complete: self.coin(), passed_on_to }
    }

    fn futex(&mut self) -> FutexFacts {
        use FutexKind::*;
        FutexFacts {
            address: self.roll(4),
            kind: self.pick(&[Mutex, RwLock, Condition, Join, Semaphore, Lock, Unknown]),
            owner: self.some(Dice::pid),
            timeout_ms: self.some(|d| d.roll(99)),
        }
    }

    fn watched(&mut self) -> WatchedFacts {
        let what = if self.coin() { FdFacts::Socket(self.socket()) } else { FdFacts::File(self.file()) };
        WatchedFacts { fd: self.pid(), read: self.coin(), write: self.coin(), what }
    }

    fn wait(&mut self) -> WaitingOn {
        let fd = self.roll(4) as i32;
        match self.roll(17) {
            0 => WaitingOn::Connect { fd, socket: self.socket() },
            1 => WaitingOn::Accept { fd, socket: self.socket() },
            2 => WaitingOn::Receive { fd, socket: self.socket() },
            3 => WaitingOn::Send { fd, socket: self.socket() },
            4 => WaitingOn::Input { fd, file: self.file() },
            5 => WaitingOn::Output { fd, file: self.file() },
            6 => WaitingOn::Open { path: self.text() },
            7 | 8 => WaitingOn::Futex(self.futex()),
            9 => WaitingOn::FileLock { path: self.some(Dice::text), holders: self.names() },
            10 => WaitingOn::Child { children: self.names() },
            11 | 12 => WaitingOn::Poll {
                call: self.pick(&["poll", "epoll_wait", "select", ""]).to_owned(),
                timeout: self.some(Dice::time),
                watched: self.several(3, Dice::watched),
            },
            13 => WaitingOn::Sleep { duration: self.some(Dice::time) },
            14 => WaitingOn::Signal,
            15 => WaitingOn::Entropy,
            _ => WaitingOn::Other { call: self.pick(&["vfork", "clone3", "x"]).to_owned() },
        }
    }

    fn frame(&mut self) -> Frame {
        Frame {
            function: self.some(Dice::text),
            file: self.some(Dice::text),
            line: self.some(|d| d.roll(99) as u32),
            near: self.coin(),
            module: self.some(Dice::text),
            address: self.roll(u64::MAX),
            language: self.some(Dice::text),
            inlined: self.coin(),
            found: self.pick(&[FoundBy::Pc, FoundBy::Runtime, FoundBy::Guess]),
        }
    }

    fn thread(&mut self, kernel: bool) -> ThreadFacts {
        ThreadFacts {
            tid: self.pid(),
            name: self.text(),
            state: if kernel { self.pick(&['R', 'S', 'D', 'T', 't', 'Z', '\0']) } else { 'S' },
            syscall: self.some(Dice::text),
            waiting_on: if kernel { self.some(Dice::wait) } else { None },
            waited: self.some(Dice::time),
            frames: self.several(4, Dice::frame),
            cpu: self.samples(),
            queued: self.samples(),
            switches: self.samples(),
            attempts: self.several(2, |dice| AttemptFacts {
                address: dice.text(),
                errno: dice.roll(120) as i32,
                times: dice.roll(3) as u32,
                what: if dice.roll(3) == 0 { Tried::FileLock } else { Tried::Connect },
                holders: dice.several(2, |dice| super::named(dice.roll(5000) as i32, "holder")),
            }),
            wchan: self.some(Dice::text),
            ..ThreadFacts::default()
        }
    }

    fn process(&mut self, kernel: bool) -> ProcessFacts {
        ProcessFacts {
            pid: self.pid(),
            parent: self.pid(),
            command: self.several(3, Dice::text),
            runtime: self.text(),
            runtime_version: self.some(Dice::text),
            threads: self.several(5, |dice| dice.thread(kernel)),
            tasks: self.several(2, |dice| TaskFacts {
                id: dice.roll(9),
                state: dice.text(),
                waited: dice.some(Dice::time),
                frames: dice.several(2, Dice::frame).into(),
                ..TaskFacts::default()
            }),
            dump_error: self.some(Dice::text),
            paused_ms: 0.5,
            zombie: self.roll(5) == 0,
            has_notify_socket: if kernel { self.some(Dice::coin) } else { None },
            sockets: if kernel { self.several(2, Dice::socket) } else { Vec::new() },
            io: self.samples(),
            cpu: self.samples(),
            ..ProcessFacts::default()
        }
    }

    fn listen(&mut self) -> Listen {
        let address = self.pick(&["0.0.0.0:8080", "127.0.0.1:8080", "[::]:8080", "10.0.0.1:1"]).parse().unwrap();
        match self.roll(3) {
            0 => Listen::Tcp(address),
            1 => Listen::Udp(address),
            _ => Listen::Unix(self.text().into()),
        }
    }

    fn port(&mut self) -> PortFacts {
        PortFacts {
            name: self.text(),
            listen: self.listen(),
            mode: self.pick(&[PortMode::Check, PortMode::Reserve, PortMode::Pass, PortMode::Share]),
            listening: self.coin(),
            owner: self.some(|dice| OwnerFacts {
                holders: dice.several(2, |dice| HolderFacts {
                    pid: dice.pid(),
                    command: dice.several(2, Dice::text),
                    running: dice.some(Dice::time),
                    leftover: dice.coin(),
                    ..HolderFacts::default()
                }),
                ..OwnerFacts::default()
            }),
        }
    }
}

/// Facts drawn from a seed. Without `kernel` nothing in them was shown by the kernel: only names, stacks and output.
pub fn random(seed: u64, kernel: bool) -> Facts {
    use Occasion::*;
    let dice = &mut Dice(seed);
    let occasion =
        dice.pick(&[StartTimeout, StartTimeout, Exited, Crashed, OutOfMemory, StopTimeout, Watchdog, Requested]);
    let mut facts = Facts::new(dice.text(), occasion);
    facts.command = dice.several(2, Dice::text);
    facts.elapsed = dice.time();
    facts.start_timeout = dice.time();
    facts.ready = dice.pick(&[
        Ready::Auto,
        Ready::Notify,
        Ready::Listen,
        Ready::Exited,
        Ready::Log("up".to_owned()),
        Ready::Tcp(([127, 0, 0, 1], 8080).into()),
    ]);
    facts.notified.status = dice.some(Dice::text);
    facts.processes = dice.several(4, |dice| dice.process(kernel));
    facts.output_tail = dice.several(6, Dice::text).join("\n");
    facts.output_age = dice.some(Dice::time);
    if kernel {
        facts.notified.strangers = dice.several(2, |dice| (dice.pid(), dice.text()));
        facts.ports = dice.several(2, Dice::port);
        facts.listening = dice.several(2, |dice| ListeningFacts { listen: dice.listen(), pid: dice.pid() });
        let ending = |dice: &mut Dice| dice.pick(&[Ending::Code(0), Ending::Code(139), Ending::Signal(Signal::KILL)]);
        facts.ending = if dice.roll(4) == 0 { Some(ending(dice)) } else { None };
        facts.memory = dice.some(|dice| MemoryFacts {
            limit: dice.some(|d| d.roll(3)),
            peak: dice.some(|d| d.roll(3)),
            kills: dice.roll(2),
            own: dice.roll(2) == 1,
        });
    }
    facts
}
