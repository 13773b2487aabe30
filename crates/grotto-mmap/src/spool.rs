//! Files without a name: for bytes that are too many for memory, and of no use to anybody later.
//!
//! Owns: writing one and mapping it once it is sealed. Never: leaves a file behind, also when its process is killed.

use crate::map_sealed;
use bytes::Bytes;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// A file that is being written.
#[derive(Debug)]
pub struct Spool {
    file: File,
    /// Where the next bytes go.
    at: u64,
}

impl Spool {
    /// Begins a file in a folder, which is made if it is missing. Its name is gone when this returns, so that its room is given back with its
    /// last handle or map.
    ///
    /// # Errors
    /// Those of the host.
    pub fn begin(folder: &Path) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!(".spool-{}-{number}", std::process::id()));
            match create(&path) {
                Ok(file) => {
                    std::fs::remove_file(&path)?;
                    return Ok(Self { file, at: 0 });
                }
                // Of another process with this number, in another container.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    std::fs::create_dir_all(folder)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Leaves so many bytes out: zeros until something is put there, which take no room.
    pub fn skip(&mut self, bytes: u64) {
        self.at += bytes;
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// Those of the host.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_at(bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Puts bytes where some were left out.
    ///
    /// # Errors
    /// Those of the host.
    pub fn write_at(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(bytes)
    }

    /// Gives all bytes from a place on to `to`, some at a time.
    ///
    /// # Errors
    /// Those of the host.
    pub fn read_from(&mut self, at: u64, mut to: impl FnMut(&[u8])) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(at))?;
        let mut some = vec![0; 1 << 20];
        loop {
            match self.file.read(&mut some)? {
                0 => return Ok(()),
                read => to(&some[..read]),
            }
        }
    }

    /// Where the next bytes go.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.at
    }

    /// The bytes; nothing can be written any more. They are in memory only while they are used.
    ///
    /// # Errors
    /// Those of the host.
    pub fn seal(self) -> io::Result<Bytes> {
        map_sealed(&self.file)
    }
}

/// For its owner alone, in the moment that it has a name.
fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_there_and_the_file_is_not() {
        let folder = std::env::temp_dir().join(format!("grotto-spool-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut spool = Spool::begin(&folder).unwrap();
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
        spool.skip(4);
        spool.write(b"efg").unwrap();
        spool.write_at(b"cd", 2).unwrap();
        spool.write(b"h").unwrap();
        assert_eq!(spool.length(), 8);
        let mut read = Vec::new();
        spool
            .read_from(2, |some| read.extend_from_slice(some))
            .unwrap();
        assert_eq!(read, b"cdefgh");
        assert_eq!(spool.seal().unwrap(), &b"\0\0cdefgh"[..]);
        std::fs::remove_dir(&folder).unwrap();
    }
}
