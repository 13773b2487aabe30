//! What the daemon takes of its host.
//!
//! Owns: reading memory and open files of this process where the system tells. Never: decides anything.

use std::path::Path;

/// Resources of this process; zero where the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Resources {
    pub(crate) memory_bytes: u64,
    pub(crate) peak_memory_bytes: u64,
    pub(crate) open_files: u64,
    pub(crate) threads: u64,
}

/// Asks the system.
pub(crate) fn resources() -> Resources {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut found = parse(&status);
    found.open_files = count(Path::new("/proc/self/fd"));
    found
}

fn count(folder: &Path) -> u64 {
    std::fs::read_dir(folder).map_or(0, |entries| entries.count() as u64)
}

/// Reads lines such as `VmRSS:     1234 kB`.
fn parse(status: &str) -> Resources {
    let number = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.split_whitespace().next());
        number
            .and_then(|number| number.parse::<u64>().ok())
            .unwrap_or(0)
    };
    Resources {
        memory_bytes: number("VmRSS:") * 1024,
        peak_memory_bytes: number("VmHWM:") * 1024,
        open_files: 0,
        threads: number("Threads:"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_threads_are_read_in_the_form_of_the_system() {
        let status = "Name:\tgrotto\nVmHWM:\t    2000 kB\nVmRSS:\t    1500 kB\nThreads:\t7\n";
        let expected = Resources {
            memory_bytes: 1_536_000,
            peak_memory_bytes: 2_048_000,
            open_files: 0,
            threads: 7,
        };
        assert_eq!(parse(status), expected);
        assert_eq!(parse(""), Resources::default());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_files() {
        let found = resources();
        assert!(found.memory_bytes > 0 && found.peak_memory_bytes >= found.memory_bytes);
        assert!(found.open_files >= 3 && found.threads >= 1);
    }
}
