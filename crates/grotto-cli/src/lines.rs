//! Lines that are printed beside other work.
//!
//! Owns: the thread that prints them, and what becomes of them while nobody reads. Never: keeps waiting who has one to
//! print.

use crate::output::apart;
use crate::text::things;
use parking_lot::Mutex;
use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

/// Lines that wait to be printed.
const MOST: usize = 1_024;
/// Longest wait for the last ones to be printed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Lines on their way to a terminal or a pipe.
#[derive(Debug)]
pub(crate) struct Lines {
    state: Mutex<State>,
    ended: Mutex<Receiver<()>>,
}

#[derive(Debug)]
struct State {
    /// `None` once there are no more.
    to: Option<SyncSender<Line>>,
    left_out: u64,
}

/// Whoever prints versions faster than they are read has them in the log.
fn left_out(lines: u64, json: bool) -> String {
    match json {
        true => serde_json::json!({ "left_out": lines }).to_string(),
        false => format!(
            "{} left out: nobody read them in time",
            things(lines, "line")
        ),
    }
}

/// A line, and how many before it found no room.
struct Line(u64, Option<String>);

impl Lines {
    /// Prints to the standard output, where lines that were left out are told as text or as JSON.
    pub(crate) fn to_stdout(json: bool) -> Self {
        Self::start(apart(), move |count| left_out(count, json))
    }

    /// Starts to print; `tell` says how many lines were left out.
    pub(crate) fn start(
        mut writer: impl Write + Send + 'static,
        tell: impl Fn(u64) -> String + Send + 'static,
    ) -> Self {
        let (to, lines) = sync_channel::<Line>(MOST);
        let (end, ended) = sync_channel(1);
        std::thread::spawn(move || {
            for Line(left_out, line) in lines {
                let told = (left_out > 0).then(|| tell(left_out));
                let mut all = told.into_iter().chain(line);
                if all.any(|line| writer.write_all((line + "\n").as_bytes()).is_err()) {
                    // Nobody reads any more.
                    break;
                }
            }
            // Nobody may be waiting for it.
            let _ = end.send(());
        });
        let state = State {
            to: Some(to),
            left_out: 0,
        };
        Self {
            state: Mutex::new(state),
            ended: Mutex::new(ended),
        }
    }

    /// Prints a line when its turn comes; leaves it out if too many wait already.
    pub(crate) fn say(&self, line: String) {
        let mut state = self.state.lock();
        let Some(to) = &state.to else { return };
        match to.try_send(Line(state.left_out, Some(line))) {
            Ok(()) => state.left_out = 0,
            Err(TrySendError::Full(_)) => state.left_out += 1,
            Err(TrySendError::Disconnected(_)) => {}
        }
    }

    /// Ends, once what waits is printed if somebody reads.
    pub(crate) fn end(&self) {
        let (to, left_out) = {
            let mut state = self.state.lock();
            (state.to.take(), state.left_out)
        };
        let ended = self.ended.lock();
        if let Some(to) = to.filter(|_| left_out > 0) {
            // Where there is no room still, nobody reads.
            let _ = to.try_send(Line(left_out, None));
        }
        // As above.
        let _ = ended.recv_timeout(LAST_WORDS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Sender, channel};

    /// A terminal that stands still until it is told to go on.
    struct Still {
        go_on: Receiver<()>,
        to: Sender<Vec<u8>>,
    }

    impl Write for Still {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            // It goes on for good once the other side is gone.
            let _ = self.go_on.recv();
            self.to.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_does_not_read_keeps_nobody_waiting_and_is_told_what_was_left_out() {
        let ((go_on, gate), (to, written)) = (channel(), channel());
        let still = Still { go_on: gate, to };
        let lines = Lines::start(still, |count| format!("{count} left out"));
        let all = 3 * MOST as u64;
        for number in 0..all {
            lines.say(format!("line {number}"));
        }
        drop(go_on);
        // One that finds room again.
        let mut said = 0;
        let mut text = String::new();
        while !text.contains("left out") {
            lines.say("later".to_owned());
            said += 1;
            for bytes in written.try_iter() {
                text.push_str(std::str::from_utf8(&bytes).unwrap());
            }
        }
        lines.end();
        for bytes in written.try_iter() {
            text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        let (mut printed, mut left_out) = (0, 0);
        for line in text.lines() {
            match line.strip_suffix(" left out") {
                Some(count) => left_out += count.parse::<u64>().unwrap(),
                None => printed += 1,
            }
        }
        assert_eq!(printed + left_out, all + said);
        assert!(printed >= MOST as u64, "{printed}");
        assert!(text.starts_with("line 0\nline 1\n"));
    }
}
