//! PostgreSQL's start of a session (protocol 3.0,
//! <https://www.postgresql.org/docs/current/protocol-message-formats.html>).
//!
//! A server that accepts TCP and says "the database system is starting up" is not ready; one that asks for a password
//! is. What the URL does not name is not asked of the server: `pg_isready` goes as far.

use super::dialogue::{Dialogue, Turn, beginning, more, quoted, wrong};
use super::target::Login;

/// `cannot_connect_now`: it is starting, stopping, or in recovery.
const CANNOT_CONNECT_NOW: &[u8] = b"57P03";
/// `too_many_connections`.
const TOO_MANY: &[u8] = b"53300";
/// `invalid_catalog_name`: there is no such database.
const NO_DATABASE: &[u8] = b"3D000";
/// `invalid_authorization_specification`.
const NOT_AUTHORIZED: &[u8] = b"28000";
/// Where the server says that a role does not exist. Another refusal with this code is of the kind of connection
/// (`pg_hba.conf`), and shows that the server is there.
const NO_ROLE: &[u8] = b"InitializeSessionUserId";
/// `Terminate`.
const TERMINATE: [u8; 5] = [b'X', 0, 0, 0, 4];

/// One start of a session.
pub struct Postgres {
    login: Login,
}

impl Postgres {
    /// As whom, and to which database.
    pub fn new(login: &Login) -> Postgres {
        Postgres { login: login.clone() }
    }
}

impl Dialogue for Postgres {
    fn opening(&mut self) -> Vec<u8> {
        let user = self.login.user.as_deref().unwrap_or("postgres");
        let database = self.login.database.as_deref().unwrap_or(user);
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        for (key, value) in [("user", user), ("database", database), ("application_name", "launcher")] {
            body.extend_from_slice(key.as_bytes());
            body.push(0);
            body.extend(value.bytes().filter(|byte| *byte != 0));
            body.push(0);
        }
        body.push(0);
        let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
        [length.to_be_bytes().as_slice(), &body].concat()
    }

    fn hear(&mut self, received: &[u8], closed: bool) -> Turn {
        let mut rest = received;
        while let Some((kind, body, after)) = message(rest) {
            rest = after;
            match kind {
                b'R' if body.starts_with(&[0, 0, 0, 0]) => {}
                // It asks for a password, so it takes connections; what it would say of the database is not known.
                b'R' => return Turn::Good(Vec::new()),
                b'Z' => return Turn::Good(TERMINATE.to_vec()),
                b'E' => return self.refused(body),
                b'S' | b'K' | b'N' | b'v' => {}
                _ => return not_postgres(received),
            }
        }
        match rest.first() {
            Some(kind) if !b"RZESKNv".contains(kind) => not_postgres(received),
            _ if length(rest).is_some_and(|length| !(4..=super::dialogue::LONGEST).contains(&length)) => {
                not_postgres(received)
            }
            _ => more(closed, "PostgreSQL"),
        }
    }
}

impl Postgres {
    /// What an `ErrorResponse` means: a list of a letter and a text each.
    fn refused(&self, body: &[u8]) -> Turn {
        let field = |wanted: u8| {
            let mut fields = body.split(|byte| *byte == 0).filter_map(|field| field.split_first());
            fields.find(|(kind, _)| **kind == wanted).map(|(_, text)| text).unwrap_or_default()
        };
        let (code, text) = (field(b'C'), quoted(field(b'M')));
        match code {
            CANNOT_CONNECT_NOW | TOO_MANY => wrong(format!("PostgreSQL says: {text}")),
            NO_DATABASE if self.login.database.is_some() => wrong(format!("PostgreSQL says: {text}")),
            NOT_AUTHORIZED if self.login.user.is_some() && field(b'R') == NO_ROLE => {
                wrong(format!("PostgreSQL says: {text}"))
            }
            // Class 28 and the like: it takes connections, only not this one.
            _ if code.starts_with(b"28") || code == NO_DATABASE => Turn::Good(Vec::new()),
            _ if text.is_empty() => wrong("PostgreSQL refuses the session and does not say why"),
            _ => wrong(format!("PostgreSQL says: {text}")),
        }
    }
}

fn not_postgres(received: &[u8]) -> Turn {
    wrong(format!("what answers is not PostgreSQL: it says {}", beginning(received)))
}

