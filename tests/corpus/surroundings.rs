//! What is around a program: a database that does not answer, a file that is locked, a quota.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU8, Ordering};

use crate::hung_files::HungFiles;

/// Things that are there as long as this lives, and what they are called.
#[derive(Default)]
pub struct Surroundings {
    /// Names for texts: `{PEER}` and others.
    pub names: BTreeMap<&'static str, String>,
    /// What the launcher is run by, if not simply as it is.
    pub wrapper: Vec<String>,
    listeners: Vec<TcpListener>,
    kept: Vec<OwnedFd>,
    streams: Vec<TcpStream>,
    names_server: Option<UdpSocket>,
    groups: Vec<PathBuf>,
    hung_files: Option<HungFiles>,
    child: Option<std::process::Child>,
}

/// The next address of the loopback network that no one else here uses.
fn address() -> std::net::Ipv4Addr {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    let process = (std::process::id() % 200) as u8 + 20;
    std::net::Ipv4Addr::new(127, 77, process, NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Surroundings {
    /// Sets all of these up, in `folder`.
    pub fn of(wanted: &[String], folder: &Path) -> Surroundings {
        let mut all = Surroundings::default();
        let host = address();
        all.names.insert("HOST", host.to_string());
        all.names.insert("PEER", format!("{host}:6379"));
        all.names.insert("PORT", format!("{host}:8080"));
        all.names.insert("DIR", folder.display().to_string());
        for (name, file) in [("FIFO", "fifo"), ("LOCK", "lock"), ("SOCKET", "socket")] {
            all.names.insert(name, folder.join(file).display().to_string());
        }
        for wanted in wanted {
            // `silent:5432`: at that port.
            let (name, port) = wanted.split_once(':').unwrap_or((wanted, "6379"));
            all.add(name, SocketAddr::from((host, port.parse().unwrap())), folder);
        }
        all
    }

    /// The texts with all names filled in.
    pub fn fill(&self, text: &str) -> String {
        self.names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
    }

    fn add(&mut self, name: &str, peer: SocketAddr, folder: &Path) {
        match name {
            // Listens, and takes no connection: its backlog is full.
            "full" => self.full(peer),
            // Takes connections, and never says a word.
            "silent" => self.listeners.push(TcpListener::bind(peer).unwrap()),
            // An HTTP server that is there, and has nothing to give.
            "unavailable" => unavailable(TcpListener::bind(peer).unwrap()),
            // Another program has the declared port.
            "taken" => self.listeners.push(TcpListener::bind(SocketAddr::from((peer.ip(), 8080))).unwrap()),
            "silent-unix" => {
                let listener = std::os::unix::net::UnixListener::bind(folder.join("socket")).unwrap();
                self.kept.push(listener.into());
            }
            "full-unix" => self.full_unix(&folder.join("socket")),
            // A FIFO that nobody has open.
            "fifo" => nix::unistd::mkfifo(&folder.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap(),
            // A file that another process has locked.
            "locked" => self.locked(&folder.join("lock")),
            // A name server that does not answer.
            "nameserver" => self.nameserver(peer, folder),
            // Files that can be opened and never read.
            "hung-files" => {
                let mount = folder.join("hung");
                std::fs::create_dir(&mount).unwrap();
                self.hung_files = Some(HungFiles::mount(&mount));
            }
            "quota" => self.group("cpu", &[("cpu.cfs_quota_us", "10000")], &[("cpu.max", "10000 100000")]),
            "memory" => {
                let limit = (48 << 20).to_string();
                self.group("memory", &[("memory.limit_in_bytes", &limit)], &[("memory.max", &limit)]);
            }
            other => panic!("unknown surroundings: {other}"),
        }
    }

    fn full(&mut self, peer: SocketAddr) {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&peer.into()).unwrap();
        socket.listen(0).unwrap();
        // There is room for one in its queue.
        self.streams.push(TcpStream::connect(peer).unwrap());
        let queued = || {
            let all = launcher::sys::sock_diag::listeners(peer.port()).unwrap();
            all.into_iter().find(|listener| listener.local == peer).unwrap().receive_queue
        };
        while queued() == 0 {
            std::thread::yield_now();
        }
        self.kept.push(socket.into());
    }

    fn full_unix(&mut self, path: &Path) {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        let address = socket2::SockAddr::unix(path).unwrap();
        socket.bind(&address).unwrap();
        socket.listen(0).unwrap();
        self.kept.push(socket.into());
        loop {
            let one = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
            one.set_nonblocking(true).unwrap();
            let full = one.connect(&address).is_err();
            self.kept.push(one.into());
            if full {
                return;
            }
        }
    }

    fn locked(&mut self, path: &Path) {
        File::create(path).unwrap();
        let mut holder = std::process::Command::new("flock");
        holder.arg(path).args(["sh", "-c", "echo locked; exec sleep 600"]).stdout(std::process::Stdio::piped());
        let mut holder = holder.spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(holder.stdout.take().unwrap()), &mut line).unwrap();
        assert_eq!(line, "locked\n");
        self.child = Some(holder);
    }

    fn nameserver(&mut self, peer: SocketAddr, folder: &Path) {
        let address = SocketAddr::from((peer.ip(), 53));
        self.names_server = Some(UdpSocket::bind(address).unwrap());
        let file = folder.join("resolv.conf");
        let mut text = File::create(&file).unwrap();
        writeln!(text, "nameserver {}\noptions timeout:30 attempts:2", peer.ip()).unwrap();
        let mount = format!("mount --bind {} /etc/resolv.conf && exec \"$@\"", file.display());
        self.wrapper = ["unshare", "--mount", "sh", "-c", &mount, "sh"].map(str::to_owned).to_vec();
        self.names.insert("NAMESERVER", peer.ip().to_string());
    }

    /// A cgroup of version 1 or 2 with a limit, in which all is run.
    fn group(&mut self, controller: &str, version_1: &[(&str, &str)], version_2: &[(&str, &str)]) {
        let mount = Path::new("/sys/fs/cgroup").join(controller);
        let (mount, files) = match mount.is_dir() {
            true => (mount, version_1),
            false => (PathBuf::from("/sys/fs/cgroup"), version_2),
        };
        let folder = mount.join(format!("launcher-corpus-{}-{}", std::process::id(), self.names["HOST"]));
        std::fs::create_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for (file, value) in files {
            std::fs::write(folder.join(file), value).unwrap_or_else(|error| panic!("{file}: {error}"));
        }
        let enter = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", folder.display());
        self.wrapper = ["sh", "-c", &enter, "sh"].map(str::to_owned).to_vec();
        self.groups.push(folder);
    }
}

/// Answers 503 to all who ask, as long as the corpus runs.
fn unavailable(listener: TcpListener) {
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ =
                stream.write_all(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
}

impl Drop for Surroundings {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
        for group in &self.groups {
            let _ = std::fs::remove_dir(group);
        }
    }
}
