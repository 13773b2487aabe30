//! Progress bars on long work.
//!
//! Owns: whether and how they look. They appear on the standard error stream, only at a terminal,
//! and never beside JSON.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::borrow::Cow;
use std::io::Read;

/// How far something is.
#[derive(Clone, Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar for work called `name`. Quiet ones are never shown.
    pub(crate) fn new(name: impl Into<Cow<'static, str>>, quiet: bool) -> Self {
        // The terminal target hides itself where there is no terminal.
        let target = if quiet {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        bar.set_message(name);
        Self(bar)
    }

    /// Counts bytes, of `more` than so far.
    pub(crate) fn of_bytes(&self, more: u64) {
        let total = self.0.length().unwrap_or(0).saturating_add(more);
        // A pipe does not tell how much will come.
        self.start(
            total,
            match total {
                0 => "{msg} {spinner} {bytes}",
                _ => "{msg} {wide_bar} {bytes}/{total_bytes} {eta}",
            },
        );
    }

    /// Counts things from now on.
    pub(crate) fn of_items(&self, total: u64) {
        self.start(total, "{msg} {wide_bar} {human_pos}/{human_len} {eta}");
    }

    fn start(&self, total: u64, template: &str) {
        // A bar that cannot look as wished looks plain.
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.0.set_style(style);
        }
        self.0.set_length(total);
        self.0.set_position(0);
    }

    /// Something more is done.
    pub(crate) fn add(&self, done: u64) {
        self.0.inc(done);
    }

    /// So much is done.
    pub(crate) fn set(&self, done: u64) {
        self.0.set_position(done);
    }

    /// Counts what is read.
    pub(crate) fn watch<R: Read>(&self, reader: R) -> indicatif::ProgressBarIter<R> {
        self.0.wrap_read(reader)
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
