//! `examples/Dockerfile`, built by buildah. No registry is asked: `rust:1` is an image made here, whose cargo stands in for
//! the real one, looks at what it was given, and takes the programs of this test's own build. So whether Rust can compile
//! launcher in such an image is not tested; everything else of the file is.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::bundle::{Bundle, can_run};

/// What stands in for cargo. It is not to be sent what was built before, which may be gigabytes, nor the history.
const CARGO: &str = r#"#!/bin/sh
set -e
case "$* " in
  "build "*"--release "*) ;;
  *) echo "it is asked for $*"; exit 1 ;;
esac
for file in Cargo.toml Cargo.lock .cargo/config.toml build.rs start.ld src/main.rs examples/service.rs; do
  [ -e "$file" ] || { echo "$file is not there"; exit 1; }
done
for folder in target .git; do
  [ ! -e "$folder" ] || { echo "$folder is sent"; exit 1; }
done
mkdir -p "target/$TRIPLE/release/examples"
cp /built/launcher "target/$TRIPLE/release/"
cp /built/service "target/$TRIPLE/release/examples/"
"#;

/// An image that was built, and where all of it is.
struct Image {
    folder: tempfile::TempDir,
    config: Value,
    root: PathBuf,
}

fn buildah(folder: &Path) -> Command {
    let mut command = Command::new("buildah");
    command.args(["--storage-driver", "vfs", "--root"]).arg(folder.join("storage"));
    command.arg("--runroot").arg(folder.join("run"));
    command
}

/// What it writes to standard output.
#[track_caller]
fn output(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}: {said}\n{}", String::from_utf8_lossy(&output.stderr));
    said
}

/// The image that the file begins with: the machine's own programs are mounted in it as it is built on.
fn make_base(folder: &Path, triple: &str) {
    let base = folder.join("base");
    std::fs::create_dir_all(base.join("usr")).unwrap();
    for name in ["bin", "lib", "lib64"] {
        std::os::unix::fs::symlink(format!("usr/{name}"), base.join(name)).unwrap();
    }
    std::fs::create_dir(base.join("cargo")).unwrap();
    std::fs::write(base.join("cargo/cargo"), CARGO).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(base.join("cargo/cargo"), executable).unwrap();
    let file = folder.join("Containerfile");
    std::fs::write(&file, format!("FROM scratch\nCOPY . /\nENV PATH=/cargo:/usr/bin TRIPLE={triple}\n")).unwrap();
    let mut bud = buildah(folder);
    bud.args(["bud", "--isolation", "chroot", "--tag", "docker.io/library/rust:1", "--file"]).arg(file).arg(base);
    output(&mut bud);
}

impl Image {
    fn build() -> Image {
        let folder = tempfile::tempdir().unwrap();
        let launcher = PathBuf::from(env!("CARGO_BIN_EXE_launcher"));
        let service = launcher.with_file_name("examples").join("service");
        assert!(service.exists(), "{} is missing: `cargo build --example service` makes it", service.display());
        let built = folder.path().join("built");
        std::fs::create_dir(&built).unwrap();
        std::fs::copy(&launcher, built.join("launcher")).unwrap();
        std::fs::copy(service, built.join("service")).unwrap();
        // TARGET_FOLDER/TRIPLE/PROFILE/launcher, as the file expects it.
        let triple = launcher.ancestors().nth(2).and_then(Path::file_name).unwrap().to_str().unwrap();
        make_base(folder.path(), triple);

        let mut bud = buildah(folder.path());
        bud.args(["bud", "--pull-never", "--isolation", "chroot", "--volume", "/usr:/usr:ro", "--volume"]);
        bud.arg(format!("{}:/built:ro", built.display())).args(["--tag", "api", "--file", "examples/Dockerfile", "."]);
        output(bud.current_dir(env!("CARGO_MANIFEST_DIR")));

        let told = output(buildah(folder.path()).args(["inspect", "--type", "image", "api"]));
        let config = serde_json::from_str::<Value>(&told).unwrap()["OCIv1"]["config"].take();
        output(buildah(folder.path()).args(["from", "--pull-never", "--name", "api", "api"]));
        let root = output(buildah(folder.path()).args(["mount", "api"])).trim().into();
        Image { folder, config, root }
    }

    fn words(&self, key: &str) -> Vec<&str> {
        self.config[key].as_array().into_iter().flatten().map(|word| word.as_str().unwrap()).collect()
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = buildah(self.folder.path()).args(["umount", "--all"]).output();
    }
}

#[test]
fn the_example_image_runs_as_it_says() {
    let there = Command::new("buildah").arg("--version").output().is_ok_and(|output| output.status.success());
    assert!(there || std::env::var("CI").is_err(), "buildah is not installed: tests/setup does that");
    if !there || !can_run() {
        println!("skipped: buildah is not installed");
        return;
    }
    let image = Image::build();
    let names = |folder: &Path| {
        let mut names: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names(&image.root), ["api", "launcher"], "nothing else is needed");
    assert_eq!(image.config["User"], "65534:65534");
    // As the file says that it can be run: --read-only --cap-drop ALL.
    let words = [image.words("Entrypoint"), image.words("Cmd")].concat();
    let bundle = Bundle::empty(&words).add(image.root.join("launcher"), "launcher").add(image.root.join("api"), "api");
    let mut run = bundle.user(65534).capabilities(&[]).read_only().start();
    run.line("api is ready");
    assert!(run.ask("127.0.0.1:8080").contains("hello from generation 1"));
    run.kill(libc::SIGTERM);
    assert_eq!(run.ended(std::time::Duration::from_secs(10)), 0, "{:#?}", run.written());
}
