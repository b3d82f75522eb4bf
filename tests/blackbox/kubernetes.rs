//! The manifest of examples/, against the schema of Kubernetes' API and with the real binary in the place of the images.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::*;

const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/kubernetes.yaml");

/// Reads all documents, checks each against the schema of its kind, with unknown fields refused, and prints them as JSON.
const CHECK: &str = r##"
import json, sys, yaml
from jsonschema import Draft7Validator
schema = json.load(open(sys.argv[2]))
documents = list(yaml.safe_load_all(open(sys.argv[1])))
wrong = 0
for document in documents:
    group, _, version = document["apiVersion"].rpartition("/")
    schema["$ref"] = "#/$defs/io.k8s.api.%s.%s.%s" % (group or "core", version, document["kind"])
    for error in Draft7Validator(schema).iter_errors(document):
        wrong += 1
        print(document["kind"], "/".join(map(str, error.absolute_path)), error.message, file=sys.stderr)
print(json.dumps(documents))
sys.exit(wrong != 0)
"##;

/// The schema that tests/setup has fetched.
fn schema() -> Option<PathBuf> {
    let cache = std::env::var_os("LAUNCHER_TEST_CACHE").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    let file = cache.unwrap_or_else(|| home.join(".cache/launcher-tests")).join("kubernetes-1.37.0.json");
    if file.exists() {
        return Some(file);
    }
    assert!(std::env::var("CI").is_err(), "{} is missing: tests/setup fetches it", file.display());
    println!("skipped: {} is missing, which tests/setup fetches", file.display());
    None
}

/// What the check says of a manifest: its documents, or what is wrong.
fn checked(manifest: &str) -> Option<Result<Vec<Value>, String>> {
    let schema = schema()?;
    let output = Command::new("/usr/bin/python3").args(["-c", CHECK, manifest]).arg(schema).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Some(match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).unwrap()),
        false => Err(said),
    })
}

/// The document of this kind in the example.
fn example(kind: &str) -> Option<Value> {
    let documents = checked(MANIFEST)?.unwrap_or_else(|wrong| panic!("{wrong}"));
    Some(documents.into_iter().find(|document| document["kind"] == kind).unwrap())
}

#[test]
fn the_manifest_keeps_to_the_schema() {
    let Some(documents) = checked(MANIFEST) else { return };
    let documents = documents.unwrap_or_else(|wrong| panic!("{wrong}"));
    let kinds: Vec<_> = documents.iter().map(|document| document["kind"].as_str().unwrap_or_default()).collect();
    assert_eq!(kinds, ["Deployment", "ConfigMap", "Job"]);
    // The check would find a field that is not there, and a value of the wrong kind.
    let home = launcher();
    let text = std::fs::read_to_string(MANIFEST).unwrap();
    for (good, bad, said) in [
        ("readinessProbe:", "readynessProbe:", "readynessProbe"),
        ("periodSeconds: 2", "periodSeconds: often", "periodSeconds"),
        ("sleep: { seconds: 3 }", "sleep: { second: 3 }", "second"),
    ] {
        let file = home.home().write("wrong.yaml", &text.replace(good, bad));
        let wrong = checked(&file.display().to_string()).unwrap().unwrap_err();
        assert!(wrong.contains(said), "{wrong}");
    }
}

fn words(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// The command line of the manifest is run, and its three probes ask it what they would ask in a pod.
#[test]
fn the_probes_of_the_deployment_are_answered() {
    let Some(deployment) = example("Deployment") else { return };
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let address = Address::new();
    let setup = launcher();
    setup.home().fifo("gate");
    let reports = setup.home().join("reports").display().to_string();
    let mut command = words(&container["command"]);
    assert_eq!((command.remove(0).as_str(), container["args"][0].as_str()), ("/launcher", Some("/api")));
    let http = command.iter_mut().find(|word| *word == "0.0.0.0:9900").expect("an address for the probes");
    *http = address.to_string();
    command.splice(1..1, ["--report-dir".to_owned(), reports]);
    command.extend([child().display().to_string(), "say up".into(), "gate gate".into(), "notify READY=1".into()]);
    command.push("wait".into());

    // All of them ask the port that launcher answers on.
    let ports = container["ports"].as_array().unwrap();
    let named = ports.iter().find(|port| port["name"] == "launcher").unwrap();
    assert_eq!(named["containerPort"], 9900);
    let path = |probe: &str| {
        assert_eq!(container[probe]["httpGet"]["port"], "launcher", "{probe}");
        container[probe]["httpGet"]["path"].as_str().unwrap().to_owned()
    };
    let [startup, readiness, liveness] = ["startupProbe", "readinessProbe", "livenessProbe"].map(path);
    let mut run = setup.verb(command);
    run.said("up");
    let asked = |path: &str| http::tcp(address.0, "GET", path).code;
    assert_eq!((asked(&startup), asked(&readiness), asked(&liveness)), (503, 503, 200));
    std::fs::write(run.home().join("gate"), "").unwrap();
    run.err("is ready");
    assert_eq!((asked(&startup), asked(&readiness), asked(&liveness)), (200, 200, 200));
    run.signal(Signal::SIGTERM);
    run.ends_with(0);
    run.leaves_nothing();
}

/// Answers one request at a time and tells which it was. It is ready after the first, and to be told to quit at one path.
fn proxy(address: Address) -> std::sync::mpsc::Receiver<String> {
    let listener = TcpListener::bind(address.0).unwrap();
    let (sender, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut heard = [0; 1024];
            let length = stream.read(&mut heard).unwrap_or(0);
            let line = String::from_utf8_lossy(&heard[..length]).lines().next().unwrap_or_default().to_owned();
            let known = ["GET /healthz/ready HTTP/1.1", "POST /quitquitquit HTTP/1.1"].contains(&line.as_str());
            let status = if number > 0 && known { "200 OK" } else { "503 Service Unavailable" };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    asked
}

/// The file of the manifest is run beside something that answers as the proxy does: it is waited for, and told to quit.
#[test]
fn the_job_waits_for_its_sidecar_and_tells_it_to_quit() {
    let (Some(map), Some(job)) = (example("ConfigMap"), example("Job")) else { return };
    let pod = &job["spec"]["template"]["spec"];
    let command = words(&pod["containers"][0]["command"]);
    let file = PathBuf::from(command.last().unwrap());
    assert_eq!(command[..3], ["/launcher", "run", "-c"]);
    assert_eq!(pod["containers"][0]["volumeMounts"][0]["mountPath"], file.parent().unwrap().to_str().unwrap());
    assert_eq!(pod["volumes"][0]["configMap"]["name"], map["metadata"]["name"]);
    let address = Address::new();
    let asked = proxy(address);
    let text = map["data"][file.file_name().unwrap().to_str().unwrap()].as_str().unwrap();
    let text = text
        .replace("127.0.0.1:15021", &address.to_string())
        .replace("127.0.0.1:15020", &address.to_string())
        .replace("\"/import\"", "\"CHILD\", \"say imported\", \"exit 0\"")
        .replace("[launcher]\n", "");
    let mut run = launcher().file(&text);
    run.said("imported");
    let ended = run.ends_with(0);
    assert!(ended.complains("on_stop is done"), "{:?}", ended.err);
    run.leaves_nothing();
    let next = || asked.recv_timeout(PATIENCE).unwrap();
    let asked: Vec<String> = std::iter::repeat_with(next).take_while(|line| !line.starts_with("POST ")).collect();
    assert!(asked.len() > 1 && asked.iter().all(|line| line == "GET /healthz/ready HTTP/1.1"), "{asked:?}");
}
