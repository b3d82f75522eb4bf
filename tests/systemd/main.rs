//! Launcher below a real systemd, booted for these tests in a container of its own (`systemd-nspawn`): about a second for
//! the boot, no disk, nothing of the machine is touched. Needs root; where it is missing, the tests say so, and fail with
//! `CI` set.
//!
//! `Type=notify-reload` is there since systemd 253: on Debian 12 that of its backports is laid over the machine's own /usr.
#![allow(clippy::disallowed_methods, reason = "tests start processes and look at the clock")]

mod machine;
mod units;

use machine::{machine, newer_machine};
use units::unit;

/// Skips the test where no systemd can be booted.
macro_rules! booted {
    () => {
        booted!(machine)
    };
    ($which:ident) => {
        match $which() {
            Some(machine) => machine,
            None => return,
        }
    };
}

#[test]
fn a_start_waits_for_ready_and_the_status_is_the_services() {
    let machine = booted!();
    let steps = r#""notify STATUS=warming up" "nap 200" "notify READY=1\\nSTATUS=serving 42" wait"#;
    machine.add("ready.service", &unit(&format!("--ready notify -- /tb/child {steps}"), ""));
    machine.systemctl("start ready");
    assert_eq!(machine.property("ready", "StatusText"), "ready: serving 42");
    assert_eq!(machine.property("ready", "SubState"), "running");
    machine.systemctl("stop ready");
    assert_eq!(machine.property("ready", "Result"), "success");
    assert_eq!(machine.property("ready", "ActiveState"), "inactive");
}

#[test]
fn a_slow_start_outlives_the_units_timeout() {
    let machine = booted!();
    let steps = r#""nap 4500" "notify READY=1" wait"#;
    let text = unit(&format!("--ready notify --start-timeout 20s -- /tb/child {steps}"), "TimeoutStartSec=3s");
    machine.add("slow.service", &text);
    machine.systemctl("start slow");
    assert_eq!(machine.property("slow", "ActiveState"), "active");
}

#[test]
fn a_service_may_ask_for_more_itself() {
    let machine = booted!();
    let steps = r#""notify EXTEND_TIMEOUT_USEC=20000000" "nap 4500" "notify READY=1" wait"#;
    let text = unit(&format!("--ready notify --start-timeout 3s -- /tb/child {steps}"), "TimeoutStartSec=3s");
    machine.add("extends.service", &text);
    machine.systemctl("start extends");
    assert_eq!(machine.property("extends", "ActiveState"), "active");
}

#[test]
fn a_start_that_hangs_fails_with_its_reason_in_the_status_and_the_journal() {
    let machine = booted!();
    let options = "StateDirectory=hangs\nTimeoutStartSec=2s";
    let text = unit(
        "--ready notify --start-timeout 2s --stop-timeout 0s -- /bin/sh -c 'mkfifo /tmp/hangs; read x </tmp/hangs'",
        options,
    );
    machine.add("hangs.service", &text);
    assert!(machine.try_systemctl("start hangs").is_err());
    assert_eq!(machine.property("hangs", "ExecMainStatus"), "124");
    assert!(
        machine.property("hangs", "StatusText").contains("/tmp/hangs"),
        "{}",
        machine.property("hangs", "StatusText")
    );
    assert!(machine.journal("hangs").contains("/tmp/hangs"), "{}", machine.journal("hangs"));
    let report = machine.run("cat /var/lib/hangs/reports/sh/latest.json");
    assert!(report.contains("\"start-timeout\""), "{report}");
}

#[test]
fn the_watchdog_is_fed_as_long_as_all_is_well() {
    let machine = booted!();
    let options = "WatchdogSec=2s\nNotifyAccess=main";
    machine.add(
        "watched.service",
        &unit("--ready notify -- /tb/child \"notify READY=1\" \"nap 5000\" \"notify STATUS=still here\" wait", options),
    );
    machine.systemctl("start watched");
    machine.until("watched", "StatusText", "ready: still here");
    assert_eq!(machine.property("watched", "NRestarts"), "0");
    assert_eq!(machine.property("watched", "ActiveState"), "active");
}

