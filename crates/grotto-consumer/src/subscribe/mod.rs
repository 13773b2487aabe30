//! Subscriptions: what changed, taken by a reader at its own pace.
//!
//! Owns: what is asked for, from where on, and how it is handed out. Never: delays a refresh or a reader; what waits
//! is bounded, and where it is full, neighbours become one update.
//!
//! **Invariants**: each update begins at the state at which the one before ended. Nothing is left out and nothing told
//! twice, whatever is merged; what came and went in between never was.

mod pending;
mod position;
mod queue;
mod update;

pub use position::Position;
pub(crate) use queue::Subscriptions;
pub use update::Update;

use crate::changes::Composer;
use crate::error::{Error, ErrorKind, Result};
use crate::shared::{Shared, blocking};
use crate::target::was_written;
use grotto_env::Env;
use grotto_state::{Interest, State};
use pending::Pending;
use queue::{Queue, Taken};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Updates that wait for a reader, unless it asks for another number.
const CAPACITY: usize = 16;
/// Most updates that may wait: each keeps the memory of a version.
const MOST_CAPACITY: usize = 1024;
/// Longest name in bytes, as it becomes a label of metrics.
const LONGEST_NAME: usize = 64;

/// What a subscription is to tell, and from where on.
///
/// ```
/// use grotto_consumer::{Interest, Subscribe};
///
/// let prices = Subscribe::named("prices").to(Interest::of("Product").field("price"));
/// ```
#[derive(Clone, Debug)]
pub struct Subscribe {
    name: String,
    interests: Vec<Interest>,
    capacity: usize,
    from: From,
}

#[derive(Clone, Debug)]
enum From {
    Now,
    Beginning,
    Position(Position),
}

impl Subscribe {
    /// A subscription to everything that changes from now on. Its name is for metrics and messages, and no other
    /// subscription of the consumer may have it: 1 to 64 bytes.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            interests: Vec::new(),
            capacity: CAPACITY,
            from: From::Now,
        }
    }

    /// Tells only this, and whatever else is named so. One interest for each type.
    #[must_use]
    pub fn to(mut self, interest: Interest) -> Self {
        self.interests.push(interest);
        self
    }

    /// Goes on behind what a reader took in before, by [`Subscription::position`] at that time, also of another
    /// process.
    #[must_use]
    pub fn after(mut self, position: Position) -> Self {
        self.from = From::Position(position);
        self
    }

    /// Tells all records first, as added.
    #[must_use]
    pub fn from_beginning(mut self) -> Self {
        self.from = From::Beginning;
        self
    }

    /// Updates that may wait to be taken; 16 unless set, 1 to 1,024. Each keeps a version in memory. A reader that is
    /// further behind gets several versions as one update.
    #[must_use]
    pub fn capacity(mut self, updates: usize) -> Self {
        self.capacity = updates.clamp(1, MOST_CAPACITY);
        self
    }

    fn check(&self, served: &State) -> Result<()> {
        if self.name.is_empty() || self.name.len() > LONGEST_NAME {
            let (found, name) = (self.name.len(), &self.name);
            return Err(Error::invalid(format!(
                "subscription: expected a name of 1 to {LONGEST_NAME} bytes, found {found}: {name:.80?}"
            )));
        }
        for (position, interest) in self.interests.iter().enumerate() {
            let mut earlier = self.interests.iter().take(position);
            if earlier.any(|other| other.type_name() == interest.type_name()) {
                return Err(Error::invalid(format!(
                    "subscription {}: expected one interest for type {}, found two",
                    self.name,
                    interest.type_name()
                )));
            }
            // Before the first version nobody knows the types.
            if was_written(served) {
                let place = || format!("subscription {}", self.name);
                interest.check(served).map_err(|e| e.at(place()))?;
            }
        }
        Ok(())
    }
}

/// Changes of a dataset, taken one [`Update`] after the other.
///
/// A reader that is slow delays nobody: up to [`Subscribe::capacity`] updates wait for it, and beyond that the newest
/// of them is extended. Whoever keeps [`Subscription::position`] with what it made of an update can go on there after
/// a restart.
///
/// Ends when its consumer does. Dropping it ends it too.
pub struct Subscription {
    all: Arc<Subscriptions>,
    queue: Arc<Queue>,
    interests: Arc<[Interest]>,
    position: Position,
    /// Taken from the queue and not handed out yet: whoever stops waiting loses nothing.
    current: Option<Arc<Pending>>,
    /// The work for it, which a reader that stops waiting and comes again goes on with.
    work: Option<Work>,
    env: Env,
}

/// An update in the making.
type Work = Pin<Box<dyn Future<Output = Result<Made>> + Send>>;

/// An update, and whether it has anything that was asked for.
type Made = (Update, bool);

/// Finds out what changed. Costs a pass over the changes, and over both states where only that tells.
fn made(pending: &Pending, interests: Arc<[Interest]>) -> Made {
    let update = Update::of(pending, interests);
    let wanted = update.types().next().is_some();
    (update, wanted)
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "subscription {} at {}", self.queue.name(), self.position)
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.all.remove(&self.queue);
    }
}

