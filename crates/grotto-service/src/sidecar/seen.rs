//! Under which name a sidecar is seen by those who look at a fleet.
//!
//! Owns: making a name that a lease may have. Never: keeps the lease; the consumers do.

/// Longest name of a lease.
const LONGEST: usize = 100;

/// The name of the leases of a sidecar: that of its configuration, or its host and port. The number of its process would
/// make it another one after each restart.
pub(super) fn name(configured: Option<&str>, host_and_process: &str, port: u16) -> String {
    match configured {
        Some(name) => plain(name, LONGEST),
        None => {
            let host = host_and_process.rsplit_once(':');
            let host = host.map_or(host_and_process, |(host, _)| host);
            // Room for the port.
            format!("{}-{port}", plain(host, LONGEST - 6))
        }
    }
}

/// Letters, digits, `-`, `_` and `.` stay, a `.` at the beginning aside.
fn plain(text: &str, most: usize) -> String {
    let of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name = text.chars().take(most);
    let name: String = name.map(|c| if of_name(c) { c } else { '-' }).collect();
    match name.strip_prefix('.') {
        Some(rest) => format!("-{rest}"),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use grotto::store::ConsumerId;

    #[test]
    fn every_name_is_one_of_a_lease() {
        let long = "ä".repeat(300);
        for (configured, host, expected) in [
            (Some("host-17"), "web:812", "host-17"),
            (Some("Host 17/b"), "web:812", "Host-17-b"),
            (Some("../x"), "web:812", "-.-x"),
            (None, "web.example.org:812", "web.example.org-8080"),
            (None, "unknown host:812", "unknown-host-8080"),
            (None, "web", "web-8080"),
        ] {
            let name = name(configured, host, 8080);
            assert_eq!(name, expected);
            assert!(ConsumerId::parse(&name).is_ok(), "{name}");
        }
        for name in [name(Some(&long), "", 1), name(None, &long, 65_535)] {
            assert_eq!(name.len(), 100);
            assert!(ConsumerId::parse(&name).is_ok(), "{name}");
        }
    }
}
