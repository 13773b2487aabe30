//! Announcements, by the second reader and by the crate, as `log` does it for the other documents. Owns nothing.

use super::log::{altered, text_of};
use super::published;
use crate::reader::log::announcement as second;
use grotto_format::log::Announcement;
use std::panic::catch_unwind;

fn films() -> Announcement {
    Announcement::new("films", "c0ffee00", 5)
}

#[test]
fn an_announcement_is_written_and_read_as_published() {
    let bytes = films().encode().unwrap();
    let found = published("announcement.json", &|| bytes.clone());
    assert_eq!(found, bytes);
    assert_eq!(Announcement::decode(&found).unwrap(), films());
    let told = ("films".to_owned(), "c0ffee00".to_owned(), 5);
    assert_eq!(second(&found), told);
}

/// Whether the crate and the second reader take it.
fn taken(bytes: &[u8]) -> (bool, bool) {
    let by_crate = Announcement::decode(bytes).is_ok();
    (by_crate, catch_unwind(|| second(bytes)).is_ok())
}

#[test]
fn both_readers_refuse_what_no_announcement_says() {
    let text = text_of("announcement.json");
    let long = format!("\"dataset_id\":\"{}", "x".repeat(129));
    let padded = format!("\"format\":1,\"later\":\"{}\",", "x".repeat(1_000));
    for (from, to) in [
        ("\"films\"", "\"\""),
        ("\"films\"", "\"../films\""),
        ("\"films\"", "7"),
        ("\"dataset_id\":\"", long.as_str()),
        ("c0ffee00", ""),
        ("\"version\":5", "\"version\":0"),
        ("\"version\":5", "\"version\":9007199254740992"),
        ("\"version\":5", "\"version\":-5"),
        ("\"version\":5", "\"version\":5,\"version\":5"),
        (",\"version\":5", ""),
        ("\"format\":1,", "\"format\":2,"),
        ("\"format\":1,", padded.as_str()),
    ] {
        assert_eq!(taken(&altered(&text, from, to)), (false, false), "{to}");
    }
    let torn = text.replacen("films", "filmz", 1);
    assert_eq!(taken(torn.as_bytes()), (false, false));
    let later = altered(&text, "\"format\":1,", "\"format\":1,\"later\":[1],");
    assert_eq!(taken(&later), (true, true));
}
