//! Listeners: added, removed, told of failures, and gone with their consumer.

use crate::faults::{Fault, FaultStore};
use crate::kit::{DATASET, Kit, VirtualClock, assert_same};
use grotto_consumer::{Consumer, ConsumerBuilder, Error, ErrorKind, ListenerHandle, Refresh};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// What was heard, in order.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn say(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn of(&self, name: &'static str) -> impl Fn(&Refresh) + Send + Sync + 'static {
        let heard = self.clone();
        move |refresh| heard.say(format!("{name} {}", refresh.to))
    }

    fn errors(&self) -> impl Fn(&Error) + Send + Sync + 'static {
        let heard = self.clone();
        move |error| heard.say(format!("{}: {error}", error.kind()))
    }
}

fn builder(kit: &Kit) -> ConsumerBuilder {
    Consumer::builder(DATASET, kit.store.clone())
}

fn faulty(kit: &Kit) -> (Arc<FaultStore>, ConsumerBuilder) {
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let env = VirtualClock::env();
    let builder = Consumer::builder(DATASET, store.store().with_env(env));
    (store, builder)
}

#[tokio::test]
async fn a_removed_listener_is_not_called_and_a_dropped_handle_removes_none() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    let first = publisher.publish(1).await.version;
    let consumer = builder(&kit).open().await.unwrap();
    let heard = Heard::default();
    let handle = consumer.on_refresh(heard.of("removed"));
    drop(consumer.on_refresh(heard.of("kept")));
    publisher.publish(2).await;
    consumer.refresh().await.unwrap().unwrap();
    let second = first + 1;
    let both = [format!("removed {second}"), format!("kept {second}")];
    assert_eq!(heard.take(), both);
    handle.clone().remove();
    handle.remove();
    publisher.publish(3).await;
    consumer.refresh().await.unwrap().unwrap();
    assert_eq!(heard.take(), [format!("kept {}", first + 2)]);
    assert_eq!(format!("{handle:?}"), "removed");
}

#[tokio::test]
async fn a_listener_may_remove_itself_and_one_whose_turn_comes() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    let version = publisher.publish(1).await.version;
    let consumer = builder(&kit).open().await.unwrap();
    let heard = Heard::default();
    let handles: Arc<Mutex<Vec<ListenerHandle>>> = Arc::default();
    let (inside, telling) = (Arc::clone(&handles), heard.of("first"));
    let first = consumer.on_refresh(move |refresh| {
        telling(refresh);
        inside.lock().unwrap().drain(..).for_each(|it| it.remove());
    });
    let second = consumer.on_refresh(heard.of("second"));
    handles.lock().unwrap().extend([first, second]);
    for every in [2, 3] {
        publisher.publish(every).await;
        consumer.refresh().await.unwrap().unwrap();
    }
    assert_eq!(heard.take(), [format!("first {}", version + 1)]);
}

/// Adds a listener that holds its own handle; gives what dies with it.
fn listen_to_oneself(consumer: &Consumer) -> Weak<OnceLock<ListenerHandle>> {
    let own: Arc<OnceLock<ListenerHandle>> = Arc::default();
    let inside = Arc::clone(&own);
    let handle = consumer.on_refresh(move |refresh| {
        let to = refresh.to;
        assert!(inside.get().is_some(), "version {to}");
    });
    own.set(handle).unwrap();
    Arc::downgrade(&own)
}

#[tokio::test(start_paused = true)]
async fn a_dropped_consumer_leaves_its_directory_and_its_listeners() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let (store, builder) = faulty(&kit);
    let consumer = builder.state_dir(kit.state_dir()).start().await.unwrap();
    let held = listen_to_oneself(&consumer);
    // A refresh that never ends must not keep the directory either.
    store.cause(Fault::Hangs, "/log/");
    tokio::time::sleep(SECOND).await;
    let state = consumer.state();
    drop(consumer);
    assert!(held.upgrade().is_none(), "the listener is still there");
    let next = self::builder(&kit).state_dir(kit.state_dir());
    let next = next.open().await.unwrap();
    assert_same(&next.state(), &publisher.state());
    assert_same(&state, &publisher.state());
}

#[tokio::test]
async fn a_consumer_that_is_shut_down_forgets_even_listeners_that_hold_it() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let consumer = builder(&kit).state_dir(kit.state_dir()).open().await;
    let consumer = Arc::new(consumer.unwrap());
    let inside = Arc::clone(&consumer);
    consumer.on_refresh(move |refresh| assert_eq!(inside.version(), refresh.to));
    assert_eq!(Arc::strong_count(&consumer), 2);
    consumer.shutdown().await;
    assert_eq!(Arc::strong_count(&consumer), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_may_drop_the_consumer() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let slot: Arc<Mutex<Option<Consumer>>> = Arc::default();
    let inside = Arc::downgrade(&slot);
    let (sender, dropped) = tokio::sync::oneshot::channel();
    let sender = Mutex::new(Some(sender));
    let builder = self::builder(&kit).poll_interval(Duration::from_millis(1));
    let consumer = builder.state_dir(kit.state_dir()).start().await.unwrap();
    consumer.on_refresh(move |_| {
        let consumer = inside
            .upgrade()
            .and_then(|slot| slot.lock().unwrap().take());
        drop(consumer);
        let sender = sender.lock().unwrap().take();
        if let Some(sender) = sender {
            sender.send(()).unwrap();
        }
    });
    *slot.lock().unwrap() = Some(consumer);
    publisher.publish(2).await;
    dropped.await.unwrap();
    let next = self::builder(&kit).state_dir(kit.state_dir());
    let next = next.open().await.unwrap();
    assert_same(&next.state(), &publisher.state());
}

