//! Making submissions durable.
//!
//! Owns: group commit, and what a repeated submission is. Never: publishes.

use super::inner::{Inner, Phase};
use super::letters::{self, Letter};
use super::queue::Queued;
use super::room::{Receipt, Submission};
use crate::wal::WalEntry;
use crate::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::sync::futures::Notified;

/// Bytes of a group: large enough that a sync pays, small enough that nobody waits long for others.
const GROUP_BYTES: usize = 4 << 20;

/// Submissions of one group.
struct Group {
    /// Those that go into the log, in order.
    fresh: Vec<Submission>,
    /// Those whose key is known: with the entry, or with the position in `fresh`.
    repeated: Vec<(Submission, Known)>,
}

#[derive(Clone, Copy)]
enum Known {
    Entry(u64),
    InGroup(usize),
}

/// What was refused, once: who has to wait for room comes again.
fn take_letters(submissions: &mut [Submission]) -> Vec<Letter> {
    let mut found = Vec::new();
    for submission in submissions {
        let refused = std::mem::take(&mut submission.refused);
        found.extend(
            refused
                .iter()
                .map(|r| letters::of_refused(&submission.entry, r)),
        );
    }
    found
}

/// Makes submissions durable until the pipeline ends.
pub(super) async fn run(inner: Arc<Inner>) {
    while let Some(group) = inner.next_group().await {
        inner.commit_group(group).await;
        inner.room.lock().settled();
    }
    inner.queue_filled.notify_one();
}

impl Inner {
    /// Waits for submissions; `None` when none will come.
    async fn next_group(&self) -> Option<Vec<Submission>> {
        loop {
            if self.phase() >= Phase::Ended {
                return None;
            }
            let changed = self.log_changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let waits = self.waits_for_log();
            let group = match waits {
                true => Vec::new(),
                false => self.room.lock().take_group(self.group_bytes()),
            };
            if !group.is_empty() {
                self.room_freed.notify_waiters();
                return Some(group);
            }
            if self.phase() == Phase::Draining && self.room.lock().is_idle() {
                return None;
            }
            tokio::select! {
                biased;
                () = self.reached(Phase::Ended) => {}
                () = self.room_filled.notified() => {}
                () = changed, if waits => {}
            }
        }
    }

    /// Bytes of the next group: never more than the log has room for. Without a log, what is acknowledged has to
    /// have room in memory.
    fn group_bytes(&self) -> Option<usize> {
        match self.journal() {
            // Also where there is none: what is released makes room only when something is appended.
            Some(journal) => Some(
                usize::try_from(journal.room()).map_or(GROUP_BYTES, |room| GROUP_BYTES.min(room)),
            ),
            None => {
                let batching = self.options.lock().batching;
                let fits = self.queue.lock().has_room(1, 0, &batching);
                fits.then_some(GROUP_BYTES)
            }
        }
    }

    async fn commit_group(self: &Arc<Self>, submissions: Vec<Submission>) {
        // Before looking whether there is room: what is freed after it must not be missed.
        let freed = self.room_freed.notified();
        tokio::pin!(freed);
        freed.as_mut().enable();
        if let Err(error) = self.settle().await {
            let repeated = Vec::new();
            let fresh = submissions;
            return self.refuse(Group { fresh, repeated }, &error);
        }
        let mut group = self.sort(submissions);
        let letters = take_letters(&mut group.fresh);
        let entries: Vec<Arc<WalEntry>> =
            group.fresh.iter().map(|s| Arc::clone(&s.entry)).collect();
        if !letters.is_empty() {
            let inner = Arc::clone(self);
            // Whoever sent what was refused is told so, whether or not this works.
            _ = self.env.blocking(move || inner.bury(letters)).await;
        }
        match self.append(entries).await {
            Ok(first) => self.acknowledge(group, first),
            Err(error) if error.kind() == ErrorKind::Overloaded => {
                self.wait_for_room(group, freed).await;
            }
            Err(error) => {
                self.refuse(group, &error);
                if error.kind() == ErrorKind::Fenced {
                    self.fail(&error);
                    self.set_phase(Phase::Ended);
                }
            }
        }
    }

