//! The files of a state directory: their names, their modes, and how one appears whole.
//!
//! Owns: paths, and writing under a temporary name. Never: writes to a file that has its name.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Ending of files that are being written.
const TEMP: &str = ".tmp";

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
        self.dir.join("CURRENT")
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

/// Whether a file is a leftover of a write that never ended.
pub(crate) fn is_temp(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.ends_with(TEMP))
}

/// Options that give new files to their owner alone: a state holds what its records hold.
pub(crate) fn options() -> OpenOptions {
    #[allow(unused_mut, reason = "only some platforms have modes")]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates a folder and those above it, for its owner alone. One that exists keeps its mode: who
/// made it may have opened it to a group on purpose.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Writes a file that appears whole or not at all, and returns it open for reading. Nothing is left
/// behind when it fails.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut temp = path.as_os_str().to_owned();
    temp.push(TEMP);
    let temp = PathBuf::from(temp);
    let written = (|| {
        // A temporary file is ours alone, as the writer holds the lock: it may be written over.
        let mut file = options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temp)?;
        file.write_all(bytes)?;
        std::fs::rename(&temp, path)?;
        Ok(file)
    })();
    if written.is_err() {
        // The first error is the one to tell; a leftover is swept when the directory is opened.
        let _ = std::fs::remove_file(&temp);
    }
    written
}

/// Reads a small file whole; refuses more than `limit` bytes unread. `None` if there is none.
pub(crate) fn read_small(path: &Path, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        let reason = format!("expected at most {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(Some(bytes))
}

/// Unlinks a file that is no longer needed. Failing costs disk space only, until the next sweep.
pub(crate) fn unlink(path: &Path) {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "cannot remove a file that is not needed any more");
        }
        _ => {}
    }
}

/// The files of a folder.
pub(crate) fn list(folder: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(write_whole(&target, b"x").is_err());
        assert_eq!(list(dir.path()).unwrap(), [target]);
    }

    #[cfg(unix)]
    #[test]
    fn files_and_folders_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let folder = dir.path().join("a/b");
        create_folder(&folder).unwrap();
        write_whole(&folder.join("file"), b"x").unwrap();
        assert_eq!(mode(&folder), 0o700);
        assert_eq!(mode(&folder.join("file")), 0o600);
    }

    #[test]
    fn a_file_past_the_limit_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, [0; 10]).unwrap();
        assert_eq!(read_small(&path, 10).unwrap().map(|b| b.len()), Some(10));
        assert!(read_small(&path, 9).is_err());
        assert!(read_small(&dir.path().join("none"), 9).unwrap().is_none());
    }
}
