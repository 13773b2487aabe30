//! Several hosts that lead one dataset in turn: each stands by, takes over, and suffers by itself.
//!
//! Owns: what befalls hosts, and what must follow once faults ended: that somebody leads soon, follows soon when asked,
//! and that nothing which was acknowledged is lost or comes twice. Never: tells a host when to take over.

mod crew;
mod given;
mod host;

use std::sync::Arc;
use std::time::Duration;

use grotto_consumer::Consumer;
use grotto_env::ForgetfulFiles;
use grotto_producer::pipeline::Durability;
use tokio::task::JoinHandle;

use super::incidents::pause;
use super::road::{durability, mend, records};
use super::stage::Stage;
use crate::check::RELAY;
use crate::dice::Dice;
use crate::fault::Fault;
use crew::Crew;
use host::{Host, LOG};

/// How long it may take, past a lease, until somebody publishes who had to wait for it, or for faults to end.
const SOON: Duration = Duration::from_secs(10);
/// How long whoever led or was on its way to lead when faults ended may take: it may be paused, and requests hang.
const COMES_IN: Duration = Duration::from_secs(40);
/// How long it may take until somebody publishes who was asked to take over.
const AT_ONCE: Duration = Duration::from_secs(5);

/// The hosts, and what becomes of them.
pub(crate) struct Relay {
    stage: Arc<Stage>,
    dice: Dice,
    crew: Arc<Crew>,
    disks: Vec<ForgetfulFiles>,
    hosts: Vec<JoinHandle<Host>>,
}

impl Relay {
    /// Two hosts, or three, begin.
    pub(crate) fn begin(stage: &Arc<Stage>, dice: Dice) -> Self {
        let durability = durability(&dice, LOG);
        if durability == Durability::Store {
            stage.sim.relay.lock().acknowledges_in_store();
        }
        let crew = Crew::new(dice.millis(4_000..9_000), durability);
        let hosts = 2 + u64::from(dice.chance(300));
        let hosts = (1..=hosts).map(|n| Host::new(stage, &crew, n, dice.split()));
        let hosts: Vec<Host> = hosts.collect();
        let disks = hosts.iter().map(Host::disk).collect();
        let hosts = hosts.into_iter().map(|host| tokio::spawn(host.live()));
        let hosts = hosts.collect();
        tokio::spawn(trouble(Arc::clone(stage), dice.split()));
        Self {
            stage: Arc::clone(stage),
            dice,
            crew,
            disks,
            hosts,
        }
    }

    /// After faults ended: somebody leads, another one follows, and all that was ever acknowledged is where it must be.
    pub(crate) async fn prove(self) {
        self.disks.iter().for_each(mend);
        if let Err(what) = self.lead_in_turn().await {
            self.stage.sim.violation("relay", what);
        }
        self.crew.end();
        let mut hosts = super::join(&self.stage, self.hosts).await;
        for host in &mut hosts {
            host.set_aside().await;
        }
        verify(&self.stage, &self.dice).await;
    }

    async fn lead_in_turn(&self) -> Result<(), String> {
        let lease = self.crew.lease();
        let healed = self.stage.sim.now();
        // Of whoever leads by then a request may hang.
        self.somebody("faults ended", healed, None, lease + COMES_IN)
            .await?;
        // Whoever was on its way by then takes over from that one.
        let settled = self.settled().await?;
        let what = "nobody was on its way any more";
        // Before there is a version two may begin with one epoch, and find that out at the first version: both give up.
        let both_end = self.stage.sim.relay.lock().commits().len() <= 1;
        let waits = if both_end { lease + SOON } else { SOON };
        let first = self.somebody(what, settled, None, waits).await?;
        // Whoever stands by has looked by then.
        tokio::time::sleep(lease).await;
        let handed = self.hand_over(first).await?;
        let second = self.somebody("a host handed over", handed, Some(first), AT_ONCE);
        let second = second.await?;
        tokio::time::sleep(lease).await;
        let killed = self.stage.sim.now();
        self.crew.take_down(second);
        let what = "a host was gone for good";
        self.somebody(what, killed, Some(second), lease + SOON)
            .await?;
        Ok(())
    }