#[test]
fn an_open_breaker_is_left_to_the_watchdog() {
    let machine = booted!();
    machine.write(
        "breaks.toml",
        r#"[service.child]
        command = ["/tb/child", "notify READY=1", "barrier", "exit 3"]
        ready = "notify"
        [service.child.restart]
        backoff = { initial = "1ms", max = "1ms" }
        breaker = { failures = 2, within = "1m", cooldown = "1h" }"#,
    );
    machine.add("breaks.service", &units::file("/tb/units/breaks.toml", "WatchdogSec=500ms"));
    machine.systemctl("start breaks");
    machine.until("breaks", "Result", "watchdog");
}

#[test]
fn sockets_of_a_socket_unit_are_passed_by_name_and_kept_over_restarts() {
    let machine = booted!();
    machine.write(
        "socketed.toml",
        r#"[service.child]
        command = ["/tb/child", "listen-fds", "serve"]
        [[service.child.port]]
        name = "http"
        listen = "tcp://127.0.0.1:1"
        mode = "pass""#,
    );
    machine.add("socketed.service", &units::file("/tb/units/socketed.toml", ""));
    machine.add("socketed.socket", "[Socket]\nListenStream=127.0.0.1:8180\nFileDescriptorName=http\n");
    machine.systemctl("start socketed.socket");
    let ask = "exec 3<>/dev/tcp/127.0.0.1/8180; echo hello >&3; cat <&3";
    assert!(machine.run(ask).contains("generation 1 pid"), "{}", machine.journal("socketed"));
    let first = machine.property("socketed", "MainPID");
    machine.systemctl("restart socketed");
    assert!(machine.run(ask).contains("generation 1 pid"));
    assert_ne!(machine.property("socketed", "MainPID"), first);
}

/// The shell tells of its reload itself. `kill` may have ended before launcher can say RELOADING=1; then the command does
/// not wait for the reload, but systemd shows it all the same.
#[test]
fn a_reload_lasts_until_the_service_is_done() {
    let machine = booted!();
    machine.write("reloads.sh", &units::reloading("touch /run/reloading; sleep 1.2; touch /run/reloaded"));
    machine.add(
        "reloads.service",
        &unit("--ready notify -- /bin/sh /tb/units/reloads.sh", "ExecReload=/bin/kill -HUP $MAINPID"),
    );
    machine.systemctl("start reloads");
    machine.systemctl("reload reloads");
    machine.comes_about("test -e /run/reloading");
    let state = machine.property("reloads", "SubState");
    assert!(state == "reload" || machine.exists("/run/reloaded"), "{state}");
    machine.until("reloads", "SubState", "running");
    machine.run("test -e /run/reloaded");
    machine.systemctl("stop reloads");
    assert_eq!(machine.property("reloads", "Result"), "success");
}

/// systemd sends the signal itself, and waits for what RELOADING=1 announces, with a clock that it compares: the state of
/// before does not count.
#[test]
fn a_unit_of_type_notify_reload_is_reloaded_when_its_service_is() {
    let machine = booted!(newer_machine);
    machine.write("renews.sh", &units::reloading("sleep 0.7; echo done >>/run/renewed"));
    let text = unit("--ready notify -- /bin/sh /tb/units/renews.sh", "").replace("Type=notify", "Type=notify-reload");
    machine.add("renews.service", &text);
    machine.systemctl("start renews");
    for times in 1..=3 {
        machine.systemctl("reload renews");
        assert_eq!(machine.run("wc -l </run/renewed").trim(), times.to_string(), "systemctl has waited for it");
        assert_eq!(machine.property("renews", "SubState"), "running");
    }
    machine.systemctl("stop renews");
    assert_eq!(machine.property("renews", "Result"), "success");
}

