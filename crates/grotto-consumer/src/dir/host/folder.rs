//! A folder that is held open, and what is done in it.
//!
//! Owns: which folders and files are touched at all. What is done by a handle of a folder is done in
//! that folder, whatever has its name meanwhile; no link is followed to a folder or a file. Never:
//! writes in a folder that another user owns or may write to, or to a file that others have a name for.

use super::Access;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Stat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// A folder that is held open.
#[derive(Debug)]
pub(super) struct Folder {
    fd: OwnedFd,
    path: PathBuf,
    found: Stat,
}

/// What a folder is needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Its owner, whoever that is, is trusted; others must not write to it.
    Read,
    /// Nobody but this process' user may write to it.
    Write,
}

impl Folder {
    /// Opens a folder by its path. Links on the way are followed, but not the last part.
    pub(super) fn open(path: &Path, purpose: Purpose) -> io::Result<Self> {
        // A slash at the end would have a link followed.
        let path: PathBuf = path.components().collect();
        let name = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            &path
        };
        Self::open_at(CWD, name.as_os_str(), &path, purpose)
    }

    /// Opens a folder in this one.
    pub(super) fn within(&self, name: &OsStr, purpose: Purpose) -> io::Result<Self> {
        Self::open_at(&self.fd, name, &self.path.join(name), purpose)
    }

    fn open_at(at: impl AsFd, name: &OsStr, path: &Path, purpose: Purpose) -> io::Result<Self> {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::RDONLY;
        let fd = match rustix::fs::openat(&at, name, flags, Mode::empty()) {
            Err(Errno::LOOP | Errno::NOTDIR) if is_link(&at, name) => {
                let path = path.display();
                return Err(refused(format!(
                    "{path} is a symbolic link: name the folder itself"
                )));
            }
            opened => opened?,
        };
        let found = rustix::fs::fstat(&fd)?;
        let folder = Self {
            fd,
            path: path.to_owned(),
            found,
        };
        folder.check(purpose).map(|()| folder)
    }

    fn check(&self, purpose: Purpose) -> io::Result<()> {
        let (path, found) = (self.path.display(), &self.found);
        let mode = found.st_mode & 0o7777;
        if mode & 0o022 != 0 {
            return Err(refused(format!(
                "others may write to {path} (mode {mode:04o}): expected a folder that its owner alone may write to"
            )));
        }
        let user = rustix::process::geteuid().as_raw();
        if purpose == Purpose::Write && found.st_uid != user {
            return Err(refused(format!(
                "user {} owns {path}: expected a folder of user {user}, who runs this",
                found.st_uid
            )));
        }
        Ok(())
    }

    /// Makes a folder in this one, unless it is there.
    pub(super) fn make(&self, name: &OsStr, access: Access) -> io::Result<()> {
        match rustix::fs::mkdirat(&self.fd, name, Mode::from_raw_mode(access.of_folders())) {
            Err(Errno::EXIST) | Ok(()) => {}
            Err(error) => return Err(error.into()),
        }
        self.within(name, Purpose::Write)?.admit(access)
    }

    /// Gives this folder the mode and group that were asked for.
    pub(super) fn admit(&self, access: Access) -> io::Result<()> {
        set_access(&self.fd, &self.found, access.of_folders(), access).map(|_| ())
    }

    /// Opens a file for reading; `None` if there is none.
    pub(super) fn read(&self, name: &OsStr) -> io::Result<Option<File>> {
        // A pipe would wait for somebody to write to it.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        let fd = match self.open_file(name, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => return Err(altered("a symbolic link")),
            opened => opened?,
        };
        self.check_file(&rustix::fs::fstat(&fd)?)?;
        Ok(Some(File::from(fd)))
    }

    /// Whether nobody but the owner of this folder can write to a file: what it says could change at any
    /// time. Root can do so anyway.
    fn check_file(&self, found: &Stat) -> io::Result<()> {
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(altered("something else"));
        }
        let (owner, mode) = (found.st_uid, found.st_mode & 0o7777);
        if owner != self.found.st_uid && owner != 0 {
            return Err(altered(&format!("one that user {owner} owns")));
        }
        if mode & 0o022 != 0 {
            let found = format!("one that others may write to (mode {mode:04o})");
            return Err(altered(&found));
        }
        Ok(())
    }

    /// Makes a file. What had its name is gone: it is never written to.
    pub(super) fn create(&self, name: &OsStr, access: Access) -> io::Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let mode = Mode::from_raw_mode(access.of_files());
        let fd = match self.open_file(name, flags, mode) {
            Err(Errno::EXIST) => {
                self.remove(name)?;
                self.open_file(name, flags, mode)?
            }
            opened => opened?,
        };
        set_access(&fd, &rustix::fs::fstat(&fd)?, access.of_files(), access)?;
        Ok(File::from(fd))
    }

    /// Opens a file that is written to in place, and makes it if it is missing. One that is more than a
    /// file of this user alone is refused: others may have its bytes by another name.
    pub(super) fn open_own(&self, name: &OsStr, access: Access) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NONBLOCK;
        let mode = Mode::from_raw_mode(access.of_files());
        let shown = Path::new(name).display();
        let fd = match self.open_file(name, flags, mode) {
            Err(Errno::LOOP) => {
                return Err(refused(format!(
                    "{shown} is a symbolic link: expected a plain file"
                )));
            }
            // What a pipe without readers, a socket and a folder say.
            Err(Errno::NXIO | Errno::ISDIR) => {
                return Err(refused(format!("{shown} is no plain file")));
            }
            opened => opened?,
        };
        let found = rustix::fs::fstat(&fd)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(refused(format!("{shown} is no plain file")));
        }
        if found.st_uid != rustix::process::geteuid().as_raw() {
            return Err(refused(format!(
                "{shown} is owned by user {}",
                found.st_uid
            )));
        }
        if found.st_nlink > 1 {
            return Err(refused(format!(
                "{shown} has another name elsewhere (a hard link)"
            )));
        }
        set_access(&fd, &found, access.of_files(), access)?;
        Ok(File::from(fd))
    }

    /// Gives a file the mode and group that were asked for; tells whether it had others.
    pub(super) fn admit_file(&self, name: &OsStr, access: Access) -> io::Result<bool> {
        let Some(file) = self.read(name)? else {
            return Ok(false);
        };
        set_access(&file, &rustix::fs::fstat(&file)?, access.of_files(), access)
    }

    fn open_file(&self, name: &OsStr, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
        rustix::fs::openat(&self.fd, name, flags, mode)
    }

    /// Gives a file of this folder another name in it.
    pub(super) fn rename(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::renameat(&self.fd, from, &self.fd, to)?)
    }

    /// Removes a file's name.
    pub(super) fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(&self.fd, name, AtFlags::empty())?)
    }
}

fn is_link(at: impl AsFd, name: &OsStr) -> bool {
    let found = rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW);
    found.is_ok_and(|found| FileType::from_raw_mode(found.st_mode) == FileType::Symlink)
}

/// Sets what the system gave otherwise, by the mask of the process or because it was there before.
fn set_access(fd: impl AsFd, found: &Stat, mode: u32, access: Access) -> io::Result<bool> {
    if !access.is_set() {
        return Ok(false);
    }
    let group = access.group.filter(|group| *group != found.st_gid);
    if let Some(group) = group {
        rustix::fs::fchown(&fd, None, Some(Gid::from_raw(group)))?;
    }
    // Only where it was asked for: who made a folder may have opened it on purpose.
    let differs = access.mode.is_some() && found.st_mode & 0o7777 != mode;
    if differs {
        rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode))?;
    }
    Ok(differs || group.is_some())
}

/// Nothing that trying again would mend.
fn refused(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, reason)
}

/// Where a file of ours was.
fn altered(found: &str) -> io::Error {
    let reason = format!("expected a plain file, found {found}");
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
