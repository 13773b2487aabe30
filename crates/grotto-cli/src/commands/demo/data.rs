//! The data of the demo, in the binary itself so that it works anywhere.
//!
//! Owns: which editions there are. Where they come from, and their licence: `data/geonames/NOTICE`.

/// One edition of the dataset.
#[derive(Clone, Copy)]
pub(super) struct Edition {
    /// Year and month.
    pub(super) name: &'static str,
    /// NDJSON, compressed with zstd.
    pub(super) packed: &'static [u8],
}

macro_rules! edition {
    ($name:literal) => {
        Edition {
            name: $name,
            packed: include_bytes!(concat!(
                "../../../data/geonames/cities15000-",
                $name,
                ".ndjson.zst"
            )),
        }
    };
}

/// All editions, oldest first.
pub(super) const EDITIONS: [Edition; 5] = [
    edition!("2020-05"),
    edition!("2021-11"),
    edition!("2022-07"),
    edition!("2023-04"),
    edition!("2023-07"),
];

/// The schema of all of them.
pub(super) const SCHEMA: &str = include_str!("../../../data/geonames/cities.schema");

/// Cities to look up: name and key.
pub(super) const LOOKUPS: [(&str, i64); 4] = [
    ("Berlin", 2_950_159),
    ("Cape Town", 3_369_157),
    ("Wellington", 2_179_537),
    ("Quito", 3_652_462),
];
