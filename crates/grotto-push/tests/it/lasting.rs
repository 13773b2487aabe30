//! Real servers: what is announced is heard, and what comes and goes comes back.

use crate::kit::{announce, channel, cities, count, cut, down, hears, push, push_to, until, up};
use crate::servers::{Kind, PushServer};
use grotto_push::PushUrl;
use grotto_store::{Announcer as _, PushLink};

/// A server of each kind.
fn servers(options: impl Fn(Kind) -> Vec<&'static str>) -> impl Iterator<Item = PushServer> {
    let start = move |kind| PushServer::start(kind, &options(kind));
    Kind::ALL.into_iter().filter_map(start)
}

#[tokio::test]
async fn what_is_announced_is_heard_by_all_who_listen_and_by_nobody_else() {
    for server in servers(|_| Vec::new()) {
        let (here, there) = (push(&server.url()), push(&server.url()));
        let (ours, other) = (channel("grotto.cities"), channel("grotto.towns"));
        let first = here.listen(&ours, "cities");
        up(&first).await;
        // Later, over the same connection, and over another one.
        let listeners = [
            first,
            here.listen(&ours, "cities"),
            there.listen(&ours, "cities"),
        ];
        let strangers = [here.listen(&other, "towns"), here.listen(&other, "cities")];
        for heard in listeners.iter().chain(&strangers) {
            up(heard).await;
        }
        let announcer = there.announcer(&ours, "cities");
        for version in 1..=20 {
            announce(&announcer, version);
            for heard in &listeners {
                hears(heard, version).await;
            }
        }
        // They heard nothing before what is announced to them.
        let towns = there.announcer(&other, "towns");
        towns.announce(&grotto_store::Announcement::new("towns", "id", 3));
        hears(&strangers[0], 3).await;
        assert_eq!(strangers[0].counts().news, 1);
        let counts = until("the other one too", || {
            Some(strangers[1].counts()).filter(|c| c.other > 0)
        });
        assert_eq!((counts.await.other, strangers[1].take()), (1, None));
        until("all confirmed", || {
            (count(&announcer, "sent") == 20).then_some(())
        })
        .await;
        assert_eq!(count(&announcer, "failed"), 0);
    }
}

#[tokio::test]
async fn a_server_that_is_killed_is_noticed_and_one_that_is_back_is_used_again() {
    for mut server in servers(|_| Vec::new()) {
        let (ours, push) = (channel("grotto.cities"), push(&server.url()));
        let heard = push.listen(&ours, "cities");
        let announcer = push.announcer(&ours, "cities");
        up(&heard).await;
        announce(&announcer, 1);
        hears(&heard, 1).await;
        for round in 1..=3 {
            server.kill();
            down(&heard).await;
            cut(&announcer).await;
            // The link that broke is a reason to look.
            assert!(heard.take().is_some());
            for version in 1..=100 {
                announce(&announcer, round * 1_000 + version);
            }
            until("tries that fail", || {
                (count(&announcer, "failed") > 0).then_some(())
            })
            .await;
            server.restart();
            until("a link", || (heard.link() == PushLink::Up).then_some(())).await;
            until("a link", || {
                (announcer.link() == PushLink::Up).then_some(())
            })
            .await;
            // Of all that could not be told only the newest is, whoever is first to be back.
            assert_eq!(count(&announcer, "superseded"), round * 99);
            announce(&announcer, round * 1_000 + 101);
            hears(&heard, round * 1_000 + 101).await;
        }
        assert_eq!(heard.counts().breaks, 3);
    }
}

#[tokio::test]
async fn who_has_the_password_is_let_in_and_nobody_else_and_it_is_not_told() {
    const SECRET: &str = "not-to-be-shown";
    let options = |kind| match kind {
        Kind::Redis => vec!["--requirepass", SECRET],
        Kind::Nats => vec!["--user", "reader", "--pass", SECRET],
    };
    for server in servers(options) {
        let url = PushUrl::parse(&server.url()).unwrap();
        let user = match url.to_string().starts_with("nats") {
            true => "reader",
            false => "default",
        };
        let ours = channel("grotto.cities");
        let wrong = url
            .clone()
            .with_user(user)
            .with_password(format!("{SECRET}-wrong"));
        for refused in [url.clone(), wrong] {
            let push = push_to(refused);
            let (heard, announcer) = (
                push.listen(&ours, "cities"),
                push.announcer(&ours, "cities"),
            );
            for reason in [down(&heard).await, cut(&announcer).await] {
                assert!(reason.contains("refuses"), "{reason}");
                assert!(!reason.contains(SECRET), "{reason}");
            }
        }
        let push = push_to(url.with_user(user).with_password(SECRET));
        let (heard, announcer) = (
            push.listen(&ours, "cities"),
            push.announcer(&ours, "cities"),
        );
        up(&heard).await;
        announce(&announcer, 1);
        hears(&heard, 1).await;
        let shown = format!("{push:?} {announcer:?} {heard:?}");
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

#[tokio::test]
async fn a_channel_that_is_refused_leaves_the_others_alone() {
    let rules = [
        "--user",
        "default",
        "on",
        "nopass",
        "~*",
        "+@all",
        "resetchannels",
        "&grotto.cities",
    ];
    let Some(server) = PushServer::start(Kind::Redis, &rules) else {
        return;
    };
    let push = push(&server.url());
    let refused = push.listen(&channel("grotto.towns"), "towns");
    let heard = push.listen(&channel("grotto.cities"), "cities");
    up(&heard).await;
    let reason = down(&refused).await;
    assert!(reason.contains("grotto.towns"), "{reason}");
    let announcer = push.announcer(&channel("grotto.cities"), "cities");
    announce(&announcer, 1);
    hears(&heard, 1).await;
    assert_eq!(heard.counts().breaks, 0);
}

#[tokio::test]
async fn connections_end_with_those_who_need_them() {
    for mut server in servers(|_| Vec::new()) {
        let (ours, push) = (channel("grotto.cities"), push(&server.url()));
        let heard = push.listen(&ours, "cities");
        up(&heard).await;
        drop(heard);
        // A listener that comes after the last one has gone has a connection, too.
        let heard = push.listen(&ours, "cities");
        up(&heard).await;
        server.restart();
        drop(heard);
        let heard = push.listen(&ours, "cities");
        up(&heard).await;
        let announcer = push.announcer(&ours, "cities");
        announcer.announce(&cities(7));
        hears(&heard, 7).await;
    }
}
