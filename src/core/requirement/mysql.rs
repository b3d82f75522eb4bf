//! MySQL's and MariaDB's handshake
//! (<https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html>).
//!
//! The server speaks first. The handshake is gone through to its end, if only to be denied access: a server blocks hosts
//! that break off too many of them (`max_connect_errors`).

use super::dialogue::{Dialogue, Turn, beginning, more, quoted, wrong};
use super::target::Login;

/// `ER_BAD_DB_ERROR`: there is no such database.
const NO_DATABASE: u16 = 1049;
/// `ER_ACCESS_DENIED_ERROR` and its kin: the server is there, and did not let us in without a password.
const DENIED: [u16; 5] = [1044, 1045, 1251, 1698, 3118];
/// PROTOCOL_41, SECURE_CONNECTION and PLUGIN_AUTH, without which no recent server talks.
const CAPABILITIES: u32 = 0x0000_0200 | 0x0000_8000 | 0x0008_0000;
/// The database's name is in the answer.
const WITH_DATABASE: u32 = 0x0000_0008;
/// `COM_QUIT`, in a packet of its own.
const QUIT: [u8; 5] = [1, 0, 0, 0, 1];

/// One handshake.
pub struct Mysql {
    login: Login,
    /// How much was heard and answered.
    done: usize,
    stage: Stage,
}

enum Stage {
    /// The server's greeting is awaited.
    Greeting,
    /// What it says to our answer.
    Answer,
}

impl Mysql {
    /// As whom, and to which database.
    pub fn new(login: &Login) -> Mysql {
        Mysql { login: login.clone(), done: 0, stage: Stage::Greeting }
    }

    fn answer(&self) -> Vec<u8> {
        let database = self.login.database.as_deref();
        let capabilities = CAPABILITIES | database.map_or(0, |_| WITH_DATABASE);
        let mut body = capabilities.to_le_bytes().to_vec();
        body.extend_from_slice(&0x0100_0000_u32.to_le_bytes());
        body.push(45); // utf8mb4
        body.extend_from_slice(&[0; 23]);
        let mut text = |text: &str| {
            body.extend(text.bytes().filter(|byte| *byte != 0));
            body.push(0);
        };
        text(self.login.user.as_deref().unwrap_or("launcher"));
        text(""); // an empty answer to the challenge: its length, 0
        if let Some(database) = database {
            text(database);
        }
        text("mysql_native_password");
        packet(1, &body)
    }
}

impl Dialogue for Mysql {
    fn opening(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn hear(&mut self, received: &[u8], closed: bool) -> Turn {
        let rest = received.get(self.done..).unwrap_or_default();
        let not_mysql = || wrong(format!("what answers is not MySQL: it says {}", beginning(received)));
        let Some((number, body)) = first_packet(rest) else {
            // The greeting's length has two bytes at most; text of another protocol is larger.
            let odd = matches!(self.stage, Stage::Greeting) && rest.get(2).is_some_and(|byte| *byte != 0);
            return if odd { not_mysql() } else { more(closed, "MySQL") };
        };
        self.done += 4 + body.len();
        match (&self.stage, body.first()) {
            (_, Some(0xff)) => self.refused(body),
            (Stage::Greeting, Some(10)) => {
                self.stage = Stage::Answer;
                Turn::Say(self.answer())
            }
            (Stage::Greeting, _) => not_mysql(),
            (Stage::Answer, Some(0)) => Turn::Good(QUIT.to_vec()),
            // Another way to prove who we are, or more of this one: with nothing, which is denied.
            (Stage::Answer, Some(0xfe | 1)) => Turn::Say(packet(number.wrapping_add(1), &[])),
            (Stage::Answer, _) => not_mysql(),
        }
    }
}

impl Mysql {
    /// What an ERR packet means: its number, then a state behind `#`, then words.
    fn refused(&self, body: &[u8]) -> Turn {
        let code = body.get(1..3).map_or(0, |code| u16::from_le_bytes([code[0], code[1]]));
        let text = body.get(3..).unwrap_or_default();
        let text = if text.starts_with(b"#") { text.get(6..).unwrap_or_default() } else { text };
        let let_in = DENIED.contains(&code) || (code == NO_DATABASE && self.login.database.is_none());
        match (matches!(self.stage, Stage::Answer), let_in) {
            (true, true) => Turn::Good(Vec::new()),
            _ => wrong(format!("MySQL says: {} (error {code})", quoted(text))),
        }
    }
}

fn packet(number: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap_or(0).to_le_bytes();
    [&length[..3], &[number], body].concat()
}

/// The first packet that is whole: its number and its body.
fn first_packet(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let [a, b, c, number] = bytes.get(..4)?.try_into().ok()?;
    let length = usize::try_from(u32::from_le_bytes([a, b, c, 0])).ok()?;
    Some((number, bytes.get(4..4 + length)?))
}

#[cfg(test)]
mod tests {
    use super::super::dialogue::testing::bad;
    use super::*;

