//! Several services: who waits for whom, and what becomes of the others when one has failed for good.

use crate::support::*;

#[test]
fn the_end_of_a_task_is_waited_for_and_a_task_that_is_done_is_not_done_again() {
    let setup = launcher();
    let gate = setup.home().fifo("gate");
    let mut run = setup.file(
        r#"[service.api]
        command = ["CHILD", "say api up", "wait"]
        ready = "started"
        after = ["db", { service = "migrate", until = "exited" }]
        [service.migrate]
        command = ["CHILD", "say migrating", "notify READY=1", "gate gate", "say migrated"]
        after = ["db"]
        [service.db]
        command = ["CHILD", "say db up", "notify READY=1", "wait"]
        ready = "notify"
        "#,
    );
    run.said("migrating");
    run.err("migrate\",\"event\":\"ready\"");
    assert!(!run.says_within("api up", std::time::Duration::from_millis(200)), "its being ready is not enough");
    std::fs::write(gate, "").unwrap();
    run.said("migrated");
    run.said("api up");
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
}

#[test]
fn services_that_do_not_need_each_other_start_at_the_same_time() {
    // Each waits for the other to have been started.
    let setup = launcher();
    setup.home().fifo("a");
    setup.home().fifo("b");
    let mut run = setup.file(
        r#"[service.a]
        command = ["sh", "-c", "echo > b; cat a; echo both"]
        ready = "exited"
        [service.b]
        command = ["sh", "-c", "cat b; echo > a"]
        ready = "exited"
        "#,
    );
    run.out("both");
    run.ends_with(0);
}

/// `bad` fails for good when its gate opens; `needs` comes after it, `other` does not.
fn with_failure(on_failure: &str) -> Running {
    let setup = launcher();
    setup.home().fifo("done");
    let gate = setup.home().fifo("gate");
    let mut run = setup.file(&format!(
        r#"[service.bad]
        command = ["CHILD", "notify READY=1", "gate gate", "exit 7"]
        ready = "notify"
        restart.policy = "never"
        {on_failure}
        [service.needs]
        command = ["CHILD", "on TERM both 0 needs stops", "say needs up", "gate done"]
        ready = "started"
        after = ["bad"]
        [service.other]
        command = ["CHILD", "on TERM both 0 other stops", "say other up", "gate done"]
        ready = "started"
        "#
    ));

    run.saids(&["needs up", "other up"]);
    std::fs::write(gate, "").unwrap();
    run
}

#[test]
fn what_comes_after_a_failure_is_stopped_and_the_first_cause_is_the_exit_code() {
    let mut run = with_failure("");
    run.said("needs stops");
    run.err("bad has failed for good: needs, which comes after it, is stopped");
    run.signal(Signal::SIGTERM);
    run.said("other stops");
    run.ends_with(7);
    run.leaves_nothing();
}

#[test]
fn on_failure_can_stop_all() {
    let mut run = with_failure("on_failure = \"stop-all\"");
    run.saids(&["needs stops", "other stops"]);
    let ended = run.ends_with(7);
    let shown = ended.err.join("\n");
    assert!(shown.contains("bad has failed for good: all is stopped"), "{shown}");
}

#[test]
fn on_failure_can_keep_all() {
    let mut run = with_failure("on_failure = \"keep\"");
    run.err("\"event\":\"report\"");
    assert!(!run.says_within("stops", std::time::Duration::from_millis(300)));
    run.signal(Signal::SIGTERM);
    run.saids(&["needs stops", "other stops"]);
    run.ends_with(7);
}

