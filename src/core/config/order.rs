//! `after` and `on_failure`: what services have to do with each other, and what contradicts itself in that.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::de::DeValue;

use super::keys;
use super::suggest;
use super::tables::Draft;
use super::value;
use super::walk::{Table, Value, Walk, fill};
use crate::core::settings::{After, Ready, RestartPolicy, ServiceSettings, Until};

/// Where one entry of `after` stands.
#[derive(Debug, Clone)]
pub(super) struct AfterPlace {
    /// The name of the other service.
    pub service: Range<usize>,
    /// Until when it is waited for; where the name stands when that is not written.
    pub until: Range<usize>,
}

/// Reads both, and gives the places of the entries of `after`.
pub(super) fn order(walk: &mut Walk, table: &Table<'_>, settings: &mut ServiceSettings) -> Vec<AfterPlace> {
    fill(&mut settings.on_failure, walk.parsed(table, "on_failure", value::on_failure));
    let Some(value) = table.get("after") else { return Vec::new() };
    let hint = match value.get_ref() {
        DeValue::String(text) => format!("write after = [{text:?}]"),
        DeValue::Table(_) => "write after = [{ service = \"migrate\", until = \"exited\" }]".to_owned(),
        _ => "write after = [\"db\"]".to_owned(),
    };
    let Some(values) = walk.list(value, "a list of services", &hint) else { return Vec::new() };
    let read = values.iter().filter_map(|value| entry(walk, value)).collect::<Vec<_>>();
    let (after, places) = read.into_iter().unzip();
    settings.after = after;
    places
}

/// Reads one entry: a name, or a table.
fn entry(walk: &mut Walk, value: &Value<'_>) -> Option<(After, AfterPlace)> {
    let hint = "write \"db\", or { service = \"migrate\", until = \"exited\" }";
    match value.get_ref() {
        DeValue::Table(_) => {
            let table = walk.subtable(value, "an entry of after", keys::AFTER, hint)?;
            let until = walk.parsed(&table, "until", value::until);
            let Some(name) = table.get("service") else {
                walk.missing(value.span(), "this does not say which service is waited for", hint);
                return None;
            };
            let service = walk.parsed(&table, "service", value::not_empty)?;
            let place = name.span();
            let until_place = table.get("until").map_or(place.clone(), Value::span);
            let after = After { service, until: until.unwrap_or_default() };
            Some((after, AfterPlace { service: place, until: until_place }))
        }
        DeValue::String(_) => {
            let text = walk.text(value)?;
            let name = walk.value(value.span(), value::not_empty(text))?;
            Some((After::from(name.as_str()), AfterPlace { service: value.span(), until: value.span() }))
        }
        _ => {
            walk.wrong_type(value, "the name of a service, or a table", hint);
            None
        }
    }
}

/// Refuses `after` when it names no service, the service itself, one twice, one that never comes to its end, or leads
/// round in a circle.
pub(super) fn check(walk: &mut Walk, drafts: &[Draft]) {
    let names: Vec<&str> = drafts.iter().map(|draft| draft.settings.name.as_str()).collect();
    for draft in drafts {
        let own = draft.settings.name.as_str();
        for (index, (after, place)) in draft.settings.after.iter().zip(&draft.after).enumerate() {
            let name = &after.service;
            let span = place.service.clone();
            if name == own {
                walk.error(span, format!("service {own:?} cannot wait for itself"), "leave it out");
            } else if draft.settings.after[..index].iter().any(|before| before.service == *name) {
                walk.error(span, format!("{name:?} is here a second time"), "leave it out");
            } else if let Some(other) = drafts.iter().find(|other| other.settings.name == *name) {
                never_ends(walk, place, after, &other.settings);
            } else {
                let others = names.iter().copied().filter(|other| *other != own);
                let message = suggest::unknown("service", name, others.clone());
                let listed = others.collect::<Vec<_>>().join(", ");
                let hint =
                    if listed.is_empty() { "there is no other service".into() } else { format!("there are {listed}") };
                walk.missing(span, message, hint);
            }
        }
    }
    circles(walk, drafts);
}

/// Refuses to wait for the end of a service that is always started again.
fn never_ends(walk: &mut Walk, place: &AfterPlace, after: &After, other: &ServiceSettings) {
    if after.until == Until::Exited && other.restart.policy == RestartPolicy::Always && other.ready != Ready::Exited {
        let message = format!("{:?} is started again whenever it ends (policy \"always\")", other.name);
        let hint = format!("leave out until, or write restart.policy = \"on-failure\" for {}", other.name);
        walk.error(place.until.clone(), message, hint);
    }
}

