//! Real servers, which know nothing of the launcher: `reserve` and readiness by listening.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use crate::support::*;

/// Starts the server, waits until the launcher says that it is ready, has one request answered, stops it.
#[track_caller]
fn serves(setup: Setup, address: Address, command: &[&str]) {
    let name = "server";
    let flags = ["--name", name, "--ready", "listen", "--start-timeout", "60s", "--port", &address.to_string()];
    let mut run = setup.flags(flags).command(command);
    run.is_ready(name);
    let mut stream = TcpStream::connect_timeout(&address.0, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\nHost: here\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains("200 OK"), "{answer}\n{}", run.show());
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
    assert!(run.reports(name).is_empty(), "nothing went wrong");
}

#[test]
fn a_python_server() {
    if needs(&["python3"]) {
        let address = Address::new();
        let host = address.0.ip().to_string();
        serves(launcher(), address, &["python3", "-m", "http.server", "8080", "--bind", &host]);
    }
}

#[test]
fn a_node_server() {
    if needs(&["node"]) {
        let address = Address::new();
        let code =
            format!("require('http').createServer((q, r) => r.end('hello\\n')).listen(8080, '{}')", address.0.ip());
        serves(launcher(), address, &["node", "-e", &code]);
    }
}

#[test]
fn a_go_server() {
    if needs(&["go"]) {
        let address = Address::new();
        let setup = launcher();
        let program = go_program(&setup, "server", GO);
        serves(setup, address, &[&program.display().to_string(), &address.to_string()]);
    }
}

/// Builds a program of this source with the system's Go.
pub fn go_program(setup: &Setup, name: &str, source: &str) -> PathBuf {
    let source = setup.home().write(&format!("{name}.go"), source);
    let program = setup.home().join(name);
    let built = std::process::Command::new("go")
        .args(["build", "-o"])
        .args([&program, &source])
        .env("GOCACHE", concat!(env!("CARGO_TARGET_TMPDIR"), "/go-cache"))
        .env("GOFLAGS", "-mod=mod")
        .env("GO111MODULE", "off")
        // Where Debian's packages have their sources.
        .env("GOPATH", "/usr/share/gocode")
        .output()
        .unwrap();
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program
}

/// An HTTP server at the address that it is given, which ends what it has begun when it is told to stop.
pub const GO: &str = r#"
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "hello") })
	server := http.Server{Addr: os.Args[1]}
	go func() {
		<-told
		server.Shutdown(context.Background())
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Once more, now that nothing is accepted any longer: it waits for all that was.
	server.Shutdown(context.Background())
}
"#;
