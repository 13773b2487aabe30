//! What is published while system calls fail, and on what.
//!
//! Owns: stores and inputs. Never: runs the binary.

use std::path::Path;

/// A publish, and what it is made on.
#[derive(Clone, Copy)]
pub(super) struct Scenario {
    /// Whether the folder of the store is there.
    pub(super) folder: bool,
    /// The editions that the store holds, one a version; the input is the one after those.
    pub(super) before: u64,
    /// Whether nothing leads to the newest version any more, as its delta is lost.
    pub(super) lost: bool,
    /// Arguments of the publish.
    pub(super) more: &'static str,
}

pub(super) const NEW_FOLDER: Scenario = Scenario {
    folder: false,
    before: 0,
    lost: false,
    more: "",
};
pub(super) const FIRST: Scenario = Scenario {
    folder: true,
    before: 0,
    lost: false,
    more: "",
};
pub(super) const INCREMENTAL: Scenario = Scenario {
    folder: true,
    before: 2,
    lost: false,
    more: "--incremental",
};
pub(super) const WITH_SNAPSHOT: Scenario = Scenario {
    folder: true,
    before: 2,
    lost: false,
    more: "--snapshot-every 1",
};
pub(super) const START_OVER: Scenario = Scenario {
    folder: true,
    before: 2,
    lost: false,
    more: "--start-over",
};

pub(super) const PAST_A_LOSS: Scenario = Scenario {
    folder: true,
    before: 2,
    lost: true,
    more: "--start-over",
};

/// Records that compress badly: their blobs are larger than what rides in a log entry.
pub(super) fn edition(number: u64) -> String {
    let line = |id: u64| {
        let noise = (id * 1_000 + number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        format!(
            "{{\"id\":{id},\"name\":\"{noise:016x}{:016x}\",\"size\":{number}}}\n",
            noise.rotate_left(17) ^ id
        )
    };
    (1..=600 + number).map(line).collect()
}

/// What changes from an edition to the next: one record, as an incremental publish is told it.
pub(super) fn change(number: u64) -> String {
    format!("{{\"id\":1,\"name\":\"changed\",\"size\":{number}}}\n")
}

/// Removes the delta of a version.
pub(super) fn lose_delta(folder: &Path, version: u64) {
    let lost = std::fs::read_dir(folder).unwrap().find_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(&format!("{version:020}")).then_some(path)
    });
    std::fs::remove_file(lost.unwrap()).unwrap();
}
