//! Tests of what every request goes through, by real connections.

mod connections;

use super::answer::{Answer, Refusal, text_answer};
use super::body::{self, BodyLimits, Memory};
use super::crew::Crew;
use super::guard::{self, Guard, Hosts};
use super::patient::Pace;
use super::{encoding, server};
use crate::config::{Token, read_token};
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::routing::{get, post};
use grotto::engine::env::Env;
use serde_json::Value;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower_http::catch_panic::CatchPanicLayer;

const SETTING: &str = "consumer.listeners.max_connections";
const MAX_BODY: usize = 100_000;
/// Far shorter than anybody's patience, so that tests end soon.
const SHORT: Duration = Duration::from_millis(200);

struct Served {
    address: SocketAddr,
    guard: Arc<Guard>,
    stop: watch::Sender<bool>,
    drained: watch::Sender<bool>,
    held: Arc<Held>,
    memory: Memory,
    ended: tokio::task::JoinHandle<()>,
}

/// Requests for `/held`.
struct Held {
    begun: Semaphore,
    /// As many go on as there are permits.
    go: Semaphore,
}

/// Serves a router of the things that a handler does.
async fn serve(max_connections: usize, memory: u64, token: Option<Token>) -> Served {
    serve_for(max_connections, memory, token, SHORT).await
}

/// The same; bodies may take `timeout`.
async fn serve_for(
    max_connections: usize,
    memory: u64,
    token: Option<Token>,
    timeout: Duration,
) -> Served {
    let env = Env::system();
    let memory = Memory::new(memory);
    let for_bodies = memory.clone();
    let guard = Arc::new(Guard::new(
        env.clone(),
        token,
        &["/health"],
        Hosts::Any,
        SETTING,
    ));
    let read_env = env.clone();
    let length = move |request: Request| {
        let (memory, env) = (for_bodies.clone(), read_env.clone());
        async move { length_of(request, &memory, &env, timeout).await }
    };
    let large = || async { text_answer(StatusCode::OK, "text/plain", "large ".repeat(10_000_000)) };
    let held = Arc::new(Held {
        begun: Semaphore::new(0),
        go: Semaphore::new(0),
    });
    let gate = Arc::clone(&held);
    let wait = move || {
        let gate = Arc::clone(&gate);
        async move {
            gate.begun.add_permits(1);
            gate.go.acquire().await.unwrap().forget();
            "done"
        }
    };
    let router = Router::new()
        .route("/length", post(length))
        .route("/large", get(large))
        .route("/held", get(wait))
        .route("/health", get(|| async { "well" }))
        .route("/panic", get(panics))
        .layer(CatchPanicLayer::custom(guard::panicked))
        .layer(axum::middleware::from_fn_with_state(
            Arc::clone(&guard),
            guard::pass,
        ));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = watch::channel(false);
    let (drained, is_drained) = watch::channel(false);
    let limits = server::Limits {
        max_connections,
        header_timeout: SHORT,
        pace: Pace {
            patience: SHORT,
            // Nobody reads as fast as that.
            least_rate: u64::MAX,
        },
        counts: Arc::clone(guard.counts()),
    };
    // As the sidecar has them; the producer has none.
    let crew = Some(Arc::new(Crew::new(2).unwrap()));
    let end = server::End {
        stop: stopped,
        drained: is_drained,
        patience: Duration::ZERO,
    };
    let ended = tokio::spawn(server::serve(listener, router, limits, env, crew, end));
    Served {
        address,
        guard,
        stop,
        drained,
        held,
        memory,
        ended,
    }
}

async fn panics() -> &'static str {
    panic!("scripted")
}

async fn length_of(request: Request, memory: &Memory, env: &Env, timeout: Duration) -> Answer {
    let packing = encoding::packing(request.headers())?;
    let limits = BodyLimits {
        max_bytes: MAX_BODY,
        setting: "max_body_size",
        timeout,
    };
    let held = body::read(request.into_body(), packing, limits, memory, env).await?;
    let length = held.bytes().len().to_string();
    Ok(text_answer(StatusCode::OK, "text/plain", length))
}

/// An answer: its status, head and body.
struct Told(u16, String, String);

impl Told {
    fn json(&self) -> Value {
        serde_json::from_str(&self.2).unwrap_or_else(|e| panic!("{e}: {}", self.2))
    }

    fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap().to_owned()
    }
}

/// What comes until the other side ends the connection.
async fn rest(stream: &mut TcpStream) -> Told {
    let mut bytes = Vec::new();
    // A reset after the answer is an end as well.
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Told(status.unwrap_or(0), head.to_owned(), body.to_owned())
}

async fn send(address: SocketAddr, bytes: &[u8]) -> Told {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The answer may come before all is sent.
    let _ = stream.write_all(bytes).await;
    rest(&mut stream).await
}

fn posted(headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut text = format!(
        "POST /length HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    )
    .into_bytes();
    text.extend_from_slice(body);
    text
}

fn asked(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{headers}\r\n").into_bytes()
}

const PLENTY: u64 = 64 << 20;

#[tokio::test]
async fn bodies_up_to_the_limit_are_read() {
    let served = serve(8, PLENTY, None).await;
    let told = send(served.address, &posted("", &vec![b'a'; MAX_BODY])).await;
    assert_eq!((told.0, told.2.as_str()), (200, "100000"));
}

#[tokio::test]
async fn larger_bodies_are_refused_before_they_are_read() {
    let served = serve(8, PLENTY, None).await;
    // Nothing but the head is sent.
    let head =
        "POST /length HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 100001\r\n\r\n";
    let told = send(served.address, head.as_bytes()).await;
    assert_eq!((told.0, told.code().as_str()), (413, "too_large"));
    assert_eq!(told.json()["error"]["limit"], MAX_BODY);
    let head = "POST /length HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut chunked = head.as_bytes().to_vec();
    chunked.extend(format!("{:x}\r\n", MAX_BODY + 1).bytes());
    chunked.extend(vec![b'a'; MAX_BODY + 1]);
    let told = send(served.address, &chunked).await;
    assert_eq!((told.0, told.code().as_str()), (413, "too_large"));
}

#[tokio::test]
async fn what_unpacks_to_more_than_the_limit_is_refused() {
    let served = serve(8, PLENTY, None).await;
    let bomb = vec![0; 50_000_000];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bomb).unwrap();
    let gzip = gzip.finish().unwrap();
    let zstd = zstd::encode_all(bomb.as_slice(), 3).unwrap();
    assert!(gzip.len() < 1_000_000 && zstd.len() < MAX_BODY);
    let told = send(served.address, &posted("content-encoding: zstd\r\n", &zstd)).await;
    assert_eq!((told.0, told.code().as_str()), (413, "too_large"));
    let small = vec![b'a'; MAX_BODY];
    let packed = zstd::encode_all(small.as_slice(), 3).unwrap();
    let told = send(
        served.address,
        &posted("content-encoding: zstd\r\n", &packed),
    )
    .await;
    assert_eq!((told.0, told.2.as_str()), (200, "100000"));
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&small).unwrap();
    let packed = packed.finish().unwrap();
    let told = send(
        served.address,
        &posted("content-encoding: gzip\r\n", &packed),
    )
    .await;
    assert_eq!((told.0, told.2.as_str()), (200, "100000"));
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![0; 5_000_000]).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < MAX_BODY);
    let told = send(served.address, &posted("content-encoding: gzip\r\n", &bomb)).await;
    assert_eq!((told.0, told.code().as_str()), (413, "too_large"));
    let told = send(
        served.address,
        &posted("content-encoding: gzip\r\n", b"no gzip"),
    )
    .await;
    assert_eq!((told.0, told.code().as_str()), (400, "invalid"));
    // What it needs to be unpacked is more than what is in it.
    let mut wide = zstd::Encoder::new(Vec::new(), 1).unwrap();
    wide.window_log(24).unwrap();
    wide.write_all(&small).unwrap();
    let wide = wide.finish().unwrap();
    let told = send(served.address, &posted("content-encoding: zstd\r\n", &wide)).await;
    assert_eq!((told.0, told.code().as_str()), (400, "invalid"));
    for unknown in ["br", "", " ", "gzip, zstd", "größe"] {
        let header = format!("content-encoding: {unknown}\r\n");
        let told = send(served.address, &posted(&header, b"")).await;
        assert_eq!(
            (told.0, told.code().as_str()),
            (415, "unsupported"),
            "{unknown:?}"
        );
    }
}

