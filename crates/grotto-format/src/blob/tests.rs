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

/// What reading a blob gives whose only section is stored as these bytes, for a hundred raw ones.
fn read_stored(stored: Vec<u8>) -> Result<Vec<u8>, BlobError> {
    let header = Blob::parse(sample().into()).unwrap().header;
    let mut writer = BlobWriter::new(header, None);
    let section = PackedSection::new(0, 0, SectionKind::Column(0), Vec::new(), None);
    writer.packed(section.compressed(100, stored));
    let blob = Blob::parse(writer.finish().unwrap().into()).unwrap();
    blob.section(0).map(|raw| raw.to_vec())
}

#[test]
fn a_compressed_section_is_one_frame_and_nothing_else() {
    let raw = vec![7; 100];
    let frame = zstd::bulk::compress(&raw, 3).unwrap();
    let empty = zstd::bulk::compress(&[], 3).unwrap();
    let skippable = [0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9];
    let half = zstd::bulk::compress(&raw[..50], 3).unwrap();
    assert_eq!(read_stored(frame.clone()).unwrap(), raw);
    for wrong in [
        [&frame[..], &empty].concat(),
        [&empty[..], &frame].concat(),
        [&half[..], &half].concat(),
        [&skippable[..], &frame].concat(),
        [&frame[..], &skippable].concat(),
        [&frame[..], &[0]].concat(),
        frame[..frame.len() - 1].to_vec(),
        skippable.to_vec(),
        raw,
        Vec::new(),
    ] {
        let bytes = wrong.len();
        assert_eq!(
            read_stored(wrong).unwrap_err().to_string(),
            format!("section 0: expected one zstd frame of {bytes} bytes")
        );
    }
}

/// A blob of three types, with the bytes of its sections.
fn three_types() -> Vec<u8> {
    let header = Blob::parse(sample().into()).unwrap().header;
    let mut writer = BlobWriter::new(header, Some(3));
    writer.section(0, 0, SectionKind::Removed, vec![1, 2, 3]);
    writer.section(0, 0, SectionKind::Column(0), vec![9; 500]);
    writer.section(1, 0, SectionKind::Removed, vec![4; 70]);
    writer.section(2, 0, SectionKind::Removed, (0..=255).collect());
    writer.finish().unwrap()
}

/// The excerpt of some types, with the bytes of its ranges as they are in `from`.
fn excerpt(of: &[u8], from: &[u8], types: &[bool]) -> Result<Blob, BlobError> {
    let length = Head::length(&of[..20])? as usize;
    let head = Head::read(&of[..length], of.len() as u64)?;
    let ranges = head.ranges(types);
    let mut excerpt = head.excerpt(types);
    for range in ranges {
        excerpt.push(&from[range.start as usize..range.end as usize]);
    }
    Blob::parse(excerpt.finish()?)
}

#[test]
fn an_excerpt_has_the_sections_of_some_types() {
    let bytes = three_types();
    let whole = Blob::parse(bytes.clone().into()).unwrap();
    let types = |blob: &Blob| {
        let sections = blob.header.sections.iter().map(|section| section.type_id);
        sections.collect::<Vec<_>>()
    };
    let some = excerpt(&bytes, &bytes, &[true, false, true]).unwrap();
    assert_eq!(types(&some), [0, 0, 2]);
    assert_eq!(some.section(1).unwrap(), vec![9; 500]);
    assert_eq!(some.section(2).unwrap(), whole.section(3).unwrap());
    assert_eq!(types(&excerpt(&bytes, &bytes, &[]).unwrap()), [0; 0]);
    let all = excerpt(&bytes, &bytes, &[true; 3]).unwrap();
    assert_eq!(all.into_bytes(), bytes);
    let head = Head::read(
        &bytes[..Head::length(&bytes).unwrap() as usize],
        bytes.len() as u64,
    )
    .unwrap();
    assert_eq!(head.ranges(&[true; 3]).len(), 1);
    assert_eq!(head.ranges(&[true, false, true]).len(), 2);
}

#[test]
fn an_excerpt_of_other_bytes_is_refused() {
    let bytes = three_types();
    let types = [false, true, true];
    let length = Head::length(&bytes).unwrap() as usize;
    let head = Head::read(&bytes[..length], bytes.len() as u64).unwrap();
    for range in head.ranges(&types) {
        for at in [range.start, range.end - 1] {
            let mut bad = bytes.clone();
            bad[at as usize] ^= 1;
            let refused = excerpt(&bytes, &bad, &types).unwrap_err();
            assert!(matches!(refused, BlobError::Checksum { .. }), "{refused}");
        }
    }
    // What nobody asked for may be anything.
    let mut bad = bytes.clone();
    bad[head.ranges(&[true])[0].start as usize] ^= 1;
    assert!(excerpt(&bytes, &bad, &types).is_ok());
    let mut short = head.clone().excerpt(&types);
    short.push(&[1]);
    assert!(matches!(short.finish(), Err(BlobError::Length { .. })));
    let other = bytes.len() as u64 + 1;
    assert!(matches!(
        Head::read(&bytes, other),
        Err(BlobError::Length { .. })
    ));
    for cut in 0..length {
        assert!(
            Head::read(&bytes[..cut], bytes.len() as u64).is_err(),
            "{cut}"
        );
    }
    assert!(matches!(
        Head::length(b"something else"),
        Err(BlobError::Magic(_))
    ));
}
