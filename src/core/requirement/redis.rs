//! Redis' PING (RESP, <https://redis.io/docs/latest/develop/reference/protocol-spec/>).

use super::dialogue::{Dialogue, Turn, beginning, more, quoted, wrong};
use super::target::Login;

/// One PING, with AUTH before it when the URL has a password.
pub struct Redis {
    login: Login,
}

impl Redis {
    /// As whom.
    pub fn new(login: &Login) -> Redis {
        Redis { login: login.clone() }
    }

    fn password(&self) -> Option<&str> {
        self.login.password.as_deref()
    }
}

impl Dialogue for Redis {
    fn opening(&mut self) -> Vec<u8> {
        let mut said = Vec::new();
        if let Some(password) = self.password() {
            let user = self.login.user.as_deref().filter(|user| !user.is_empty());
            let words: Vec<&str> = ["AUTH"].into_iter().chain(user).chain([password]).collect();
            said.extend(command(&words));
        }
        said.extend(command(&["PING"]));
        said
    }

    fn hear(&mut self, received: &[u8], closed: bool) -> Turn {
        let wanted = if self.password().is_some() { 2 } else { 1 };
        let text = received.strip_suffix(b"\n").unwrap_or(received);
        let whole = received.iter().filter(|byte| **byte == b'\n').count();
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').take(whole.min(wanted)).collect();
        if received.first().is_some_and(|first| !b"+-".contains(first)) {
            return wrong(format!("what answers is not Redis: it says {}", beginning(received)));
        }
        for (index, line) in lines.iter().enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let last = index + 1 == wanted;
            match line {
                b"+PONG" => return Turn::Good(Vec::new()),
                [b'+', ..] if !last => {}
                // It serves, and wants to know who asks: nobody said.
                _ if line.starts_with(b"-NOAUTH") && self.password().is_none() => return Turn::Good(Vec::new()),
                // No password is set there: PING decides.
                _ if line.starts_with(b"-ERR") && !last => {}
                [b'-', text @ ..] => return wrong(format!("Redis says: {}", quoted(text))),
                _ => return wrong(format!("what answers is not Redis: it says {}", beginning(line))),
            }
        }
        more(closed, "Redis")
    }
}

fn command(words: &[&str]) -> Vec<u8> {
    let mut said = format!("*{}\r\n", words.len());
    for word in words {
        said.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    said.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::super::dialogue::testing::{bad, hear};
    use super::*;

    fn anonymous() -> Redis {
        Redis::new(&Login::default())
    }

    /// As Redis 7.0.15 answered.
    #[test]
    fn only_pong_is_ready() {
        assert_eq!(anonymous().opening(), b"*1\r\n$4\r\nPING\r\n");
        assert_eq!(hear(&mut anonymous(), b"+PONG\r\n"), Turn::Good(vec![]));
        let loading = b"-LOADING Redis is loading the dataset in memory\r\n";
        assert_eq!(bad(hear(&mut anonymous(), loading)), "Redis says: LOADING Redis is loading the dataset in memory");
        assert_eq!(hear(&mut anonymous(), b"-NOAUTH Authentication required.\r\n"), Turn::Good(vec![]));
        assert!(bad(hear(&mut anonymous(), b"HTTP/1.1 400 Bad Request\r\n")).contains("is not Redis"));
        assert!(bad(hear(&mut anonymous(), b"+PON")).contains("closed the connection"));
    }

    #[test]
    fn a_password_is_tried() {
        let login = Login { password: Some("pw".to_owned()), ..Login::default() };
        let with = || Redis::new(&login);
        assert_eq!(with().opening(), b"*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n*1\r\n$4\r\nPING\r\n");
        assert_eq!(hear(&mut with(), b"+OK\r\n+PONG\r\n"), Turn::Good(vec![]));
        let unset = b"-ERR AUTH <password> called without any password configured\r\n+PONG\r\n";
        assert_eq!(hear(&mut with(), unset), Turn::Good(vec![]));
        let wrong = b"-WRONGPASS invalid username-password pair or user is disabled.\r\n-NOAUTH \r\n";
        assert!(bad(hear(&mut with(), wrong)).contains("WRONGPASS"));
    }
}
