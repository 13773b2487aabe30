//! Servers that behave as none should: nothing comes of it but that announcements are not heard.

use crate::fake::{Fake, Peer, nats_message, redis_message};
use crate::kit::{announce, channel, cities, count, cut, down, hears, push, until, up};
use grotto_store::PushLink;
use std::sync::atomic::{AtomicBool, Ordering};

const OURS: &str = "grotto.cities";

/// The addresses of a server for both kinds of clients.
fn both(fake: &Fake) -> [String; 2] {
    [fake.redis(), fake.nats()]
}

/// Why neither who listens nor who announces gets anywhere with a server like this.
async fn refused(url: &str) -> [String; 2] {
    let push = push(url);
    let heard = push.listen(&channel(OURS), "cities");
    let announcer = push.announcer(&channel(OURS), "cities");
    announce(&announcer, 1);
    [down(&heard).await, cut(&announcer).await]
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left() {
    let fake = Fake::start(|mut peer| peer.listen());
    for url in both(&fake) {
        for reason in refused(&url).await {
            assert!(reason.contains("did not answer"), "{url}: {reason}");
        }
    }
}

#[tokio::test]
async fn a_server_that_speaks_something_else_is_left_and_tried_again() {
    let texts = [
        "HTTP/1.1 400 Bad Request\r\n\r\n".to_owned(),
        "\r\n".to_owned(),
        "-ERR\r\n".to_owned(),
        "x".repeat(200_000),
        "*1000000000\r\n".to_owned(),
        "MSG a 1 18446744073709551615\r\n".to_owned(),
        "INFO nothing\r\n".to_owned(),
        "\u{0}\u{ff}\r\n".to_owned(),
    ];
    for text in texts {
        let told = text.clone();
        let fake = Fake::start(move |mut peer: Peer| {
            peer.say(&told);
            peer.listen();
        });
        let shown: String = text.chars().take(40).collect();
        for url in both(&fake) {
            let (before, push) = (fake.accepted(), push(&url));
            let heard = push.listen(&channel(OURS), "cities");
            let reason = down(&heard).await;
            until("further tries", || {
                (fake.accepted() > before + 4).then_some(())
            })
            .await;
            for reason in [reason, refused(&url).await.concat()] {
                assert!(
                    reason.len() < 500 && !reason.contains('\n'),
                    "{shown}: {reason}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_server_that_falls_silent_is_left() {
    let redis = Fake::start(|mut peer| {
        peer.let_in_redis(OURS);
        peer.listen();
    });
    let nats = Fake::start(|mut peer| {
        peer.let_in_nats();
        // Confirms what it is asked first: the subscription.
        if peer.await_text("PING\r\n") {
            peer.say("PONG\r\n");
        }
        peer.listen();
    });
    for url in [redis.redis(), nats.nats()] {
        let heard = push(&url).listen(&channel(OURS), "cities");
        up(&heard).await;
        let reason = down(&heard).await;
        assert!(reason.contains("did not answer"), "{url}: {reason}");
    }
}

#[tokio::test]
async fn messages_that_are_too_long_or_no_announcements_are_passed_over() {
    let long = vec![b'x'; 3 << 20];
    let told = cities(5).encode().unwrap();
    let texts = [&long[..], b"", b"\r\n", &long[..5_000], &told];
    let of = |message: fn(&str, &[u8]) -> Vec<u8>| texts.map(|text| message(OURS, text)).concat();
    let (for_redis, for_nats) = (of(redis_message), of(nats_message));
    let redis = Fake::start(move |mut peer| {
        peer.let_in_redis(OURS);
        peer.say(&for_redis);
        peer.listen();
    });
    let nats = Fake::start(move |mut peer| {
        peer.let_in_nats();
        if peer.await_text("PING\r\n") {
            peer.say("PONG\r\n");
            peer.say(&for_nats);
        }
        peer.listen();
    });
    for url in [redis.redis(), nats.nats()] {
        let heard = push(&url).listen(&channel(OURS), "cities");
        hears(&heard, 5).await;
        assert_eq!(heard.counts().unreadable, 4, "{url}");
    }
}

#[tokio::test]
async fn a_flood_of_messages_takes_no_memory_and_hides_nothing() {
    let many: Vec<u8> = (0..200_u64)
        .flat_map(|version| redis_message(OURS, &cities(1_000 + version).encode().unwrap()))
        .collect();
    let fake = Fake::start(move |mut peer| {
        peer.let_in_redis(OURS);
        for _ in 0..500 {
            peer.say(&many);
        }
        peer.say(redis_message(OURS, &cities(9_999).encode().unwrap()));
        peer.listen();
    });
    let heard = push(&fake.redis()).listen(&channel(OURS), "cities");
    // Whoever looks now and then finds one hint, of the newest.
    let newest = || heard.take().filter(|hint| hint.version == 9_999);
    until("the last one", newest).await;
    assert!(heard.counts().news >= 100_001);
}

#[tokio::test]
async fn whoever_announces_to_a_server_that_takes_nothing_does_not_wait() {
    let fake = Fake::start(|mut peer| {
        if peer.await_text("PING\r\n") {
            peer.say("+PONG\r\n");
        }
        peer.listen();
    });
    let push = push(&fake.redis());
    let announcer = push.announcer(&channel(OURS), "cities");
    until("a link", || {
        (announcer.link() == PushLink::Up).then_some(())
    })
    .await;
    for version in 1..=100_000 {
        announce(&announcer, version);
    }
    assert!(count(&announcer, "superseded") >= 99_998);
    let reason = cut(&announcer).await;
    assert!(reason.contains("did not confirm"), "{reason}");
    assert_eq!(count(&announcer, "sent"), 0);
}

#[tokio::test]
async fn what_a_server_did_not_confirm_before_it_went_is_announced_again() {
    let is_first = AtomicBool::new(true);
    let fake = Fake::start(move |mut peer: Peer| {
        if peer.await_text("PING\r\n") {
            peer.say("+PONG\r\n");
        }
        // The first connection ends with the announcement under way.
        if peer.await_text("PUBLISH") && !is_first.swap(false, Ordering::Relaxed) {
            peer.say(":1\r\n");
            peer.listen();
        }
    });
    let announcer = push(&fake.redis()).announcer(&channel(OURS), "cities");
    announce(&announcer, 1);
    let sent = || (count(&announcer, "sent") == 1).then_some(());
    until("a confirmation", sent).await;
    assert_eq!(count(&announcer, "failed"), 1);
}

#[tokio::test]
async fn answers_that_nobody_asked_for_end_a_connection() {
    for text in [
        ":1\r\n",
        "+PONG\r\n",
        "*2\r\n$4\r\npong\r\n$0\r\n\r\n",
        "*1\r\n$3\r\nfoo\r\n",
    ] {
        let fake = Fake::start(move |mut peer| {
            peer.let_in_redis(OURS);
            peer.say(text);
            peer.listen();
        });
        let heard = push(&fake.redis()).listen(&channel(OURS), "cities");
        let reason = down(&heard).await;
        assert!(
            reason.contains("does not speak as it should"),
            "{text:?}: {reason}"
        );
    }
    for text in ["PONG\r\n", "MSG a 7 1\r\nx\r\n", "MSG a 0 1\r\nx\r\n"] {
        let fake = Fake::start(move |mut peer| {
            peer.let_in_nats();
            if peer.await_text("PING\r\n") {
                peer.say("PONG\r\n");
            }
            peer.say(text);
            peer.listen();
        });
        let heard = push(&fake.nats()).listen(&channel(OURS), "cities");
        let reason = down(&heard).await;
        assert!(
            reason.contains("does not speak as it should"),
            "{text:?}: {reason}"
        );
    }
}

#[tokio::test]
async fn a_subject_that_is_refused_leaves_the_others_alone() {
    let fake = Fake::start(|mut peer| {
        peer.let_in_nats();
        for refusal in [
            "-ERR 'Permissions Violation for Subscription to \"grotto.cities\"'\r\n",
            "",
        ] {
            if peer.await_text("PING\r\n") {
                peer.say(format!("{refusal}PONG\r\n"));
            }
        }
        // Answers to further pings.
        while peer.await_text("PING\r\n") {
            peer.say("PONG\r\n");
        }
    });
    let push = push(&fake.nats());
    let refused = push.listen(&channel(OURS), "cities");
    let heard = push.listen(&channel("grotto.towns"), "towns");
    up(&heard).await;
    let reason = down(&refused).await;
    assert!(reason.contains("Permissions Violation"), "{reason}");
    assert_eq!(fake.accepted(), 1);
}

#[tokio::test]
async fn what_is_said_before_a_connection_is_secured_counts_for_nothing() {
    let fake = Fake::start(|mut peer| {
        peer.say("INFO {\"tls_required\":true}\r\nMSG a 1 1\r\nx\r\n");
        peer.listen();
    });
    let heard = push(&fake.nats()).listen(&channel(OURS), "cities");
    let reason = down(&heard).await;
    assert!(reason.contains("before it is secured"), "{reason}");
    // Who asks for TLS does not go on without.
    let plain = Fake::start(|mut peer| peer.let_in_nats());
    let url = plain.nats().replace("nats://", "tls://");
    let heard = push(&url).listen(&channel(OURS), "cities");
    let reason = down(&heard).await;
    assert!(reason.contains("offers no TLS"), "{reason}");
}
