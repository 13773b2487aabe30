//! Taking a rollout from stage to stage.
//!
//! Owns: what is written when, and how it ends. Never: judges a consumer. All that has to be known to go on is in the
//! channel before consumers can see it.

use super::judge::{self, Watched};
use super::show::{Event, told};
use crate::commands::follow::Ending;
use crate::failure::{Failure, Outcome, one_line};
use crate::output::{Out, note, note_as_json};
use crate::progress::Bar;
use grotto::ErrorKind;
use grotto::engine::env::Env;
use grotto::engine::format::log::MAX_NOTE_BYTES;
use grotto::store::{ChannelId, Dataset, Lease, LeaseObserver, Leases, Pointer, PointerName};
use serde_json::json;
use std::time::Duration;

/// Longest time between two looks at the consumers of a stage, and the share of the wait that it is at most.
const LONGEST_TICK: Duration = Duration::from_secs(1);
const TICKS: u32 = 5;

/// How a rollout ended, as far as this command is concerned.
pub(super) enum Ended {
    /// All followers go to the version.
    Done,
    /// It goes no further.
    Halted(Failure),
}

/// A rollout that is under way.
pub(super) struct Drive {
    dataset: Dataset,
    channel: ChannelId,
    name: PointerName,
    /// Whether all go back where it halts.
    back: bool,
    json: bool,
    env: Env,
    observer: LeaseObserver,
    /// Whether it was said that the store does not answer.
    silent: bool,
    /// When it did not answer last.
    silent_at: Option<Duration>,
}

impl Drive {
    pub(super) fn new(dataset: Dataset, channel: ChannelId, back: bool, json: bool) -> Self {
        Self {
            name: PointerName::Channel(channel.clone()),
            dataset,
            channel,
            back,
            json,
            env: Env::system(),
            observer: LeaseObserver::default(),
            silent: false,
            silent_at: None,
        }
    }

    /// Goes through all stages from that of `pointer` on, in place of what the channel said `before`.
    pub(super) async fn run(
        mut self,
        before: Pointer,
        pointer: Pointer,
        out: &mut Out,
    ) -> Outcome<Ended> {
        let mut ending = Ending::new()?;
        let channel = self.channel.clone();
        tokio::select! {
            ended = self.stages(before, pointer, out) => ended,
            () = ending.asked() => Ok(Ended::Halted(
                Failure::halted(format!("channel {channel}: the rollout stays at its stage, and nobody watches it"))
                    .hint(goes_on(&channel)),
            )),
        }
    }

    async fn stages(
        &mut self,
        mut before: Pointer,
        mut pointer: Pointer,
        out: &mut Out,
    ) -> Outcome<Ended> {
        loop {
            let Some(watched) = self.begin_stage(&before, &mut pointer, out).await? else {
                return self.unwatchable(&before);
            };
            before = pointer.clone();
            if let Some(wrong) = self.watch(watched, &pointer, out).await? {
                return Ok(Ended::Halted(self.halt(pointer, &wrong).await));
            }
            let Some(rollout) = &mut pointer.rollout else {
                return Ok(Ended::Done);
            };
            if usize::from(rollout.stage) + 1 < rollout.stages.len() {
                rollout.stage += 1;
                continue;
            }
            pointer.version = rollout.to;
            pointer.rollout = None;
            pointer.time_ms = self.env.clock.wall_ms();
            self.write(&before, &pointer).await?;
            self.tell(&Event::Done(pointer.version), out)?;
            return Ok(Ended::Done);
        }
    }

    /// Has the consumers of a stage go; `None` if nobody could be watched.
    async fn begin_stage(
        &mut self,
        before: &Pointer,
        pointer: &mut Pointer,
        out: &mut Out,
    ) -> Outcome<Option<Watched>> {
        let Some(rollout) = &mut pointer.rollout else {
            return Ok(None);
        };
        let leases = self.leases().await?;
        let followers = judge::followers(&leases.found, &self.channel);
        let followers: Vec<&Lease> = followers.map(|(_, lease)| lease).collect();
        let Some(share) = judge::share(rollout, rollout.stage, &followers) else {
            return Ok(None);
        };
        rollout.share = share.max(rollout.share);
        let rollout = rollout.clone();
        let (watched, left_out) = Watched::of(&rollout, &followers);
        self.write(before, pointer).await?;
        let event = Event::Stage {
            rollout: &rollout,
            from: pointer.version,
            watched: &watched.names(),
            of: followers.len(),
            left_out: &left_out,
        };
        self.tell(&event, out)?;
        Ok(Some(watched))
    }

    fn unwatchable(&self, before: &Pointer) -> Outcome<Ended> {
        let channel = &self.channel;
        let message = format!(
            "channel {channel}: no follower that keeps a lease is well: nobody could be watched"
        );
        let hint = "`grotto status` shows consumers and what each follows";
        match before.rollout {
            None => Err(Failure::invalid(message).hint(hint)),
            Some(_) => Ok(Ended::Halted(Failure::halted(message).hint(hint))),
        }
    }