    fn greeting() -> Vec<u8> {
        let mut body = b"\x0a5.5.5-10.11.6-MariaDB-0+deb12u1\0".to_vec();
        body.extend_from_slice(&[7, 0, 0, 0, b'a', b'b', b'c', b'd', b'e', b'f', b'g', b'h', 0, 0xfe, 0xf7, 8, 2, 0]);
        packet(0, &body)
    }

    fn denied(code: u16, text: &str) -> Vec<u8> {
        packet(2, &[&[0xff], code.to_le_bytes().as_slice(), b"#28000", text.as_bytes()].concat())
    }

    fn login(database: Option<&str>) -> Login {
        Login { database: database.map(str::to_owned), ..Login::default() }
    }

    #[test]
    fn the_handshake_is_gone_through_to_its_end() {
        let mut mysql = Mysql::new(&login(Some("shop")));
        let mut heard = greeting();
        assert_eq!(mysql.hear(&heard[..7], false), Turn::More);
        let Turn::Say(answer) = mysql.hear(&heard, false) else { panic!() };
        assert_eq!(usize::from(answer[0]), answer.len() - 4);
        assert!(answer.ends_with(b"launcher\0\0shop\0mysql_native_password\0"), "{answer:?}");
        heard.extend(packet(2, b"\xfecaching_sha2_password\0"));
        assert_eq!(mysql.hear(&heard, false), Turn::Say(vec![0, 0, 0, 3]));
        heard.extend(denied(1045, "Access denied for user"));
        assert_eq!(mysql.hear(&heard, false), Turn::Good(vec![]));
    }

    #[test]
    fn a_missing_database_counts_when_it_was_named() {
        let end = |database| {
            let mut mysql = Mysql::new(&login(database));
            let mut heard = greeting();
            mysql.hear(&heard, false);
            heard.extend(denied(1049, "Unknown database 'shop'"));
            mysql.hear(&heard, false)
        };
        assert_eq!(end(None), Turn::Good(vec![]));
        assert_eq!(bad(end(Some("shop"))), "MySQL says: Unknown database 'shop' (error 1049)");
    }

    #[test]
    fn what_it_says_instead_of_a_greeting_is_told() {
        let blocked = packet(0, &[&[0xff], 1129_u16.to_le_bytes().as_slice(), b"Host 'x' is blocked"].concat());
        let text = bad(Mysql::new(&login(None)).hear(&blocked, false));
        assert_eq!(text, "MySQL says: Host 'x' is blocked (error 1129)");
        let text = bad(Mysql::new(&login(None)).hear(b"SSH-2.0-OpenSSH_9.2p1\r\n", false));
        assert!(text.contains("is not MySQL"), "{text}");
        assert!(bad(Mysql::new(&login(None)).hear(b"", true)).contains("closed the connection"));
    }
}
