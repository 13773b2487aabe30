//! Tests of connections: how many there are, how long they live, and how serving ends.

use super::{PLENTY, SETTING, SHORT, asked, posted, rest, send, serve};
use grotto::engine::env::Env;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

#[tokio::test]
async fn connections_that_stall_in_the_head_or_say_nothing_are_ended() {
    let served = serve(1, PLENTY, None).await;
    for beginning in ["GET /hea", ""] {
        let told = send(served.address, beginning.as_bytes()).await;
        assert!(told.0 == 0 || told.0 == 408, "{}", told.1);
    }
    // One that is kept after an answer has to ask again within the same time.
    let mut kept = TcpStream::connect(served.address).await.unwrap();
    kept.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(rest(&mut kept).await.0, 200);
    // The only slot is free again.
    assert_eq!(send(served.address, &asked("/health", "")).await.0, 200);
}

#[tokio::test]
async fn who_does_not_read_the_answer_makes_room_for_others() {
    let served = serve(1, PLENTY, None).await;
    let mut deaf = TcpStream::connect(served.address).await.unwrap();
    deaf.write_all(&asked("/large", "")).await.unwrap();
    while send(served.address, &posted("", b"1")).await.0 != 200 {}
    drop(deaf);
}

/// Sixty megabytes, of which somebody takes a little again and again: less than is asked for.
#[tokio::test]
async fn who_reads_too_slowly_makes_room_for_others() {
    let served = serve(1, PLENTY, None).await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    slow.write_all(&asked("/large", "")).await.unwrap();
    let (mut piece, mut read) = (vec![0; 64 << 10], 0);
    // A reset is an end as well.
    while let Ok(length @ 1..) = slow.read(&mut piece).await {
        read += length;
        Env::system().sleep(SHORT / 200).await;
    }
    assert!(read < 60_000_000, "all of it: {read}");
    assert_eq!(served.guard.counts().unread(), 1);
}

#[tokio::test]
async fn probes_are_answered_when_all_connections_are_taken() {
    let served = serve(1, PLENTY, None).await;
    let mut held = TcpStream::connect(served.address).await.unwrap();
    held.write_all(&asked("/held", "")).await.unwrap();
    served.held.begun.acquire().await.unwrap().forget();
    let refused = send(served.address, &posted("", b"1")).await;
    assert_eq!((refused.0, refused.code().as_str()), (503, "unavailable"));
    assert!(refused.1.contains("retry-after: 1\r\n"), "{}", refused.1);
    // The setting of the daemon that it is.
    let message = refused.json()["error"]["message"].clone();
    assert!(message.as_str().unwrap().contains(SETTING), "{message}");
    // One request each, so that those who ask do not take the places of each other.
    for _ in 0..20 {
        let mut probe = TcpStream::connect(served.address).await.unwrap();
        let head = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n";
        probe.write_all(head).await.unwrap();
        let told = rest(&mut probe).await;
        assert_eq!((told.0, told.2.as_str()), (200, "well"));
    }
    served.held.go.add_permits(1);
    assert_eq!(rest(&mut held).await.2, "done");
    while send(served.address, &posted("", b"1")).await.0 != 200 {}
}

#[tokio::test]
async fn answers_may_take_as_long_as_what_they_wait_for() {
    let served = serve(8, PLENTY, None).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let mut held = TcpStream::connect(served.address).await.unwrap();
        held.write_all(&asked("/held", "")).await.unwrap();
        waiting.push(held);
    }
    let begun = served.held.begun.acquire_many(2).await;
    begun.unwrap().forget();
    served.stop.send(true).unwrap();
    while TcpStream::connect(served.address).await.is_ok() {}
    // Longer than the patience of the server, which does not run yet.
    Env::system().sleep(SHORT).await;
    served.held.go.add_permits(1);
    let (first, second) = waiting.split_at_mut(1);
    let told = tokio::select! {
        told = rest(&mut first[0]) => told,
        told = rest(&mut second[0]) => told,
    };
    assert_eq!(told.2, "done");
    // The other one waits for what does not come any more.
    served.drained.send(true).unwrap();
    served.ended.await.unwrap();
}
