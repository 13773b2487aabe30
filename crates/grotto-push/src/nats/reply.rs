//! What a NATS server says.
//!
//! Owns: reading it from untrusted bytes as they come, within limits. Never: input or output.

use crate::Result;
use crate::wire::{garbage, line_end, shown};
use bytes::{Buf as _, Bytes, BytesMut};

/// Longest line: what a server tells of itself, with the addresses of its cluster.
const MAX_LINE: usize = 64 << 10;
/// Longest message that is kept; an announcement is shorter.
const MAX_TEXT: usize = 2 << 10;
/// Longest message that is passed over; more than a server sends.
const MAX_PASSED: usize = 1 << 30;

/// One thing that a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Said {
    /// Of itself, as JSON.
    Info(Bytes),
    /// A message to a subscription, by its number; `None` for one that is longer than any that matters.
    Message(u64, Option<Bytes>),
    Ping,
    Pong,
    Ok,
    Failure(Bytes),
}

/// What was read of a message that is not whole yet.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    subscription: u64,
    /// Bytes of the message that are to come; with the end mark of one that is passed over.
    left: usize,
    is_passed: bool,
}

impl Reader {
    /// What is said next, once it is there.
    ///
    /// # Errors
    /// When what came is nothing that a server says.
    pub(crate) fn next(&mut self, inbox: &mut BytesMut) -> Result<Option<Said>> {
        if self.pending.is_none() {
            let Some(end) = line_end(inbox, MAX_LINE)? else {
                return Ok(None);
            };
            let line = inbox.split_to(end).freeze();
            inbox.advance(2);
            if let Some(said) = self.begin(&line)? {
                return Ok(Some(said));
            }
        }
        self.message(inbox)
    }

    /// What a line says; `None` where a message follows.
    fn begin(&mut self, line: &Bytes) -> Result<Option<Said>> {
        let word = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        let rest = line.slice((word.len() + 1).min(line.len())..);
        Ok(Some(match word {
            b"INFO" => Said::Info(rest),
            b"MSG" => {
                self.pending = Some(pending(&rest)?);
                return Ok(None);
            }
            b"PING" => Said::Ping,
            b"PONG" => Said::Pong,
            b"+OK" => Said::Ok,
            b"-ERR" => Said::Failure(rest),
            _ => return Err(garbage("something of the protocol", &shown(line))),
        }))
    }

    fn message(&mut self, inbox: &mut BytesMut) -> Result<Option<Said>> {
        let Some(pending) = &mut self.pending else {
            return Ok(None);
        };
        let subscription = pending.subscription;
        if pending.is_passed {
            let passed = pending.left.min(inbox.len());
            inbox.advance(passed);
            pending.left -= passed;
            if pending.left > 0 {
                return Ok(None);
            }
            self.pending = None;
            return Ok(Some(Said::Message(subscription, None)));
        }
        if inbox.len() < pending.left + 2 {
            return Ok(None);
        }
        let text = inbox.split_to(pending.left).freeze();
        if &inbox[..2] != b"\r\n" {
            return Err(garbage("the end of a message", &shown(&inbox[..2])));
        }
        inbox.advance(2);
        self.pending = None;
        Ok(Some(Said::Message(subscription, Some(text))))
    }
}

/// `subject number [reply] length`
fn pending(line: &[u8]) -> Result<Pending> {
    let wrong = || garbage("a subject, a number and a length", &shown(line));
    let words: Vec<&[u8]> = line
        .split(|byte| *byte == b' ')
        .filter(|word| !word.is_empty())
        .take(5)
        .collect();
    let (subscription, length) = match words.as_slice() {
        [_, subscription, length] | [_, subscription, _, length] => (subscription, length),
        _ => return Err(wrong()),
    };
    let number = |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse::<u64>().ok();
    let (Some(subscription), Some(length)) = (number(subscription), number(length)) else {
        return Err(wrong());
    };
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= MAX_PASSED);
    let length = length.ok_or_else(wrong)?;
    let is_passed = length > MAX_TEXT;
    Ok(Pending {
        subscription,
        left: if is_passed { length + 2 } else { length },
        is_passed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], at_once: usize) -> Result<Vec<Said>> {
        let (mut reader, mut inbox, mut found) = (Reader::default(), BytesMut::new(), Vec::new());
        for chunk in bytes.chunks(at_once) {
            inbox.extend_from_slice(chunk);
            while let Some(said) = reader.next(&mut inbox)? {
                found.push(said);
            }
        }
        Ok(found)
    }

    #[test]
    fn what_is_said_is_read_however_it_is_cut() {
        let bytes = b"INFO {\"a\":1}\r\nPING\r\nPONG\r\n+OK\r\n-ERR 'no'\r\n-ERR\r\nMSG a.b 7 3\r\n\r\nx\r\nMSG a.b 8 reply 0\r\n\r\n";
        let expected = [
            Said::Info(Bytes::from_static(b"{\"a\":1}")),
            Said::Ping,
            Said::Pong,
            Said::Ok,
            Said::Failure(Bytes::from_static(b"'no'")),
            Said::Failure(Bytes::new()),
            Said::Message(7, Some(Bytes::from_static(b"\r\nx"))),
            Said::Message(8, Some(Bytes::new())),
        ];
        for at_once in 1..bytes.len() {
            assert_eq!(all(bytes, at_once).unwrap(), expected, "{at_once}");
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_passed_over_and_takes_no_memory() {
        let (mut reader, mut inbox) = (Reader::default(), BytesMut::new());
        inbox.extend_from_slice(b"MSG a 1 1000000\r\n");
        for _ in 0..1_000 {
            assert_eq!(reader.next(&mut inbox).unwrap(), None);
            assert!(inbox.is_empty(), "{}", inbox.len());
            inbox.extend_from_slice(&[b'x'; 1_000]);
        }
        inbox.extend_from_slice(b"\r\nPING\r\n");
        assert_eq!(
            reader.next(&mut inbox).unwrap(),
            Some(Said::Message(1, None))
        );
        assert_eq!(reader.next(&mut inbox).unwrap(), Some(Said::Ping));
    }

    #[test]
    fn what_no_server_says_is_an_error() {
        let long = [b"INFO ".as_slice(), &vec![b'x'; MAX_LINE + 2]].concat();
        for bytes in [
            b"\r\n".as_slice(),
            b"HTTP/1.1 400 Bad Request\r\n",
            b"MSG\r\n",
            b"MSG a 1\r\n",
            b"MSG a x 1\r\n",
            b"MSG a 1 x\r\n",
            b"MSG a 1 -1\r\n",
            b"MSG a 1 18446744073709551615\r\n",
            b"MSG a 1 b c 1\r\n",
            b"MSG a 1 1\r\nabc",
            &long,
        ] {
            let error = all(bytes, bytes.len()).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Corrupt, "{error}");
        }
    }
}
