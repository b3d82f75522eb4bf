use std::path::Path;

use super::*;
use crate::core::config::{Context, parse_bytes};
use crate::core::settings::{Ready, RestartPolicy, ServiceSettings, SignalTarget};
use crate::core::signal::Signal;

/// Files by their paths.
struct Beside(&'static [(&'static str, &'static str)]);

impl Files for Beside {
    fn text(&self, path: &str) -> Option<String> {
        let found = self.0.iter().find(|(name, _)| *name == path.trim_start_matches("./"));
        found.map(|(_, text)| (*text).to_owned())
    }
}

/// What is written is a launcher.toml that is taken.
fn services(draft: &Draft) -> (String, Vec<ServiceSettings>) {
    let text = write(draft, "a test");
    let context = Context { folder: Path::new(""), name: "test" };
    match parse_bytes("launcher.toml", text.as_bytes(), context) {
        Ok(settings) => (text, settings.services),
        Err(errors) => panic!("{text}\n{errors}"),
    }
}

fn words(service: &ServiceSettings) -> Vec<String> {
    service.command.iter().map(|word| word.to_string_lossy().into_owned()).collect()
}

fn listens(service: &ServiceSettings) -> Vec<String> {
    service.ports.iter().map(|port| port.listen.to_string()).collect()
}

#[test]
fn a_procfile_is_one_service_a_line() {
    let text = "# all of it\nweb: bundle exec puma -p $PORT\nworker: ./work --queue 'a b'\nrelease: ./migrate\nnonsense\n\
                web: again\n";
    let draft = from_procfile(text, &Beside(&[(".env", "A=1")])).unwrap();
    let (written, services) = services(&draft);
    let [web, worker, release] = &services[..] else { panic!("{written}") };
    assert_eq!(words(web), ["sh", "-c", "exec bundle exec puma -p $PORT"]);
    assert_eq!((listens(web), &web.environment_files[..]), (vec!["tcp://0.0.0.0:5000".into()], &[".env".into()][..]));
    assert_eq!((words(worker), listens(worker)), (["./work", "--queue", "a b"].map(String::from).to_vec(), vec![]));
    assert_eq!((&release.ready, worker.after.len(), release.after.len()), (&Ready::Exited, 1, 0));
    assert!(written.contains("# This line is no \"name: command\" and was left out: nonsense"), "{written}");
    assert!(from_procfile("nothing\n", &Beside(&[])).is_err());
}

const DOCKERFILE: &str = "\
# syntax=docker/dockerfile:1
ARG TAG=1.2
FROM rust:${TAG} AS build
RUN cargo build
FROM debian:12 AS base
ENV MODE=prod GREETING=\"hello world\" \\
    PORT=8080
WORKDIR /srv
FROM base
ARG WHO=app
WORKDIR app
ENV DATA $MODE/data
COPY --from=build /x /x
EXPOSE ${PORT}/tcp 53/udp
USER $WHO:staff
STOPSIGNAL SIGQUIT
HEALTHCHECK --interval=5s --start-period=20s --retries=2 CMD curl -f http://localhost:8080/healthz || exit 1
ENTRYPOINT [\"/usr/bin/tini\", \"-g\", \"--\", \"/srv/app/api\"]
CMD [\"--verbose\"]
";

#[test]
fn a_dockerfile_is_what_its_last_stage_runs() {
    let draft = from_dockerfile(DOCKERFILE, "shop").unwrap();
    let (written, services) = services(&draft);
    let [shop] = &services[..] else { panic!("{written}") };
    assert_eq!((&*shop.name, words(shop)), ("shop", vec!["/srv/app/api".to_owned(), "--verbose".to_owned()]));
    assert_eq!(listens(shop), ["tcp://0.0.0.0:8080", "udp://0.0.0.0:53"]);
    assert_eq!((shop.stop_signal.to_string(), shop.start_timeout.as_secs()), ("SIGQUIT".to_owned(), 30));
    assert_eq!(shop.directory.as_deref(), Some(Path::new("/srv/app")));
    let variables = ["MODE", "GREETING", "PORT", "DATA"].map(|name| shop.environment.get(name).map(String::as_str));
    assert_eq!(variables, [Some("prod"), Some("hello world"), Some("8080"), Some("prod/data")]);
    for part in [
        "#user = \"app\"",
        "#group = \"staff\"",
        "# STOPSIGNAL.",
        "# tini is left out",
        "signals.to = \"group\"",
        "ready.http = { url = \"http://localhost:8080/healthz\" }",
    ] {
        assert!(written.contains(part), "{part} in {written}");
    }
}

#[test]
fn what_an_init_was_told_is_taken_over() {
    let taken = |line: &str| {
        let line: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let draft = from_command(&line);
        let (written, mut services) = services(&draft);
        assert_eq!(words(&services[0])[..], ["./api".to_owned(), "-g".to_owned()], "{written}");
        assert_eq!(services[0].name, "api");
        (services.remove(0).signals, written)
    };
    let (main, group) = (SignalTarget::Main, SignalTarget::Group);
    let quit = (Signal::TERM, Some(Signal::QUIT));
    for (line, to, rewrite) in [
        ("tini ./api -g", main, vec![]),
        ("/sbin/tini -- ./api -g", main, vec![]),
        ("tini -sg -- ./api -g", group, vec![]),
        ("docker-init -vvg ./api -g", group, vec![]),
        ("catatonit ./api -g", main, vec![]),
        ("catatonit -g -- ./api -g", group, vec![]),
        ("dumb-init ./api -g", group, vec![]),
        ("dumb-init -c -- ./api -g", main, vec![]),
        ("dumb-init --single-child --rewrite 15:3 ./api -g", main, vec![quit]),
        ("dumb-init -vr 15:2 -r15:3 --rewrite=1:0 -- ./api -g", group, vec![(Signal::HUP, None), quit]),
    ] {
        let (signals, written) = taken(line);
        assert_eq!((signals.to, signals.rewrite), (to, rewrite.into_iter().collect()), "{line}: {written}");
    }
    let notes = [("tini -e 143 -p TERM", "map_exit = { 143 = 0 }"), ("tini -pTERM -e143", "stop_with_parent = true")];
    for (line, note) in notes.into_iter().chain([("dumb-init -c -r 15:0", "--rewrite 15:0 cannot be taken over")]) {
        let (_, written) = taken(&format!("{line} ./api -g"));
        assert!(written.contains(note), "{line}: {written}");
    }
    assert_eq!(words(&services(&from_command(&["tini".into(), "-g".into()])).1[0]), ["tini", "-g"]);
}

#[test]
fn a_dockerfile_without_a_command_of_its_own_says_so() {
    let error = from_dockerfile("FROM nginx\nEXPOSE 80\n", "x").unwrap_err();
    assert!(error.message.contains("those of nginx are not known here"), "{error:?}");
    let draft = from_dockerfile("FROM python:3\nCMD python -m http.server $PORT\n", "x").unwrap();
    let (written, services) = services(&draft);
    assert_eq!(words(&services[0]), ["sh", "-c", "exec python -m http.server $PORT"]);
    assert!(written.contains("docker inspect python:3"), "{written}");
    assert!(from_dockerfile("NONSENSE x\n", "x").is_err());
    assert!(from_dockerfile("", "x").is_err());
}

const COMPOSE: &str = "\
x-common: &common
  restart: unless-stopped
  environment: { LOG: info }
services:
  db:
    image: postgres:16
    ports: [\"15432:5432\"]
  cache:
    image: redis:${REDIS:-7}
  other:
    image: example/unknown
  migrate:
    build: { context: ./api, dockerfile: Dockerfile.migrate }
    command: ./migrate --to \"the end\"
    depends_on: [db]
  api:
    <<: *common
    build: ./api
    ports:
      - \"8080:80\"
      - { target: 9090, published: 9090, protocol: tcp }
    environment:
      - DATABASE_URL=postgres://${DB_HOST}/shop
      - HOME_ALONE
    env_file: [.env.api]
    stop_signal: SIGINT
    stop_grace_period: 1m30s
    volumes: [\"data:/data\"]
    healthcheck:
      test: [\"CMD-SHELL\", \"curl http://localhost/\"]
      start_period: 10s
    depends_on:
      db: { condition: service_healthy }
      cache: { condition: service_started }
      migrate: { condition: service_completed_successfully }
";

#[test]
fn a_compose_file_is_what_it_builds_and_what_that_requires() {
    let files = Beside(&[("api/Dockerfile", "FROM x\nENV A=1\nWORKDIR /app\nENTRYPOINT [\"./api\"]\nEXPOSE 1\n")]);
    let (written, services) = services(&from_compose(COMPOSE, &files).unwrap());
    let [migrate, api] = &services[..] else { panic!("{written}") };
    assert_eq!(words(migrate), ["./migrate", "--to", "the end"]);
    assert_eq!((&migrate.ready, &*migrate.name), (&Ready::Exited, "migrate"));
    assert_eq!(words(api), ["./api"]);
    assert_eq!(listens(api), ["tcp://0.0.0.0:80", "tcp://0.0.0.0:9090"]);
    let urls: Vec<&str> = api.requirements.iter().map(|of| of.target.shown.as_str()).collect();
    assert_eq!(urls, ["postgres://127.0.0.1:15432", "redis://cache:6379"]);
    assert_eq!((api.restart.policy, api.stop_timeout.as_secs()), (RestartPolicy::Always, 90));
    assert_eq!((api.start_timeout.as_secs(), api.stop_signal.to_string()), (100, "SIGINT".to_owned()));
    assert_eq!(api.directory.as_deref(), Some(Path::new("./api")));
    let variable = |name: &str| api.environment.get(name).map(String::as_str);
    assert_eq!(
        (variable("DATABASE_URL"), variable("A"), variable("HOME_ALONE")),
        (Some("postgres:///shop"), Some("1"), None)
    );
    assert_eq!(api.after.len(), 1);
    for part in ["# Nothing sets DB_HOST,", "# Not taken over: volumes.", "# other only is an image whose"] {
        assert!(written.contains(part), "{part} in {written}");
    }
}

#[test]
fn a_compose_file_that_runs_nothing_is_refused() {
    for text in ["services:\n  db:\n    image: postgres\n", "services: {}\n", "a: [\n", "", "- 1\n"] {
        assert!(from_compose(text, &Beside(&[])).is_err(), "{text}");
    }
}

#[test]
fn a_command_line_names_its_port() {
    let listens_of = |line: &[&str]| {
        let line: Vec<String> = line.iter().map(|word| (*word).to_owned()).collect();
        let (_, services) = services(&from_command(&line));
        (services[0].name.clone(), listens(&services[0]))
    };
    for (line, listen) in [
        (&["./bin/api", "--port", "8080"][..], "tcp://0.0.0.0:8080"),
        (&["api", "--listen=127.0.0.1:81"], "tcp://127.0.0.1:81"),
        (&["api", "-b", "[::1]:82"], "tcp://[::1]:82"),
        (&["api", "-Dserver.port=83"], "tcp://0.0.0.0:83"),
        (&["api", "--addr", ":84"], "tcp://0.0.0.0:84"),
    ] {
        assert_eq!(listens_of(line), ("api".to_owned(), vec![listen.to_owned()]), "{line:?}");
    }
    assert_eq!(listens_of(&["sleep", "--port-of-call", "x", "-p"]).1, Vec::<String>::new());
}

#[test]
fn a_kind_is_told_by_the_name() {
    let of = |name: &str| Source::of(Path::new(name));
    assert_eq!(of("x/Procfile.dev"), Some(Source::Procfile));
    assert_eq!((of("Dockerfile"), of("api.dockerfile")), (Some(Source::Dockerfile), Some(Source::Dockerfile)));
    assert_eq!((of("compose.prod.yaml"), of("README")), (Some(Source::Compose), None));
}

mod noise {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is in it, what is made of it is a launcher.toml that is taken.
        #[test]
        fn whatever_is_written_is_taken(
            name in "\\PC{0,20}",
            words in prop::collection::vec("\\PC{1,20}|[a-z\"'\\\\\n\t=]{1,10}", 1..4),
            value in "\\PC{0,20}|[\"'\\\\\n\t#=]{0,10}",
            key in "[A-Z a-z.\"\\\\]{1,10}",
        ) {
            let mut draft = from_command(&words);
            // `{port.NAME}` of a port that is not there is refused for good reason.
            prop_assume!(!words.iter().any(|word| word.contains("{port.") || word.is_empty()));
            draft.notes.push(value.clone());
            draft.services[0].name = crate::core::config::value::name_from(&name);
            draft.services[0].environment.push((format!("A{}", key.replace(' ', "_")), value));
            services(&draft);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,200}|[A-Z{}$:\\-\\[\\]\" =\n\\\\/a-z]{0,200}") {
            let _ = from_dockerfile(&text, "x");
            let _ = from_dockerfile(&format!("FROM x\n{text}"), "x");
            let _ = from_compose(&text, &Beside(&[]));
            let _ = from_compose(&format!("services:\n  a:\n    {text}"), &Beside(&[]));
            let _ = from_procfile(&text, &Beside(&[]));
        }
    }
}
