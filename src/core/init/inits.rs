//! Small inits, whose work is launcher's: what stands behind one, and what it was told that launcher is to do as well.

use std::collections::BTreeMap;
use std::path::Path;

use super::Service;
use super::write::{key, quoted};
use crate::core::config::value;
use crate::core::signal::Signal;

/// What is known of an init.
struct Init {
    names: &'static [&'static str],
    /// Its options with a value, by their letter.
    valued: &'static str,
    /// The letter of the option that decides on the process group, and whether signals go to that with it or without it.
    group: (char, bool),
}

const INITS: [Init; 3] = [
    Init { names: &["tini", "tini-static", "docker-init"], valued: "pe", group: ('g', true) },
    Init { names: &["dumb-init"], valued: "r", group: ('c', false) },
    Init { names: &["catatonit"], valued: "", group: ('g', true) },
];

/// The long options of them that say something, with their letters.
const LONG: [(&str, char); 2] = [("single-child", 'c'), ("rewrite", 'r')];

/// An option, and its value if it has one.
type Given = (char, Option<String>);

/// Takes off an init that launcher stands for. What it was told is in keys, or in notes where a service has no key for it.
pub fn take_off(service: &mut Service) {
    let Some((name, init)) = known(&service.command) else { return };
    let Some((options, command)) = split(&service.command[1..], init) else { return };
    service.command_notes.push(format!("{name} is left out: launcher passes signals on and reaps, as it did."));
    service.command = command;
    let (letter, with) = init.group;
    if options.iter().any(|(option, _)| *option == letter) == with {
        let note = format!("As with {name}: signals go to the whole process group, and not to the program alone.");
        service.key("signals.to", quoted("group"), note);
    }
    let mut pairs = BTreeMap::new();
    for (option, given) in options {
        let Some(given) = given else { continue };
        match (option, rewritten(&given)) {
            ('r', Some((from, to))) => drop(pairs.insert(from, to)),
            ('r', None) => service.command_notes.push(format!("Its --rewrite {given} cannot be taken over.")),
            ('e', _) => {
                service.command_notes.push(format!("Its -e {given} is map_exit = {{ {given} = 0 }} below [launcher]."))
            }
            _ => service.command_notes.push("Its -p is stop_with_parent = true below [launcher].".to_owned()),
        }
    }
    if !pairs.is_empty() {
        let to = |to: Option<Signal>| quoted(&to.map_or("none".to_owned(), Signal::name));
        let pairs: Vec<_> = pairs.iter().map(|(from, sent)| format!("{} = {}", key(&from.name()), to(*sent))).collect();
        service.key("signals.rewrite", format!("{{ {} }}", pairs.join(", ")), format!("--rewrite of {name}."));
    }
}

/// The init that a command begins with.
fn known(command: &[String]) -> Option<(String, &'static Init)> {
    let name = Path::new(command.first()?).file_name()?.to_string_lossy().into_owned();
    let init = INITS.iter().find(|init| init.names.contains(&name.as_str()))?;
    Some((name, init))
}

/// Its options, as getopt(3) reads them, and the command behind them if there is one.
fn split(words: &[String], init: &Init) -> Option<(Vec<Given>, Vec<String>)> {
    let mut options = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.as_slice().first().filter(|word| word.len() > 1 && word.starts_with('-')) {
        words.next();
        if word == "--" {
            break;
        }
        if let Some(long) = word.strip_prefix("--") {
            let (long, value) = long.split_once('=').map_or((long, None), |(long, value)| (long, Some(value)));
            let Some((_, letter)) = LONG.iter().find(|(name, _)| *name == long) else { continue };
            let value = value.map(str::to_owned);
            let value = if init.valued.contains(*letter) { value.or_else(|| words.next().cloned()) } else { value };
            options.push((*letter, value));
            continue;
        }
        for (at, letter) in word.char_indices().skip(1) {
            let rest = &word[at + letter.len_utf8()..];
            if init.valued.contains(letter) {
                let value = Some(rest).filter(|rest| !rest.is_empty()).map(str::to_owned);
                options.push((letter, value.or_else(|| words.next().cloned())));
                break;
            }
            options.push((letter, None));
        }
    }
    let command = words.as_slice().to_vec();
    (!command.is_empty()).then_some((options, command))
}

/// `15:3` as a pair of `signals.rewrite`, if it can be one.
fn rewritten(text: &str) -> Option<(Signal, Option<Signal>)> {
    let (from, to) = text.split_once(':')?;
    let to = if to == "0" { "none" } else { to };
    value::rewrite(&format!("{from}={to}")).ok()
}
