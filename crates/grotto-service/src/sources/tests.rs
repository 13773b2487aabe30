//! Tests of text in pieces; the daemon's tests are about sources.

use super::text::{File, Pieces};
use crate::producer::Troubles;
use grotto::{ErrorKind, Schema};
use std::io::{BufReader, Read, Write as _};
use std::sync::Arc;

/// Gives its parts one by one, as a pipe does.
struct Parts(Vec<&'static str>);

impl Read for Parts {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.0.is_empty() {
            return Ok(0);
        }
        let part = self.0.remove(0).as_bytes();
        buffer[..part.len()].copy_from_slice(part);
        Ok(part.len())
    }
}

#[test]
fn lines_that_are_there_do_not_wait_for_others() {
    let parts = Parts(vec!["a\nb\nc", "c\n", "d\n", "e"]);
    let mut pieces = Pieces::new(BufReader::new(parts));
    let mut found = Vec::new();
    while let Some(piece) = pieces.next_available().unwrap() {
        let text = String::from_utf8(piece.bytes).unwrap();
        found.push((text, piece.first_line, piece.lines));
    }
    let expected = [("a\nb\n", 1, 2), ("cc\n", 3, 1), ("d\n", 4, 1), ("e", 5, 1)];
    assert_eq!(
        found,
        expected.map(|(text, first, lines)| (text.to_owned(), first, lines))
    );
}

#[test]
fn pieces_are_whole_lines_of_bounded_number() {
    let text: String = (1..=2_500).map(|n| format!("{n}\n")).collect();
    let mut pieces = Pieces::new(text.as_bytes());
    let mut found = Vec::new();
    while let Some(piece) = pieces.next().unwrap() {
        assert!(piece.bytes.ends_with(b"\n"));
        found.push((piece.first_line, piece.lines));
    }
    assert_eq!(found, [(1, 1000), (1001, 1000), (2001, 500)]);
}

#[test]
fn lines_before_one_that_is_too_long_are_given_first() {
    let mut text = b"a\nb\n".to_vec();
    text.resize(17 << 20, b'x');
    let mut pieces = Pieces::new(text.as_slice());
    let piece = pieces.next().unwrap().unwrap();
    assert_eq!(
        (piece.bytes.as_slice(), piece.first_line, piece.lines),
        (b"a\nb\n".as_slice(), 1, 2)
    );
    let error = pieces.next().unwrap_err();
    assert!(error.message().starts_with("line 3: expected"), "{error}");
}

/// What is there, then a failure.
struct Cut(&'static [u8]);

impl Read for Cut {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(buffer)? {
            0 => Broken.read(buffer),
            read => Ok(read),
        }
    }
}

#[test]
fn whole_lines_before_a_failure_of_the_disk_are_given_first() {
    let schema = Schema::parse("City @PrimaryKey(id) { long id; string name; }").unwrap();
    let path = std::path::Path::new("a.ndjson");
    let mut file = File::of(Cut(b"1\n2\n3"), path, &schema, None).unwrap();
    let piece = file.next().unwrap().unwrap();
    assert_eq!(
        (piece.bytes.as_slice(), piece.lines),
        (b"1\n2\n".as_slice(), 2)
    );
    assert_eq!(file.next().unwrap_err().kind(), ErrorKind::Unavailable);
}

#[test]
fn reading_goes_on_behind_lines_that_were_taken_in() {
    let mut pieces = Pieces::new("1\n\n3\n4".as_bytes());
    pieces.pass(2).unwrap();
    let piece = pieces.next().unwrap().unwrap();
    assert_eq!(
        (piece.bytes.as_slice(), piece.first_line),
        (b"3\n4".as_slice(), 3)
    );
    assert!(Pieces::new("1\n".as_bytes()).pass(2).is_err());
    assert!(Pieces::new("1\n".as_bytes()).pass(1).is_ok());
}

#[test]
fn files_are_read_in_the_form_that_their_names_say() {
    let folder = tempfile::tempdir().unwrap();
    let schema = Schema::parse("City @PrimaryKey(id) { long id; string name; }").unwrap();
    let read = |name: &str, bytes: &[u8], type_name| -> grotto::Result<String> {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let piece = File::open(&path, &schema, type_name)?.next()?.unwrap();
        Ok(String::from_utf8(piece.bytes).unwrap())
    };
    let (ndjson, csv) = ("{\"id\":1}\n", "id,name\n1,Bern\n");
    let zstd = zstd::encode_all(ndjson.as_bytes(), 3).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(csv.as_bytes()).unwrap();
    let gzip = gzip.finish().unwrap();
    assert_eq!(read("a.ndjson", ndjson.as_bytes(), None).unwrap(), ndjson);
    assert_eq!(read("a.ndjson.zst", &zstd, None).unwrap(), ndjson);
    let converted = "\n{\"id\":1,\"name\":\"Bern\"}\n";
    assert_eq!(read("a.csv.gz", &gzip, Some("City")).unwrap(), converted);
    assert!(read("a.csv", csv.as_bytes(), None).is_err(), "of no type");
    assert!(read("a.ndjson.gz", b"no gzip", None).is_err());
}

/// Fails as a disk does.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
        Err(std::io::Error::from_raw_os_error(5))
    }
}

#[test]
fn a_disk_that_fails_is_told_apart_from_a_file_that_is_wrong() {
    let schema = Schema::parse("City @PrimaryKey(id) { long id; string name; }").unwrap();
    for name in ["a.ndjson", "a.csv", "a.ndjson.gz", "a.csv.zst"] {
        let path = std::path::Path::new(name);
        let opened = File::of(Broken, path, &schema, Some("City"));
        let error = opened.and_then(|mut file| file.next()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{name}: {error}");
    }
    for (name, text) in [("a.csv", "none\n1\n"), ("a.ndjson.gz", "no gzip")] {
        let path = std::path::Path::new(name);
        let opened = File::of(text.as_bytes(), path, &schema, Some("City"));
        let error = opened.and_then(|mut file| file.next()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{name}: {error}");
    }
}

#[tokio::test]
async fn a_source_that_panics_is_a_reason_of_its_dataset() {
    let troubles = Arc::new(Troubles::default());
    super::seen(Arc::clone(&troubles), "folder", async {
        panic!("a defect")
    })
    .await;
    let reasons = troubles.reasons();
    assert!(reasons[0].starts_with("folder: it stopped"), "{reasons:?}");
    super::seen(Arc::clone(&troubles), "standard input", async {}).await;
    assert_eq!(troubles.reasons().len(), 1);
}
