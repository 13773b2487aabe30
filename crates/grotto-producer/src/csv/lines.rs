//! Which line of a text a byte is on.
//!
//! Owns: counting the lines of what is read through it, and the longest row. The CSV parser's own count is
//! one short where lines end with two characters, and takes empty lines before a row for its beginning.
//!
//! Lines end as they do for the parser: with a line feed, a carriage return, or both.

use super::RowError;
use std::collections::VecDeque;
use std::io::{self, Read};

/// Passes bytes on and remembers where lines end, until they are asked for.
#[derive(Debug)]
pub(super) struct Lined<R> {
    inner: R,
    /// Bytes read.
    offset: u64,
    /// Whether the line that is being read holds anything yet but its end.
    blank: bool,
    /// Whether the last byte was a carriage return: a line feed may follow that ends the same line.
    returned: bool,
    /// Offsets of line ends, and whether their lines hold nothing.
    ends: VecDeque<(u64, bool)>,
    /// Line of the last byte that was asked for, from 1.
    line: u64,
    /// The last byte that was asked for, and how many may follow it before the next is.
    asked: u64,
    longest: u64,
}

impl<R> Lined<R> {
    pub(super) fn new(inner: R, longest: u64) -> Self {
        Self {
            asked: 0,
            longest,
            inner,
            offset: 0,
            blank: true,
            returned: false,
            ends: VecDeque::new(),
            line: 1,
        }
    }

    /// The line of the first text from the byte at `offset` on, which must not be before one asked for earlier.
    pub(super) fn line_from(&mut self, offset: u64) -> u64 {
        self.asked = offset;
        let passed = |end: &mut (u64, bool)| end.0 <= offset || end.1;
        while self.ends.pop_front_if(passed).is_some() {
            self.line += 1;
        }
        self.line
    }

    fn note(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let before = std::mem::replace(&mut self.returned, *byte == b'\r');
            if *byte == b'\n' {
                self.end_line(self.offset);
            } else {
                if before {
                    self.end_line(self.offset - 1);
                }
                self.blank &= *byte == b'\r';
            }
            self.offset += 1;
        }
    }

    fn end_line(&mut self, at: u64) {
        self.ends.push_back((at, self.blank));
        self.blank = true;
    }
}

impl<R: Read> Read for Lined<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.offset - self.asked > self.longest {
            let (line, longest) = (self.line, self.longest);
            let message = format!(
                "after line {line}: expected a row of at most {longest} bytes, found no end of it: a quote that is never closed?"
            );
            return Err(RowError::Endless(message).into());
        }
        let read = self.inner.read(into)?;
        self.note(&into[..read]);
        Ok(read)
    }
}