    /// Watches the consumers of a stage until its time is over; tells what is wrong with them, if anything is.
    async fn watch(
        &mut self,
        mut watched: Watched,
        pointer: &Pointer,
        out: &mut Out,
    ) -> Outcome<Option<Vec<String>>> {
        let Some(rollout) = &pointer.rollout else {
            return Ok(None);
        };
        let wait = Duration::from_millis(rollout.wait_ms);
        let tick = LONGEST_TICK.min(wait / TICKS).max(Duration::from_millis(1));
        let (mut began, bar) = (
            self.env.clock.monotonic(),
            Bar::new(told(rollout), self.json),
        );
        bar.of_items(wait.as_secs());
        loop {
            self.env.sleep(tick).await;
            let passed = self.env.clock.monotonic().saturating_sub(began);
            bar.set(passed.min(wait).as_secs());
            let leases = match self.look(pointer).await {
                Ok(Look::At(leases)) => leases,
                Ok(Look::Wrong(why)) => return Ok(Some(vec![why])),
                // It is not known how they are: nothing is decided before it is, and they get the whole time again.
                Err(failure) if failure.is_outage() => {
                    self.note_silence(&failure);
                    began = self.env.clock.monotonic();
                    continue;
                }
                Err(failure) => return Err(failure),
            };
            self.silent = false;
            let seen = watched.look(&leases.found, rollout.to);
            if !seen.wrong.is_empty() {
                return Ok(Some(seen.wrong));
            }
            if passed < wait {
                continue;
            }
            if seen.on_the_way.is_empty() {
                self.tell(&Event::Well(rollout, seen.there), out)?;
                return Ok(None);
            }
            let late = seen.on_the_way.iter();
            let late = late.map(|name| format!("{name} did not get to version {}", rollout.to));
            return Ok(Some(late.collect()));
        }
    }

    /// How consumers are, if the channel is still as this rollout left it.
    async fn look(&mut self, pointer: &Pointer) -> Outcome<Look> {
        if let Some(pin) = self.dataset.pointer(&PointerName::Pin).await? {
            let version = pin.version;
            return Ok(Look::Wrong(format!(
                "all consumers are pinned to version {version}"
            )));
        }
        if self.dataset.pointer(&self.name).await?.as_ref() != Some(pointer) {
            let message = format!("somebody else changed {} meanwhile", self.name);
            return Err(Failure::new(ErrorKind::Busy, message)
                .hint("`grotto rollout status` and `grotto channel list` show what it says now"));
        }
        self.leases().await.map(Look::At)
    }

    async fn leases(&mut self) -> Outcome<Leases> {
        let mut leases = self.dataset.leases().await?;
        let now = self.env.clock.monotonic();
        self.observer.observe(&mut leases, now);
        // Before that nobody could renew one.
        if let Some(silent_at) = self.silent_at {
            let heard = now.saturating_sub(silent_at);
            for lease in &mut leases.found {
                lease.age = lease.age.min(heard);
            }
        }
        Ok(leases)
    }

    /// Keeps it from going further, or takes it back.
    async fn halt(&self, mut pointer: Pointer, wrong: &[String]) -> Failure {
        let before = pointer.clone();
        let why = shortened(&wrong.join("; "));
        let (channel, version) = (&self.channel, pointer.version);
        let Some(rollout) = &mut pointer.rollout else {
            return Failure::halted(why);
        };
        let to = rollout.to;
        let stage = told(rollout);
        rollout.halted = Some(why.clone());
        if self.back {
            pointer.reason = shortened(&format!("back from version {to}: {why}"));
            pointer.rollout = None;
        }
        let written = self.write(&before, &pointer).await;
        let message =
            format!("channel {channel}: the rollout of version {to} is halted at {stage}: {why}");
        match (written, self.back) {
            (Ok(()), true) => Failure::halted(format!(
                "{message}; all followers go back to version {version}"
            ))
            .hint("`grotto status` shows how they are"),
            (Ok(()), false) => Failure::halted(message).hint(goes_on(channel)),
            (Err(failure), _) => {
                let error = failure.message();
                Failure::halted(format!(
                    "{message}; it stays at its stage, and the channel does not tell so: {error}"
                ))
                .hint(goes_on(channel))
            }
        }
    }

    async fn write(&self, before: &Pointer, pointer: &Pointer) -> Outcome<()> {
        let changed = self.dataset.change_pointer(&self.name, before, pointer);
        Ok(changed.await?)
    }

    fn note_silence(&mut self, failure: &Failure) {
        self.silent_at = Some(self.env.clock.monotonic());
        if std::mem::replace(&mut self.silent, true) {
            return;
        }
        let message = failure.message();
        match self.json {
            true => note_as_json(&json!({ "message": message })),
            false => note(format_args!("{message}; asking again")),
        }
    }

    fn tell(&self, event: &Event<'_>, out: &mut Out) -> Outcome<()> {
        let channel = self.channel.as_str();
        match out.is_json() {
            true => out.json(&event.json(channel))?,
            false => {
                let lines = event.lines(channel);
                lines.iter().try_for_each(|line| out.line(line))?;
            }
        }
        out.flush()
    }
}

/// What a look at the store shows.
enum Look {
    At(Leases),
    /// Nobody goes where the channel leads.
    Wrong(String),
}

fn goes_on(channel: &ChannelId) -> String {
    format!(
        "`grotto rollout resume {channel}` goes on with it, `grotto rollout abort {channel}` takes it back"
    )
}

/// As much of a text as a pointer may have.
fn shortened(text: &str) -> String {
    let mut line = one_line(text);
    line.truncate(line.floor_char_boundary(MAX_NOTE_BYTES));
    line
}

#[cfg(test)]
mod tests;
