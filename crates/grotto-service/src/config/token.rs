//! The token that requests must bear.
//!
//! Owns: reading it from its file, and comparing it. Never: shows it.

use super::read_text;
use grotto::{Error, Result};
use std::fmt;
use std::path::Path;

/// Shortest token in bytes.
const SHORTEST: usize = 16;
/// Longest token file in bytes.
const LONGEST: u64 = 4096;

/// A secret that whoever has it may use.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// Whether a request bears it. Takes the same time wherever they differ, so that nobody finds out byte by byte.
    #[must_use]
    pub fn is(&self, given: &str) -> bool {
        let (ours, given) = (self.0.as_bytes(), given.as_bytes());
        let differ = ours.iter().zip(given).fold(0, |all, (a, b)| all | (a ^ b));
        ours.len() == given.len() && std::hint::black_box(differ) == 0
    }
}

/// The text of the token in a file, for those who have to bear it.
///
/// # Errors
/// As [`read_token`].
pub fn read_token_text(path: &Path) -> Result<String> {
    read_token(path).map(|token| token.0)
}

/// Reads the token in the first line of a file that is for its owner alone.
///
/// # Errors
/// `Invalid` when the file cannot be read, others may read it, or it is no token.
pub fn read_token(path: &Path) -> Result<Token> {
    let text = read_text(path, "token file", LONGEST)?;
    check_private("token file", path)?;
    let token = text.lines().next().unwrap_or_default().trim();
    let plain = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.len() < SHORTEST || !plain {
        return Err(Error::invalid(format!(
            "token file {}: expected a first line of at least {SHORTEST} visible characters without blanks",
            path.display()
        )));
    }
    Ok(Token(token.to_owned()))
}

/// Reads the password in the first line of a file that is for its owner alone.
///
/// # Errors
/// `Invalid` when the file cannot be read, others may read it, or its first line is empty.
pub(super) fn read_password(path: &Path) -> Result<String> {
    let text = read_text(path, "password file", LONGEST)?;
    check_private("password file", path)?;
    match text.lines().next().unwrap_or_default().trim() {
        "" => Err(Error::invalid(format!(
            "password file {}: expected a password in the first line, found none",
            path.display()
        ))),
        password => Ok(password.to_owned()),
    }
}

#[cfg(unix)]
fn check_private(what: &str, path: &Path) -> Result<()> {
    use std::os::unix::fs::MetadataExt as _;
    let found = std::fs::metadata(path).map_err(|e| Error::io(&format!("read {what}"), path, e))?;
    if found.is_file() && !is_private(found.mode(), found.uid(), found.gid()) {
        return Err(Error::invalid(format!(
            "{what} {}: expected a file for its owner alone, found mode {:03o}; `chmod 600` it",
            path.display(),
            found.mode() & 0o777
        )));
    }
    Ok(())
}

/// Whether nobody reads a file but its owner. Credentials that systemd hands over may be root's with an access
/// list that names the user of the unit: its bits show as those of the group, which is root's own.
#[cfg(unix)]
fn is_private(mode: u32, owner: u32, group: u32) -> bool {
    let is_credential = owner == 0 && group == 0;
    mode & 0o077 == 0 || (is_credential && mode & 0o777 == 0o440)
}

#[cfg(not(unix))]
fn check_private(_: &str, _: &Path) -> Result<()> {
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_its_owner_alone_or_a_credential_of_systemd() {
        for (mode, owner, group, expected) in [
            (0o600, 1000, 1000, true),
            (0o400, 1000, 1000, true),
            (0o400, 0, 0, true),
            // With an access list.
            (0o440, 0, 0, true),
            (0o440, 1000, 1000, false),
            (0o440, 0, 1000, false),
            (0o440, 1000, 0, false),
            (0o640, 0, 0, false),
            (0o460, 0, 0, false),
            (0o450, 0, 0, false),
            (0o444, 0, 0, false),
            (0o644, 1000, 1000, false),
        ] {
            let mode = 0o100_000 | mode;
            let found = is_private(mode, owner, group);
            assert_eq!(found, expected, "{mode:o} {owner} {group}");
        }
    }
}
