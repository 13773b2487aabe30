//! Rollouts whose followers do what a test says, on a runtime whose time passes when nothing else happens. Owns nothing.

use super::*;
use crate::commands::rollout::resumed;
use crate::commands::status::sample;
use grotto::engine::format::log::{Rollout, WHOLE};
use grotto::store::Note;
use grotto::{Producer, Schema, Store, StoreUrl};
use std::path::PathBuf;

const SECOND: Duration = Duration::from_secs(1);
/// How often followers renew their leases.
const RENEWAL: Duration = Duration::from_secs(5);

/// A dataset of three versions, of which a channel names the first.
struct Bench {
    folder: tempfile::TempDir,
    env: Env,
    dataset: Dataset,
    channel: ChannelId,
}

impl Bench {
    async fn new() -> Self {
        let (folder, env) = (tempfile::tempdir().unwrap(), Env::simulated(7));
        let url = StoreUrl::Local(folder.path().join("store"));
        let store = Store::open_writable(&url).unwrap().with_env(env.clone());
        let schema = Schema::parse("City @PrimaryKey(id) { long id; }").unwrap();
        let producer = Producer::builder("cities", store.clone()).schema(schema);
        let producer = producer.open().await.unwrap();
        for id in 1..4 {
            let line = format!("{{\"id\":{id}}}");
            let published = producer.run_incremental(move |cycle| {
                cycle.upsert_json("City", &line, 0)?;
                Ok(())
            });
            published.await.unwrap().unwrap();
        }
        let bench = Self {
            folder,
            env,
            dataset: Dataset::open(store, "cities").unwrap(),
            channel: ChannelId::parse("stable").unwrap(),
        };
        bench.point(&bench.name(), 1).await;
        bench
    }

    fn name(&self) -> PointerName {
        PointerName::Channel(self.channel.clone())
    }

