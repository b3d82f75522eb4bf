//! The messages of `sd_notify(3)`: one datagram, lines of `KEY=VALUE`.

use std::time::Duration;

use super::settings::NotifyAccess;

/// What one datagram says. Keys that are not known are ignored, as the protocol asks; so are values that make no sense.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message {
    /// `READY=1`.
    pub ready: bool,
    /// `RELOADING=1`.
    pub reloading: bool,
    /// `STOPPING=1`.
    pub stopping: bool,
    /// `MONOTONIC_USEC=`: when the reload began, on `CLOCK_MONOTONIC`.
    pub monotonic: Option<Duration>,
    /// `STATUS=`, without control characters.
    pub status: Option<String>,
    /// `ERRNO=`.
    pub errno: Option<i32>,
    /// `BUSERROR=`.
    pub bus_error: Option<String>,
    /// `EXIT_STATUS=`.
    pub exit_status: Option<i32>,
    /// `MAINPID=`.
    pub main_pid: Option<i32>,
    /// `WATCHDOG=`.
    pub watchdog: Option<WatchdogPing>,
    /// `WATCHDOG_USEC=`: the new watchdog period.
    pub watchdog_period: Option<Duration>,
    /// `EXTEND_TIMEOUT_USEC=`: from now on so long.
    pub extend_timeout: Option<Duration>,
    /// `MAINPIDFD=1`: the main process is the one whose pidfd was sent along; counts before `MAINPID=`.
    pub main_pidfd: bool,
    /// `MAINPIDFDID=`: the inode of a pidfd of the process in `MAINPID=`, which tells it from one that has its number later.
    pub main_pidfd_id: Option<u64>,
    /// `NOTIFYACCESS=`.
    pub access: Option<NotifyAccess>,
    /// `FDSTORE=1`: the descriptors sent along are to be kept.
    pub store: bool,
    /// `FDSTOREREMOVE=1`: those of this name are not.
    pub unstore: bool,
    /// `FDNAME=`, when it is a name that LISTEN_FDNAMES can hold.
    pub fd_name: Option<String>,
    /// `FDPOLL=0`: they are kept even when their other side has gone.
    pub unwatched: bool,
    /// `BARRIER=1`, alone in its datagram: the one descriptor sent along is closed when everything before is processed.
    pub barrier: bool,
    /// What is not in the text: filled in by whoever received the message.
    pub attached: Attached,
}

/// What came with a message, as far as it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Attached {
    /// The process that the message names as the main one, and whether it is one of the service.
    pub main: Option<(i32, bool)>,
    /// How many descriptors came along.
    pub descriptors: usize,
}

/// `WATCHDOG=1` or `WATCHDOG=trigger`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchdogPing {
    /// It lives.
    Alive,
    /// It asks to be treated as if it had missed its watchdog.
    Trigger,
}

/// The longest name of a stored descriptor (`sd_notify(3)`).
const LONGEST_FD_NAME: usize = 255;

/// A text in a message is cut after so many bytes.
const LONGEST_TEXT: usize = 512;

impl Message {
    /// Reads one datagram. Nothing in it is refused: lines that are not `KEY=VALUE`, keys that are not known and values
    /// that make no sense are passed over. Of a key that comes twice the first one counts, as systemd has it.
    pub fn parse(datagram: &[u8]) -> Message {
        let mut message = Message::default();
        // Some senders count the NUL that ends a text of C.
        let text = datagram.strip_suffix(b"\0").unwrap_or(datagram);
        let mut lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        message.barrier = lines.clone().eq([b"BARRIER=1"]);
        for line in &mut lines {
            if let Some(equals) = line.iter().position(|byte| *byte == b'=') {
                message.take(&line[..equals], &line[equals + 1..]);
            }
        }
        message
    }

