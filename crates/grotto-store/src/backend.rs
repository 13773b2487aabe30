//! Clients of buckets.
//!
//! Owns: which settings become which options of `object_store`. Never: tries anything again, as the store above does
//! that with its breaker, and never sets a deadline, as that depends on the bytes.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::client::ClientConfigKey;
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::prefix::PrefixStore;
use object_store::{BackoffConfig, ClientOptions, ObjectStore, RetryConfig};
use url::{Host, Url};

use crate::error::{Error, Result};
use crate::location::{BucketUrl, Vendor};

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a connection without a request is kept: less than servers and what lies between keep theirs.
const IDLE: Duration = Duration::from_secs(15);

/// A client for a bucket, below its prefix.
pub(crate) fn open(url: &BucketUrl) -> Result<Arc<dyn ObjectStore>> {
    check_endpoint(url)?;
    let bucket: Arc<dyn ObjectStore> = match url.vendor {
        Vendor::S3 => Arc::new(s3(url).build().map_err(|e| unusable(url, e))?),
        Vendor::Google => Arc::new(google(url).build().map_err(|e| unusable(url, e))?),
        Vendor::Azure => Arc::new(azure(url).build().map_err(|e| unusable(url, e))?),
    };
    Ok(match url.prefix.as_str() {
        "" => bucket,
        prefix => Arc::new(PrefixStore::new(bucket, prefix)),
    })
}

fn s3(url: &BucketUrl) -> AmazonS3Builder {
    let mut builder = AmazonS3Builder::new()
        .with_retry(no_retry())
        .with_client_options(client(url));
    for (name, value) in url.access.of(Vendor::S3) {
        if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = &url.endpoint {
        // The one for S3 alone counts before the one for all services: both would come from the environment.
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, text(endpoint));
    }
    if let Some(region) = &url.region {
        builder = builder.with_region(region);
    }
    builder.with_bucket_name(&url.bucket)
}

fn google(url: &BucketUrl) -> GoogleCloudStorageBuilder {
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_retry(no_retry())
        .with_client_options(client(url));
    for (name, value) in url.access.of(Vendor::Google) {
        if let Ok(key) = name.to_ascii_lowercase().parse::<GoogleConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = &url.endpoint {
        builder = builder.with_config(GoogleConfigKey::BaseUrl, text(endpoint));
    }
    builder.with_bucket_name(&url.bucket)
}

fn azure(url: &BucketUrl) -> MicrosoftAzureBuilder {
    let mut builder = MicrosoftAzureBuilder::new()
        .with_retry(no_retry())
        .with_client_options(client(url));
    for (name, value) in url.access.of(Vendor::Azure) {
        if let Ok(key) = name.to_ascii_lowercase().parse::<AzureConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    if let Some(endpoint) = &url.endpoint {
        builder = builder.with_endpoint(text(endpoint).to_owned());
    }
    if let Some(account) = &url.account {
        builder = builder.with_account(account);
    }
    builder.with_container_name(&url.bucket)
}

/// The store tries again, by its own rules: a second try inside the first would multiply them, hide an outage from the
/// breaker and make a commit wait for minutes.
fn no_retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig::default(),
        max_retries: 0,
        retry_timeout: Duration::ZERO,
    }
}

fn client(url: &BucketUrl) -> ClientOptions {
    ClientOptions::new()
        .with_timeout_disabled()
        .with_connect_timeout(CONNECT)
        .with_pool_idle_timeout(IDLE)
        .with_config(ClientConfigKey::AllowHttp, is_near(url).to_string())
}

/// Without TLS anybody on the way reads and changes what is sent: that is only taken for granted within this host.
fn check_endpoint(url: &BucketUrl) -> Result<()> {
    let allow = format!("{}ALLOW_HTTP", url.vendor.prefix());
    let is_plain = endpoint(url).is_some_and(|endpoint| endpoint.scheme() == "http");
    if !is_plain || is_near(url) || url.access.has(&allow) {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "store {}: its endpoint is not encrypted: expected https://, or {allow}=true where the network between is yours",
        url.place()
    )))
}

fn is_near(url: &BucketUrl) -> bool {
    let endpoint = endpoint(url);
    match endpoint.as_ref().and_then(Url::host) {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => url.access.has("AZURE_STORAGE_USE_EMULATOR"),
    }
}

/// The server that is asked instead of the vendor's own: of the address, or of the environment.
fn endpoint(url: &BucketUrl) -> Option<Url> {
    let names: &[&str] = match url.vendor {
        Vendor::S3 => &["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"],
        Vendor::Google => &["GOOGLE_BASE_URL"],
        Vendor::Azure => &["AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"],
    };
    let set = || {
        let value = |name: &&str| url.access.of(url.vendor).find(|(found, _)| found == name);
        let (_, value) = names.iter().find_map(value)?;
        Url::parse(value).ok()
    };
    url.endpoint.clone().or_else(set)
}

fn text(endpoint: &Url) -> &str {
    endpoint.as_str().trim_end_matches('/')
}

/// Settings that contradict each other or miss a part.
fn unusable(url: &BucketUrl, source: object_store::Error) -> Error {
    let place = url.place();
    let variables = url.vendor.prefix();
    Error::invalid(format!(
        "cannot open store {place}: its settings are not usable: check the variables {variables}…"
    ))
    .with_source(source)
}
