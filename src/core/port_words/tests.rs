use super::*;
use crate::core::config::listen::listen as parse_listen;
use crate::core::facts::ParentFacts;

fn asked() -> Listen {
    parse_listen("127.0.0.1:8080").unwrap()
}

fn python() -> OwnerFacts {
    OwnerFacts {
        holders: vec![HolderFacts {
            pid: 4711,
            command: ["python3", "-m", "http.server", "8080"].map(str::to_owned).to_vec(),
            running: Some(Duration::from_secs(725)),
            ..HolderFacts::default()
        }],
        uid: Some(0),
        user: Some("root".to_owned()),
        address: Some("0.0.0.0:8080".to_owned()),
        ..OwnerFacts::default()
    }
}

fn raw(problem: PortProblem, errno: i32) -> RawPortFailure {
    RawPortFailure { problem, errno: Some(errno), unprivileged_from: None, addresses: Vec::new() }
}

fn taken_by(owner: OwnerFacts) -> PortFailure {
    failure(Asker::Flag, "http", &asked(), &raw(PortProblem::Taken, 98), Some(owner))
}

#[test]
fn the_owner_is_named_whole() {
    let failure = taken_by(python());
    assert_eq!(
        failure.summary,
        "port http (tcp://127.0.0.1:8080) is taken: python3 -m http.server 8080 (pid 4711, user root, running for \
         12 min) listens on 0.0.0.0:8080"
    );
    assert_eq!(failure.advice[0], "stop it: kill 4711");
    assert!(failure.advice[1].contains("--port 127.0.0.1:8081"), "{}", failure.advice[1]);
}

#[test]
fn the_place_of_a_port_without_a_name_is_not_told() {
    let failure = failure(Asker::Flag, "1", &asked(), &raw(PortProblem::Taken, 98), Some(python()));
    assert!(failure.summary.starts_with("port tcp://127.0.0.1:8080 is taken: "), "{}", failure.summary);
}

#[test]
fn a_unit_or_container_is_stopped_by_its_manager() {
    for (place, command) in [
        ("nginx.service", "stop it: systemctl stop nginx.service"),
        ("user unit x.service", "stop it: systemctl --user stop x.service"),
        ("docker container 0123456789ab", "stop it: docker stop 0123456789ab"),
        ("podman container 0123456789ab", "stop it: podman stop 0123456789ab"),
        ("session-3.scope", "stop it: kill 4711"),
        ("container 0123456789ab", "stop it: kill 4711"),
    ] {
        assert_eq!(taken_by(OwnerFacts { cgroup: Some(place.to_owned()), ..python() }).advice[0], command, "{place}");
    }
}

#[test]
fn several_holders_are_all_named() {
    let mut owner = python();
    owner.holders.extend((4712..4714).map(|pid| HolderFacts { pid, ..HolderFacts::default() }));
    let failure = taken_by(owner);
    assert!(failure.summary.ends_with("and 2 more (pids 4712, 4713) listen on 0.0.0.0:8080"), "{}", failure.summary);
    assert_eq!(failure.advice[0], "stop it: kill 4711 4712 4713");
}

#[test]
fn who_comes_back_is_stopped_at_the_root() {
    let mut owner = python();
    owner.holders[0].launcher = Some(4700);
    let failure = taken_by(owner);
    assert!(failure.summary.ends_with("it runs under another launcher (pid 4700)"), "{}", failure.summary);
    assert_eq!(failure.advice[0], "stop the launcher that keeps it running: kill 4700");
    let mut owner = python();
    owner.holders[0].command = vec!["/usr/bin/docker-proxy".to_owned()];
    assert!(taken_by(owner).advice[0].ends_with("docker ps --filter publish=8080"));
}

#[test]
fn a_leftover_is_called_one() {
    let mut owner = python();
    owner.holders[0].leftover = true;
    assert!(taken_by(owner).summary.contains("left over from an earlier run of this service"));
}

