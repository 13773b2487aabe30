//! Small blobs that ask for a lot of memory. Each runs in a process of its own with little of it.

use super::forge::{Forge, constant, packed, run_of_ordinals, same_text, varint};
use super::provoke;
use grotto_format::blob::{BlobKind, SectionKind};
use grotto_state::StateError;
use std::fmt::Write as _;
use std::process::Command;

/// Address space of the child in KiB: 1 GiB for the blob's doings, the rest for threads and code.
const LIMIT: u32 = 1_400_000;
const NAME: &str = "GROTTO_TEST_BOMB";

type Bomb = (&'static str, fn());

const BOMBS: &[Bomb] = &[
    ("free elements", free_elements),
    (
        "free elements on many threads",
        free_elements_on_many_threads,
    ),
    ("free removals", free_removals),
    ("far ordinals in many types", far_ordinals),
    ("last row of many wide blocks", wide_blocks),
    ("compressed columns", compressed_columns),
    ("equal numbers", equal_numbers),
    ("wide layouts", wide_layouts),
    ("ordinals again and again", repeated_ordinals),
];

/// Which records live is asked before any chunk is decoded: these claim a quarter of a megabyte with
/// twelve bytes each.
fn repeated_ordinals() {
    let mut forge = Forge::snapshot("A { A next; }", 16);
    forge.chunk(0, 0, run_of_ordinals(0, 1), vec![constant(0)]);
    let base = provoke(&crate::engine::empty(), &forge).unwrap();
    let header = &mut forge.header;
    (header.kind, header.from, header.to) = (BlobKind::Delta, 1, 2);
    (header.from_checksum, header.from_schema_hash) = (base.checksum(), base.schema_hash());
    forge.sections.clear();
    for chunk in 0..6000 {
        forge.chunk(0, chunk, run_of_ordinals(0, 1 << 16), vec![constant(0)]);
    }
    let refused = super::apply(&base, &forge.seal()).unwrap_err();
    assert!(refused.to_string().contains("whole blocks"), "{refused}");
}

/// Elements that take no bit each.
fn free_elements() {
    let mut forge = Forge::snapshot("L List<L>;", 9);
    let column = [vec![0], packed(1 << 30, 0, &[]), packed(0, 0, &[])].concat();
    forge.chunk(0, 0, run_of_ordinals(0, 1), vec![column]);
    assert!(provoke(&crate::engine::empty(), &forge).is_err());
}

/// Threads of a load on a large machine.
const THREADS: usize = 8;

/// Each list claims a quarter of a gigabyte with nineteen bytes, and threads decode side by side.
fn free_elements_on_many_threads() {
    let mut forge = Forge::snapshot("L List<L>;", 9);
    for chunk in 0..THREADS as u32 {
        let column = [vec![0], packed(60_000_000, 0, &[]), packed(0, 0, &[])].concat();
        forge.chunk(0, chunk, run_of_ordinals(chunk * 512, 1), vec![column]);
    }
    let mut seal = grotto_state::HeapSeal::default();
    let loaded = crate::engine::empty().apply_on(&forge.seal(), &mut seal, THREADS);
    assert!(
        matches!(loaded, Err(StateError::Checksum { .. })),
        "all of it was decoded"
    );
}

fn free_removals() {
    let mut forge = Forge::snapshot("A { int x; }", 9);
    let raw = [varint(1 << 28), packed(0, 0, &[])].concat();
    forge.sections.push(super::forge::Piece {
        type_id: 0,
        chunk: 0,
        kind: SectionKind::Removed,
        raw,
    });
    assert!(provoke(&crate::engine::empty(), &forge).is_err());
}

/// One record each, as far out as an ordinal goes: tables grow to it.
fn far_ordinals() {
    let types = 64;
    let schema = (0..types).fold(String::new(), |mut text, i| {
        let _ = write!(text, "A{i} {{ int x; }} ");
        text
    });
    let mut forge = Forge::snapshot(&schema, 9);
    for ty in 0..types {
        forge.chunk(ty, 0, run_of_ordinals(0xfff0_0000, 1), vec![constant(1)]);
    }
    assert!(provoke(&crate::engine::empty(), &forge).is_err());
}

/// The rows of a block lie side by side, so its last one drags all others along.
fn wide_blocks() {
    let fields = 1024;
    let schema = (0..fields).fold("A {".to_owned(), |mut text, i| {
        let _ = write!(text, " double f{i};");
        text
    }) + " }";
    let mut forge = Forge::snapshot(&schema, 16);
    for block in 0..200_u32 {
        let column = [vec![0], 0.5_f64.to_le_bytes().to_vec()].concat();
        forge.chunk(
            0,
            block,
            run_of_ordinals(block * 65_536 + 65_535, 1),
            vec![column; fields],
        );
    }
    assert!(provoke(&crate::engine::empty(), &forge).is_err());
}

/// Zeros compress to nothing, and a chunk has many columns.
fn compressed_columns() {
    let fields = 32;
    let schema = (0..fields).fold("A {".to_owned(), |mut text, i| {
        let _ = write!(text, " string f{i};");
        text
    }) + " }";
    let mut forge = Forge::snapshot(&schema, 9);
    // 64 MiB each, 2 GiB together.
    let column = same_text(&"\0".repeat(1 << 17), 512);
    forge.chunk(0, 0, run_of_ordinals(0, 512), vec![Vec::new(); fields]);
    forge.sections[1].raw = column;
    let blob = repeat_first_column(&forge, fields);
    assert!(super::apply(&crate::engine::empty(), &blob).is_err());
}

/// Seals the chunk with its first column in the place of all, packed only once.
fn repeat_first_column(forge: &Forge, fields: usize) -> grotto_format::blob::Blob {
    use grotto_format::blob::{Blob, BlobWriter};
    let mut writer = BlobWriter::new(forge.header.clone(), Some(1));
    writer.section(0, 0, SectionKind::Added, forge.sections[0].raw.clone());
    for field in 0..fields {
        writer.section(
            0,
            0,
            SectionKind::Column(field as u16),
            forge.sections[1].raw.clone(),
        );
    }
    Blob::parse(writer.finish().unwrap().into()).unwrap()
}

/// Columns of equal numbers take ten bytes, whatever the number of records.
fn equal_numbers() {
    for (fields, accepted) in [(450, true), (1000, false)] {
        let schema = (0..fields).fold("A {".to_owned(), |mut text, i| {
            let _ = write!(text, " long f{i};");
            text
        }) + " }";
        let mut forge = Forge::snapshot(&schema, 16);
        forge.chunk(0, 0, run_of_ordinals(0, 1 << 16), vec![constant(7); fields]);
        let result = super::apply(&crate::engine::empty(), &forge.seal());
        assert_eq!(matches!(result, Err(StateError::Checksum { .. })), accepted);
    }
}

/// Every block likes a layout of its own, and a layout has an entry per column.
fn wide_layouts() {
    let fields = 300;
    let schema = (0..fields).fold("A {".to_owned(), |mut text, i| {
        let _ = write!(text, " long f{i};");
        text
    }) + " }";
    let mut forge = Forge::snapshot(&schema, 9);
    for block in 0..3000_u32 {
        let column = constant(i64::from(block) * 1_000_003);
        forge.chunk(
            0,
            block,
            run_of_ordinals(block * 512, 1),
            vec![column; fields],
        );
    }
    let _ = super::apply(&crate::engine::empty(), &forge.seal());
}

#[test]
fn no_blob_takes_more_than_its_gibibyte() {
    let program = std::env::current_exe().unwrap();
    for (name, _) in BOMBS {
        let run = format!(
            "ulimit -v {LIMIT} && exec \"$0\" --exact hostile::bombs::one_bomb --ignored --test-threads 1"
        );
        let output = Command::new("sh")
            .arg("-c")
            .arg(run)
            .arg(&program)
            .env(NAME, name)
            // The memory of a thread's arena is address space that nothing was asked for.
            .env("MALLOC_ARENA_MAX", "1")
            .output()
            .unwrap();
        let said =
            String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {}\n{said}", output.status);
        assert!(said.contains("1 passed"), "{name} did not run:\n{said}");
    }
}

#[test]
#[ignore = "run by no_blob_takes_more_than_its_gibibyte with limited memory"]
fn one_bomb() {
    let name = std::env::var(NAME).unwrap();
    let (_, bomb) = BOMBS.iter().find(|(known, _)| *known == name).unwrap();
    bomb();
}
