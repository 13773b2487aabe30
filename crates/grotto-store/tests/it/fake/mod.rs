//! An S3 server in the test's own process that answers as scripted, and otherwise as S3 does. It speaks enough of Google's
//! interface as well, which differs in how a condition is asked for.
//!
//! Owns: the tricks. What S3 does is in `objects`.

mod objects;

use bytes::Bytes;
use futures::StreamExt;
use grotto_store::{Access, Store, StoreOptions, StoreUrl};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use objects::{Answer, Asked, Objects};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use tokio::net::TcpListener;

pub(crate) use objects::Conditions;

/// What happens to one request instead of what S3 does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trick {
    /// Nothing is done; a status and a code are answered.
    Refuse(u16, &'static str),
    /// What was asked for is done, and then this is answered.
    DoThenRefuse(u16, &'static str),
    /// Nothing is done, and nothing ever answered.
    Hang,
    /// What was asked for is done, and nothing ever answered.
    DoThenHang,
    /// Half of the body comes, and then nothing.
    HangInBody,
    /// Half of the body comes, and then the connection ends.
    CutBody,
}

/// A server that ends with the runtime it was started in.
pub(crate) struct Fake {
    pub(crate) endpoint: String,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    objects: Objects,
    /// Each is used once, by the first request of its method whose path and query contain its text.
    script: Mutex<Vec<(Trick, Method, &'static str)>>,
    /// All requests so far.
    asked: Mutex<Vec<String>>,
}

type Body = BoxBody<Bytes, io::Error>;

impl Fake {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::<Shared>::default();
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                let service = service_fn(move |request| answer(Arc::clone(&shared), request));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // A client that goes away, and a body that is cut, end a connection with an error.
                tokio::spawn(async move { connection.await.err() });
            }
        });
        Self { endpoint, shared }
    }

    /// None: nobody listens there.
    pub(crate) fn nowhere() -> Self {
        Self {
            endpoint: "http://127.0.0.1:1".to_owned(),
            shared: Arc::default(),
        }
    }

    /// A store in this server.
    pub(crate) fn store(&self) -> Store {
        self.open("s3://bucket/shop")
    }

    /// The same by Google's interface.
    pub(crate) fn google(&self) -> Store {
        self.open("gs://bucket/shop")
    }

    fn open(&self, address: &str) -> Store {
        let access = Access::from_vars([
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("GOOGLE_BEARER_TOKEN", "test"),
        ]);
        let url = StoreUrl::parse(&format!("{address}?endpoint={}", self.endpoint)).unwrap();
        Store::open(&url.with_access(&access)).unwrap()
    }

    /// The same store with two tries of a read and three of a write, at once after each other, and this deadline.
    pub(crate) fn impatient(&self, deadline: std::time::Duration) -> Store {
        let mut options = StoreOptions {
            deadline,
            ..StoreOptions::default()
        };
        for (policy, tries) in [(&mut options.reads, 2), (&mut options.writes, 3)] {
            policy.tries = tries;
            policy.first_delay = std::time::Duration::from_millis(1);
            policy.max_delay = std::time::Duration::from_millis(1);
        }
        self.store().with_options(options)
    }

    pub(crate) fn script(&self, trick: Trick, method: Method, part: &'static str) {
        self.shared.script.lock().push((trick, method, part));
    }

    pub(crate) fn script_is_used_up(&self) -> bool {
        self.shared.script.lock().is_empty()
    }

    /// From now on conditions of puts are honoured like this.
    pub(crate) fn honour(&self, conditions: Conditions) {
        *self.shared.objects.conditions.lock() = conditions;
    }

    /// From now on listings leave out keys that contain `part`.
    pub(crate) fn hide_from_listings(&self, part: &'static str) {
        self.shared.objects.hidden.lock().push(part);
    }

    /// Keys of a multipart upload that was neither completed nor aborted.
    pub(crate) fn unfinished(&self) -> usize {
        self.shared.objects.unfinished()
    }

    /// How many requests of a method there were whose path and query contain `part`.
    pub(crate) fn asked(&self, method: &Method, part: &str) -> usize {
        let start = format!("{method} ");
        let fits = |line: &&String| line.starts_with(&start) && line.contains(part);
        self.shared.asked.lock().iter().filter(fits).count()
    }
}

impl Shared {
    fn take(&self, method: &Method, target: &str) -> Option<Trick> {
        let mut script = self.script.lock();
        let fits = |(_, of, part): &(Trick, Method, &str)| of == method && target.contains(part);
        let at = script.iter().position(fits)?;
        Some(script.remove(at).0)
    }
}

async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let (head, body) = request.into_parts();
    let target = head.uri.to_string();
    shared
        .asked
        .lock()
        .push(format!("{} {target}", head.method));
    let trick = shared.take(&head.method, &target);
    let Ok(body) = body.collect().await else {
        return Ok(respond(&Answer::refusal(400, "IncompleteBody"), None));
    };
    let asked = Asked::new(head, body.to_bytes());
    match trick {
        Some(Trick::Refuse(status, code)) => Ok(respond(&Answer::refusal(status, code), None)),
        Some(Trick::Hang) => std::future::pending().await,
        _ => {
            let done = shared.objects.answer(&asked).await;
            match trick {
                Some(Trick::DoThenRefuse(status, code)) => {
                    Ok(respond(&Answer::refusal(status, code), None))
                }
                Some(Trick::DoThenHang) => std::future::pending().await,
                other => Ok(respond(&done, other)),
            }
        }
    }
}

fn respond(answer: &Answer, trick: Option<Trick>) -> Response<Body> {
    let mut response = Response::builder().status(answer.status);
    for (name, value) in &answer.headers {
        response = response.header(*name, value);
    }
    let half = answer.body.slice(..answer.body.len() / 2);
    let first = futures::stream::iter([Ok(Frame::data(half))]);
    let body = match trick {
        Some(Trick::HangInBody) => {
            BoxBody::new(StreamBody::new(first.chain(futures::stream::pending())))
        }
        Some(Trick::CutBody) => {
            let cut = futures::stream::iter([Err(io::Error::other("cut"))]);
            BoxBody::new(StreamBody::new(first.chain(cut)))
        }
        _ => BoxBody::new(Full::new(answer.body.clone()).map_err(|never| match never {})),
    };
    response.body(body).unwrap()
}