fn length(bytes: &[u8]) -> Option<usize> {
    let length: [u8; 4] = bytes.get(1..5)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(length)).ok()
}

/// The first message: its kind, its body, and what comes after it.
fn message(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let length = length(bytes).filter(|length| *length >= 4)?;
    let end = length.checked_add(1)?;
    Some((*bytes.first()?, bytes.get(5..end)?, bytes.get(end..)?))
}

#[cfg(test)]
mod tests {
    use super::super::dialogue::testing::{bad, hear};
    use super::*;

    fn to(user: Option<&str>, database: Option<&str>) -> Postgres {
        let own = |text: Option<&str>| text.map(str::to_owned);
        Postgres::new(&Login { user: own(user), password: None, database: own(database) })
    }

    /// As PostgreSQL 15.18 answered.
    const OK: &[u8] = b"R\0\0\0\x08\0\0\0\0";
    const READY: &[u8] = b"S\0\0\0\x19client_encoding\0UTF8\0K\0\0\0\x0c\0\0#{\xe2\xea\x14}Z\0\0\0\x05I";
    const NO_ROLE: &[u8] = b"E\0\0\0cSFATAL\0VFATAL\0C28000\0Mrole \"nobody1\" does not exist\0Fmiscinit.c\0L768\0\
                             RInitializeSessionUserId\0\0";
    const NO_DATABASE: &[u8] =
        b"E\0\0\0YSFATAL\0VFATAL\0C3D000\0Mdatabase \"nodb\" does not exist\0Fpostinit.c\0L948\0RInitPostgres\0\0";
    const STARTING: &[u8] = b"E\0\0\0`SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0Fpostmaster.c\0\
                              L2364\0RProcessStartupPacket\0\0";

    fn error(bytes: &[u8]) -> Vec<u8> {
        // The length that the texts above have, whatever was recorded.
        let length = u32::try_from(bytes.len() - 1).unwrap().to_be_bytes();
        [&bytes[..1], length.as_slice(), &bytes[5..]].concat()
    }

    #[test]
    fn a_session_or_the_wish_for_a_password_is_ready() {
        let whole = [OK, READY].concat();
        assert_eq!(hear(&mut to(Some("app"), Some("shop")), &whole), Turn::Good(TERMINATE.to_vec()));
        let password = b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0";
        assert_eq!(hear(&mut to(Some("app"), Some("shop")), password), Turn::Good(vec![]));
    }

    #[test]
    fn a_server_that_starts_is_not() {
        assert_eq!(
            bad(hear(&mut to(None, None), &error(STARTING))),
            "PostgreSQL says: the database system is starting up"
        );
    }

    #[test]
    fn what_was_named_must_be_there_and_nothing_else() {
        let (role, database) = (error(NO_ROLE), [OK, &error(NO_DATABASE)].concat());
        assert_eq!(hear(&mut to(None, None), &role), Turn::Good(vec![]));
        assert_eq!(hear(&mut to(None, None), &database), Turn::Good(vec![]));
        assert!(bad(hear(&mut to(Some("nobody1"), None), &role)).contains("role \"nobody1\" does not exist"));
        assert!(bad(hear(&mut to(None, Some("nodb")), &database)).contains("database \"nodb\" does not exist"));
        let unencrypted = b"E\0\0\0\0SFATAL\0C28000\0Mno pg_hba.conf entry for host\0RClientAuthentication\0\0";
        assert_eq!(hear(&mut to(Some("app"), None), &error(unencrypted)), Turn::Good(vec![]));
    }

    #[test]
    fn what_is_not_postgresql_is_told() {
        assert!(bad(hear(&mut to(None, None), b"HTTP/1.1 400 Bad Request\r\n")).contains("is not PostgreSQL"));
        assert!(bad(hear(&mut to(None, None), b"S\xff\xff\xff\xff")).contains("is not PostgreSQL"));
        assert!(bad(hear(&mut to(None, None), b"")).contains("closed the connection"));
    }

    #[test]
    fn the_first_message_names_who_and_what() {
        let said = to(Some("app"), Some("shop")).opening();
        assert_eq!(u32::from_be_bytes(said[..4].try_into().unwrap()) as usize, said.len());
        assert_eq!(&said[4..], b"\0\x03\0\0user\0app\0database\0shop\0application_name\0launcher\0\0");
    }
}