    /// Makes sure of what an earlier process wrote last: until then its keys are not known.
    async fn settle(&self) -> Result<()> {
        match self.journal() {
            Some(journal) => journal.settle(&self.env).await,
            None => Ok(()),
        }
    }

    /// The log is full: all who were to go into it wait until something of it is published.
    async fn wait_for_room(&self, group: Group, freed: Pin<&mut Notified<'_>>) {
        let repeated = group.repeated.into_iter().map(|(submission, _)| submission);
        self.room
            .lock()
            .put_in_front(group.fresh.into_iter().chain(repeated));
        self.log_is_full.store(true, Ordering::Release);
        tokio::select! {
            biased;
            () = self.reached(Phase::Ended) => {}
            () = freed => {}
        }
        self.log_is_full.store(false, Ordering::Release);
    }

    /// Tells those apart that were sent before.
    fn sort(&self, submissions: Vec<Submission>) -> Group {
        let mut group = Group {
            fresh: Vec::with_capacity(submissions.len()),
            repeated: Vec::new(),
        };
        let journal = self.journal();
        let mut keys: HashMap<String, usize> = HashMap::new();
        for submission in submissions {
            let Some(key) = submission.entry.key.clone() else {
                group.fresh.push(submission);
                continue;
            };
            let in_log = match &journal {
                // What was set aside is not published: sent again, it is taken again.
                Some(journal) => journal
                    .known_key(&key)
                    .filter(|number| *number > self.aside_through.load(Ordering::Acquire)),
                None => self.recent.lock().find(&key),
            };
            let known = in_log.map(Known::Entry);
            match known.or_else(|| keys.get(&key).copied().map(Known::InGroup)) {
                Some(known) => group.repeated.push((submission, known)),
                None => {
                    keys.insert(key, group.fresh.len());
                    group.fresh.push(submission);
                }
            }
        }
        group
    }

    fn acknowledge(&self, group: Group, first: u64) {
        let (batching, only_here) = (self.options.lock().batching, !self.is_logged());
        let now = self.env.clock.monotonic();
        {
            let mut queue = self.queue.lock();
            let spills = queue.spills;
            for (number, submission) in (first..).zip(&group.fresh) {
                let queued = Queued {
                    number,
                    entry: Arc::clone(&submission.entry),
                    rejected: Arc::default(),
                    arrived: submission.arrived,
                };
                queue.push(queued, &batching, only_here);
            }
            self.metrics.spilled.inc_by(queue.spills - spills);
        }
        self.queue_filled.notify_one();
        for (submission, known) in group.repeated {
            self.metrics.repeated.inc();
            let number = match known {
                Known::Entry(number) => number,
                Known::InGroup(position) => first + position as u64,
            };
            let receipt = Receipt {
                number,
                is_repeated: true,
            };
            _ = submission.reply.send(Ok(receipt));
        }
        for (number, submission) in (first..).zip(group.fresh) {
            let waited = now.saturating_sub(submission.arrived);
            self.metrics.to_durable.observe(waited.as_secs_f64());
            self.metrics
                .acknowledged
                .inc_by(submission.records() as u64);
            if let (Some(key), None) = (&submission.entry.key, self.journal()) {
                self.recent.lock().remember(key, number);
            }
            let receipt = Receipt {
                number,
                is_repeated: false,
            };
            // Who does not wait for the answer has submitted all the same.
            _ = submission.reply.send(Ok(receipt));
        }
    }

    fn refuse(&self, group: Group, error: &Error) {
        self.metrics.wal_failures.inc();
        tracing::warn!(dataset = self.name, %error, "submissions could not be made durable");
        for (submission, known) in group.repeated {
            let told = match known {
                Known::Entry(number) => Ok(Receipt {
                    number,
                    is_repeated: true,
                }),
                Known::InGroup(_) => Err(error.clone()),
            };
            _ = submission.reply.send(told);
        }
        for submission in group.fresh {
            self.metrics.refused.inc_by(submission.records() as u64);
            _ = submission.reply.send(Err(error.clone()));
        }
    }
}
