//! Stores in buckets, on the servers of others.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grotto_store::{Access, Dataset, ErrorKind, Store, StoreUrl};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::conformance;
use crate::servers::{self, BUCKET, Server};

/// The account of Azurite and its key, which are the same everywhere.
const ACCOUNT: &str = "devstoreaccount1";
const KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// A prefix that no other test uses, also not one that ran before on a server that stays.
fn fresh(kind: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("{kind}-{}-{count}", now.as_nanos())
}

fn keys() -> Access {
    Access::from_vars([
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AZURE_STORAGE_ACCOUNT_KEY", KEY),
    ])
}

fn open(address: &str) -> Store {
    let url = StoreUrl::parse(address).unwrap().with_access(&keys());
    Store::open_writable(&url).unwrap()
}

/// A store in a prefix of its own on the S3 server.
pub(crate) fn s3(name: &str) -> Option<Store> {
    let endpoint = &servers::s3()?.endpoint;
    let prefix = fresh(name);
    Some(open(&format!("s3://{BUCKET}/{prefix}?endpoint={endpoint}")))
}

/// The same on Azurite.
pub(crate) fn azure(name: &str) -> Option<Store> {
    let endpoint = &azurite()?.endpoint;
    let prefix = fresh(name);
    Some(open(&format!(
        "az://{BUCKET}/{prefix}?endpoint={endpoint}/{ACCOUNT}&account={ACCOUNT}"
    )))
}

fn azurite() -> Option<&'static Server> {
    static SERVER: OnceLock<Option<Server>> = OnceLock::new();
    let start = || {
        let server = servers::find("GROTTO_TEST_AZURE", "azure", "successfully listens")?;
        create_container(&server.endpoint);
        Some(server)
    };
    SERVER.get_or_init(start).as_ref()
}

/// Signed with the key of the account, as its interface asks for.
fn create_container(endpoint: &str) {
    let date = chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT");
    let headers = format!("x-ms-date:{date}\nx-ms-version:2021-08-06\n");
    let resource = format!("/{ACCOUNT}/{ACCOUNT}/{BUCKET}\nrestype:container");
    let signed = format!("PUT\n\n\n\n\n\n\n\n\n\n\n\n{headers}{resource}");
    let key = STANDARD.decode(KEY).unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &key);
    let signature = STANDARD.encode(aws_lc_rs::hmac::sign(&key, signed.as_bytes()));
    let headers = format!(
        "x-ms-date: {date}\r\nx-ms-version: 2021-08-06\r\nAuthorization: SharedKey {ACCOUNT}:{signature}\r\n"
    );
    let request = format!("PUT /{ACCOUNT}/{BUCKET}?restype=container HTTP/1.1");
    let status = servers::ask(endpoint, &request, &headers);
    assert!(
        matches!(status, 201 | 409),
        "creating the container: {status}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_s3_server_passes_the_suite() {
    if let Some(store) = s3("suite") {
        conformance::run(store).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_azure_server_passes_the_suite() {
    if let Some(store) = azure("suite") {
        conformance::run(store).await;
    }
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_no_store_without_datasets() {
    let Some(server) = servers::s3() else { return };
    let endpoint = &server.endpoint;
    let store = open(&format!("s3://no-such-bucket/x?endpoint={endpoint}"));
    let dataset = Dataset::open(store.clone(), "cities").unwrap();
    let expected = "in s3://no-such-bucket/x: there is no such bucket: create it, or mend the address (NoSuchBucket)";
    for error in [
        store.datasets().await.unwrap_err(),
        dataset.head().await.unwrap_err(),
        dataset.read_entry(1).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.message().ends_with(expected), "{error}");
    }
}
