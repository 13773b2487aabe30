//! The files of a state directory: their names, and how one appears whole.
//!
//! Owns: paths, and writing under a temporary name. Never: writes to a file that has its name.

use grotto_env::{FileMark, FileSystem, Mapped};
use std::io;
use std::path::{Path, PathBuf};

/// Ending of files that are being written.
const TEMP: &str = ".tmp";
const CURRENT: &str = "CURRENT";

/// Paths below a state directory.
#[derive(Clone, Debug)]
pub(crate) struct Paths {
    dir: PathBuf,
}

impl Paths {
    pub(crate) fn new(dir: &Path) -> Self {
        Self {
            dir: dir.to_owned(),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn current(&self) -> PathBuf {
        self.dir.join(CURRENT)
    }

    pub(crate) fn fresh(&self) -> PathBuf {
        self.dir.join("FRESH")
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.dir.join("segments")
    }

    pub(crate) fn segment(&self, name: u64) -> PathBuf {
        self.segments().join(format!("{name:020}.seg"))
    }

    pub(crate) fn roots(&self) -> PathBuf {
        self.dir.join("roots")
    }

    pub(crate) fn root(&self, seq: u64) -> PathBuf {
        self.roots().join(format!("{seq:020}.root"))
    }
}

/// The number in a file name of ours, such as `00000000000000000042.seg`.
pub(crate) fn number_of(path: &Path, ending: &str) -> Option<u64> {
    let digits = path
        .file_name()?
        .to_str()?
        .strip_suffix(ending)?
        .strip_suffix('.')?;
    let plain = digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit());
    if plain { digits.parse().ok() } else { None }
}

/// Whether a file is a leftover of a write of ours that never ended.
pub(crate) fn is_temp(path: &Path, ending: &str) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.strip_suffix(TEMP))
        .is_some_and(|name| name == CURRENT || number_of(Path::new(name), ending).is_some())
}

/// Writes a file that appears whole or not at all. Nothing is left behind when it fails.
pub(crate) fn write_whole(system: &dyn FileSystem, path: &Path, bytes: &[u8]) -> io::Result<()> {
    stage(system, path, bytes, |_| Ok(()))
}

/// The same, and maps it: the very file that was written, whatever has its name later.
pub(crate) fn seal_whole(system: &dyn FileSystem, path: &Path, bytes: &[u8]) -> io::Result<Mapped> {
    let mapped = stage(system, path, bytes, |staged| system.map(staged))?;
    // To be given its name changes a file.
    let named = system.mark(path).and_then(|named| {
        let of = |mark: FileMark| (mark.number, mark.written_ns, mark.length);
        named
            .filter(|named| of(*named) == of(mapped.mark))
            .ok_or_else(|| io::Error::other("it was replaced while it was written"))
    });
    match named {
        Ok(mark) => Ok(Mapped { mark, ..mapped }),
        Err(error) => {
            // The first error is the one to tell; a leftover is swept when the directory is opened.
            let _ = system.remove(path);
            Err(error)
        }
    }
}

fn stage<T>(
    system: &dyn FileSystem,
    path: &Path,
    bytes: &[u8],
    look: impl FnOnce(&Path) -> io::Result<T>,
) -> io::Result<T> {
    let mut temp = path.as_os_str().to_owned();
    temp.push(TEMP);
    let temp = PathBuf::from(temp);
    // A temporary file is ours alone, as the writer holds the lock: it may be written over.
    let written = system
        .write(&temp, bytes)
        .and_then(|()| look(&temp))
        .and_then(|seen| system.rename(&temp, path).map(|()| seen));
    if written.is_err() {
        // The first error is the one to tell; a leftover is swept when the directory is opened.
        let _ = system.remove(&temp);
    }
    written
}

/// Unlinks a file that is no longer needed. Failing costs disk space only, until the next sweep.
pub(crate) fn unlink(system: &dyn FileSystem, path: &Path) {
    match system.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "cannot remove a file that is not needed any more");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dir::host::HostFiles;

    #[test]
    fn only_names_of_ours_have_a_number() {
        let paths = Paths::new(Path::new("/s"));
        assert_eq!(number_of(&paths.segment(42), "seg"), Some(42));
        assert_eq!(number_of(&paths.root(u64::MAX), "root"), Some(u64::MAX));
        for name in [
            "42.seg",
            "notes.seg",
            "00000000000000000042.seg.tmp",
            "+0000000000000000042.seg",
        ] {
            assert_eq!(number_of(Path::new(name), "seg"), None, "{name}");
        }
    }

    #[test]
    fn a_write_that_fails_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("taken");
        std::fs::create_dir_all(target.join("inside")).unwrap();
        assert!(write_whole(&HostFiles::default(), &target, b"x").is_err());
        assert_eq!(HostFiles::default().list(dir.path()).unwrap(), [target]);
    }
}
