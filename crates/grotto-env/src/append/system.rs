//! Growing files of this host.
//!
//! Owns: the calls of the operating system. Never: follows a link to a file, nor writes where others may.

#[cfg(test)]
mod tests;

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{AppendFile, AppendFiles};
use crate::signature::{holder, sign};
use crate::{FileLock, Locked};

/// The file system of this host. Files and folders are made for their owner alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemFiles;

#[derive(Debug)]
struct SystemFile(File);

#[derive(Debug)]
struct SystemLock {
    file: File,
    path: PathBuf,
}

impl AppendFiles for SystemFiles {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        let path = std::path::absolute(path)?;
        let missing: Vec<&Path> = path.ancestors().take_while(|a| !a.exists()).collect();
        builder().create(&path)?;
        host::check_folder(&path)?;
        // Those that an earlier process made may not have been synced: the nearest one is, again.
        let made = missing.iter().rev().copied();
        made.chain((missing.is_empty()).then_some(path.as_path()))
            .filter_map(Path::parent)
            .try_for_each(sync_parent)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for found in std::fs::read_dir(folder)? {
            let found = found?;
            if let (true, Ok(name)) = (
                found.file_type()?.is_file(),
                found.file_name().into_string(),
            ) {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        let mut options = OpenOptions::new();
        options.append(true).create_new(true);
        Ok(Box::new(SystemFile(host::open(&mut options, path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn AppendFile>> {
        Ok(Box::new(SystemFile(plain(
            OpenOptions::new().append(true),
            path,
        )?)))
    }

    fn read(&self, path: &Path, offset: u64, limit: usize) -> io::Result<Vec<u8>> {
        let mut file = plain(OpenOptions::new().read(true), path)?;
        let left = file.metadata()?.len().saturating_sub(offset);
        let most = limit.min(usize::try_from(left).unwrap_or(usize::MAX));
        let mut bytes = Vec::with_capacity(most);
        file.seek(SeekFrom::Start(offset))?;
        file.take(most as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn length(&self, path: &Path) -> io::Result<u64> {
        Ok(plain(OpenOptions::new().read(true), path)?
            .metadata()?
            .len())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        host::sync_folder(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Locked> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true);
        let mut file = plain(&mut options, path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(Locked::Theirs(holder(&mut file))),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Only for people who wonder who holds it: a disk that is full keeps nobody from the lock.
        let _ = sign(&mut file);
        let path = path.to_owned();
        Ok(Locked::Ours(Box::new(SystemLock { file, path })))
    }
}

impl AppendFile for SystemFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }
}

impl FileLock for SystemLock {
    fn is_named(&self) -> io::Result<bool> {
        host::is_named(&self.file, &self.path)
    }
}

/// Opens a plain file; anything else is refused.
fn plain(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = host::open(options, path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    let reason = format!("{}: expected a plain file", path.display());
    Err(io::Error::new(ErrorKind::InvalidInput, reason))
}

/// Who may not read the folder above did not create this one either, so there is nothing to sync.
fn sync_parent(folder: &Path) -> io::Result<()> {
    match host::sync_folder(folder) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
        synced => synced,
    }
}

fn builder() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

#[cfg(unix)]
mod host {
    use super::{ErrorKind, File, OpenOptions, Path, io};
    use rustix::fs::OFlags;
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

    /// A link is not followed, and a pipe is not waited for.
    pub(super) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        options.mode(0o600).custom_flags(flags.bits().cast_signed());
        options.open(path)
    }

    pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    /// Who may write to a folder may exchange its files.
    pub(super) fn check_folder(path: &Path) -> io::Result<()> {
        let refused = |reason: String| Err(io::Error::new(ErrorKind::InvalidInput, reason));
        let (found, shown) = (std::fs::symlink_metadata(path)?, path.display());
        if !found.is_dir() {
            return refused(format!(
                "{shown} is a symbolic link: name the folder itself"
            ));
        }
        let mode = found.mode() & 0o7777;
        if mode & 0o022 != 0 {
            return refused(format!(
                "others may write to {shown} (mode {mode:04o}): expected a folder that its owner alone may write to"
            ));
        }
        let user = rustix::process::geteuid().as_raw();
        if found.uid() != user {
            return refused(format!(
                "user {} owns {shown}: expected a folder of user {user}, who runs this",
                found.uid()
            ));
        }
        Ok(())
    }

    pub(super) fn is_named(file: &File, path: &Path) -> io::Result<bool> {
        let own = file.metadata()?;
        match std::fs::symlink_metadata(path) {
            Ok(named) => Ok((own.dev(), own.ino()) == (named.dev(), named.ino())),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }
}

#[cfg(not(unix))]
mod host {
    use super::{File, OpenOptions, Path, io};

    pub(super) fn open(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
        options.open(path)
    }

    /// Folders cannot be opened as files; their names are journaled by the system.
    pub(super) fn sync_folder(_: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn check_folder(_: &Path) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn is_named(_: &File, path: &Path) -> io::Result<bool> {
        Ok(path.exists())
    }
}