#[test]
fn a_consumer_may_be_dropped_without_a_runtime_and_after_its_own() {
    let kit = Kit::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let start = || {
        let builder = builder(&kit).state_dir(kit.state_dir());
        runtime.block_on(builder.start()).unwrap()
    };
    let mut publisher = runtime.block_on(kit.publisher());
    runtime.block_on(publisher.publish(1));
    drop(start());
    let consumer = start();
    drop(runtime);
    drop(consumer);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let builder = builder(&kit).state_dir(kit.state_dir());
    let consumer = runtime.block_on(builder.open()).unwrap();
    assert_same(&consumer.state(), &publisher.state());
}

#[tokio::test]
async fn every_refresh_that_fails_is_told_once_and_its_caller_gets_the_same_error() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let store = FaultStore::new(&kit.folder.path().join("store"));
    let heard = Heard::default();
    let builder = Consumer::builder(DATASET, store.store()).on_error(heard.errors());
    let consumer = builder.open().await.unwrap();
    assert_eq!(heard.take(), [""; 0]);
    let handle = consumer.on_error(heard.errors());
    for _ in 0..2 {
        let error = consumer.refresh_to(77).await.unwrap_err();
        let text = format!("{}: {error}", error.kind());
        assert_eq!(heard.take(), [text.clone(), text]);
    }
    handle.remove();
    store.cause(Fault::Panics, "/log/");
    let error = consumer.refresh().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Internal);
    assert_eq!(heard.take(), [format!("internal: {error}")]);
    store.heal();
    assert!(consumer.refresh().await.unwrap().is_none());
    consumer.shutdown().await;
    consumer.refresh().await.unwrap_err();
    assert_eq!(heard.take(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn failures_of_the_start_and_of_the_background_are_told_too() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    publisher.publish(1).await;
    let (store, builder) = faulty(&kit);
    let heard = Heard::default();
    store.cause(Fault::Panics, "/log/");
    let refused = builder.on_error(heard.errors()).start().await.unwrap_err();
    assert_eq!(heard.take(), [format!("internal: {refused}")]);

    store.heal();
    let (store, builder) = faulty(&kit);
    let consumer = builder.on_error(heard.errors()).start().await.unwrap();
    store.cause(Fault::Panics, "/log/");
    tokio::time::sleep(SECOND).await;
    let told = heard.take();
    assert!(told.len() > 1, "{told:?}");
    assert!(
        told.iter().all(|one| one.starts_with("internal: ")),
        "{told:?}"
    );
    store.heal();
    let version = publisher.publish(2).await.version;
    consumer.wait_for(version, 60 * SECOND).await.unwrap();
    heard.take();
    tokio::time::sleep(10 * SECOND).await;
    assert_eq!(heard.take(), [""; 0]);
}

#[tokio::test]
async fn a_refresh_that_fails_halfway_tells_where_it_came_and_then_why() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    let first = publisher.publish(1).await.version;
    let heard = Heard::default();
    let consumer = builder(&kit).open().await.unwrap();
    consumer.on_error(heard.errors());
    consumer.on_refresh(heard.of("came to"));
    publisher.publish(2).await;
    publisher.publish_bytes(vec![7; 100], 7).await;
    let error = consumer.refresh().await.unwrap_err();
    let expected = [
        format!("came to {}", first + 1),
        format!("{}: {error}", error.kind()),
    ];
    assert_eq!(heard.take(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_refresh_of_a_listener_tells_is_told_once_the_listener_is_done() {
    let kit = Kit::new();
    let mut publisher = kit.publisher().await;
    let first = publisher.publish(1).await.version;
    let consumer = Arc::new(builder(&kit).open().await.unwrap());
    let heard = Heard::default();
    let (inside, telling) = (Arc::downgrade(&consumer), heard.clone());
    let runtime = tokio::runtime::Handle::current();
    consumer.on_refresh(move |refresh| {
        let consumer = inside.upgrade().unwrap();
        telling.say(format!("begins {}", refresh.to));
        if refresh.to > refresh.from {
            runtime.block_on(consumer.refresh_to(77)).unwrap_err();
            runtime
                .block_on(consumer.refresh_to(first))
                .unwrap()
                .unwrap();
        }
        telling.say(format!("ends {}", refresh.to));
    });
    let telling = heard.clone();
    consumer.on_error(move |error| telling.say(error.kind().to_string()));
    publisher.publish(2).await;
    consumer.refresh().await.unwrap().unwrap();
    let (second, kind) = (first + 1, ErrorKind::Invalid);
    let expected = [
        format!("begins {second}"),
        format!("ends {second}"),
        kind.to_string(),
        format!("begins {first}"),
        format!("ends {first}"),
    ];
    assert_eq!(heard.take(), expected);
}
