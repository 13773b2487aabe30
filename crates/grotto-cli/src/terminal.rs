//! Looks at something that goes on, each in the place of the last one at a terminal.
//!
//! Owns: how looks follow each other, the size of the terminal, and what becomes of looks that nobody reads. Never: knows
//! what is looked at.

use crate::failure::Outcome;
use crate::output::Out;
use crate::text::things;
use parking_lot::{Condvar, Mutex};
use std::io::{IsTerminal as _, Write};
use std::sync::Arc;
use std::time::Duration;

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

/// Lines as a terminal of so many columns and rows can show them: cut, and the last row says what is missing.
pub(crate) fn fitted(mut lines: Vec<String>, size: Option<(usize, usize)>) -> Vec<String> {
    let Some((columns, rows)) = size else {
        return lines;
    };
    // A line that is empty, and the cursor below.
    let most = rows.saturating_sub(2).max(2);
    if lines.len() > most {
        let missing = (lines.len() - most + 1) as u64;
        lines.truncate(most - 1);
        lines.push(format!("… {} more", things(missing, "line")));
    }
    lines.iter().map(|line| cut(line, columns)).collect()
}

/// A line of so many columns at most.
pub(crate) fn cut(line: &str, most: usize) -> String {
    if line.chars().count() <= most {
        return line.to_owned();
    }
    let start: String = line.chars().take(most.saturating_sub(1)).collect();
    start + "…"
}

/// Looks of a program that goes on with its work, whether or not the terminal takes them: one that finds the one before
/// still waiting takes its place.
#[derive(Debug)]
pub(crate) struct Frames(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    state: Mutex<Frame>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Frame {
    next: Option<String>,
    shown: u64,
    /// Whether there will be no more.
    last: bool,
    /// Whether nothing is shown any more.
    ended: bool,
}

/// Longest wait for the last look to be shown.
const LAST_LOOK: Duration = Duration::from_secs(1);

impl Frames {
    /// Starts to show what is handed in.
    pub(crate) fn start(mut writer: impl Write + Send + 'static) -> Self {
        let waiting = Arc::new(Waiting::default());
        let frames = Arc::clone(&waiting);
        std::thread::spawn(move || {
            while let Some(text) = frames.take() {
                let shown = writer.write_all(text.as_bytes());
                if shown.and_then(|()| writer.flush()).is_err() {
                    // Nobody looks any more.
                    break;
                }
            }
            frames.state.lock().ended = true;
            frames.changed.notify_all();
        });
        Self(waiting)
    }

    /// Shows lines, in place of those before, unless others come before the terminal takes them.
    pub(crate) fn show(&self, lines: &[String]) {
        let mut state = self.0.state.lock();
        let is_first = state.shown == 0;
        state.next = Some(over(lines, is_first));
        self.0.changed.notify_all();
    }

    /// Ends, once the last look is shown if somebody takes it.
    pub(crate) fn end(&self) {
        let mut state = self.0.state.lock();
        state.last = true;
        self.0.changed.notify_all();
        let goes_on = |state: &mut Frame| !state.ended;
        let changed = &self.0.changed;
        // Where the terminal stands still, nobody waits for it.
        let _ = changed.wait_while_for(&mut state, goes_on, LAST_LOOK);
    }
}

impl Waiting {
    /// The next look; `None` when there are no more.
    fn take(&self) -> Option<String> {
        let mut state = self.state.lock();
        let nothing = |state: &mut Frame| state.next.is_none() && !state.last;
        self.changed.wait_while(&mut state, nothing);
        let next = state.next.take()?;
        state.shown += 1;
        Some(next)
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

/// Columns and rows of the terminal; `None` where there is none that can show looks in place.
#[cfg(unix)]
pub(crate) fn size() -> Option<(usize, usize)> {
    let size = rustix::termios::tcgetwinsize(std::io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (size.ws_col.into(), size.ws_row.into()))
}

#[cfg(not(unix))]
pub(crate) fn size() -> Option<(usize, usize)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// A terminal that takes something each time it is told to.
    struct Still {
        go_on: Receiver<()>,
        to: Sender<String>,
    }

    impl Write for Still {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // It goes on for good once the other side is gone.
            let _ = self.go_on.recv();
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            self.to.send(text).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_terminal_that_stands_still_keeps_nobody_waiting_and_shows_the_newest_look_later() {
        let ((go_on, gate), (to, shown)) = (channel(), channel());
        let frames = Frames::start(Still { go_on: gate, to });
        let look = |number: u64| frames.show(&[format!("look {number}")]);
        look(0);
        // The first one is being shown.
        while frames.0.state.lock().shown == 0 {
            std::thread::yield_now();
        }
        (1..=1_000).for_each(look);
        drop(go_on);
        frames.end();
        let shown: Vec<String> = shown.try_iter().collect();
        assert_eq!(
            shown,
            [
                over(&["look 0".to_owned()], true),
                over(&["look 1000".to_owned()], false)
            ]
        );
    }

    #[test]
    fn a_look_over_another_leaves_nothing_of_it() {
        let lines = ["a".to_owned(), "b".to_owned()];
        assert_eq!(over(&lines, true), "\x1b[H\x1b[Ja\x1b[K\nb\x1b[K\n\x1b[J");
        assert_eq!(over(&lines, false), "\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J");
    }
}
