//! Tests of what is remembered of announcements.

use super::*;

fn told(version: u64) -> Vec<u8> {
    Announcement::new("cities", "id", version).encode().unwrap()
}

fn feed() -> (Feed, Announcements) {
    let (feed, heard) = announcements("cities");
    heard.serves("id", 10);
    (feed, heard)
}

#[test]
fn many_announcements_are_one_hint_for_the_newest_of_them() {
    let (feed, heard) = feed();
    assert_eq!(heard.take(), None);
    for version in [11, 13, 12, 11] {
        feed.message(&told(version));
    }
    assert_eq!(heard.take(), Some(Hint { version: 13 }));
    assert_eq!(heard.take(), None);
    assert_eq!(heard.counts().news, 4);
}

#[test]
fn announcements_of_what_is_served_are_no_reason_to_look() {
    let (feed, heard) = feed();
    for version in [10, 9, 1] {
        feed.message(&told(version));
    }
    assert_eq!(heard.take(), None);
    assert_eq!(heard.counts().known, 3);
    // The numbers of another dataset under the name say nothing.
    feed.message(&Announcement::new("cities", "other", 3).encode().unwrap());
    assert_eq!(heard.take(), Some(Hint { version: 3 }));
}

#[test]
fn what_is_no_announcement_of_the_dataset_is_counted_and_ignored() {
    let (feed, heard) = feed();
    feed.message(b"");
    feed.message(&[0xff; 5_000]);
    feed.message(&Announcement::new("towns", "id", 11).encode().unwrap());
    assert_eq!(heard.take(), None);
    let counts = heard.counts();
    assert_eq!((counts.unreadable, counts.other, counts.news), (2, 1, 0));
}

#[test]
fn push_is_relied_on_while_the_link_is_up_and_what_is_served_was_announced() {
    let (feed, heard) = feed();
    feed.up();
    assert!(!heard.is_relied_on(), "nothing was announced yet");
    feed.message(&told(11));
    assert!(!heard.is_relied_on(), "it is not served yet");
    heard.serves("id", 11);
    assert!(heard.is_relied_on());
    heard.serves("id", 12);
    assert!(!heard.is_relied_on(), "one was found that nobody announced");
    // Late is announced, too.
    feed.message(&told(12));
    assert!(heard.is_relied_on());
    feed.down("the server went away");
    assert!(!heard.is_relied_on());
    feed.up();
    assert!(!heard.is_relied_on(), "the new link has to prove itself");
}

#[test]
fn announcements_that_nobody_made_do_not_have_a_link_relied_on_that_loses_others() {
    let (feed, heard) = feed();
    feed.up();
    for version in 1_000..2_000 {
        feed.message(&told(version));
    }
    heard.serves("id", 11);
    assert!(!heard.is_relied_on());
    let recent = heard.0.heard.lock().recent.len();
    assert_eq!(recent, RECENT);
}

#[test]
fn a_link_that_goes_up_or_down_is_a_reason_to_look_once() {
    let (feed, heard) = feed();
    assert_eq!(heard.link(), PushLink::Opening);
    // What was never up does not go down.
    feed.down("refused");
    assert_eq!(heard.take(), None);
    feed.up();
    assert_eq!(heard.take(), Some(Hint { version: 0 }));
    feed.up();
    assert_eq!(heard.take(), None);
    feed.down("gone");
    feed.down("still gone");
    assert_eq!(heard.take(), Some(Hint { version: 0 }));
    assert_eq!(heard.take(), None);
    assert_eq!(heard.link(), PushLink::Down("still gone".to_owned()));
    assert_eq!(heard.counts().breaks, 1);
}

#[tokio::test]
async fn whoever_waits_is_woken_whether_it_waited_first_or_not() {
    let (feed, heard) = feed();
    feed.message(&told(11));
    heard.wait().await;
    // Waiting takes nothing away.
    heard.wait().await;
    assert!(heard.take().is_some());
    let waits = tokio::spawn(async move {
        heard.wait().await;
        heard.take()
    });
    tokio::task::yield_now().await;
    feed.message(&told(12));
    assert_eq!(waits.await.unwrap(), Some(Hint { version: 12 }));
    assert!(feed.is_closed());
    feed.message(&told(13));
    feed.up();
}
