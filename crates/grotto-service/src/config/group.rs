//! Groups of users by name.
//!
//! Owns: finding the number of a group in `/etc/group`. Never: asks a directory service.

use grotto::{Error, Result};

/// The number of a group, which may be given by its name in `/etc/group`.
///
/// # Errors
/// `Invalid` when there is no such group.
pub fn group_number(group: &str) -> Result<u32> {
    if let Ok(number) = group.parse() {
        return Ok(number);
    }
    let path = std::path::Path::new("/etc/group");
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
    find_group(&text, group).ok_or_else(|| {
        Error::invalid(format!(
            "no group {group} in /etc/group: a group that is known elsewhere is given by its number"
        ))
    })
}

/// Lines are `name:password:number:members`.
fn find_group(text: &str, group: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut parts = line.split(':');
        let named = parts.next() == Some(group);
        parts.nth(1).filter(|_| named)?.parse().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_their_whole_name() {
        let text = "root:x:0:\ngrotto-readers:x:990:ann,bob\ngrotto:x:991:\nbroken\n";
        assert_eq!(find_group(text, "grotto"), Some(991));
        assert_eq!(find_group(text, "grotto-readers"), Some(990));
        for group in ["ann", "x", "grot", "broken", ""] {
            assert_eq!(find_group(text, group), None, "{group}");
        }
    }
}