#[tokio::test]
async fn bodies_that_do_not_come_are_given_up() {
    let served = serve(8, PLENTY, None).await;
    let head =
        "POST /length HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 10\r\n\r\n12345";
    let told = send(served.address, head.as_bytes()).await;
    assert_eq!((told.0, told.code().as_str()), (408, "timeout"));
}

#[tokio::test]
async fn bodies_take_no_more_memory_together_than_they_may() {
    let served = serve_for(8, 128 << 10, None, Duration::from_secs(600)).await;
    let mut slow = TcpStream::connect(served.address).await.unwrap();
    let head =
        "POST /length HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 90000\r\n\r\n";
    slow.write_all(head.as_bytes()).await.unwrap();
    slow.write_all(&vec![b'a'; 89_999]).await.unwrap();
    let large = posted("", &vec![b'a'; 90_000]);
    // Six of the eight pieces. What asks for memory meanwhile could have the slow one refused.
    while served.memory.free() > 2 {
        tokio::task::yield_now().await;
    }
    let refused = send(served.address, &large).await;
    assert_eq!((refused.0, refused.code().as_str()), (429, "overloaded"));
    assert!(refused.1.contains("retry-after: 1\r\n"), "{}", refused.1);
    // Small ones are not affected.
    assert_eq!(send(served.address, &posted("", b"1")).await.0, 200);
    drop(slow);
    // The server learns of it in its own time.
    while send(served.address, &large).await.0 != 200 {}
}

#[tokio::test]
async fn a_panic_ends_its_request_alone() {
    let served = serve(8, PLENTY, None).await;
    let told = send(served.address, &asked("/panic", "")).await;
    assert_eq!((told.0, told.code().as_str()), (500, "internal"));
    assert_eq!(send(served.address, &asked("/health", "")).await.0, 200);
    assert_eq!(served.guard.counts().of_class(5), 1);
    assert_eq!(served.guard.counts().of_class(2), 1);
}

#[tokio::test]
async fn requests_have_identifiers_that_errors_name() {
    let served = serve(8, PLENTY, None).await;
    let told = send(
        served.address,
        &asked("/panic", "x-request-id: mine-7.a\r\n"),
    )
    .await;
    assert!(told.1.contains("x-request-id: mine-7.a\r\n"), "{}", told.1);
    assert_eq!(told.json()["error"]["request_id"], "mine-7.a");
    for hostile in ["", "a b", "{\"a\":1}", &"a".repeat(65)] {
        let told = send(
            served.address,
            &asked("/panic", &format!("x-request-id: {hostile}\r\n")),
        )
        .await;
        let id = told.json()["error"]["request_id"].clone();
        assert_ne!(id, hostile);
        assert!(id.as_str().unwrap().len() >= 10, "{id}");
    }
}

#[tokio::test]
async fn without_its_token_nothing_but_the_health_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "0123456789abcdef\n").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    }
    let served = serve(8, PLENTY, Some(read_token(&path).unwrap())).await;
    assert_eq!(send(served.address, &asked("/health", "")).await.0, 200);
    for headers in [
        "",
        "authorization: Bearer 0123456789abcdeF\r\n",
        "authorization: Bearer\r\n",
        "authorization: Basic 0123456789abcdef\r\n",
    ] {
        let told = send(served.address, &asked("/large", headers)).await;
        assert_eq!((told.0, told.code().as_str()), (401, "unauthorized"));
        assert!(told.1.contains("www-authenticate: Bearer"), "{}", told.1);
        let mut request = posted(headers, b"1");
        request.truncate(request.len() - 1);
        assert_eq!(
            send(served.address, &request).await.0,
            401,
            "before its body"
        );
    }
    let mut request = posted("authorization: bearer 0123456789abcdef\r\n", b"12");
    let told = send(served.address, &request).await;
    assert_eq!((told.0, told.2.as_str()), (200, "2"));
    request.clear();
}

#[test]
fn waits_are_told_in_whole_seconds_and_never_too_early() {
    for (ms, expected) in [(1, "1"), (1000, "1"), (1001, "2"), (0, "1")] {
        let refusal = Refusal::overloaded("full", Duration::from_millis(ms));
        let answer = refusal.answer("id");
        assert_eq!(answer.headers()["retry-after"], expected);
    }
}
