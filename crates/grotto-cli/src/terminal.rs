//! Looks at something that goes on, each in the place of the last one at a terminal.
//!
//! Owns: how looks follow each other, and the size of the terminal. Never: knows what is looked at.

use crate::failure::Outcome;
use crate::output::Out;
use std::io::IsTerminal as _;

/// To the upper left corner.
const HOME: &str = "\x1b[H";
/// Removes what is behind, on the line and below.
const END_OF_LINE: &str = "\x1b[K";
const REST: &str = "\x1b[J";

/// Where looks are printed.
#[derive(Debug)]
pub(crate) struct Screen {
    in_place: bool,
    shown: u64,
}

impl Screen {
    /// One on which looks replace each other, if `in_place` and there is a terminal; elsewhere they follow each
    /// other with an empty line between them.
    pub(crate) fn new(in_place: bool) -> Self {
        Self {
            in_place: in_place && std::io::stdout().is_terminal(),
            shown: 0,
        }
    }

    /// Columns and rows that a look may take; `None` where it may take any number.
    pub(crate) fn size(&self) -> Option<(usize, usize)> {
        if self.in_place { size() } else { None }
    }

    /// Prints a look.
    pub(crate) fn show(&mut self, lines: &[String], out: &mut Out) -> Outcome<()> {
        if self.shown > 0 && !self.in_place {
            out.line("")?;
        }
        match self.in_place {
            true => out.line(over(lines, self.shown == 0))?,
            false => lines.iter().try_for_each(|line| out.line(line))?,
        }
        self.shown += 1;
        out.flush()
    }
}

/// Lines over what is on the screen, which is cleared by the `first` look.
fn over(lines: &[String], first: bool) -> String {
    let mut text = HOME.to_owned();
    if first {
        text.push_str(REST);
    }
    text.push_str(&lines.join(&format!("{END_OF_LINE}\n")));
    text + END_OF_LINE + "\n" + REST
}

#[cfg(unix)]
fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

#[cfg(not(unix))]
fn size() -> Option<(usize, usize)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_over_another_leaves_nothing_of_it() {
        let lines = ["a".to_owned(), "b".to_owned()];
        assert_eq!(over(&lines, true), "\x1b[H\x1b[Ja\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(over(&lines, false), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
    }
}
