//! Who holds a lock, for people who wonder.
//!
//! Owns: what a lock file says of its holder. Never: decides who holds it; the lock itself does.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

/// Writes this process into a lock file that it holds.
///
/// # Errors
/// When the file cannot be written, as on a full disk: the lock is held all the same.
pub fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

/// Who signed a lock file, in words.
pub fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let read = file.take(32).read_to_string(&mut text);
    match read.map(|_| text.trim().parse::<u32>()) {
        Ok(Ok(pid)) => format!("process {pid}"),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_names_its_holder_if_it_says_one() {
        let mut file = tempfile::tempfile().unwrap();
        assert_eq!(holder(&mut file), "another process");
        sign(&mut file).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        assert_eq!(holder(&mut file), format!("process {}", std::process::id()));
    }
}
