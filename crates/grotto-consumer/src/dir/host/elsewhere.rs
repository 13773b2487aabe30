//! State directories where files have no owners and modes as on Unix: there are none.
//!
//! Owns: saying so. Never: writes a file that others might exchange.

#[path = "access.rs"]
mod access;

pub(crate) use access::Access;
pub use access::is_state_mode;

use grotto_env::{FileMark, FileSystem, Locked, Mapped};
use std::io;
use std::path::{Path, PathBuf};

/// No file system.
#[derive(Debug, Default)]
pub(crate) struct HostFiles;

impl HostFiles {
    pub(crate) fn with_access(_: Access) -> Self {
        Self
    }
}

fn none<T>() -> io::Result<T> {
    let reason = "state directories need a Unix system: without one the state is kept on the heap";
    Err(io::Error::new(io::ErrorKind::InvalidInput, reason))
}

impl FileSystem for HostFiles {
    fn boot(&self) -> Option<String> {
        None
    }

    fn create_folder(&self, _: &Path) -> io::Result<()> {
        none()
    }

    fn list(&self, _: &Path) -> io::Result<Vec<PathBuf>> {
        none()
    }

    fn read(&self, _: &Path, _: u64) -> io::Result<Option<Vec<u8>>> {
        none()
    }

    fn map(&self, _: &Path) -> io::Result<Mapped> {
        none()
    }

    fn write(&self, _: &Path, _: &[u8]) -> io::Result<()> {
        none()
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        none()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        none()
    }

    fn touch(&self, _: &Path, _: u64) -> io::Result<()> {
        none()
    }

    fn touched(&self, _: &Path) -> Option<u64> {
        None
    }

    fn mark(&self, _: &Path) -> io::Result<Option<FileMark>> {
        none()
    }

    fn lock(&self, _: &Path) -> io::Result<Locked> {
        none()
    }
}