    fn store(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    async fn point(&self, name: &PointerName, version: u64) -> Pointer {
        let note = Note {
            by: "ada".to_owned(),
            reason: String::new(),
        };
        let set = self.dataset.set_pointer(name, version, &note);
        set.await.unwrap()
    }

    /// The channel as it is, and as it is where it leads to version 3 and a stage is watched for so long.
    async fn begun(&self, wait: Duration) -> (Pointer, Pointer) {
        let before = self.dataset.pointer(&self.name()).await.unwrap().unwrap();
        let rollout = Rollout {
            to: 3,
            nonce: "00000000c0ffee00".to_owned(),
            stages: vec![100, WHOLE],
            stage: 0,
            share: 100,
            wait_ms: u64::try_from(wait.as_millis()).unwrap(),
            halted: None,
        };
        let pointer = Pointer {
            rollout: Some(rollout),
            ..before.clone()
        };
        (before, pointer)
    }

    fn drive(&self) -> Drive {
        Drive {
            env: self.env.clone(),
            ..Drive::new(self.dataset.clone(), self.channel.clone(), false, true)
        }
    }

    fn out(&self) -> Out {
        Out::file(&self.folder.path().join("out"), true).unwrap()
    }

    /// What a rollout ends with while something else happens; `None` if it gets to its end.
    async fn ends(&self, wait: Duration, meanwhile: impl Future<Output = ()>) -> Option<String> {
        let (before, pointer) = self.begun(wait).await;
        let (mut drive, mut out) = (self.drive(), self.out());
        let stages = drive.stages(before, pointer, &mut out);
        let (ended, ()) = tokio::join!(stages, meanwhile);
        match ended.unwrap_or_else(|failure| panic!("{}", failure.message())) {
            Ended::Done => None,
            Ended::Halted(failure) => Some(failure.message().to_owned()),
        }
    }

    /// One that follows the channel.
    fn lease(&self, name: &str, version: u64) -> Lease {
        Lease {
            channel: Some(self.channel.to_string()),
            version,
            expires_after_s: 30,
            running_ms: 0,
            ..sample::lease(name)
        }
    }

    /// One that is well at the first version.
    async fn renew(&self, name: &str) {
        let written = self.dataset.write_lease(&self.lease(name, 1)).await;
        written.unwrap();
    }

    /// Followers that say so many times at which version they are; `at` tells by where they are told to be.
    async fn follow(&self, names: &[&str], times: u32, at: impl Fn(u64) -> u64) {
        let mut running_ms = 1_000;
        for _ in 0..times {
            // A store that does not answer is asked again when the next renewal is due.
            if let Ok(Some(pointer)) = self.dataset.pointer(&self.name()).await {
                for name in names {
                    let mut lease = self.lease(name, at(pointer.version_for(Some(name))));
                    lease.running_ms = running_ms;
                    let _ = self.dataset.write_lease(&lease).await;
                }
            }
            self.env.sleep(RENEWAL).await;
            running_ms += 5_000;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_version_to_which_all_get_is_named_by_the_channel() {
    let bench = Bench::new().await;
    bench.renew("web").await;
    let follow = bench.follow(&["web", "app"], 9, |told| told);
    assert_eq!(bench.ends(10 * SECOND, follow).await, None);
    let now = bench.dataset.pointer(&bench.name()).await.unwrap().unwrap();
    assert_eq!((now.version, now.rollout), (3, None));
}

#[tokio::test(start_paused = true)]
async fn one_that_is_well_and_does_not_get_there_halts_it() {
    let bench = Bench::new().await;
    bench.renew("web").await;
    let follow = bench.follow(&["web"], 5, |_| 1);
    let halted = bench.ends(10 * SECOND, follow).await.unwrap();
    let told = "web did not get to version 3";
    assert!(halted.contains(told), "{halted}");
}

#[tokio::test(start_paused = true)]
async fn a_pin_that_is_set_meanwhile_halts_it() {
    let bench = Bench::new().await;
    bench.renew("web").await;
    let follow = bench.follow(&["web"], 9, |told| told);
    let pinned = async {
        bench.env.sleep(3 * SECOND).await;
        bench.point(&PointerName::Pin, 1).await;
    };
    let meanwhile = async { _ = tokio::join!(follow, pinned) };
    let halted = bench.ends(10 * SECOND, meanwhile).await.unwrap();
    let told = "all consumers are pinned to version 1";
    assert!(halted.contains(told), "{halted}");
}

/// It is not known whether they are well: neither does it go on meanwhile, nor is it over. Nor are those gone who could not say meanwhile that they are there.
#[tokio::test(start_paused = true)]
async fn nothing_is_decided_while_the_store_does_not_answer() {
    for outage in [20 * SECOND, 120 * SECOND] {
        outlived(outage).await;
    }
}

async fn outlived(outage: Duration) {
    let bench = Bench::new().await;
    bench.renew("web").await;
    let follow = bench.follow(&["web"], 40, |told| told);
    let away = bench.folder.path().join("away");
    let (begins, ends) = (3 * SECOND, 3 * SECOND + outage);
    let outage = async {
        bench.env.sleep(begins).await;
        std::fs::rename(bench.store(), &away).unwrap();
        bench.env.sleep(ends - begins).await;
        std::fs::rename(&away, bench.store()).unwrap();
    };
    let meanwhile = async { _ = tokio::join!(follow, outage) };
    assert_eq!(bench.ends(10 * SECOND, meanwhile).await, None);
    assert!(bench.env.clock.monotonic() > ends);
}

/// Clocks of hosts do not tell it: what the store says of its time does not move where nobody writes.
#[tokio::test(start_paused = true)]
async fn one_that_is_not_heard_of_any_more_halts_it() {
    let bench = Bench::new().await;
    bench.renew("web").await;
    let follow = bench.follow(&["web"], 2, |told| told);
    let halted = bench.ends(60 * SECOND, follow).await.unwrap();
    assert!(halted.contains("web is gone: not heard of"), "{halted}");
}

#[tokio::test(start_paused = true)]
async fn who_went_stays_there_though_another_one_would_be_enough_for_the_stage() {
    let bench = Bench::new().await;
    let (before, mut pointer) = bench.begun(SECOND).await;
    let rollout = pointer.rollout.as_mut().unwrap();
    rollout.stages = vec![100, 200, WHOLE];
    rollout.stage = 1;
    // As many had to go in the first stage, as nobody stood before them.
    rollout.share = 9_000;
    let rollout = rollout.clone();
    let names = (0..1_000).map(|number| format!("web-{number}"));
    let early = names
        .clone()
        .find(|name| rollout.place(name) < 150)
        .unwrap();
    let mut late = names.filter(|name| (8_000..9_000).contains(&rollout.place(name)));
    let late = late.next().unwrap();
    for name in [&early, &late] {
        bench.renew(name).await;
    }
    let (mut drive, mut out) = (bench.drive(), bench.out());
    let watched = drive.begin_stage(&before, &mut pointer, &mut out).await;
    assert_eq!(watched.ok().flatten().unwrap().names().len(), 2);
    assert_eq!(pointer.rollout.unwrap().share, 9_000);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_halted_goes_on_unless_all_are_pinned() {
    let bench = Bench::new().await;
    let none = resumed(&bench.dataset, &bench.channel).await;
    let none = none.unwrap_err();
    assert!(none.message().contains("has no rollout"), "{none:?}");
    let (before, pointer) = bench.begun(SECOND).await;
    bench.drive().write(&before, &pointer).await.unwrap();
    let (drive, wrong) = (bench.drive(), ["web is gone".to_owned()]);
    let halted = drive.halt(pointer, &wrong).await;
    assert!(halted.message().contains("web is gone"));
    bench.point(&PointerName::Pin, 1).await;
    let pinned = resumed(&bench.dataset, &bench.channel).await.unwrap_err();
    let told = "all consumers are pinned to version 1";
    assert!(pinned.message().contains(told), "{pinned:?}");
    bench
        .dataset
        .remove_pointer(&PointerName::Pin)
        .await
        .unwrap();
    let (before, pointer) = resumed(&bench.dataset, &bench.channel).await.unwrap();
    let why = before.rollout.unwrap().halted;
    assert_eq!(why.as_deref(), Some("web is gone"));
    assert_eq!(pointer.rollout.unwrap().halted, None);
}

#[tokio::test(start_paused = true)]
async fn one_that_was_gone_before_is_not_watched() {
    let bench = Bench::new().await;
    let (before, mut pointer) = bench.begun(SECOND).await;
    if let Some(rollout) = &mut pointer.rollout {
        rollout.share = WHOLE;
    }
    let now = std::time::UNIX_EPOCH + Duration::from_millis(bench.env.clock.wall_ms());
    for (name, renewed) in [("gone", now - 60 * SECOND), ("web", now)] {
        bench.renew(name).await;
        let path = bench.store().join(format!("cities/consumers/{name}.json"));
        let lease = std::fs::File::options().write(true).open(path).unwrap();
        lease.set_modified(renewed).unwrap();
    }
    let (mut drive, mut out) = (bench.drive(), bench.out());
    let watched = drive.begin_stage(&before, &mut pointer, &mut out).await;
    assert_eq!(watched.ok().flatten().unwrap().names(), ["web"]);
}
