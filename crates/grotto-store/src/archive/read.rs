//! An archive as an object store that is only read.
//!
//! Owns: reading ranges of a file. Never: writes.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as ObjectError, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use parking_lot::Mutex;

use super::scan::Member;

/// The files in an archive.
#[derive(Debug)]
pub(super) struct Archive {
    file: Arc<Mutex<File>>,
    members: BTreeMap<String, Member>,
}

impl Archive {
    pub(super) fn new(file: File, members: BTreeMap<String, Member>) -> Self {
        let file = Arc::new(Mutex::new(file));
        Self { file, members }
    }

    fn member(&self, location: &Path) -> Result<Member> {
        let found = self.members.get(location.as_ref()).copied();
        found.ok_or_else(|| ObjectError::NotFound {
            path: location.to_string(),
            source: "the archive does not have it".into(),
        })
    }

    /// Those below a folder, or all.
    fn below(&self, prefix: Option<&Path>) -> Vec<ObjectMeta> {
        let folder = prefix.map(|prefix| format!("{prefix}/"));
        let is_below = |name: &str| {
            folder
                .as_ref()
                .is_none_or(|folder| name.starts_with(folder))
        };
        let found = self.members.iter().filter(|(name, _)| is_below(name));
        found
            .map(|(name, member)| meta(&Path::from(name.as_str()), *member))
            .collect()
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes> {
        let file = Arc::clone(&self.file);
        let read = move || -> io::Result<Bytes> {
            let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
            let mut bytes = vec![0; length];
            let mut file = file.lock();
            file.seek(SeekFrom::Start(range.start))?;
            file.read_exact(&mut bytes)?;
            Ok(Bytes::from(bytes))
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "a file of the host is never part of a simulation"
        )]
        let joined = tokio::task::spawn_blocking(read).await;
        joined
            .map_err(|source| ObjectError::JoinError { source })?
            .map_err(|source| ObjectError::Generic {
                store: "archive",
                source: Box::new(source),
            })
    }
}

fn meta(location: &Path, member: Member) -> ObjectMeta {
    ObjectMeta {
        location: location.clone(),
        // Nobody asks how old something in an archive is.
        last_modified: Default::default(),
        size: member.length,
        e_tag: None,
        version: None,
    }
}

fn read_only() -> ObjectError {
    ObjectError::NotSupported {
        source: "an archive is only read".into(),
    }
}

impl fmt::Display for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("archive")
    }
}

#[async_trait]
impl ObjectStore for Archive {
    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(read_only())
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only())
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let member = self.member(location)?;
        let range = match &options.range {
            Some(range) => {
                range
                    .as_range(member.length)
                    .map_err(|source| ObjectError::Generic {
                        store: "archive",
                        source: Box::new(source),
                    })?
            }
            None => 0..member.length,
        };
        // What is asked for is read when it is wanted: its length may be too much for whoever asks.
        let bytes = match options.head {
            true => Bytes::new(),
            false if range.end - range.start > MOST_READ => {
                return Err(ObjectError::Generic {
                    store: "archive",
                    source: format!("{location} is larger than what is read at a time").into(),
                });
            }
            false => {
                self.read(member.at + range.start..member.at + range.end)
                    .await?
            }
        };
        let stream = futures::stream::once(async move { Ok(bytes) });
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream.boxed()),
            meta: meta(location, member),
            range,
            attributes: Default::default(),
            extensions: Default::default(),
        })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        locations.map(|_| Err(read_only())).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        futures::stream::iter(self.below(prefix).into_iter().map(Ok)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let depth = prefix.map_or(0, |prefix| prefix.parts().count());
        let (mut objects, mut common_prefixes) = (Vec::new(), Vec::new());
        for meta in self.below(prefix) {
            match meta.location.parts().count() == depth + 1 {
                true => objects.push(meta),
                false => common_prefixes.push(meta.location.parts().take(depth + 1).collect()),
            }
        }
        common_prefixes.dedup();
        Ok(ListResult {
            objects,
            common_prefixes,
            extensions: Default::default(),
        })
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(read_only())
    }
}

/// Most bytes read at a time: what a store asks for is cut into ranges long before.
const MOST_READ: u64 = 1 << 30;
