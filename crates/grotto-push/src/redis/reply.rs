//! Replies of a Redis server, as of version 2 of its protocol.
//!
//! Owns: reading them from untrusted bytes as they come, within limits. Never: input or output.

use crate::Result;
use crate::wire::{garbage, line_end, shown};
use bytes::{Buf as _, Bytes, BytesMut};

/// Longest line: the start of a reply, with the text of an error.
const MAX_LINE: usize = 1 << 10;
/// Longest text that is kept; an announcement is shorter.
const MAX_TEXT: usize = 2 << 10;
/// Longest text that is passed over; more than a server sends.
const MAX_PASSED: usize = 1 << 30;
/// Most parts of a list; a message has three.
const MAX_PARTS: usize = 8;

/// One reply, or a part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Status(Bytes),
    Failure(Bytes),
    Number(i64),
    Text(Bytes),
    /// A text that is longer than any that matters.
    TooLong,
    Null,
    List(Vec<Reply>),
}

/// What was read of a reply that is not whole yet.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    text: Pending,
    /// The parts of a list so far, and how many there will be.
    list: Option<(Vec<Reply>, usize)>,
}

#[derive(Debug, Default)]
enum Pending {
    #[default]
    None,
    /// A text of so many bytes comes.
    Text(usize),
    /// So many bytes of a text that is too long, and its end mark.
    Passing(usize),
}

impl Reader {
    /// The next reply, once it is there.
    ///
    /// # Errors
    /// When what came is none.
    pub(crate) fn next(&mut self, inbox: &mut BytesMut) -> Result<Option<Reply>> {
        while let Some(part) = self.part(inbox)? {
            let Some((mut parts, count)) = self.list.take() else {
                match part {
                    Part::List(count) if count > 0 => {
                        self.list = Some((Vec::with_capacity(count), count));
                        continue;
                    }
                    Part::List(_) => return Ok(Some(Reply::List(Vec::new()))),
                    Part::Whole(reply) => return Ok(Some(reply)),
                }
            };
            match part {
                Part::List(_) => return Err(garbage("a text in a list", "a list")),
                Part::Whole(reply) => parts.push(reply),
            }
            if parts.len() == count {
                return Ok(Some(Reply::List(parts)));
            }
            self.list = Some((parts, count));
        }
        Ok(None)
    }

    fn part(&mut self, inbox: &mut BytesMut) -> Result<Option<Part>> {
        match self.text {
            Pending::None => {}
            Pending::Text(length) => {
                if inbox.len() < length + 2 {
                    return Ok(None);
                }
                let text = inbox.split_to(length).freeze();
                if &inbox[..2] != b"\r\n" {
                    return Err(garbage("the end of a text", &shown(&inbox[..2])));
                }
                inbox.advance(2);
                self.text = Pending::None;
                return Ok(Some(Part::Whole(Reply::Text(text))));
            }
            Pending::Passing(left) => {
                let passed = left.min(inbox.len());
                inbox.advance(passed);
                if passed < left {
                    self.text = Pending::Passing(left - passed);
                    return Ok(None);
                }
                self.text = Pending::None;
                return Ok(Some(Part::Whole(Reply::TooLong)));
            }
        }
        let Some(end) = line_end(inbox, MAX_LINE)? else {
            return Ok(None);
        };
        let line = inbox.split_to(end).freeze();
        inbox.advance(2);
        match self.begin(&line)? {
            Some(part) => Ok(Some(part)),
            None => self.part(inbox),
        }
    }

