//! What a person types at the launcher's terminal: one key for a command and, where there are several services, which of
//! them it is for.

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Restart these services, one after the other.
    Restart(Which),
    /// Show the lines of this one alone, or of all again.
    Lines(Which),
    /// Show what every thread of this service is doing.
    Dump(String),
    /// Stop all.
    Stop,
    /// Say which keys there are.
    Help,
    /// There is no service whose name begins so, or there are several.
    Unclear(String),
}

/// Of which services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Of this one.
    One(String),
    /// Of all.
    All,
}

/// A command whose service is not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Restart,
    Lines,
    Dump,
}

impl Verb {
    fn of(self, which: Which) -> Option<Command> {
        match (self, which) {
            (Verb::Restart, which) => Some(Command::Restart(which)),
            (Verb::Lines, which) => Some(Command::Lines(which)),
            (Verb::Dump, Which::One(service)) => Some(Command::Dump(service)),
            (Verb::Dump, Which::All) => None,
        }
    }

    /// What is asked, and what an answer that is empty means.
    fn question(self) -> (&'static str, &'static str) {
        match self {
            Verb::Restart => ("restart", "Enter: all, Esc: none"),
            Verb::Lines => ("show the lines of", "Enter: all"),
            Verb::Dump => ("dump", "Esc: none"),
        }
    }
}

/// Which keys there are, in words.
pub const HELP: &str = "keys: r restart, l lines of one or all, d dump, q stop, ? this";

/// No name is longer (`config::value::name`).
const LONGEST: usize = 64;

/// What was typed so far.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    /// A command that waits for the name of its service.
    asking: Option<(Verb, String)>,
}

impl Keys {
    /// Takes in what was typed, when these are the services. Keys that are none of ours do nothing; those that send several
    /// bytes neither.
    pub fn typed(&mut self, bytes: &[u8], names: &[&str]) -> Vec<Command> {
        let mut commands = Vec::new();
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                // An arrow, or a function key: ESC [ … and a letter, or ESC O and a letter.
                0x1b if after.first().is_some_and(|next| matches!(next, b'[' | b'O')) => {
                    let end = after[1..].iter().position(|byte| (0x40..0x7f).contains(byte));
                    rest = end.map_or(&[][..], |end| &after[end + 2..]);
                }
                0x1b => self.asking = None,
                byte => commands.extend(self.key(*byte, names)),
            }
        }
        commands
    }

    /// What is asked for now, and what was answered so far.
    pub fn question(&self, names: &[&str]) -> Option<String> {
        let (verb, answer) = self.asking.as_ref()?;
        let (what, empty) = verb.question();
        let names = names.iter().enumerate().map(|(index, name)| format!("{} {name}", index + 1));
        Some(format!("{what} which? ({}; {empty}) {answer}", names.collect::<Vec<_>>().join(", ")))
    }

    fn key(&mut self, byte: u8, names: &[&str]) -> Option<Command> {
        let Some((verb, answer)) = &mut self.asking else { return self.command(byte, names) };
        match byte {
            b'\r' | b'\n' => {
                let (verb, answer) = (*verb, std::mem::take(answer));
                self.asking = None;
                match named(&answer, names) {
                    _ if answer.is_empty() => verb.of(Which::All),
                    Some(name) => verb.of(Which::One(name.to_owned())),
                    None => Some(Command::Unclear(answer)),
                }
            }
            0x7f | 0x08 => {
                answer.pop();
                None
            }
            byte if (byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) && answer.len() < LONGEST => {
                answer.push(char::from(byte));
                None
            }
            _ => None,
        }
    }

    fn command(&mut self, byte: u8, names: &[&str]) -> Option<Command> {
        let verb = match byte {
            b'r' => Verb::Restart,
            b'l' => Verb::Lines,
            b'd' => Verb::Dump,
            b'q' => return Some(Command::Stop),
            b'?' | b'h' => return Some(Command::Help),
            _ => return None,
        };
        if let [only] = names {
            return verb.of(Which::One((*only).to_owned()));
        }
        self.asking = Some((verb, String::new()));
        None
    }
}

/// The service that is meant: by its whole name, by its number, or by a beginning that only its name has.
fn named<'a>(answer: &str, names: &[&'a str]) -> Option<&'a str> {
    let whole = names.iter().find(|name| **name == answer);
    let number = answer.parse::<usize>().ok().and_then(|number| names.get(number.checked_sub(1)?));
    let mut begin = names.iter().filter(|name| name.starts_with(answer));
    let only = match (begin.next(), begin.next()) {
        (Some(name), None) => Some(name),
        _ => None,
    };
    whole.or(number).or(only).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: [&str; 3] = ["db", "api", "api-admin"];

    fn typed(bytes: &[u8]) -> Vec<Command> {
        Keys::default().typed(bytes, &NAMES)
    }

    fn one(name: &str) -> Which {
        Which::One(name.to_owned())
    }

    #[test]
    fn one_key_and_a_name_or_its_beginning_or_its_number() {
        assert_eq!(typed(b"rd\r"), [Command::Restart(one("db"))]);
        assert_eq!(typed(b"lapi\n"), [Command::Lines(one("api"))]);
        assert_eq!(typed(b"dapi-\r"), [Command::Dump("api-admin".to_owned())]);
        assert_eq!(typed(b"d3\r"), [Command::Dump("api-admin".to_owned())]);
        assert_eq!(typed(b"rxx\x7f\x7fdb\rq"), [Command::Restart(one("db")), Command::Stop]);
    }

    #[test]
    fn no_name_is_all_where_that_makes_sense() {
        assert_eq!(typed(b"r\nl\r"), [Command::Restart(Which::All), Command::Lines(Which::All)]);
        assert_eq!(typed(b"d\n"), []);
    }

    #[test]
    fn one_service_alone_is_meant() {
        let typed = Keys::default().typed(b"rld?", &["web"]);
        let web = || one("web");
        let all = [Command::Restart(web()), Command::Lines(web()), Command::Dump("web".to_owned()), Command::Help];
        assert_eq!(typed, all);
    }

    #[test]
    fn what_is_no_answer_is_said_or_does_nothing() {
        for answer in ["ap", "xyz", "0", "4"] {
            assert_eq!(typed(format!("r{answer}\r").as_bytes()), [Command::Unclear(answer.to_owned())]);
        }
        for bytes in [&b"rdb\x1b"[..], b"x\x00\xff\x1b[A", b"\x1bOP\x1b[", b"\xc3\xa9 \t"] {
            let mut keys = Keys::default();
            assert_eq!((keys.typed(bytes, &NAMES), keys.question(&NAMES)), (Vec::new(), None), "{bytes:?}");
        }
    }

    #[test]
    fn the_question_shows_what_there_is_and_what_was_typed() {
        let mut keys = Keys::default();
        keys.typed(b"r\x1b[Ad\x01", &NAMES);
        let question = "restart which? (1 db, 2 api, 3 api-admin; Enter: all, Esc: none) d";
        assert_eq!(keys.question(&NAMES).as_deref(), Some(question));
        keys.typed(&[b'x'; 500], &NAMES);
        assert!(keys.question(&NAMES).unwrap().len() < 150);
    }
}
