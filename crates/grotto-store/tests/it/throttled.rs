//! A server that asks for less, met by the HTTP client of the backends: told as overload, and a commit in
//! doubt stays one.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use grotto_store::{Dataset, ErrorKind, RetryPolicy, Store, StoreOptions};
use object_store::client::{
    ClientOptions, HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService,
};
use object_store::http::{HttpBuilder, HttpStore};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    BackoffConfig, CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, RetryConfig,
};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::kit::{acquire, fields};

/// Tries of the client itself, the first included.
const CLIENT_TRIES: usize = 3;
/// Tries of the store, for reads and writes.
const STORE_TRIES: usize = 2;

/// Speaks just enough HTTP: one request a connection, an answer that ends with it.
#[derive(Debug)]
struct Plain;

impl HttpConnector for Plain {
    fn connect(&self, _: &ClientOptions) -> Result<HttpClient> {
        Ok(HttpClient::new(Self))
    }
}

#[async_trait]
impl HttpService for Plain {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let failed = |e: std::io::Error| HttpError::new(HttpErrorKind::Connect, e);
        let uri = request.uri();
        let address = uri.authority().map(ToString::to_string).unwrap_or_default();
        let mut stream = TcpStream::connect(address).await.map_err(failed)?;
        let head = format!("{} {} HTTP/1.1\r\n\r\n", request.method(), uri.path());
        stream.write_all(head.as_bytes()).await.map_err(failed)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.map_err(failed)?;
        let status: u16 = answer[9..12].parse().unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let mut response = HttpResponse::new(HttpResponseBody::from(body.to_owned()));
        *response.status_mut() = status.try_into().unwrap();
        Ok(response)
    }
}

/// A server on loopback that answers every request with one status. Returns its address.
async fn serve(status: u16, asked: Arc<AtomicUsize>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            asked.fetch_add(1, Ordering::Relaxed);
            let answer = format!("HTTP/1.1 {status} Whatever\r\n\r\n<Code>SlowDown</Code>");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    format!("http://{address}")
}

/// A store in memory whose requests for paths that contain a text go to that server instead.
#[derive(Debug)]
struct Throttled {
    inner: InMemory,
    server: HttpStore,
    part: Mutex<Option<&'static str>>,
    asked: Arc<AtomicUsize>,
}

impl Throttled {
    async fn new(status: u16) -> (Arc<Self>, Dataset) {
        let asked = Arc::<AtomicUsize>::default();
        let retry = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(1),
                max_backoff: Duration::from_millis(1),
                base: 2.0,
            },
            max_retries: CLIENT_TRIES - 1,
            retry_timeout: Duration::from_secs(60),
        };
        let server = HttpBuilder::new()
            .with_url(serve(status, asked.clone()).await)
            .with_client_options(ClientOptions::new().with_allow_http(true))
            .with_http_connector(Plain)
            .with_retry(retry)
            .build()
            .unwrap();
        let objects = Arc::new(Self {
            inner: InMemory::new(),
            server,
            part: Mutex::default(),
            asked,
        });
        let tries = RetryPolicy {
            tries: STORE_TRIES as u32,
            first_delay: Duration::from_millis(1),
            max_delay: Duration::from_millis(1),
        };
        let store = Store::from_object_store(objects.clone()).with_options(StoreOptions {
            reads: tries,
            writes: tries,
            ..StoreOptions::default()
        });
        (objects, Dataset::open(store, "cities").unwrap())
    }

    /// From now on paths that contain `part` are the server's.
    fn throttle(&self, part: Option<&'static str>) {
        *self.part.lock() = part;
    }

    fn is_throttled(&self, location: &Path) -> bool {
        let part = *self.part.lock();
        part.is_some_and(|part| location.as_ref().contains(part))
    }
}

impl fmt::Display for Throttled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Throttled")
    }
}

#[async_trait]
impl ObjectStore for Throttled {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if self.is_throttled(location) {
            // It knows no conditions, which such an answer does not depend on.
            let plain = PutOptions::default();
            return self.server.put_opts(location, payload, plain).await;
        }
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if self.is_throttled(location) {
            return self.server.get_opts(location, options).await;
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if prefix.is_some_and(|prefix| self.is_throttled(prefix)) {
            return self.server.list(prefix);
        }
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn a_server_that_asks_for_less_is_overloaded_and_one_that_fails_is_not() {
    for (status, expected, reason) in [
        (429, ErrorKind::Overloaded, "the store asks for less"),
        (503, ErrorKind::Overloaded, "the store asks for less"),
        (500, ErrorKind::Unavailable, "the store failed"),
    ] {
        let (objects, dataset) = Throttled::new(status).await;
        objects.throttle(Some("/log"));
        let error = dataset.read_entry(1).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{status}: {error}");
        assert!(error.message().ends_with(reason), "{status}: {error}");
        let asked = objects.asked.load(Ordering::Relaxed);
        assert_eq!(asked, CLIENT_TRIES * STORE_TRIES, "{status}");
        let error = dataset.list_versions(1..=9).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{status}: {error}");
    }
}

#[tokio::test]
async fn a_commit_that_is_throttled_stays_pending_and_lands_later() {
    for status in [429, 503] {
        let (objects, dataset) = Throttled::new(status).await;
        let writer = acquire(&dataset, "a").await;
        let fields = fields(&writer, "x").await.unwrap();
        objects.throttle(Some("/log/"));
        let error = writer.commit(fields.clone()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Overloaded, "{error}");
        assert!(writer.is_undecided());
        objects.throttle(None);
        let committed = writer.commit(fields).await.unwrap();
        assert_eq!((committed.version, writer.is_undecided()), (2, false));
        assert_eq!(dataset.head().await.unwrap(), Some(committed));
    }
}

#[tokio::test]
async fn an_upload_that_is_throttled_is_overload_too() {
    let (objects, dataset) = Throttled::new(503).await;
    let writer = acquire(&dataset, "a").await;
    objects.throttle(Some("/delta/"));
    let error = fields(&writer, "x").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Overloaded, "{error}");
    assert!(!writer.is_undecided());
}