    /// What a line says; `None` where a text follows.
    fn begin(&mut self, line: &Bytes) -> Result<Option<Part>> {
        let (Some(kind), rest) = (line.first(), line.get(1..).unwrap_or_default()) else {
            return Err(garbage("a reply", "an empty line"));
        };
        let reply = match kind {
            b'+' => Reply::Status(line.slice(1..)),
            b'-' => Reply::Failure(line.slice(1..)),
            b':' => Reply::Number(number(rest)?),
            b'*' => match usize::try_from(number(rest)?) {
                Ok(count) if count <= MAX_PARTS => return Ok(Some(Part::List(count))),
                Ok(count) => {
                    let found = format!("{count}");
                    return Err(garbage(&format!("a list of at most {MAX_PARTS}"), &found));
                }
                Err(_) => Reply::Null,
            },
            b'$' => match usize::try_from(number(rest)?) {
                Ok(length) if length <= MAX_TEXT => {
                    self.text = Pending::Text(length);
                    return Ok(None);
                }
                Ok(length) if length <= MAX_PASSED => {
                    self.text = Pending::Passing(length + 2);
                    return Ok(None);
                }
                Ok(length) => return Err(garbage("a text", &format!("one of {length} bytes"))),
                Err(_) => Reply::Null,
            },
            _ => return Err(garbage("a reply", &shown(line))),
        };
        Ok(Some(Part::Whole(reply)))
    }
}

enum Part {
    Whole(Reply),
    List(usize),
}

/// Numbers have at most nineteen digits and a sign.
fn number(digits: &[u8]) -> Result<i64> {
    let text = std::str::from_utf8(digits).ok();
    let number = text.and_then(|text| text.parse().ok());
    number.ok_or_else(|| garbage("a number", &shown(digits)))
}

/// The bytes of a command.
pub(crate) fn command(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", parts.len()).into_bytes();
    for part in parts {
        bytes.extend_from_slice(format!("${}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(bytes: &[u8], at_once: usize) -> Result<Vec<Reply>> {
        let (mut reader, mut inbox, mut found) = (Reader::default(), BytesMut::new(), Vec::new());
        for chunk in bytes.chunks(at_once) {
            inbox.extend_from_slice(chunk);
            while let Some(reply) = reader.next(&mut inbox)? {
                found.push(reply);
            }
        }
        Ok(found)
    }

    fn text(text: &'static str) -> Reply {
        Reply::Text(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn replies_are_read_however_they_are_cut() {
        let bytes = b"+OK\r\n-ERR no\r\n:-7\r\n$-1\r\n*-1\r\n*0\r\n$0\r\n\r\n*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\n\r\n\r\n";
        let expected = [
            Reply::Status(Bytes::from_static(b"OK")),
            Reply::Failure(Bytes::from_static(b"ERR no")),
            Reply::Number(-7),
            Reply::Null,
            Reply::Null,
            Reply::List(Vec::new()),
            text(""),
            Reply::List(vec![text("message"), text("c"), text("\r\n")]),
        ];
        for at_once in 1..bytes.len() {
            assert_eq!(all(bytes, at_once).unwrap(), expected, "{at_once}");
        }
    }

    #[test]
    fn a_text_that_is_too_long_is_passed_over_and_takes_no_memory() {
        let (mut reader, mut inbox) = (Reader::default(), BytesMut::new());
        inbox.extend_from_slice(b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1000000\r\n");
        let chunk = [b'x'; 1_000];
        for _ in 0..1_000 {
            assert_eq!(reader.next(&mut inbox).unwrap(), None);
            assert!(inbox.is_empty(), "{}", inbox.len());
            inbox.extend_from_slice(&chunk);
        }
        inbox.extend_from_slice(b"\r\n:1\r\n");
        let list = Reply::List(vec![text("message"), text("c"), Reply::TooLong]);
        assert_eq!(reader.next(&mut inbox).unwrap(), Some(list));
        assert_eq!(reader.next(&mut inbox).unwrap(), Some(Reply::Number(1)));
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        let long = [b"+".as_slice(), &[b'x'; MAX_LINE + 2]].concat();
        for bytes in [
            b"\r\n".as_slice(),
            b"HTTP/1.1 400 Bad Request\r\n",
            b":x\r\n",
            b":\r\n",
            b"$99999999999999999999\r\n",
            b"$9999999999999\r\n",
            b"*9\r\n",
            b"*1000000000\r\n",
            b"*1\r\n*1\r\n",
            b"$1\r\nabc\r\n",
            &long,
        ] {
            let error = all(bytes, bytes.len()).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Corrupt, "{error}");
        }
    }

    #[test]
    fn commands_are_lists_of_texts() {
        let bytes = command(&[b"PUBLISH", b"c", b"a\r\nb"]);
        assert_eq!(bytes, b"*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$4\r\na\r\nb\r\n");
    }
}
