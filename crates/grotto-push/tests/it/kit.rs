//! What tests of clients need.

use grotto_env::Env;
use grotto_push::{Channel, Push, PushAnnouncer, PushOptions, PushUrl};
use grotto_store::{Announcement, Announcements, Announcer as _, PushLink};
use std::time::Duration;

/// How long a test waits for what has to come: far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Times that are short, so that a test meets them.
pub(crate) fn options() -> PushOptions {
    PushOptions {
        deadline: Duration::from_millis(500),
        patience: Duration::from_millis(200),
        first_delay: Duration::from_millis(5),
        max_delay: Duration::from_millis(50),
    }
}

pub(crate) fn push(url: &str) -> Push {
    push_to(PushUrl::parse(url).unwrap())
}

pub(crate) fn push_to(url: PushUrl) -> Push {
    Push::new(url, options(), Env::system()).unwrap()
}

pub(crate) fn channel(name: &str) -> Channel {
    Channel::parse(name).unwrap()
}

pub(crate) fn cities(version: u64) -> Announcement {
    Announcement::new("cities", "id", version)
}

/// Waits until something is as it should be.
pub(crate) async fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = tokio::time::Instant::now();
    loop {
        if let Some(found) = ask() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "expected {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a listener hears.
pub(crate) async fn up(heard: &Announcements) {
    until("a link", || (heard.link() == PushLink::Up).then_some(())).await;
    let _ = heard.take();
}

/// Waits until a listener hears nothing; the reason.
pub(crate) async fn down(heard: &Announcements) -> String {
    until("no link", || reason(heard.link())).await
}

/// Waits until an announcer reaches nobody; the reason.
pub(crate) async fn cut(announcer: &PushAnnouncer) -> String {
    until("no link", || reason(announcer.link())).await
}

fn reason(link: PushLink) -> Option<String> {
    match link {
        PushLink::Down(reason) => Some(reason),
        _ => None,
    }
}

/// Waits until a version was announced; what is announced again until then changes nothing.
pub(crate) async fn hears(heard: &Announcements, version: u64) {
    let is_new = || heard.take().filter(|hint| hint.version >= version);
    let hint = until("an announcement", is_new).await;
    assert_eq!(hint.version, version);
}

pub(crate) fn announce(announcer: &PushAnnouncer, version: u64) {
    announcer.announce(&cities(version));
}

/// The value of a counter of an announcer.
pub(crate) fn count(announcer: &PushAnnouncer, outcome: &str) -> u64 {
    let text = announcer.metrics_text();
    let name = format!("grotto_producer_announcements_{outcome}_total{{dataset=\"cities\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("{name} in {text}"))
        .parse()
        .unwrap()
}