    /// Waits until nobody is on its way to lead; when that was.
    async fn settled(&self) -> Result<Duration, String> {
        let until = self.stage.sim.now() + COMES_IN;
        while let Some(host) = self.crew.coming() {
            if self.stage.sim.now() > until {
                return Err(format!("host {host} neither leads nor gives up"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(self.stage.sim.now())
    }

    /// Has whoever leads hand over; when that was done.
    async fn hand_over(&self, first: u64) -> Result<Duration, String> {
        self.crew.ask_to_hand_over(first);
        let until = self.stage.sim.now() + SOON;
        loop {
            match self.crew.handed_over() {
                Some(answer) => return answer,
                None if self.stage.sim.now() > until => {
                    return Err(format!("host {first} does not hand over"));
                }
                None => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Waits until a host publishes what it was given after a time, one other than `not`; which one it is.
    async fn somebody(
        &self,
        since: &str,
        after: Duration,
        not: Option<u64>,
        limit: Duration,
    ) -> Result<u64, String> {
        while self.stage.sim.now() <= after + limit {
            if let Some(host) = self
                .crew
                .published_since(after)
                .find(|host| Some(*host) != not)
            {
                let (sim, took) = (&self.stage.sim, self.stage.sim.now() - after);
                sim.note(
                    "relay",
                    format_args!("host {host} leads {took:?} after {since}"),
                );
                return Ok(host);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Err(format!("nobody publishes {limit:?} after {since}"))
    }
}

/// Hosts are paused, cut off from the store, and killed, each by itself.
async fn trouble(stage: Arc<Stage>, dice: Dice) {
    while stage.is_raining() {
        tokio::time::sleep(dice.millis(500..9_000)).await;
        let clients = stage.clients('h');
        let Some(client) = clients.get(dice.below(clients.len() as u64) as usize) else {
            continue;
        };
        let time = dice.millis(500..25_000);
        match dice.below(100) {
            _ if !stage.is_raining() => {}
            0..35 => {
                stage.sim.count(Fault::PausedHost);
                pause(&stage, client, time);
            }
            35..70 => {
                stage.sim.count(Fault::CutHost);
                stage.sim.note(client.name(), format_args!("is cut off"));
                client.cut_off(true);
                let client = Arc::clone(client);
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    client.cut_off(false);
                });
            }
            70..85 => client.die(),
            _ => client.die_in(dice.within(1..12)),
        }
    }
}

/// Every version by itself, in order.
async fn verify(stage: &Arc<Stage>, dice: &Dice) {
    let sim = &stage.sim;
    let commits = sim.relay.lock().commits();
    let reigns = sim.relay.lock().reigns();
    let versions = commits.len();
    sim.note(
        "relay",
        format_args!("{versions} versions of {reigns} reigns"),
    );
    let (client, store) = stage.connect("relay", dice);
    let mut consumer: Option<Consumer> = None;
    for version in commits {
        let there = match &consumer {
            Some(consumer) => consumer.refresh_to(version).await.map(|_| ()),
            None => {
                let opened = Consumer::builder(RELAY, store.clone())
                    .open_at(version)
                    .await;
                opened.map(|opened| consumer = Some(opened))
            }
        };
        if let Err(error) = there {
            let what = format!("version {version} cannot be read: {error}");
            return sim.violation("relay", what);
        }
        let found = consumer.as_ref().map(|consumer| records(&consumer.state()));
        let walked = sim.relay.lock().walk(version, found.unwrap_or_default());
        if let Err(what) = walked {
            return sim.violation("relay", what);
        }
    }
    client.die();
    let lost = sim.relay.lock().lost();
    for what in lost {
        sim.violation("relay", what);
    }
}
