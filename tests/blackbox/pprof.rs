//! The key `pprof`: what a Go program itself says of its goroutines, beside what was read from outside.

use std::collections::BTreeMap;

use crate::servers::go_program;
use crate::support::*;

const PROGRAM: &str = r#"
package main

import (
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
)

func worker(jobs chan int) {
	<-jobs
}

func loadCatalog(done chan bool) {
	<-done
}

func serve(listener net.Listener) {
	http.Serve(listener, nil)
}

func main() {
	listener, err := net.Listen("tcp", os.Args[1])
	if err != nil {
		panic(err)
	}
	go serve(listener)
	jobs := make(chan int)
	for i := 0; i < 25; i++ {
		go worker(jobs)
	}
	loadCatalog(make(chan bool))
}
"#;

/// How many goroutines stand in which functions of the package `main`. Go makes some of its own for `go` statements.
type Counts = BTreeMap<Vec<String>, u64>;

fn is_own(function: &str) -> bool {
    function.starts_with("main.") && !function.starts_with("main.main.")
}

/// By a profile: `25 @ 0x… 0x…`, and then a line for each function.
fn by_profile(text: &str) -> Counts {
    let mut counts = Counts::new();
    for record in text.split("\n\n") {
        let Some(head) = record.lines().find(|line| line.contains(" @ ")) else { continue };
        let times: u64 = head.split(' ').next().unwrap().parse().unwrap();
        let names = record.lines().filter(|line| line.starts_with('#')).filter_map(|line| line.split('\t').nth(2));
        let names = names.map(|name| name.split('+').next().unwrap().to_owned());
        let own: Vec<String> = names.filter(|name| is_own(name)).collect();
        if !own.is_empty() {
            *counts.entry(own).or_default() += times;
        }
    }
    counts
}

/// By the launcher's own reading.
fn by_dump(report: &Report) -> Counts {
    let mut counts = Counts::new();
    for task in report.0.pointer("/processes/0/tasks").unwrap().as_array().unwrap() {
        let names = task["frames"].as_array().unwrap().iter().filter_map(|frame| frame["function"].as_str());
        let own: Vec<String> = names.filter(|name| is_own(name)).map(str::to_owned).collect();
        if !own.is_empty() {
            *counts.entry(own).or_default() += 1;
        }
    }
    counts
}

#[test]
fn the_goroutines_of_a_profile_are_those_that_were_read() {
    if !needs(&["go"]) {
        return;
    }
    let setup = launcher();
    let address = Address::new();
    let program = go_program(&setup, "catalog", PROGRAM);
    let mut run = setup.file(&format!(
        "[service.catalog]\ncommand = [{program:?}, \"{address}\"]\nready = \"notify\"\nstart_timeout = \"5s\"\n\
         on_timeout = \"exit\"\npprof = \"http://{address}\"\n"
    ));
    run.ends_with(124);
    let reports = run.reports("catalog");
    let report = reports.last().unwrap();
    let profile = &report.0["goroutine_profile"];
    assert_eq!(profile["error"], serde_json::Value::Null, "{profile:#}");
    let told = by_profile(profile["text"].as_str().unwrap());
    assert_eq!(told.get(&vec!["main.worker".to_owned()]), Some(&25), "{profile:#}");
    assert_eq!(by_dump(report), told);
    // The one that answers is not there before it is asked.
    assert!(profile["goroutines"].as_u64().unwrap() > 26, "{profile:#}");
    assert_eq!(report.text("/verdict/frame/function"), "main.loadCatalog", "{:#}", report.0["verdict"]);
}

#[test]
fn a_profile_that_is_not_there_is_said_so() {
    let address = Address::new();
    let mut run = launcher().file(&format!(
        "[service.api]\ncommand = [\"CHILD\", \"wait\"]\nready = \"notify\"\nstart_timeout = \"500ms\"\n\
         on_timeout = \"exit\"\npprof = \"http://{address}/debug/pprof/\"\n"
    ));
    run.ends_with(124);
    let reports = run.reports("api");
    let report = reports.last().unwrap();
    assert!(report.text("/goroutine_profile/error").contains("ECONNREFUSED"), "{:#}", report.0["goroutine_profile"]);
    assert_eq!(report.kind(), "start-timeout");
}
