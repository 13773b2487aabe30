//! A folder of this host as an object store whose writes are on the disk when they are acknowledged.
//!
//! Owns: staging, syncing and publishing files, and what a failed sync means. Reading, listing and
//! deleting are those of `object_store`. Never: knows the layout of a dataset.
//!
//! **Invariants**
//! - A file is synced before it gets its name, and the folder that holds the name before the write is
//!   acknowledged; so are all folders above it, up to the one that holds the store.
//! - "It exists" is answered only after the folder that says so was synced.
//! - After a folder's sync failed nothing more is acknowledged: what is read back then may exist in
//!   memory only. Whoever opens the store again begins with a sync of what it builds on.

mod root;
mod staged;

use crate::confirm::Confirm;
use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error as ObjectError, GetOptions, GetResult, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use parking_lot::Mutex;
pub(crate) use root::create_root;
use root::{Identity, identity_of};
use staged::{create_staged, discard, write_parts};
use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path as FsPath, PathBuf};
use std::sync::{Arc, OnceLock};

/// How bytes and names get to the disk: a seam, so that tests can make it fail.
pub trait FolderSync: fmt::Debug + Send + Sync {
    /// Returns once the bytes of an open file are on the disk.
    ///
    /// # Errors
    /// That of the host. The bytes then count as not written.
    fn sync_file(&self, file: &File, path: &FsPath) -> io::Result<()>;

    /// Returns once the names in a folder are on the disk.
    ///
    /// # Errors
    /// That of the host. The names then count as not written.
    fn sync_folder(&self, path: &FsPath) -> io::Result<()>;
}

/// The syncs of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemSync;

impl FolderSync for SystemSync {
    fn sync_file(&self, file: &File, _path: &FsPath) -> io::Result<()> {
        file.sync_all()
    }

    #[cfg(unix)]
    fn sync_folder(&self, path: &FsPath) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    /// Folders cannot be opened as files elsewhere; their names are journaled by the system.
    ///
    /// # Errors
    /// That of the host. The names then count as not written.
    #[cfg(not(unix))]
    fn sync_folder(&self, _path: &FsPath) -> io::Result<()> {
        Ok(())
    }
}

/// A folder as an object store.
#[derive(Debug)]
pub(crate) struct Folder {
    inner: LocalFileSystem,
    disk: Arc<Disk>,
}

/// What writes share.
#[derive(Debug)]
struct Disk {
    /// The folder of the store, absolute.
    root: PathBuf,
    /// Which folder that was when it was opened.
    identity: Identity,
    sync: Arc<dyn FolderSync>,
    /// Folders whose own names were synced by this process.
    anchored: Mutex<HashSet<PathBuf>>,
    /// The folder sync that failed.
    failed: OnceLock<String>,
}

impl Folder {
    /// Opens a folder that exists.
    pub(crate) fn open(path: &FsPath, sync: Arc<dyn FolderSync>) -> Result<Self, ObjectError> {
        let inner = LocalFileSystem::new_with_prefix(path)?;
        let root = std::fs::canonicalize(path).map_err(failure)?;
        let disk = Arc::new(Disk {
            identity: identity_of(&root).map_err(failure)?,
            root,
            sync,
            anchored: Mutex::default(),
            failed: OnceLock::new(),
        });
        Ok(Self { inner, disk })
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> object_store::Result<T> + Send + 'static,
    ) -> object_store::Result<T> {
        let disk = Arc::clone(&self.disk);
        #[expect(
            clippy::disallowed_methods,
            reason = "a folder of the host is never part of a simulation"
        )]
        let joined = tokio::task::spawn_blocking(move || work(&disk)).await;
        joined.map_err(|source| ObjectError::JoinError { source })?
    }
}

impl Disk {
    fn write(&self, path: &FsPath, payload: &PutPayload, create: bool) -> object_store::Result<()> {
        self.check()?;
        self.check_root()?;
        let staged = self.stage(path, payload)?;
        let named = if create {
            // A link, as renaming would replace what is there.
            let linked = std::fs::hard_link(&staged, path);
            discard(&staged);
            linked
        } else {
            std::fs::rename(&staged, path).inspect_err(|_| discard(&staged))
        };
        match named {
            Ok(()) => self.sync_name(path),
            Err(error) if create && error.kind() == ErrorKind::AlreadyExists => {
                self.sync_name(path)?;
                Err(ObjectError::AlreadyExists {
                    path: path.display().to_string(),
                    source: error.into(),
                })
            }
            Err(error) => Err(failure(error)),
        }
    }