    fn take(&mut self, key: &[u8], value: &[u8]) {
        match key {
            b"READY" => self.ready |= value == b"1",
            b"RELOADING" => self.reloading |= value == b"1",
            b"STOPPING" => self.stopping |= value == b"1",
            b"MONOTONIC_USEC" => first(&mut self.monotonic, microseconds(value)),
            b"STATUS" => first(&mut self.status, Some(clean(value))),
            b"ERRNO" => first(&mut self.errno, number(value).filter(|errno| (0..=4095).contains(errno))),
            b"BUSERROR" => first(&mut self.bus_error, Some(clean(value))),
            b"EXIT_STATUS" => first(&mut self.exit_status, number(value).filter(|code| (0..=255).contains(code))),
            b"MAINPID" => first(&mut self.main_pid, number(value).filter(|pid| *pid > 0)),
            b"WATCHDOG" => first(
                &mut self.watchdog,
                match value {
                    b"1" => Some(WatchdogPing::Alive),
                    b"trigger" => Some(WatchdogPing::Trigger),
                    _ => None,
                },
            ),
            b"WATCHDOG_USEC" => {
                first(&mut self.watchdog_period, microseconds(value));
            }
            b"EXTEND_TIMEOUT_USEC" => {
                first(&mut self.extend_timeout, microseconds(value).filter(|extension| !extension.is_zero()));
            }
            b"MAINPIDFD" => self.main_pidfd |= value == b"1",
            b"MAINPIDFDID" => first(&mut self.main_pidfd_id, digits(value)),
            b"NOTIFYACCESS" => first(&mut self.access, access(value)),
            b"FDSTORE" => self.store |= value == b"1",
            b"FDSTOREREMOVE" => self.unstore |= value == b"1",
            b"FDNAME" => first(&mut self.fd_name, fd_name(value)),
            b"FDPOLL" => self.unwatched |= value == b"0",
            _ => {}
        }
    }
}

fn access(value: &[u8]) -> Option<NotifyAccess> {
    NotifyAccess::NAMES.iter().find(|(name, _)| name.as_bytes() == value).map(|(_, access)| *access)
}

/// Printable ASCII without the colon that separates names in LISTEN_FDNAMES.
fn fd_name(value: &[u8]) -> Option<String> {
    let fits = |byte: &u8| (b' '..127).contains(byte) && *byte != b':';
    let fits = !value.is_empty() && value.len() <= LONGEST_FD_NAME && value.iter().all(fits);
    fits.then(|| String::from_utf8_lossy(value).into_owned())
}

fn first<T>(place: &mut Option<T>, value: Option<T>) {
    if place.is_none() {
        *place = value;
    }
}

fn digits(value: &[u8]) -> Option<u64> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(value).ok()?.parse().ok()
}

fn number(value: &[u8]) -> Option<i32> {
    digits(value)?.try_into().ok()
}

fn microseconds(value: &[u8]) -> Option<Duration> {
    digits(value).map(Duration::from_micros)
}

/// A text that can be shown on a terminal: without control characters, without those that turn the direction of writing
/// round, and not too long.
fn clean(value: &[u8]) -> String {
    let mut text = String::new();
    // No character needs more bytes than it was read from, or three for each byte that is no UTF-8.
    for character in String::from_utf8_lossy(&value[..value.len().min(2 * LONGEST_TEXT)]).chars() {
        let character = if character == '\t' { ' ' } else { character };
        if text.len() + character.len_utf8() > LONGEST_TEXT {
            text.push('…');
            break;
        }
        if !character.is_control() && !turns_writing(character) {
            text.push(character);
        }
    }
    text
}

