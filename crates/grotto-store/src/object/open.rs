//! Opening stores by their address.
//!
//! Owns: which backend an address means. Never: creates a bucket, or a folder that is only read.

use super::Store;
use crate::backend;
use crate::error::{Error, Result, from_host};
use crate::folder::{Folder, FolderSync, SystemSync, create_root};
use crate::location::StoreUrl;
use crate::options::StoreOptions;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Store {
    /// Opens a store for reading. A folder must exist: a typing error in a path must not look like
    /// an empty store. A bucket is not asked for before the first operation.
    ///
    /// # Errors
    /// `Invalid` when the folder does not exist or is none, or the settings of a bucket are not usable.
    pub fn open(url: &StoreUrl) -> Result<Self> {
        match url {
            StoreUrl::Local(path) => Self::open_folder(path, Arc::new(SystemSync)),
            StoreUrl::Memory => Ok(Self::from_object_store(Arc::new(InMemory::new()))),
            StoreUrl::Bucket(bucket) => {
                let mut store = Self::from_object_store(backend::open(bucket)?);
                store.bucket = Some(bucket.place().into());
                Ok(store)
            }
        }
    }

    /// Opens a store for writing; creates the folder if it is missing.
    ///
    /// # Errors
    /// As [`open`](Self::open); `Invalid` or `Unavailable` when the folder cannot be created.
    pub fn open_writable(url: &StoreUrl) -> Result<Self> {
        Self::open_writable_with(url, Arc::new(SystemSync))
    }

    /// The same with other syncs of a folder.
    ///
    /// # Errors
    /// As [`open_writable`](Self::open_writable).
    pub fn open_writable_with(url: &StoreUrl, sync: Arc<dyn FolderSync>) -> Result<Self> {
        let StoreUrl::Local(path) = url else {
            return Self::open(url);
        };
        create_root(path, &*sync).map_err(|e| from_host("create store folder", path, e))?;
        Self::open_folder(path, sync)
    }

    /// The same store, opened again if nothing more is written to it as it is: after a sync of a folder failed.
    /// Environment, deadlines and breaker stay.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn renewed(&self) -> Result<Self> {
        let Some(root) = self.root.as_ref().filter(|_| self.is_spent()) else {
            return Ok(self.clone());
        };
        let fresh = Self::open_folder(root, Arc::new(SystemSync))?;
        Ok(Self {
            objects: fresh.objects,
            confirms: fresh.confirms,
            ..self.clone()
        })
    }

    fn open_folder(path: &Path, sync: Arc<dyn FolderSync>) -> Result<Self> {
        let shown = path.display();
        let found = std::fs::metadata(path).map_err(|e| {
            Error::invalid(format!(
                "store folder {shown} does not exist or is not readable"
            ))
            .with_source(e)
        })?;
        if !found.is_dir() {
            return Err(Error::invalid(format!(
                "store {shown}: expected a folder, found a file"
            )));
        }
        let failed = |e| Error::invalid(format!("cannot open store folder {shown}")).with_source(e);
        let root = std::path::absolute(path)
            .map_err(|e| Error::invalid(format!("store folder {shown}")).with_source(e))?;
        let objects = Arc::new(Folder::open(path, sync).map_err(failed)?);
        let mut store = Self::from_object_store(Arc::clone(&objects) as Arc<dyn ObjectStore>);
        store.root = Some(PathBuf::into_boxed_path(root).into());
        store.confirms = Some(objects);
        // A folder answers at once, also when it refuses: leaving it alone would help nobody.
        Ok(store.with_options(StoreOptions {
            breaker: None,
            ..StoreOptions::default()
        }))
    }
}
