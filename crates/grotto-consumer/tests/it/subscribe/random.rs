//! Subscriptions under everything at random.

use super::*;

/// A sequence of numbers that depends on its seed alone.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }

    fn ids(&mut self) -> Vec<i64> {
        (0..self.below(4)).map(|_| self.below(12) as i64).collect()
    }
}

/// Everything at random: what is published, where the consumer goes, when readers take, end and come back.
async fn act_at_random(seed: u64) {
    let (_kit, mut publisher, consumer) = two_versions().await;
    let first = consumer.version();
    let mut dice = Dice(seed);
    let mut readers: Vec<(Reader, Option<Subscription>, Position)> = Vec::new();
    for turn in 0..60 {
        match dice.below(6) {
            0 | 1 => {
                let (mut ids, gone) = (dice.ids(), dice.ids());
                // Dice know no 12: a version always changes something.
                ids.push(12);
                publisher.publish_change(&ids, &gone).await;
            }
            2 => drop(consumer.follow().await.unwrap()),
            3 => {
                let past = publisher.state().version() - first + 1;
                let version = first + dice.below(past);
                consumer.refresh_to(version).await.unwrap();
            }
            4 if readers.len() < 4 => {
                let wanted = Subscribe::named(format!("{turn}")).capacity(1 + turn % 3);
                let subscription = consumer.subscribe(wanted).await.unwrap();
                let position = subscription.position().clone();
                readers.push((Reader::at(&consumer), Some(subscription), position));
            }
            _ if readers.is_empty() => {}
            _ => {
                let at = dice.below(readers.len() as u64) as usize;
                let (reader, subscription, position) = &mut readers[at];
                match subscription {
                    Some(open) if dice.below(3) > 0 => reader.take_all(open),
                    Some(open) => {
                        *position = open.position().clone();
                        *subscription = None;
                    }
                    None => {
                        let wanted = Subscribe::named(format!("{turn}")).after(position.clone());
                        *subscription = Some(consumer.subscribe(wanted).await.unwrap());
                    }
                }
            }
        }
    }
    consumer.follow().await.unwrap();
    for (reader, subscription, position) in &mut readers {
        let mut open = match subscription.take() {
            Some(open) => open,
            None => {
                let wanted = Subscribe::named("last").after(position.clone());
                consumer.subscribe(wanted).await.unwrap()
            }
        };
        reader.take_all(&mut open);
        if open.position().version() <= consumer.version() {
            assert_eq!(reader.rounds, rounds(&consumer.state()));
        }
    }
}

#[tokio::test]
async fn whatever_happens_readers_end_at_what_is_served() {
    for seed in 0..10 {
        act_at_random(seed).await;
    }
}
