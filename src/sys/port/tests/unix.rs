use std::os::unix::net::{UnixDatagram, UnixListener};

use super::*;

#[test]
fn a_unix_path_in_every_condition() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let listen = |name: &str| Listen::Unix(at(name));
    // Free.
    assert_eq!(problem(examine(&listen("free"))), None);
    assert!(!at("free").exists(), "a look leaves nothing behind");
    // Alive: a listener, a datagram socket, one that is bound only.
    let _stream = UnixListener::bind(at("stream")).unwrap();
    let _datagram = UnixDatagram::bind(at("datagram")).unwrap();
    let bound = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    bound.bind(&socket2::SockAddr::unix(at("bound")).unwrap()).unwrap();
    // Stale, a plain file, a link, a directory.
    drop(UnixListener::bind(at("stale")).unwrap());
    std::fs::write(at("file"), "precious").unwrap();
    std::os::unix::fs::symlink(at("stale"), at("link")).unwrap();
    std::fs::create_dir(at("directory")).unwrap();
    for (name, state) in [
        ("stream", HoldState::Listening),
        ("datagram", HoldState::Listening),
        ("bound", HoldState::Bound),
        ("file", HoldState::NotASocket),
        ("link", HoldState::NotASocket),
        ("directory", HoldState::NotASocket),
    ] {
        for result in [
            examine(&listen(name)),
            reserve(&listen(name)).map(drop),
            crate::sys::port::listen(&listen(name)).map(drop),
        ] {
            assert_eq!(problem(result), Some(PortProblem::Taken), "{name}");
        }
        let owner = owner(&listen(name), None).unwrap();
        assert_eq!(owner.state, state, "{name}");
        assert_eq!(owner.holders.is_empty(), state == HoldState::NotASocket, "{name}");
        assert!(at(name).symlink_metadata().is_ok(), "{name} must not be unlinked");
    }
    assert_eq!(std::fs::read_to_string(at("file")).unwrap(), "precious");
    comes_to_be(&HoldState::Stale, || owner(&listen("stale"), None).unwrap().state);
    assert_eq!(problem(examine(&listen("stale"))), None);
    assert!(at("stale").exists(), "a look removes nothing");
    reserve(&listen("stale")).unwrap();
    assert!(!at("stale").exists(), "a reservation clears it away");
    assert_eq!(problem(examine(&Listen::Unix("/nonexistent/x.sock".into()))), Some(PortProblem::Other));
}

#[test]
fn a_passed_unix_socket_takes_a_stale_ones_place_and_goes_with_its_holder() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s.sock");
    drop(UnixListener::bind(&path).unwrap());
    let held = succeeds(|| crate::sys::port::listen(&Listen::Unix(path.clone())));
    assert!(is_close_on_exec(held.descriptor().unwrap()));
    std::os::unix::net::UnixStream::connect(&path).unwrap();
    drop(held);
    assert!(!path.exists());
    // But not when another has taken its place.
    let held = crate::sys::port::listen(&Listen::Unix(path.clone())).unwrap();
    std::fs::remove_file(&path).unwrap();
    let _other = UnixListener::bind(&path).unwrap();
    drop(held);
    assert!(path.exists());
}

#[test]
fn abstract_names_are_found_and_passed() {
    let name = Listen::Unix(format!("@launcher-test-pass-{}", std::process::id()).into());
    assert_eq!(problem(examine(&name)), None);
    assert_eq!(owner(&name, None), None);
    let held = crate::sys::port::listen(&name).unwrap();
    assert_eq!(problem(examine(&name)), Some(PortProblem::Taken));
    assert_eq!(problem(crate::sys::port::listen(&name)), Some(PortProblem::Taken));
    assert_eq!(owner(&name, None).unwrap().holders[0].pid, std::process::id() as i32);
    drop(held);
    comes_to_be(&None, || problem(examine(&name)));
}

#[test]
fn a_directory_that_may_not_be_written_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let listen = Listen::Unix(directory.path().join("s.sock"));
    let Some(failure) = as_nobody(|| examine(&listen)) else {
        eprintln!("skipped: only root can become an ordinary user");
        return;
    };
    assert_eq!(failure.unwrap_err().errno, Some(libc::EACCES));
}
