//! A connection as an object store: what is asked for and how it is answered.
//!
//! Owns: the form of questions and answers. Never: draws a fault; `client` does.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{FutureExt, StreamExt};
use grotto_store::Confirm;
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};

use super::client::Client;
use super::weather::Kind;
use crate::fault::Fault;

/// A handle that can be given to a listing.
#[derive(Clone, Debug)]
pub(crate) struct Connection(pub(crate) Arc<Client>);

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Connection {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let client = &self.0;
        let create = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => return Err(unsupported("update on a condition")),
        };
        let bytes = Bytes::from(payload);
        let unanswered = client.sim.asked_to_put(&client.name, location, &bytes);
        let (fate, dies) = client.go(Kind::Write, "put", location).await?;
        client.check_syncs(location)?;
        if fate == Some(Fault::LateEffect) {
            client.land_later(location, bytes, create);
            client.step(client.dice.millis(1..5_000)).await;
            return Err(refusal(Fault::LateEffect, location));
        }
        let landed = client.land(location, bytes, create);
        client.note("put", location, if landed { "done" } else { "exists" });
        let synced = client.sync(fate, dies, location, landed);
        client.come_back(fate, dies, "put", location).await?;
        synced?;
        if !landed {
            return Err(Error::AlreadyExists {
                path: location.to_string(),
                source: "it exists".into(),
            });
        }
        unanswered.done();
        Ok(PutResult {
            e_tag: None,
            version: None,
            extensions: Default::default(),
        })
    }

    async fn put_multipart_opts(
        &self,
        _location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(unsupported("upload in parts"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let client = &self.0;
        let (fate, dies) = client.go(Kind::Read, "get", location).await?;
        let found = client.look(fate, location);
        client.asked(location, found.is_some());
        let length = found.as_ref().map_or(0, |bytes| bytes.len() as u64);
        client.note("get", location, &format!("{length} bytes"));
        client.come_back(fate, dies, "get", location).await?;
        let Some(bytes) = found else {
            return Err(missing(location));
        };
        let changed = client.sim.objects.lock().changed_ms(location);
        content(location, &bytes, &options, changed)
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let client = Arc::clone(&self.0);
        locations
            .then(move |location| {
                let client = Arc::clone(&client);
                async move {
                    let location = location?;
                    *client.sim.left_probes.lock() += 1;
                    let (fate, dies) = client.go(Kind::Write, "delete", &location).await?;
                    client.sim.remove(client.name(), &location);
                    *client.sim.left_probes.lock() -= 1;
                    client.note("delete", &location, "done");
                    client.come_back(fate, dies, "delete", &location).await?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listed = Arc::clone(&self.0).list_now(prefix.cloned());
        let flat = |found: Result<Vec<ObjectMeta>>| match found {
            Ok(found) => stream::iter(found.into_iter().map(Ok).collect::<Vec<_>>()),
            Err(error) => stream::iter(vec![Err(error)]),
        };
        listed.map(flat).flatten_stream().boxed()
    }

    async fn list_with_delimiter(&self, _prefix: Option<&Path>) -> Result<ListResult> {
        Err(unsupported("listing folders"))
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(unsupported("copies"))
    }
}

#[async_trait]
impl Confirm for Connection {
    async fn confirm(&self, location: &Path) -> Result<()> {
        let client = &self.0;
        let (fate, dies) = client.go(Kind::Write, "confirm", location).await?;
        client.check_syncs(location)?;
        let synced = client.sync(fate, dies, location, false);
        let there = client.sim.objects.lock().get(location).is_some();
        client.come_back(fate, dies, "confirm", location).await?;
        synced?;
        match there {
            true => Ok(()),
            false => Err(missing(location)),
        }
    }
}

fn missing(location: &Path) -> Error {
    Error::NotFound {
        path: location.to_string(),
        source: "it is not there".into(),
    }
}

/// What a get of an object that is there gives.
pub(super) fn content(
    location: &Path,
    bytes: &Bytes,
    options: &GetOptions,
    changed_ms: u64,
) -> Result<GetResult> {
    let length = bytes.len() as u64;
    let range = match &options.range {
        Some(range) => range.as_range(length).map_err(|e| Error::Generic {
            store: "simulated",
            source: Box::new(e),
        })?,
        None => 0..length,
    };
    let part = bytes.slice(range.start as usize..range.end as usize);
    Ok(GetResult {
        payload: GetResultPayload::Stream(stream::iter([Ok(part)]).boxed()),
        meta: meta(location.clone(), length, changed_ms),
        range,
        attributes: Attributes::default(),
        extensions: Default::default(),
    })
}

pub(super) fn meta(location: Path, size: u64, changed_ms: u64) -> ObjectMeta {
    let mut meta = ObjectMeta {
        location,
        last_modified: Default::default(),
        size,
        e_tag: None,
        version: None,
    };
    meta.last_modified += Duration::from_millis(changed_ms);
    meta
}

pub(super) fn refusal(fault: Fault, path: &Path) -> Error {
    let source = || Box::<dyn std::error::Error + Send + Sync>::from(fault.name());
    match fault {
        Fault::Denied => Error::PermissionDenied {
            path: path.to_string(),
            source: source(),
        },
        Fault::ReadOnly => Error::Generic {
            store: "simulated",
            source: Box::new(std::io::Error::from(std::io::ErrorKind::ReadOnlyFilesystem)),
        },
        _ => Error::Generic {
            store: "simulated",
            source: source(),
        },
    }
}

pub(super) fn unsupported(what: &'static str) -> Error {
    Error::NotSupported {
        source: what.into(),
    }
}
