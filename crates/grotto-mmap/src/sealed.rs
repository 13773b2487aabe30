//! Mapping sealed files.
//!
//! Owns: the proof that a mapped file may be read as plain bytes. Never: opens a file for writing.
#![expect(unsafe_code, reason = "mapping a file is what this module is for")]

use bytes::Bytes;
use memmap2::MmapOptions;
use std::fs::File;
use std::io;
use std::path::Path;

/// Maps a **sealed** file: one that nobody writes to, truncates or extends any more, and that goes
/// only by unlink. The caller vouches for that; state directories keep it by writing under a
/// temporary name and renaming.
///
/// The mapping does not need the file handle any longer, and outlives the file's name: an unlinked
/// file keeps its pages for as long as the returned bytes, or a slice of them, are held. Costs no
/// memory of its own: pages are those of the page cache, shared with every process that maps the
/// same file.
///
/// # Errors
/// When it is not a plain file, is longer than the address space, or the system refuses to map it.
pub fn map_sealed(file: &File) -> io::Result<Bytes> {
    let found = file.metadata()?;
    if !found.is_file() {
        let reason = "expected a plain file to map";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
    }
    let length = usize::try_from(found.len())
        .map_err(|_| io::Error::new(io::ErrorKind::OutOfMemory, "file exceeds address space"))?;
    if length == 0 {
        // The system refuses to map nothing.
        return Ok(Bytes::new());
    }
    let mut options = MmapOptions::new();
    options.len(length);
    // SAFETY: `MmapOptions::map` is unsafe because a reader of the map has undefined behaviour if
    // the file is changed or truncated while it is mapped. The contract of this function is that
    // the file is sealed: no process writes to it, truncates it or extends it after this point.
    // Unlinking is allowed and does not touch the pages. The length was read from the file itself,
    // so every page of the map is backed by it. The map is private to its owner below and is
    // unmapped only when that is dropped.
    let map = unsafe { options.map(file) }?;
    Ok(Bytes::from_owner(map))
}

/// Opens a sealed file for reading and maps it, as [`map_sealed`].
///
/// # Errors
/// As [`map_sealed`], and when it cannot be opened.
pub fn map_sealed_path(path: &Path) -> io::Result<Bytes> {
    map_sealed(&File::open(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn scratch(name: &str) -> PathBuf {
        let name = format!("grotto-mmap-{}-{name}", std::process::id());
        std::env::temp_dir().join(name)
    }

    #[test]
    fn a_mapped_file_outlives_its_name() {
        let path = scratch("unlinked");
        let content: Vec<u8> = (0..100_000_u32).map(|i| i as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let bytes = map_sealed_path(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(bytes, content);
        assert_eq!(bytes.slice(99_000..).to_vec(), content[99_000..]);
    }

    #[test]
    fn an_empty_file_maps_to_no_bytes() {
        let path = scratch("empty");
        std::fs::write(&path, b"").unwrap();
        let bytes = map_sealed_path(&path);
        std::fs::remove_file(&path).unwrap();
        assert!(bytes.unwrap().is_empty());
    }

    #[test]
    fn a_folder_is_refused() {
        assert!(map_sealed_path(&std::env::temp_dir()).is_err());
    }

    #[test]
    fn a_missing_file_is_not_found() {
        let error = map_sealed_path(&scratch("missing")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