#[test]
fn a_task_that_fails_ends_a_launcher_with_nothing_left_to_run_for() {
    let mut run = launcher().file(
        r#"[service.db]
        command = ["CHILD", "on TERM both 0 db stops", "notify READY=1", "wait"]
        ready = "notify"
        [service.migrate]
        command = ["CHILD", "exit 3"]
        ready = "exited"
        after = ["db"]
        restart.policy = "never"
        [service.api]
        command = ["CHILD", "say api up"]
        after = [{ service = "migrate", until = "exited" }, "db"]
        "#,
    );
    run.said("db stops");
    let ended = run.ends_with(3);
    let shown = ended.err.join("\n");
    assert!(shown.contains("api is not started"), "{shown}");
    assert!(!run.says_within("api up", std::time::Duration::ZERO));
}

#[test]
fn wrong_entries_of_after_are_told_at_their_places() {
    let mut run = launcher().file(
        "[service.a]\ncommand = [\"a\"]\nafter = [\"b\", { service = \"b\", until = \"exitd\" }, { service = \"c\" }]\n\
         on_failure = \"panic\"\n[service.b]\ncommand = [\"b\"]\n",
    );
    let shown = run.ends_with(78).err.join("\n");
    for part in [":5:40", "exitd", "\"b\" is here a second time", "unknown service \"c\"", "panic"] {
        assert!(shown.contains(part), "{part:?} in\n{shown}");
    }
}

#[test]
fn a_cycle_is_named_in_full_before_anything_starts() {
    let mut run = launcher().file(
        r#"[service.first]
        command = ["CHILD", "print first"]
        ready = "exited"
        [service.db]
        command = ["CHILD", "print db"]
        after = ["first", "web"]
        [service.api]
        command = ["CHILD", "print api"]
        after = [{ service = "db", until = "exited" }]
        [service.web]
        command = ["CHILD", "print web"]
        after = ["api"]
        "#,
    );
    let ended = run.ends_with(78);
    assert!(ended.complains("services wait for each other: db → web → api → db"), "{:?}", ended.err);
    assert_eq!(ended.out, Vec::<String>::new(), "nothing was started");
}

#[test]
fn a_service_that_is_named_starts_with_what_it_needs_and_they_stop_in_reverse() {
    let text = r#"[service.web]
        command = ["CHILD", "say web up", "wait"]
        ready = "started"
        after = ["api"]
        [service.other]
        command = ["CHILD", "wait"]
        [service.api]
        command = ["CHILD", "notify READY=1", "wait"]
        ready = "notify"
        after = ["db"]
        [service.db]
        command = ["CHILD", "notify READY=1", "wait"]
        ready = "notify"
        "#;
    let mut run = launcher().services_of(text, &["web"]);
    run.said("web up");
    run.signal(Signal::SIGTERM);
    let ended = run.ends_with(0);
    let at = |text: &str| ended.err.iter().position(|line| line.contains(text));
    let steps = ["db is ready", "api is starting", "api is ready", "web is starting"];
    let back = ["web has stopped", "api is stopping", "api has stopped", "db is stopping"];
    let places: Vec<Option<usize>> = steps.into_iter().chain(back).map(at).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{places:?} of {:#?}", ended.err);
    assert_eq!(at("other"), None, "{:#?}", ended.err);
}

/// The loop does nothing else while it starts services: those that were started first would miss their deadlines, and nobody
/// could stop it.
#[test]
fn what_the_first_of_many_say_is_heard_before_the_last_one_starts() {
    let services: String = (0..100)
        .map(|number| format!("[service.s{number}]\ncommand = [\"CHILD\", \"wait\"]\nready = \"started\"\n"))
        .collect();
    let mut run = launcher().file(&services);
    run.err("\"event\":\"all-ready\"");
    run.signal(Signal::SIGTERM);
    let ended = run.ends_with(0);
    let with = |event: &str| format!("\"event\":\"{event}\"");
    let first_ready = ended.err.iter().position(|line| line.contains(&with("ready")));
    let last_start = ended.err.iter().rposition(|line| line.contains(&with("starting")));
    assert!(first_ready.is_some() && first_ready < last_start, "{first_ready:?}, {last_start:?} of {:#?}", ended.err);
}