/// Names every circle of services that wait for each other once, where it closes.
fn circles(walk: &mut Walk, drafts: &[Draft]) {
    let index: BTreeMap<&str, usize> =
        drafts.iter().enumerate().map(|(index, draft)| (draft.settings.name.as_str(), index)).collect();
    // 0: not seen, 1: on the path, 2: done. The path is a list, not the call stack: a file may hold many services.
    let mut seen = vec![0_u8; drafts.len()];
    for start in 0..drafts.len() {
        if seen[start] != 0 {
            continue;
        }
        let mut path = vec![(start, 0)];
        seen[start] = 1;
        while let Some((at, next)) = path.last_mut() {
            let (at, turn) = (*at, *next);
            *next += 1;
            let Some(after) = drafts[at].settings.after.get(turn) else {
                seen[at] = 2;
                path.pop();
                continue;
            };
            match index.get(after.service.as_str()) {
                Some(to) if *to != at && seen[*to] == 1 => {
                    let circle = path.iter().map(|(at, _)| *at).skip_while(|at| at != to);
                    let place = drafts[at].after[turn].service.clone();
                    circle_error(walk, place, circle.map(|at| drafts[at].settings.name.as_str()).collect());
                }
                Some(to) if seen[*to] == 0 => {
                    seen[*to] = 1;
                    path.push((*to, 0));
                }
                _ => {}
            }
        }
    }
}

fn circle_error(walk: &mut Walk, place: Range<usize>, circle: Vec<&str>) {
    let first = circle.first().copied().unwrap_or_default();
    let message = format!("services wait for each other: {} → {first}", circle.join(" → "));
    walk.error(place, message, "take one of them out of an \"after\"");
}

#[cfg(test)]
mod tests {
    use super::super::tests::{good, places};
    use super::*;
    use crate::core::settings::OnFailure;

    fn two(lines: &str, other: &str) -> String {
        format!("[service.a]\ncommand = [\"a\"]\n{lines}\n[service.b]\ncommand = [\"b\"]\n{other}\n")
    }

    #[test]
    fn names_and_tables_may_be_mixed() {
        let text = "[service.a]\ncommand = [\"a\"]\n[service.b]\ncommand = [\"b\"]\n[service.c]\ncommand = [\"c\"]\n\
                    after = [\"a\", { service = \"b\", until = \"exited\" }]\non_failure = \"keep\"\n";
        let service = &good(text).services[2];
        let exited = After { service: "b".into(), until: Until::Exited };
        assert_eq!((&service.after[..], service.on_failure), (&["a".into(), exited][..], OnFailure::Keep));
        let plain = &good(&two("after = [{ service = \"b\" }]", "")).services[0];
        assert_eq!((&plain.after[..], plain.on_failure), (&["b".into()][..], OnFailure::StopDependents));
    }

    #[test]
    fn what_is_wrong_is_told_at_its_place() {
        let wrong = |after: &str, other: &str| places(&two(&format!("after = {after}"), other));
        assert_eq!(wrong("{ service = \"b\" }", ""), ["3:9 expected a list of services, found a table"]);
        assert_eq!(wrong("[5]", ""), ["3:10 expected the name of a service, or a table, found an integer"]);
        assert_eq!(wrong("[{ until = \"ready\" }]", ""), ["3:10 this does not say which service is waited for"]);
        let word = wrong("[{ service = \"b\", until = \"exitd\" }]", "");
        assert_eq!(word, ["3:35 unknown moment \"exitd\", did you mean \"exited\"?"]);
        let unknown = wrong("[\"b\", { service = \"bb\", until = \"exited\" }]", "");
        assert_eq!(unknown, ["3:27 unknown service \"bb\", did you mean \"b\"?"]);
        let always = wrong("[{ service = \"b\", until = \"exited\" }]", "restart.policy = \"always\"");
        assert_eq!(always, ["3:35 \"b\" is started again whenever it ends (policy \"always\")"]);
        let circle = wrong("[{ service = \"b\", until = \"exited\" }]", "after = [\"a\"]");
        assert_eq!(circle, ["6:10 services wait for each other: a → b → a"]);
        let key = places(&two("on_failure = \"stopall\"", ""));
        assert_eq!(key, ["3:14 unknown on_failure \"stopall\", did you mean \"stop-all\"?"]);
    }
}