#[test]
fn who_may_not_be_looked_into_is_named_by_user_and_unit() {
    let owner = OwnerFacts { holders: Vec::new(), cgroup: Some("db.service".to_owned()), ..python() };
    let failure = taken_by(owner);
    assert!(failure.summary.contains("a process of user root in db.service that cannot be seen from here listens on"));
    assert_eq!(failure.advice[0], "stop it: systemctl stop db.service");
    let failure = taken_by(OwnerFacts { holders: Vec::new(), ..python() });
    assert_eq!(failure.advice[0], "see who it is, with more rights: sudo launcher port tcp://127.0.0.1:8080");
}

#[test]
fn every_kind_of_hold_has_its_words() {
    let of = |state| taken_by(OwnerFacts { state, ..python() });
    assert!(of(HoldState::Bound).summary.contains("bound but not listening"));
    assert!(of(HoldState::Connected).summary.contains("local end of a connection"));
    assert!(of(HoldState::TimeWait).summary.contains("TIME_WAIT"));
    assert_eq!(of(HoldState::TimeWait).advice.len(), 1);
    let path = parse_listen("unix:/run/it's.sock").unwrap();
    let of = |state| {
        let owner = OwnerFacts { state, ..OwnerFacts::default() };
        failure(Asker::Flag, "", &path, &raw(PortProblem::Taken, 98), Some(owner))
    };
    assert!(of(HoldState::NotASocket).summary.starts_with("unix:/run/it's.sock cannot be had"));
    assert_eq!(of(HoldState::Stale).advice, ["rm '/run/it'\\''s.sock'"]);
    assert!(failure(Asker::Flag, "", &asked(), &raw(PortProblem::Taken, 98), None).summary.contains("cannot be told"));
}

#[test]
fn a_long_or_strange_command_line_stays_one_short_line() {
    let mut owner = python();
    owner.holders[0].command = vec!["a\nb".to_owned(), "é".repeat(300)];
    let summary = taken_by(owner).summary;
    assert!(summary.chars().count() < 250 && !summary.contains('\n'), "{summary}");
}

#[test]
fn secrets_of_the_command_line_are_not_told() {
    let mut owner = python();
    owner.holders[0].command = ["holder", "--password", "HoldPw1", "--token", "HoldTok2"].map(str::to_owned).to_vec();
    let summary = taken_by(owner).summary;
    assert!(summary.contains("holder --password *** --token *** (pid 4711"), "{summary}");
}

#[test]
fn a_privileged_port_gets_a_higher_one() {
    let listen = parse_listen("0.0.0.0:80").unwrap();
    let raw = RawPortFailure { unprivileged_from: Some(1024), ..raw(PortProblem::Privileged, 13) };
    let failure = failure(Asker::Flag, "", &listen, &raw, None);
    assert!(failure.summary.contains("ports below 1024 need CAP_NET_BIND_SERVICE"));
    assert_eq!(failure.advice[0], "choose a higher port: --port 0.0.0.0:8080");
    assert_eq!(failure.advice[1], "allow it for everyone: sysctl net.ipv4.ip_unprivileged_port_start=80");
}

#[test]
fn an_address_elsewhere_gets_those_that_are_here() {
    let listen = parse_listen("10.9.8.7:80").unwrap();
    let addresses = vec!["127.0.0.1".parse().unwrap(), "192.0.2.2".parse().unwrap()];
    let here = RawPortFailure { addresses, ..raw(PortProblem::NoSuchAddress, 99) };
    let found = failure(Asker::Flag, "", &listen, &here, None);
    assert!(found.summary.ends_with("whose IPv4 addresses are 127.0.0.1, 192.0.2.2"), "{}", found.summary);
    assert!(found.advice[0].ends_with("--port 0.0.0.0:80"));
    let listen = parse_listen("[::1]:80").unwrap();
    let found = failure(Asker::Flag, "", &listen, &raw(PortProblem::NoSuchAddress, 97), None);
    assert!(found.summary.ends_with("this host has no IPv6 address"), "{}", found.summary);
}

#[test]
fn a_missing_directory_is_made() {
    let listen = parse_listen("unix:/run/app/x.sock").unwrap();
    let failure = failure(Asker::Flag, "", &listen, &raw(PortProblem::Other, 2), None);
    assert!(failure.summary.ends_with("ENOENT (no such file or directory)"));
    assert_eq!(failure.advice, ["make the directory: mkdir -p /run/app"]);
}

