use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::*;

/// Watches a folder and gives what changes, after what was scanned first.
struct Bench {
    folder: tempfile::TempDir,
    changed: Receiver<String>,
    _watcher: Watcher,
}

impl Bench {
    fn new(patterns: &[&str], prepare: impl FnOnce(&Path)) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        prepare(folder.path());
        fs::create_dir_all(folder.path().join("marks")).unwrap();
        let mut patterns: Vec<String> = patterns.iter().map(|pattern| (*pattern).to_owned()).collect();
        patterns.push("marks/*".to_owned());
        let settings = WatchSettings { folder: folder.path().to_owned(), patterns, ..WatchSettings::default() };
        let except = Some(folder.path().join("reports"));
        let subject = Subject { settings, files: vec![folder.path().join(".env")], except };
        let (tell, changed) = channel();
        let watcher =
            Watcher::start(vec![subject], || {}, move |_, path| drop(tell.send(path)), |why| panic!("{why}")).unwrap();
        let bench = Bench { folder, changed, _watcher: watcher };
        // Folders are watched from a thread: it has come so far when it tells of a mark.
        while bench.changed.recv_timeout(Duration::from_millis(20)).is_err() {
            bench.write("marks/begin");
        }
        bench.all();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str) {
        fs::write(self.path(name), "x").unwrap();
    }

    /// All that has changed since the last time.
    fn all(&self) -> Vec<String> {
        static MARK: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let mark = format!("marks/{}", MARK.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        self.write(&mark);
        let mut all = Vec::new();
        loop {
            let path = self.changed.recv_timeout(Duration::from_secs(30)).unwrap();
            if path == mark {
                all.dedup();
                return all;
            }
            if path != "marks/begin" {
                all.push(path);
            }
        }
    }
}

#[test]
fn what_belongs_to_the_patterns_is_told_and_nothing_else() {
    let bench = Bench::new(&["src/**/*.rs", "*.toml", "!src/made.rs"], |folder| {
        fs::create_dir_all(folder.join("src/deep")).unwrap();
    });
    for name in ["src/a.rs", "src/deep/b.rs", "src/a.txt", "Cargo.toml", "src/deep/x.toml", "src/made.rs"] {
        bench.write(name);
        let expected: &[&str] = match name {
            "src/a.txt" | "src/deep/x.toml" | "src/made.rs" => &[],
            name => &[name],
        };
        assert_eq!(bench.all(), expected, "{name}");
    }
    fs::rename(bench.path("src/a.txt"), bench.path("src/c.rs")).unwrap();
    assert_eq!(bench.all(), ["src/c.rs"]);
    fs::remove_file(bench.path("src/c.rs")).unwrap();
    assert_eq!(bench.all(), ["src/c.rs"]);
    std::os::unix::fs::symlink("a.rs", bench.path("src/link.rs")).unwrap();
    assert_eq!(bench.all(), ["src/link.rs"]);
    bench.write(".env");
    assert_eq!(bench.all(), [".env"]);
}

#[test]
fn what_git_ignores_changes_nothing_unless_it_is_named() {
    let bench = Bench::new(&["**", "target/api"], |folder| {
        for name in [".git", "target/deep", "logs", "reports"] {
            fs::create_dir_all(folder.join(name)).unwrap();
        }
        fs::write(folder.join(".gitignore"), "target/\n*.log\n!keep.log\n").unwrap();
        fs::write(folder.join("logs/.gitignore"), "*\n").unwrap();
    });
    for name in
        ["target/other", "target/deep/file", ".git/index", "a.log", "logs/x", "reports/r.json", "a.rs~", ".a.swp"]
    {
        bench.write(name);
        assert_eq!(bench.all(), [] as [&str; 0], "{name}");
    }
    for name in ["a.rs", "keep.log", "target/api"] {
        bench.write(name);
        assert_eq!(bench.all(), [name]);
    }
    fs::write(bench.path(".gitignore"), "*.rs\n").unwrap();
    bench.all();
    bench.write("a.rs");
    assert_eq!(bench.all(), [] as [&str; 0]);
}

#[test]
fn folders_that_come_later_are_watched_with_what_is_in_them() {
    let bench = Bench::new(&["src/**", "new"], |_| {});
    fs::create_dir_all(bench.path("src/a/b")).unwrap();
    bench.write("src/a/b/one");
    while !bench.all().contains(&"src/a/b/one".to_owned()) {
        // The folders were made before they were watched: what is in them is found when they are.
        assert!(bench.path("src/a/b/one").exists());
        bench.write("src/a/b/one");
    }
    bench.write("src/a/b/two");
    assert_eq!(bench.all(), ["src/a/b/two"]);
    fs::create_dir(bench.path("new")).unwrap();
    bench.write("new/file");
    assert!(bench.all().contains(&"new/file".to_owned()));
}
