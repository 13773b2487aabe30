//! An archive as an object store that is written once, from front to back.
//!
//! Owns: the format. Keeps what a copy reads back of its target: documents beside the log, and its first and last entry. Never:
//! changes what was written.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as ObjectError, GetOptions, GetResult, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use parking_lot::Mutex;

/// An archive that is being written.
pub(super) struct Sink<W: Write> {
    /// Nothing once a write failed: what would follow could not be told from what was cut.
    archive: Arc<Mutex<Option<tar::Builder<W>>>>,
    kept: InMemory,
    /// The log entries that are kept, the first and the last.
    log: Mutex<Vec<Path>>,
}

impl<W: Write + Send + 'static> Sink<W> {
    pub(super) fn new(to: W) -> Self {
        Self {
            archive: Arc::new(Mutex::new(Some(tar::Builder::new(to)))),
            kept: InMemory::new(),
            log: Mutex::default(),
        }
    }

    /// Marks the end.
    pub(super) fn end(&self) -> io::Result<W> {
        let archive = self.archive.lock().take();
        let mut written = archive.ok_or_else(broken)?.into_inner()?;
        written.flush()?;
        Ok(written)
    }

    async fn append(&self, location: &Path, payload: PutPayload) -> Result<()> {
        let archive = Arc::clone(&self.archive);
        let header = header(location, payload.content_length() as u64).map_err(failure)?;
        let append = move || {
            let mut slot = archive.lock();
            let mut builder = slot.take().ok_or_else(broken)?;
            builder.append(&header, Parts(payload.into_iter().collect()))?;
            *slot = Some(builder);
            Ok(())
        };
        #[expect(
            clippy::disallowed_methods,
            reason = "a file of the host is never part of a simulation"
        )]
        let joined = tokio::task::spawn_blocking(append).await;
        joined
            .map_err(|source| ObjectError::JoinError { source })?
            .map_err(failure)
    }

    /// Keeps what is read back.
    async fn keep(&self, location: &Path, bytes: Bytes) -> Result<()> {
        let folder = location.parts().nth(1);
        let is_log = folder
            .as_ref()
            .is_some_and(|folder| folder.as_ref() == "log");
        let is_beside =
            folder.is_some_and(|folder| matches!(folder.as_ref(), "collected" | "snapshots"));
        if !is_log && !is_beside {
            return Ok(());
        }
        self.kept.put(location, bytes.into()).await?;
        if is_log {
            let passed = {
                let mut log = self.log.lock();
                log.push(location.clone());
                (log.len() > 2).then(|| log.remove(1))
            };
            if let Some(passed) = passed {
                self.kept.delete(&passed).await?;
            }
        }
        Ok(())
    }
}

/// Plain files of nobody in particular, whose names stand in their headers.
fn header(location: &Path, length: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(location.as_ref())?;
    header.set_size(length);
    header.set_mode(0o644);
    header.set_cksum();
    Ok(header)
}

/// The bytes of an object, without a copy of all of them.
struct Parts(std::collections::VecDeque<Bytes>);

impl io::Read for Parts {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        while let Some(first) = self.0.front_mut() {
            if first.has_remaining() {
                let taken = first.remaining().min(to.len());
                first.copy_to_slice(&mut to[..taken]);
                return Ok(taken);
            }
            self.0.pop_front();
        }
        Ok(0)
    }
}

fn broken() -> io::Error {
    io::Error::other("an earlier write to the archive failed")
}

fn failure(source: io::Error) -> ObjectError {
    ObjectError::Generic {
        store: "archive",
        source: Box::new(source),
    }
}

fn unsupported() -> ObjectError {
    ObjectError::NotSupported {
        source: "an archive is written once, from front to back".into(),
    }
}

impl<W: Write> fmt::Debug for Sink<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sink")
    }
}

impl<W: Write> fmt::Display for Sink<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("archive")
    }
}

#[async_trait]
impl<W: Write + Send + 'static> ObjectStore for Sink<W> {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        if options.mode != PutMode::Create {
            return Err(unsupported());
        }
        if self.kept.head(location).await.is_ok() {
            return Err(ObjectError::AlreadyExists {
                path: location.to_string(),
                source: "the archive has it".into(),
            });
        }
        let is_small = payload.content_length() <= grotto_format::log::MAX_ENTRY_BYTES;
        let bytes = is_small.then(|| {
            let mut bytes = BytesMut::with_capacity(payload.content_length());
            payload
                .iter()
                .for_each(|part| bytes.extend_from_slice(part));
            bytes.freeze()
        });
        self.append(location, payload).await?;
        if let Some(bytes) = bytes {
            self.keep(location, bytes).await?;
        }
        Ok(PutResult {
            e_tag: None,
            version: None,
            extensions: Default::default(),
        })
    }

    async fn put_multipart_opts(
        &self,
        _: &Path,
        _: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        Err(unsupported())
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.kept.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        use futures::StreamExt;
        locations.map(|_| Err(unsupported())).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.kept.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.kept.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(unsupported())
    }
}
