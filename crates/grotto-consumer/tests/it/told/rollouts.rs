//! Who goes where while a channel leads some of its followers to another version.

use super::{SECOND, assert_exact, channel, counting, point, published};
use crate::kit::{DATASET, Kit};
use grotto_consumer::Consumer;
use grotto_state::format::log::Rollout;
use grotto_store::{Dataset, Pointer};

/// Has so many of 10,000 followers of `stable` go to version `to`.
async fn lead(kit: &Kit, to: u64, share: u16) -> Rollout {
    let dataset = Dataset::open(kit.store.clone(), DATASET).unwrap();
    let stable = channel("stable");
    let before = dataset.pointer(&stable).await.unwrap().unwrap();
    let rollout = Rollout {
        to,
        nonce: "00000000c0ffee00".to_owned(),
        stages: vec![1, 10_000],
        stage: 0,
        share,
        wait_ms: 1_000,
        halted: None,
    };
    let pointer = Pointer {
        rollout: Some(rollout.clone()),
        ..before.clone()
    };
    let changed = dataset.change_pointer(&stable, &before, &pointer).await;
    changed.unwrap();
    rollout
}

#[tokio::test(start_paused = true)]
async fn who_is_within_the_share_goes_and_comes_back_with_the_channel() {
    let kit = Kit::new();
    published(&kit, 6).await;
    let stable = channel("stable");
    point(&kit, &stable, 3).await;
    let mut fleet: Vec<(Option<String>, Consumer)> = Vec::new();
    for n in 0..8 {
        // One has no name.
        let name = (n > 0).then(|| format!("web-{n}"));
        let (_store, builder) = counting(&kit);
        let builder = builder.channel("stable");
        let builder = match &name {
            Some(name) => builder.lease(name),
            None => builder,
        };
        fleet.push((name, builder.start().await.unwrap()));
    }
    for share in [1, 2_500, 5_000, 10_000] {
        let rollout = lead(&kit, 5, share).await;
        tokio::time::sleep(10 * SECOND).await;
        for (name, consumer) in &fleet {
            let goes = rollout.includes(name.as_deref());
            assert_eq!(goes, consumer.version() == 5, "{name:?} of {share}");
            let version = if goes { 5 } else { 3 };
            assert_exact(&kit, consumer, version).await;
        }
        let gone = fleet.iter().filter(|(_, one)| one.version() == 5);
        let gone = gone.count();
        assert!(share != 5_000 || (1..8).contains(&gone), "{gone}");
        assert!(share < 10_000 || gone == 8, "{gone}");
        point(&kit, &stable, 3).await;
        tokio::time::sleep(10 * SECOND).await;
        assert!(fleet.iter().all(|(_, one)| one.version() == 3));
    }
}