    /// Writes the bytes to a file beside `path`, and syncs them.
    fn stage(&self, path: &FsPath, payload: &PutPayload) -> object_store::Result<PathBuf> {
        let (mut file, staged) = create_staged(path, &self.root).map_err(failure)?;
        let written =
            write_parts(&mut file, payload).and_then(|()| self.sync.sync_file(&file, &staged));
        match written {
            Ok(()) => Ok(staged),
            Err(error) => {
                discard(&staged);
                Err(failure(error))
            }
        }
    }

    /// Makes the name of a file durable: in its folder, and the names of the folders above.
    fn sync_name(&self, path: &FsPath) -> object_store::Result<()> {
        let Some(folder) = path.parent() else {
            return Ok(());
        };
        self.sync_folder(folder)?;
        self.anchor(folder)
    }

    /// Syncs the folders that hold the names of `folder` and of those above it within the store, and
    /// of the store itself: an earlier writer may have died between creating them and syncing.
    fn anchor(&self, folder: &FsPath) -> object_store::Result<()> {
        let within = folder.ancestors().take_while(|a| a.starts_with(&self.root));
        for folder in within {
            if self.anchored.lock().contains(folder) {
                return Ok(());
            }
            if let Some(parent) = folder.parent() {
                self.sync_folder(parent)?;
            }
            self.anchored.lock().insert(folder.to_owned());
        }
        Ok(())
    }

    fn sync_folder(&self, folder: &FsPath) -> object_store::Result<()> {
        self.check()?;
        match self.sync.sync_folder(folder) {
            Ok(()) => self.check(),
            // Who may not read the folder above the store did not create the store either.
            Err(error)
                if error.kind() == ErrorKind::PermissionDenied
                    && !folder.starts_with(&self.root) =>
            {
                tracing::debug!(folder = %folder.display(), "cannot sync the folder above the store");
                Ok(())
            }
            Err(error) => {
                let failed = format!("cannot sync {}: {error}", folder.display());
                if self.failed.set(failed.clone()).is_ok() {
                    tracing::warn!(
                        failed,
                        "nothing more is written to this store until it is opened again"
                    );
                }
                Err(failure(io::Error::new(error.kind(), failed)))
            }
        }
    }

    /// A folder that is unmounted leaves another one in its place, or none: writing there would begin another
    /// store beside the one that comes back.
    fn check_root(&self) -> object_store::Result<()> {
        let root = self.root.display();
        let (kind, what) = match identity_of(&self.root) {
            Ok(found) if found == self.identity => return Ok(()),
            Ok(_) => (
                ErrorKind::Other,
                format!("store folder {root} is another one than the one that was opened"),
            ),
            Err(error) => (
                error.kind(),
                format!("store folder {root} is gone: {error}"),
            ),
        };
        Err(failure(io::Error::new(kind, what)))
    }

    fn check(&self) -> object_store::Result<()> {
        match self.failed.get() {
            None => Ok(()),
            Some(failed) => Err(failure(io::Error::other(format!(
                "{failed}: nothing more is written until the store is opened again"
            )))),
        }
    }
}

fn failure(source: io::Error) -> ObjectError {
    ObjectError::Generic {
        store: "folder",
        source: Box::new(source),
    }
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "folder {}", self.disk.root.display())
    }
}

#[async_trait]
impl Confirm for Folder {
    fn is_spent(&self) -> bool {
        self.disk.failed.get().is_some()
    }

    /// By syncing the file and its name.
    async fn confirm(&self, location: &Path) -> object_store::Result<()> {
        let path = self.inner.path_to_filesystem(location)?;
        let gone = object_store::Error::NotFound {
            path: location.to_string(),
            source: "it could be read, and is gone".into(),
        };
        self.blocking(move |disk| match File::open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Err(gone),
            Err(error) => Err(failure(error)),
            Ok(file) => {
                disk.sync.sync_file(&file, &path).map_err(failure)?;
                disk.sync_name(&path)
            }
        })
        .await
    }
}

#[async_trait]
impl ObjectStore for Folder {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let create = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => {
                return Err(ObjectError::NotSupported {
                    source: "a folder cannot update on a condition".into(),
                });
            }
        };
        let path = self.inner.path_to_filesystem(location)?;
        self.blocking(move |disk| disk.write(&path, &payload, create))
            .await?;
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
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        Err(ObjectError::NotSupported {
            source: "a folder takes objects whole".into(),
        })
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        _from: &Path,
        _to: &Path,
        _options: CopyOptions,
    ) -> object_store::Result<()> {
        Err(ObjectError::NotSupported {
            source: "a folder copies nothing".into(),
        })
    }
}
