//! Tests of the framing. Owns nothing.

use super::*;

fn sample() -> Vec<u8> {
    let header = BlobHeader {
        kind: BlobKind::Delta,
        dataset: "cities".into(),
        from: 1,
        to: 2,
        from_checksum: 3,
        to_checksum: 4,
        from_schema_hash: 5,
        schema_hash: 6,
        schema_text: Some("A { int x; }".into()),
        types: vec![TypeInfo { shift: 11, live: 7 }],
        sections: Vec::new(),
    };
    let mut writer = BlobWriter::new(header, Some(3));
    writer.section(0, 0, SectionKind::Removed, vec![1, 2, 3]);
    writer.section(0, 0, SectionKind::Column(0), vec![9; 500]);
    writer.finish().unwrap()
}

#[test]
fn sections_come_back_and_compress() {
    let blob = Blob::parse(sample().into()).unwrap();
    assert_eq!(blob.section(0).unwrap(), vec![1, 2, 3]);
    assert_eq!(blob.section(1).unwrap(), vec![9; 500]);
    assert!(blob.header.sections[1].compressed);
    assert!(blob.section(2).is_err());
}

#[test]
fn every_flipped_byte_is_refused() {
    let good = sample();
    for at in 0..good.len() {
        for bit in [1, 0x80] {
            let mut bad = good.clone();
            bad[at] ^= bit;
            assert!(Blob::parse(bad.into()).is_err(), "byte {at}");
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    let good = sample();
    for length in 0..good.len() {
        assert!(
            Blob::parse(good[..length].to_vec().into()).is_err(),
            "length {length}"
        );
    }
}