/// Services that say nothing of a reload: launcher does, for it has passed the signal on.
#[test]
fn a_unit_of_type_notify_reload_is_reloaded_though_its_services_say_nothing() {
    let machine = booted!(newer_machine);
    let step = |name: &str| format!(r#"["/tb/child", "on HUP print got HUP {name}", "notify READY=1", "wait"]"#);
    let service = |name: &str| format!("[service.{name}]\nready = \"notify\"\ncommand = {}\n", step(name));
    machine.write("silent.toml", &format!("{}{}", service("a"), service("b")));
    let text = units::file("/tb/units/silent.toml", "").replace("Type=notify", "Type=notify-reload");
    machine.add("silent.service", &text);
    machine.systemctl("start silent");
    machine.systemctl("reload silent");
    assert_eq!(machine.property("silent", "SubState"), "running");
    let journal = machine.journal("silent");
    assert!(journal.contains("got HUP a") && journal.contains("got HUP b"), "{journal}");
    machine.systemctl("restart silent");
    machine.systemctl("stop silent");
    assert_eq!(machine.property("silent", "Result"), "success");
}

#[test]
fn a_stop_is_launchers_own_and_leaves_nothing() {
    let machine = booted!();
    let steps = r#"double-fork "on TERM ignore" wait end "on TERM ignore" "notify READY=1" wait"#;
    let flags = format!("--ready notify --stop-timeout 3s -- /tb/child {steps}");
    machine.add("stubborn.service", &unit(&flags, "TimeoutStopSec=2s"));
    machine.systemctl("start stubborn");
    machine.systemctl("stop stubborn");
    // Told to systemd: it was killed. It was launcher that killed it, though TimeoutStopSec= is long over.
    assert_eq!(machine.property("stubborn", "ExecMainStatus"), "137");
    assert_eq!(machine.property("stubborn", "Result"), "exit-code");
    let journal = machine.journal("stubborn");
    assert!(journal.contains("did not stop within") && journal.contains("child (pid"), "{journal}");
    assert!(!journal.contains("Killing process"), "{journal}");
}

/// `@system-service` kills for ptrace: the look at a service that burns CPU must not end launcher.
#[test]
fn a_filter_that_kills_for_ptrace_does_not_end_a_dump() {
    let machine = booted!();
    let options = "SystemCallFilter=@system-service\nStateDirectory=filtered";
    machine.add("filtered.service", &unit("--ready notify --start-timeout 500ms -- /tb/child busy", options));
    assert!(machine.try_systemctl("start filtered").is_err());
    assert_eq!(machine.property("filtered", "ExecMainStatus"), "124", "{}", machine.journal("filtered"));
    let report = machine.run("cat /var/lib/filtered/reports/child/latest.json");
    assert!(report.contains("\"start-timeout\""), "{report}");
}

/// `@system-service` kills for seccomp(2) too: the port is treated as in mode `reserve`, and a line says why.
#[test]
fn a_filter_that_kills_for_seccomp_does_not_end_a_launcher_that_adopts() {
    let machine = booted!();
    for mode in ["adopt", "capture"] {
        let name = format!("filtered-{mode}");
        let run = format!("--ready listen --port 127.0.0.1:8181,{mode} -- /tb/child \"listen 127.0.0.1:8181\" serve");
        machine.add(&format!("{name}.service"), &unit(&run, "SystemCallFilter=@system-service"));
        machine.systemctl(&format!("start {name}"));
        assert_eq!(machine.property(&name, "ActiveState"), "active");
        let journal = machine.journal(&name);
        assert!(
            journal
                .contains(&format!("falls back from {mode} to reserve: a filter above ends whoever calls seccomp(2)")),
            "{journal}"
        );
        assert!(machine.run("exec 3<>/dev/tcp/127.0.0.1/8181; echo hello >&3; cat <&3").contains("generation 1"));
        machine.systemctl(&format!("stop {name}"));
        assert_eq!(machine.property(&name, "Result"), "success", "{journal}");
        assert!(!journal.contains("dumped core"), "{journal}");
    }
}

/// With a filter that answers EPERM, and without one: what is needed is allowed by name.
#[test]
fn a_unit_that_allows_what_adopt_needs_has_it() {
    let machine = booted!();
    let filters = [
        ("denied", "SystemCallFilter=@system-service\nSystemCallErrorNumber=EPERM", Some("EPERM")),
        ("allowed", "SystemCallFilter=@system-service seccomp pidfd_getfd\nNoNewPrivileges=yes", None),
        ("user", "User=nobody\nSystemCallFilter=@system-service seccomp", None),
    ];
    for (name, options, why) in filters {
        let run = "--ready listen --port 127.0.0.1:8182,adopt -- /tb/child \"listen 127.0.0.1:8182\" serve";
        machine.add(&format!("{name}.service"), &unit(run, options));
        machine.systemctl(&format!("start {name}"));
        let journal = machine.journal(name);
        assert_eq!(journal.contains("falls back"), why.is_some(), "{name}: {journal}");
        assert!(why.is_none_or(|why| journal.contains(why)), "{name}: {journal}");
        assert!(machine.run("exec 3<>/dev/tcp/127.0.0.1/8182; echo hello >&3; cat <&3").contains("generation 1"));
        machine.systemctl(&format!("stop {name}"));
    }
}

/// What takes no filter of its own works below any of them, over a restart with both generations, too.
#[test]
fn passed_and_shared_ports_are_kept_below_a_filter() {
    let machine = booted!();
    let users = [("root", ""), ("user", "User=nobody"), ("plain", "NoNewPrivileges=yes")];
    for (place, mode) in ["pass", "share"].into_iter().enumerate() {
        for (number, (user, options)) in users.into_iter().enumerate() {
            // One for each: what the kernel keeps of connections to the last one is in the way of a port that is shared.
            let port = 8183 + 10 * place + number;
            let listen =
                if mode == "pass" { "listen-fds".to_owned() } else { format!("listen-shared 127.0.0.1:{port}") };
            let name = format!("kept-{mode}-{user}");
            let control = format!("--control /run/{name}/control");
            let child = format!("/tb/child \"{listen}\" \"notify READY=1\" serve");
            let run = format!("--name api --ready notify {control} --port 127.0.0.1:{port},{mode} -- {child}");
            let options = format!("SystemCallFilter=@system-service\nRuntimeDirectory={name}\n{options}");
            machine.add(&format!("{name}.service"), &unit(&run, &options));
            machine.systemctl(&format!("start {name}"));
            let ask = || machine.run(&format!("exec 3<>/dev/tcp/127.0.0.1/{port}; echo hello >&3; cat <&3"));
            assert!(ask().contains("generation 1"), "{name}");
            // It may be there only after the service.
            machine.comes_about(&format!("test -S /run/{name}/control"));
            if mode == "share" {
                machine.run(&format!("/tb/launcher restart --canary 50% {control}"));
                machine.run(&format!("/tb/launcher promote {control}"));
            } else {
                machine.run(&format!("/tb/launcher restart {control}"));
            }
            machine.comes_about(&format!("journalctl -u {name} | grep -q \"generation 1 of api has stopped\""));
            assert!(ask().contains("generation 2"), "{name}");
            machine.systemctl(&format!("stop {name}"));
            let journal = machine.journal(&name);
            let poor = ["falls back", "not-steered", "is stopped before", "dumped core"];
            assert!(!poor.iter().any(|poor| journal.contains(poor)), "{name}: {journal}");
            assert_eq!(machine.property(&name, "Result"), "success", "{journal}");
        }
    }
}

/// The unit of the project as it is, but for its program.
#[test]
fn the_example_unit_works_with_all_its_hardening() {
    let machine = booted!();
    let example = include_str!("../../examples/launcher.service");
    let program = r#"/tb/child "notify READY=1\\nSTATUS=hardened" wait"#;
    let text = example.replace("/usr/local/bin/launcher", "/tb/launcher").replace("/usr/local/bin/api", program);
    // There is no network to be waited for.
    let text = text.replace("network-online.target", "basic.target");
    assert!(text.contains("/tb/launcher run") && text.contains("/tb/child"));
    machine.add("example.service", &text);
    machine.systemctl("start example");
    assert_eq!(machine.property("example", "StatusText"), "ready: hardened");
    machine.systemctl("reload example");
    machine.systemctl("restart example");
    machine.systemctl("stop example");
    assert_eq!(machine.property("example", "Result"), "success", "{}", machine.journal("example"));
    let exposure = machine.run("systemd-analyze security --no-pager example.service | tail -1");
    let level: f64 = exposure.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    assert!(level < 2.0, "{exposure}");
}

/// What `systemd-analyze security` names beyond the example, as far as a service could still do something: launcher starts,
/// finds out why one hangs, and stops.
#[test]
fn what_else_hardens_a_unit_is_borne() {
    let machine = booted!();
    let options = "DynamicUser=yes\nNoNewPrivileges=yes\nCapabilityBoundingSet=\nPrivateUsers=yes\nPrivateNetwork=yes\n\
                   PrivateDevices=yes\nPrivateIPC=yes\nPrivateTmp=yes\nProtectProc=invisible\nProcSubset=pid\n\
                   ProtectSystem=strict\nProtectHome=yes\nProtectControlGroups=yes\nProtectKernelTunables=yes\n\
                   ProtectKernelModules=yes\nProtectKernelLogs=yes\nProtectClock=yes\nProtectHostname=yes\n\
                   RestrictNamespaces=yes\nRestrictRealtime=yes\nRestrictSUIDSGID=yes\nLockPersonality=yes\n\
                   MemoryDenyWriteExecute=yes\nKeyringMode=private\nRemoveIPC=yes\nIPAddressDeny=any\nUMask=0077\n\
                   RestrictAddressFamilies=AF_UNIX\nSystemCallArchitectures=native\n\
                   SystemCallFilter=@system-service\nSystemCallFilter=~@privileged @resources\nSystemCallErrorNumber=EPERM\n";
    let text = unit("--ready notify -- /tb/child \"notify READY=1\" wait", options);
    machine.add("borne.service", &text);
    machine.systemctl("start borne");
    let exposure = machine.run("systemd-analyze security --no-pager borne.service | tail -1");
    machine.systemctl("stop borne");
    assert_eq!(machine.property("borne", "Result"), "success", "{}", machine.journal("borne"));
    let level: f64 = exposure.split_whitespace().find_map(|word| word.parse().ok()).unwrap();
    assert!(level < 1.0, "{exposure}");

    let text = unit("--ready notify --start-timeout 1s -- /tb/child wait", &format!("{options}StateDirectory=unborne"));
    machine.add("unborne.service", &text);
    assert!(machine.try_systemctl("start unborne").is_err());
    assert_eq!(machine.property("unborne", "ExecMainStatus"), "124", "{}", machine.journal("unborne"));
    let report = machine.run("cat /var/lib/private/unborne/reports/child/latest.json");
    assert!(report.contains("wait_for_ever"), "{report}");
}

/// The lines of several services are entries of their own in the journal, with their service, level and stream.
#[test]
fn lines_of_several_services_are_entries_of_the_journal() {
    let machine = booted!();
    let text = r#"
[launcher]
report_dir = "/tmp/several"
[service.db]
command = ["sh", "-c", "echo up; echo '<3>failed'; exec sleep 1000"]
ready = "started"
[service.api]
command = ["sh", "-c", "echo WARN slow >&2; exec sleep 1000"]
ready = "started"
"#;
    machine.write("several.toml", text);
    machine.add("several.service", &units::file("/tb/units/several.toml", ""));
    machine.systemctl("start several");
    let all_there = "journalctl --sync; journalctl --no-pager -o cat -u several | grep -cE '^(up|failed|WARN slow)$'";
    machine.run(&format!("for try in $(seq 500); do [ $({all_there}) = 3 ] && break; sleep 0.02; done"));
    let entries = machine.run("journalctl --no-pager -o json -u several");
    let entries: Vec<serde_json::Value> = entries.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (message, service, priority, stream) in
        [("up", "db", "6", "stdout"), ("failed", "db", "3", "stdout"), ("WARN slow", "api", "4", "stderr")]
    {
        let found = entries.iter().find(|entry| entry["MESSAGE"] == message);
        let entry = found.unwrap_or_else(|| panic!("no {message:?} in {entries:#?}"));
        for (field, value) in [
            ("SYSLOG_IDENTIFIER", service),
            ("LAUNCHER_SERVICE", service),
            ("PRIORITY", priority),
            ("LAUNCHER_STREAM", stream),
            ("LAUNCHER_GENERATION", "1"),
        ] {
            assert_eq!(entry[field], value, "{field} of {message}");
        }
    }
    machine.systemctl("stop several");
}
