//! The line with the names of the columns, before it is known what separates them.
//!
//! Owns: where it ends, and what separates its cells. Never: reads a name.

use std::io::{self, BufRead};

/// How far a text is looked through for the end of its header.
const LONGEST: usize = 64 << 10;
/// What may separate cells; the first one where there are equally many.
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// A text up to the end of its first line that holds anything; a line break in quotes ends no line.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    pub(super) bytes: Vec<u8>,
    /// How many of each delimiter are outside of quotes.
    counts: [usize; DELIMITERS.len()],
    is_quoted: bool,
    /// Whether a quote as the next byte opens a cell, or opens it again.
    is_between: bool,
    /// Whether there is more than line ends.
    holds: bool,
}

impl Beginning {
    pub(super) fn read(input: &mut impl BufRead) -> io::Result<Self> {
        let mut beginning = Self {
            is_between: true,
            ..Self::default()
        };
        while beginning.bytes.len() < LONGEST {
            let ready = match input.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                ready => ready?,
            };
            if ready.is_empty() {
                break;
            }
            let most = ready.len().min(LONGEST - beginning.bytes.len());
            let end = ready[..most].iter().position(|byte| beginning.take(*byte));
            let used = end.map_or(most, |end| end + 1);
            input.consume(used);
            if end.is_some() {
                break;
            }
        }
        Ok(beginning)
    }

    /// Takes one more byte in; tells whether it is the last.
    fn take(&mut self, byte: u8) -> bool {
        self.bytes.push(byte);
        self.holds |= !matches!(byte, b'\n' | b'\r');
        let delimiter = DELIMITERS.iter().position(|known| *known == byte);
        let was_between = std::mem::replace(&mut self.is_between, false);
        match (byte, delimiter) {
            (b'"', _) if self.is_quoted => {
                self.is_quoted = false;
                // Another one would stand for a quote within the cell.
                self.is_between = true;
            }
            (b'"', _) if was_between => self.is_quoted = true,
            _ if self.is_quoted => {}
            (b'\n' | b'\r', _) => {
                self.is_between = true;
                return self.holds;
            }
            (_, Some(at)) => {
                self.is_between = true;
                self.counts[at] += 1;
            }
            _ => {}
        }
        false
    }

    /// What the header has most of.
    pub(super) fn delimiter(&self) -> u8 {
        // The last of equals is the largest: backwards, so that the first one is.
        let all = DELIMITERS.into_iter().zip(self.counts).rev();
        let most = all.max_by_key(|(_, count)| *count);
        most.map_or(b',', |(delimiter, _)| delimiter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, delimiter: u8, rest: &str) {
        // Whatever the source gives at a time.
        for size in [1, 2, 1000] {
            let mut input = io::BufReader::with_capacity(size, text.as_bytes());
            let beginning = Beginning::read(&mut input).unwrap();
            assert_eq!(beginning.delimiter() as char, delimiter as char, "{text:?}");
            let mut left = String::new();
            io::Read::read_to_string(&mut input, &mut left).unwrap();
            assert!(left == rest, "{text:?}: {left:?}");
        }
    }

    #[test]
    fn delimiters_are_counted_outside_of_quotes_in_the_first_line_that_holds_anything() {
        check("a;b\n1,2,3\n", b';', "1,2,3\n");
        check("\n\r\na;b\n,,,\n", b';', ",,,\n");
        check("\"a,b,c\";d\n", b';', "");
        check("a;\"b,\n,\"\n1;2\n", b';', "1;2\n");
        check("a;\"b \"\",,\"\n", b';', "");
        // In the middle of a cell a quote is a character like others.
        check("5\" a,b,c;d\n1", b',', "1");
        check("a;b\r1,2,3\r", b';', "1,2,3\r");
        check("a\tb", b'\t', "");
        check("a,b;c\n", b',', "");
        check("", b',', "");
    }

    #[test]
    fn a_header_that_does_not_end_is_read_up_to_a_bound() {
        let text = "a".repeat(LONGEST) + ";b";
        let beginning = Beginning::read(&mut text.as_bytes()).unwrap();
        assert_eq!(
            (beginning.bytes.len(), beginning.delimiter()),
            (LONGEST, b',')
        );
    }
}