impl Shared {
    pub(crate) async fn subscribe(self: &Arc<Self>, wanted: Subscribe) -> Result<Subscription> {
        wanted.check(&self.served())?;
        let capacity = wanted.capacity;
        let queue = self
            .subscriptions
            .add(&wanted.name, capacity, || self.served.identified())?;
        let at = |state: &State| Position::of(state, queue.dataset_id());
        let mut subscription = Subscription {
            all: Arc::clone(&self.subscriptions),
            position: at(queue.first()),
            interests: wanted.interests.into(),
            current: None,
            work: None,
            env: self.env.clone(),
            queue: Arc::clone(&queue),
        };
        match wanted.from {
            From::Now => {}
            From::Beginning => {
                subscription.position = at(&self.origin());
                subscription.begin_at(self.origin(), None);
            }
            From::Position(position) => subscription.resume(self, position).await?,
        }
        Ok(subscription)
    }
}

/// Why a reader cannot go on at a position.
pub(crate) fn another_version() -> Error {
    let message = "the version with this number is another one now, or of other types: subscribe from the beginning";
    Error::new(ErrorKind::Missing, message)
}

impl Subscription {
    /// Where this reader is: behind the update that was handed out last.
    #[must_use]
    pub fn position(&self) -> &Position {
        &self.position
    }

    /// The next update with a change that was asked for; waits for one. `None` once the consumer ended and all was
    /// taken. Who stops waiting loses nothing.
    ///
    /// # Errors
    /// `Internal` when finding the changes ended early; the next call tries again.
    pub async fn next(&mut self) -> Result<Option<Update>> {
        loop {
            if self.current.is_none() {
                self.current = match self.queue.take() {
                    Taken::Pending(pending) => Some(Arc::new(pending)),
                    Taken::Ended => return Ok(None),
                    Taken::Nothing => {
                        self.queue.arrival().await;
                        continue;
                    }
                };
            }
            let Some(pending) = self.current.clone() else {
                continue;
            };
            let work = self.work.get_or_insert_with(|| {
                let (env, interests) = (self.env.clone(), Arc::clone(&self.interests));
                Box::pin(async move { blocking(&env, move || made(&pending, interests)).await })
            });
            let update = work.as_mut().await;
            self.work = None;
            if let Some(update) = self.hand_out(update?) {
                return Ok(Some(update));
            }
        }
    }

    /// The same on a thread that may wait, at most for `timeout`; `Ok(None)` when nothing came in time too.
    /// [`Subscription::has_ended`] tells the two apart.
    #[must_use]
    pub fn wait(&mut self, timeout: Duration) -> Option<Update> {
        let clock = Arc::clone(&self.env.clock);
        let until = clock.monotonic().saturating_add(timeout);
        loop {
            if self.current.is_none() {
                let left = until.saturating_sub(clock.monotonic());
                self.current = match self.queue.wait(left, &*clock) {
                    Taken::Pending(pending) => Some(Arc::new(pending)),
                    Taken::Ended | Taken::Nothing => return None,
                };
            }
            let pending = self.current.clone()?;
            let update = made(&pending, Arc::clone(&self.interests));
            if let Some(update) = self.hand_out(update) {
                return Some(update);
            }
        }
    }

    /// Whether the consumer ended and all was taken.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.current.is_none() && self.queue.has_ended()
    }

    /// Updates that wait to be taken.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len() + usize::from(self.current.is_some())
    }

    /// Passes an update, or passes over one without anything that was asked for.
    fn hand_out(&mut self, (update, wanted): Made) -> Option<Update> {
        (self.current, self.work) = (None, None);
        self.position = update.position().clone();
        self.queue.passed(self.position.version());
        wanted.then_some(update)
    }

    /// Has the reader begin at a state, before whatever came since it was added.
    fn begin_at(&self, state: Arc<State>, way: Option<Composer>) {
        let first = Arc::clone(self.queue.first());
        // Where nothing was ever served it begins at the empty state anyway.
        if !Arc::ptr_eq(&state, &first) && was_written(&first) {
            let id = self.queue.dataset_id();
            self.queue.begin(Pending::between(state, first, id, way));
        }
    }

    async fn resume(&mut self, shared: &Arc<Shared>, position: Position) -> Result<()> {
        self.check_identity(&position)?;
        let first = Arc::clone(self.queue.first());
        if position.version() == 0 {
            self.begin_at(shared.origin(), None);
        } else {
            let place = || format!("subscription {}, position {position}", self.queue.name());
            let visit = shared.visit(position.version(), Some(&position)).await;
            let visit = visit.map_err(|error| error.at(place()))?;
            if !position.is_at(&visit.state) {
                return Err(another_version().at(place()));
            }
            if position.version() > first.version() {
                self.queue.skip_to(visit.state);
            } else {
                let known = Arc::ptr_eq(&visit.from, &first);
                let way = known.then(|| visit.changes.reversed());
                self.begin_at(visit.state, way);
            }
        }
        self.position = position;
        Ok(())
    }

    fn check_identity(&self, position: &Position) -> Result<()> {
        let served = self.queue.dataset_id();
        // Before the first version there is no identity: for whoever serves, and for a reader that began then.
        let began_before = position.version() == 0 && position.dataset_id().is_empty();
        if began_before || served.is_empty() || position.dataset_id() == served {
            return Ok(());
        }
        let (name, message) = (
            self.queue.name(),
            "it was created anew: subscribe from the beginning",
        );
        Err(Error::new(
            ErrorKind::Missing,
            format!(
                "subscription {name}, position {position}: the dataset that is served has identity {served}, {message}"
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_reader_has_more_kept_for_it_than_is_allowed() {
        let capacity = |updates| Subscribe::named("any").capacity(updates).capacity;
        assert_eq!([0, 1, 1_024, 1_025].map(capacity), [1, 1, 1_024, 1_024]);
    }
}
