//! What hosts of a relay and whoever tries them tell each other.
//!
//! Owns: orders, and who published last. Never: acts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use grotto_producer::pipeline::Durability;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::store::Client;

/// Shared by all hosts.
#[derive(Debug)]
pub(super) struct Crew {
    lease: Duration,
    durability: Durability,
    said: Mutex<Said>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Said {
    is_over: bool,
    /// Hosts that stay down.
    down: BTreeSet<u64>,
    /// The connections of the processes that run.
    clients: BTreeMap<u64, Arc<Client>>,
    /// Who is to hand over.
    to_hand_over: Option<u64>,
    handed_over: Option<Result<Duration, String>>,
    /// Hosts that are on their way to lead, and have published nothing since.
    coming: BTreeSet<u64>,
    /// When each host was given what it published last.
    published: BTreeMap<u64, Duration>,
}

impl Crew {
    pub(super) fn new(lease: Duration, durability: Durability) -> Arc<Self> {
        Arc::new(Self {
            lease,
            durability,
            said: Mutex::default(),
            changed: Notify::new(),
        })
    }

    pub(super) fn lease(&self) -> Duration {
        self.lease
    }

    pub(super) fn durability(&self) -> Durability {
        self.durability.clone()
    }

    /// A process of a host begins.
    pub(super) fn begins(&self, host: u64, client: &Arc<Client>) {
        self.said.lock().clients.insert(host, Arc::clone(client));
    }

    pub(super) fn is_down(&self, host: u64) -> bool {
        self.said.lock().down.contains(&host)
    }

    /// A host goes down for good.
    pub(super) fn take_down(&self, host: u64) {
        let mut said = self.said.lock();
        said.down.insert(host);
        if let Some(client) = said.clients.get(&host) {
            client.die();
        }
    }

    pub(super) fn ask_to_hand_over(&self, host: u64) {
        self.said.lock().to_hand_over = Some(host);
    }

    /// Whether a host is asked to hand over; once.
    pub(super) fn must_hand_over(&self, host: u64) -> bool {
        let asked = |asked: &mut u64| *asked == host;
        self.said.lock().to_hand_over.take_if(asked).is_some()
    }

    pub(super) fn hands_over(&self, answer: Result<Duration, String>) {
        self.said.lock().handed_over = Some(answer);
    }

    pub(super) fn handed_over(&self) -> Option<Result<Duration, String>> {
        self.said.lock().handed_over.take()
    }

    /// A host is on its way to lead: it takes over from whoever leads by then.
    pub(super) fn comes(&self, host: u64) {
        self.said.lock().coming.insert(host);
    }

    /// It does not lead, or not any more.
    pub(super) fn gave_up(&self, host: u64) {
        self.said.lock().coming.remove(&host);
    }

    /// A host that is on its way to lead.
    pub(super) fn coming(&self) -> Option<u64> {
        self.said.lock().coming.first().copied()
    }

    /// What a host was given at a time is published.
    pub(super) fn published(&self, host: u64, given: Duration) {
        let mut said = self.said.lock();
        said.coming.remove(&host);
        said.published.insert(host, given);
    }

    /// Hosts that published what they were given after a time.
    pub(super) fn published_since(&self, time: Duration) -> impl Iterator<Item = u64> + use<> {
        let all = self.said.lock().published.clone();
        let since = all.into_iter().filter(move |(_, given)| *given >= time);
        since.map(|(host, _)| host)
    }

    pub(super) fn is_over(&self) -> bool {
        self.said.lock().is_over
    }

    /// All hosts end.
    pub(super) fn end(&self) {
        self.said.lock().is_over = true;
        self.changed.notify_waiters();
    }

    /// Waits until all hosts end.
    pub(super) async fn ended(&self) {
        loop {
            let changed = self.changed.notified();
            if self.is_over() {
                return;
            }
            changed.await;
        }
    }
}