#[test]
fn cgroups_name_units_and_containers() {
    let id = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    for (path, expected) in [
        ("/system.slice/nginx.service", "nginx.service"),
        ("/system.slice/nginx.service/worker", "nginx.service"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/x.service", "user unit x.service"),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope"),
        (&format!("/docker/{id}"), "docker container 0123456789ab"),
        (&format!("/system.slice/docker-{id}.scope"), "docker container 0123456789ab"),
        (&format!("/machine.slice/libpod-{id}.scope/container"), "podman container 0123456789ab"),
        (&format!("/kubepods/burstable/pod1/{id}"), "container 0123456789ab"),
        (&format!("/kubepods.slice/cri-containerd-{id}.scope"), "container 0123456789ab"),
        ("/made/by/hand", "/made/by/hand"),
        ("", ""),
    ] {
        assert_eq!(unit_or_container(path), expected, "{path}");
    }
}

#[test]
fn what_started_it_and_for_which_service_is_told() {
    let told = |change: &dyn Fn(&mut HolderFacts)| {
        let mut owner = python();
        change(&mut owner.holders[0]);
        let failure = taken_by(owner);
        let aside = failure.summary.split("0.0.0.0:8080").nth(1).unwrap_or_default().to_owned();
        (aside, failure.advice[0].clone())
    };
    let parent = |pid: i32, name: &str| ParentFacts { pid, name: name.to_owned() };
    let (aside, _) = told(&|holder| holder.parents = vec![parent(9, "bash"), parent(7, "sshd")]);
    assert_eq!(aside, "; it was started by bash (pid 9) below sshd (pid 7)");
    let (aside, advice) = told(&|holder| {
        (holder.service, holder.generation, holder.kin) = (Some("db".to_owned()), Some(3), Kin::Child);
        holder.launcher = Some(5);
    });
    assert_eq!(aside, "; it is generation 3 of the service db of this launcher");
    assert_eq!(advice, "stop it: launcher stop db");
    let (aside, _) = told(&|holder| (holder.service, holder.generation) = (Some("db".to_owned()), Some(2)));
    assert_eq!(aside, "; it was started as generation 2 of the service db");
    let (aside, _) = told(&|holder| (holder.kin, holder.parents) = (Kin::Above, vec![parent(9, "bash")]));
    assert_eq!(aside, "; launcher itself runs below it");
}

#[test]
fn advice_is_for_where_the_address_is_written() {
    let mut owner = python();
    owner.holders[0].kin = Kin::SameUser;
    let advice = |asker, listen: &str| {
        let listen = parse_listen(listen).unwrap();
        failure(asker, "", &listen, &raw(PortProblem::Taken, 98), Some(owner.clone())).advice.join("\n")
    };
    let key = advice(Asker::Key("api"), "udp://127.0.0.1:53");
    assert!(key.contains("choose another port: listen = \"udp://127.0.0.1:54\" in [[service.api.port]]"), "{key}");
    assert!(key.contains("take_over = true in [[service.api.port]]") && !key.contains("--"), "{key}");
    let flag = advice(Asker::Flag, "[::1]:8080");
    assert!(flag.contains("--port [::1]:8081") && flag.contains("before each start: --take-over"), "{flag}");
    let http = advice(Asker::Http, "127.0.0.1:9900");
    assert!(http.contains("choose another port: http = \"127.0.0.1:9901\"") && !http.contains("take"), "{http}");
    let question = advice(Asker::Question, "127.0.0.1:8080");
    assert!(question.contains("launcher run --take-over") && !question.contains("--port"), "{question}");
    owner.holders[0].launcher = Some(5);
    let listen = asked();
    let kept = failure(Asker::Flag, "", &listen, &raw(PortProblem::Taken, 98), Some(owner)).advice.join("\n");
    assert!(!kept.contains("--take-over"), "what another launcher keeps running is not offered: {kept}");
}