fn turns_writing(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_key_is_read() {
        let message = Message::parse(
            b"READY=1\nRELOADING=1\nSTOPPING=1\nMONOTONIC_USEC=1500000\nSTATUS=Loading\xc3\xa9\nERRNO=2\n\
              BUSERROR=org.example.Error\nEXIT_STATUS=3\nMAINPID=4711\nWATCHDOG=1\nWATCHDOG_USEC=2000000\n\
              EXTEND_TIMEOUT_USEC=3000000\nMAINPIDFD=1\nMAINPIDFDID=77\nNOTIFYACCESS=exec\nFDSTORE=1\n\
              FDSTOREREMOVE=1\nFDNAME=db pool\nFDPOLL=0\n",
        );
        let expected = Message {
            ready: true,
            reloading: true,
            stopping: true,
            monotonic: Some(Duration::from_millis(1500)),
            status: Some("Loadingé".into()),
            errno: Some(2),
            bus_error: Some("org.example.Error".into()),
            exit_status: Some(3),
            main_pid: Some(4711),
            watchdog: Some(WatchdogPing::Alive),
            watchdog_period: Some(Duration::from_secs(2)),
            extend_timeout: Some(Duration::from_secs(3)),
            main_pidfd: true,
            main_pidfd_id: Some(77),
            access: Some(NotifyAccess::Exec),
            store: true,
            unstore: true,
            fd_name: Some("db pool".into()),
            unwatched: true,
            barrier: false,
            attached: Attached::default(),
        };
        assert_eq!(message, expected);
    }

    #[test]
    fn what_makes_no_sense_is_passed_over() {
        for text in [
            "",
            "\n\n",
            "READY",
            "READY=",
            "READY=0",
            "READY=2",
            "READY=1 ",
            " READY=1",
            "ready=1",
            "=1",
            "X_READY=1",
            "MAINPID=0",
            "MAINPID=-1",
            "MAINPID=+1",
            "MAINPID=4294967297",
            "MAINPID=1 2",
            "ERRNO=ENOENT",
            "ERRNO=4096",
            "EXIT_STATUS=256",
            "WATCHDOG=yes",
            "WATCHDOG_USEC=18446744073709551616",
            "EXTEND_TIMEOUT_USEC=0",
            "EXTEND_TIMEOUT_USEC=1s",
            "BARRIER=0",
            "FDSTORE=0",
            "FDSTOREREMOVE=yes",
            "FDNAME=",
            "FDNAME=a:b",
            "FDNAME=\u{e9}",
            "FDPOLL=1",
            "NOTIFYACCESS=everyone",
            "MAINPIDFD=0",
            "MAINPIDFDID=x",
        ] {
            assert_eq!(Message::parse(text.as_bytes()), Message::default(), "{text:?}");
        }
    }

    #[test]
    fn the_first_of_two_counts_if_it_makes_sense() {
        assert_eq!(Message::parse(b"MAINPID=x\nMAINPID=5\nMAINPID=6").main_pid, Some(5));
        assert_eq!(Message::parse(b"STATUS=\nSTATUS=late").status.as_deref(), Some(""));
        assert_eq!(Message::parse(b"WATCHDOG=trigger\nWATCHDOG=1").watchdog, Some(WatchdogPing::Trigger));
    }

    #[test]
    fn the_nul_of_a_text_of_c_is_no_part_of_it() {
        assert!(Message::parse(b"READY=1\0").ready);
        assert!(!Message::parse(b"READY=1\0\nX=1").ready);
    }

    #[test]
    fn a_barrier_is_one_only_when_alone() {
        assert!(Message::parse(b"BARRIER=1").barrier);
        assert!(Message::parse(b"BARRIER=1\n").barrier);
        let both = Message::parse(b"BARRIER=1\nREADY=1");
        assert!(!both.barrier && both.ready);
        assert!(!Message::parse(b"BARRIER=1\nBARRIER=1").barrier);
    }

    #[test]
    fn a_status_cannot_play_with_the_terminal() {
        let status = Message::parse(b"STATUS=a\x1b[31mb\tc\r\x07\xe2\x80\xaed\xff\xc2\x9b").status;
        assert_eq!(status.as_deref(), Some("a[31mb cd\u{fffd}"));
    }

    #[test]
    fn a_long_status_is_cut_between_characters() {
        let text = format!("STATUS=x{}", "é".repeat(4000));
        let status = Message::parse(text.as_bytes()).status.unwrap();
        assert!(status.len() <= LONGEST_TEXT + '…'.len_utf8() && status.ends_with("é…"), "{}", status.len());
    }

    fn lines() -> impl Strategy<Value = Vec<u8>> {
        let key = prop_oneof![
            Just("READY"),
            Just("STATUS"),
            Just("MAINPID"),
            Just("BARRIER"),
            Just("WATCHDOG"),
            Just("WATCHDOG_USEC"),
            Just("EXTEND_TIMEOUT_USEC"),
            Just("ERRNO"),
            Just("EXIT_STATUS"),
            Just("MONOTONIC_USEC"),
            Just("BUSERROR"),
            Just("FDNAME"),
            Just("NOTIFYACCESS"),
            Just("MAINPIDFDID")
        ];
        let value = prop_oneof![any::<i128>().prop_map(|n| n.to_string().into_bytes()), any::<Vec<u8>>()];
        let line = (key, value).prop_map(|(key, value)| [key.as_bytes(), b"=", &value, b"\n"].concat());
        proptest::collection::vec(line, 0..20).prop_map(|lines| lines.concat())
    }

    fn holds(datagram: &[u8]) -> bool {
        let message = Message::parse(datagram);
        let texts = [&message.status, &message.bus_error];
        texts.into_iter().flatten().all(|text| text.len() <= LONGEST_TEXT + 3 && !text.chars().any(char::is_control))
            && message.main_pid.is_none_or(|pid| pid > 0)
            && message.fd_name.as_ref().is_none_or(|name| !name.is_empty() && !name.contains([':', '\n']))
            && message.extend_timeout.is_none_or(|extension| !extension.is_zero())
            && (!message.barrier || message == Message { barrier: true, ..Message::default() })
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_message(datagram in any::<Vec<u8>>()) {
            prop_assert!(holds(&datagram));
        }

        #[test]
        fn any_values_of_known_keys_are_a_message(datagram in lines()) {
            prop_assert!(holds(&datagram));
        }
    }
}
