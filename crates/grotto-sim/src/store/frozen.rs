//! The store as it was at one moment, for somebody whom no fault befalls.
//!
//! Owns: a copy of the objects. Never: takes time, draws lots, or changes anything.

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::Objects;
use super::connection::{content, meta, unsupported};

/// What the store held.
#[derive(Debug)]
pub(crate) struct Frozen(BTreeMap<Path, Bytes>);

impl Objects {
    /// A copy of what is there now.
    pub(crate) fn freeze(&self) -> Frozen {
        let all = self.all.iter();
        let copies = all.map(|(path, object)| (path.clone(), object.bytes.clone()));
        Frozen(copies.collect())
    }
}

impl fmt::Display for Frozen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} objects of a moment", self.0.len())
    }
}

#[async_trait]
impl ObjectStore for Frozen {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(unsupported("changes"))
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(unsupported("changes"))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let found = self.0.get(location);
        let bytes = found.ok_or_else(|| Error::NotFound {
            path: location.to_string(),
            source: "it was not there".into(),
        })?;
        content(location, bytes, &options, 0)
    }

    fn delete_stream(
        &self,
        _: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        stream::iter([Err(unsupported("changes"))]).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = format!("{}/", prefix.cloned().unwrap_or_default());
        let below = self.0.iter();
        let below = below.filter(|(path, _)| path.as_ref().starts_with(&prefix));
        let found = below.map(|(path, bytes)| Ok(meta(path.clone(), bytes.len() as u64, 0)));
        stream::iter(found.collect::<Vec<_>>()).boxed()
    }

    async fn list_with_delimiter(&self, _: Option<&Path>) -> Result<ListResult> {
        Err(unsupported("listing folders"))
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(unsupported("changes"))
    }
}
