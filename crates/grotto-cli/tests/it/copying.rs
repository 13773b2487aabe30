//! `grotto backup` and `grotto restore`: real datasets between real folders.

use crate::kit::{Bench, repository};
use crate::readme::{blocks, check_console, shell};
use std::path::Path;

fn line(version: u64) -> String {
    format!("{{\"id\":{version},\"name\":\"version {version}\",\"size\":{version}}}\n")
}

/// Versions 1 to `versions`, each with one more record, and a snapshot of every third.
fn grown(versions: u64) -> Bench {
    let bench = Bench::with_schema();
    for version in 1..=versions {
        publish(&bench, version);
    }
    bench
}

fn publish(bench: &Bench, version: u64) {
    let text: String = (1..=version).map(line).collect();
    bench.publish(&text, "--snapshot-every 3").ok();
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn only(bench: &Bench, line: &str) -> serde_json::Value {
    let mut values = bench.run(line).values();
    assert_eq!(values.len(), 1, "{values:?}");
    values.remove(0)
}

#[test]
fn a_backup_is_made_and_brought_up_to_date_and_read_as_the_store_is() {
    let bench = grown(8);
    let first = only(&bench, "backup --store store --to copy --json");
    assert_eq!(
        (&first["before"], &first["last_version"]),
        (&0.into(), &8.into())
    );
    assert_eq!(
        (&first["rebuilt"], &first["records"]),
        (&true.into(), &8.into())
    );
    bench.run("verify --store copy").ok();
    for version in 9..=11 {
        publish(&bench, version);
    }
    let second = only(&bench, "backup --store store --to copy --json");
    assert_eq!(
        (&second["before"], &second["versions"]),
        (&8.into(), &3.into())
    );
    assert_eq!(second["identity"], first["identity"]);
    let said = bench.run("backup --store store --to copy").ok();
    assert_eq!(
        said,
        "items: copy holds versions 1 to 11\nnothing new to copy\nversion 11 was rebuilt from it: 11 records, as the log says\n"
    );
    let export = |store: &str| {
        bench
            .run(&format!("export --store {store} --dataset items"))
            .ok()
    };
    assert_eq!(export("store"), export("copy"));
    let log = |store: &str| bench.run(&format!("log --store {store} --json")).ok();
    assert_eq!(log("store"), log("copy"));
}

#[test]
fn a_restored_dataset_is_gone_on_with() {
    let bench = grown(6);
    bench.run("backup --store store --to copy").ok();
    publish(&bench, 7);
    let get =
        |store: &str, id: u64| format!("get --store {store} --state-dir state Item {id} --json");
    bench.run(&get("store", 7)).values();
    std::fs::remove_dir_all(bench.path("store")).unwrap();
    let restored = only(&bench, "restore --from copy --store store --json");
    assert_eq!(
        (&restored["command"], &restored["last_version"]),
        (&"restore".into(), &6.into())
    );
    bench.run("verify --store store").ok();
    // Another version 7 than the one that the state directory holds.
    bench
        .publish(&(1..=9).map(line).collect::<String>(), "")
        .ok();
    let found = bench.run(&get("store", 9)).values();
    assert_eq!(found[0]["record"]["size"], 9, "{found:?}");
    // The copy goes on with what follows it.
    let again = only(&bench, "backup --store store --to copy --json");
    assert_eq!(
        (&again["before"], &again["versions"]),
        (&6.into(), &1.into())
    );
}

#[test]
fn a_restore_to_an_older_version_leaves_out_what_follows() {
    let bench = grown(8);
    bench.run("backup --store store --to copy").ok();
    let restored = only(
        &bench,
        "restore --from copy --store old --version 5 --new-identity --json",
    );
    assert_eq!(
        (&restored["last_version"], &restored["wanted_version"]),
        (&5.into(), &5.into())
    );
    let found = bench.run("export --store old").ok();
    assert_eq!(found.lines().count(), 5);
    let identity = only(&bench, "backup --store store --to copy --json")["identity"].clone();
    assert_ne!(restored["identity"], identity);
    let refused = bench
        .run("restore --from copy --store old --yes")
        .refused(2);
    assert!(refused.contains("another dataset"), "{refused}");
    let refused = bench
        .run("restore --from copy --store other --version 99")
        .refused(2);
    assert!(
        refused.contains("version 99 is not in the log"),
        "{refused}"
    );
}

#[test]
fn a_target_that_is_not_empty_needs_a_word_and_one_of_its_own_history_is_refused() {
    let bench = grown(5);
    bench.run("backup --store store --to copy").ok();
    bench
        .run("restore --from copy --store again --version 3")
        .ok();
    let refused = bench.run("restore --from copy --store again").refused(2);
    assert!(
        refused.contains("again is not empty: it holds versions 1 to 3 of items"),
        "{refused}"
    );
    assert!(refused.contains("hint: --yes"), "{refused}");
    bench.run("restore --from copy --store again --yes").ok();
    // Somebody writes to the copy.
    bench.write("input.ndjson", &line(1));
    bench
        .run("publish --store copy --dataset items --schema item.schema --input input.ndjson")
        .ok();
    let before = bench.files("copy");
    let refused = bench.run("backup --store store --to copy").refused(2);
    assert!(
        refused.contains("is ahead: it holds version 6"),
        "{refused}"
    );
    assert!(
        refused.contains("hint: what was published there"),
        "{refused}"
    );
    publish(&bench, 6);
    let refused = bench.run("backup --store store --to copy").refused(2);
    assert!(refused.contains("history of its own"), "{refused}");
    assert_eq!(bench.files("copy"), before);
    let refused = bench.run("backup --store store --to store").refused(2);
    assert!(refused.contains("are one store"), "{refused}");
    bench
        .run("backup --store store --dataset none --to copy")
        .refused(3);
    bench.run("backup --store none --to copy").refused(2);
}

#[test]
fn damage_is_told_left_out_and_mended() {
    let bench = grown(8);
    bench.damages();
    bench.run("backup --store store --to copy").ok();
    let damaged = bench
        .files("copy")
        .into_iter()
        .find(|name| name.contains("snapshot/"))
        .unwrap();
    flip(&bench.path("copy").join(&damaged));
    bench
        .run("verify --store copy")
        .code
        .eq(&5)
        .then_some(())
        .unwrap();
    let mended = only(&bench, "backup --store store --to copy --recheck --json");
    assert_eq!(
        (&mended["mended"], &mended["faults"]),
        (&1.into(), &serde_json::json!([]))
    );
    bench.run("verify --store copy").ok();
    // Of the source, past all snapshots.
    let newest = bench
        .files("store")
        .into_iter()
        .find(|name| name.contains("log/00000000000000000008"))
        .unwrap();
    flip(&bench.path("store").join(newest));
    let run = bench.run("backup --store store --to other");
    assert_eq!(run.code, 5, "{}", run.err);
    assert!(run.out.contains("damaged: version 8: "), "{}", run.out);
    assert!(
        run.out.contains("other holds versions 1 to 7"),
        "{}",
        run.out
    );
    assert!(
        run.err.contains("hint: the copy holds what is intact"),
        "{}",
        run.err
    );
    bench.run("verify --store other").ok();
}

#[test]
fn a_backup_of_a_collected_store_holds_what_is_left() {
    let bench = grown(12);
    bench
        .run("gc --store store --keep-snapshots 2 --grace 1ms")
        .ok();
    let copied = only(&bench, "backup --store store --to copy --json");
    assert_eq!(
        (&copied["first_version"], &copied["last_version"]),
        (&7.into(), &12.into())
    );
    bench.run("verify --store copy").ok();
    let since = only(
        &bench,
        "backup --store store --to short --since 12 --no-check --no-lease --json",
    );
    assert_eq!(
        (&since["first_version"], &since["rebuilt"]),
        (&10.into(), &false.into())
    );
    bench.run("verify --store short").ok();
    assert!(bench.files("store/items/consumers").is_empty());
}

#[test]
fn an_archive_holds_a_whole_dataset_and_any_tar_reads_it() {
    let bench = grown(8);
    let written = only(&bench, "export --store store --whole items.tar --json");
    assert_eq!(
        (&written["command"], &written["last_version"]),
        (&"export".into(), &8.into())
    );
    let read = only(&bench, "import items.tar --store other --json");
    assert_eq!(
        (&read["versions"], &read["records"]),
        (&8.into(), &8.into())
    );
    assert_eq!(read["identity"], written["identity"]);
    let log = |store: &str| bench.run(&format!("log --store {store} --json")).ok();
    assert_eq!(log("store"), log("other"));
    std::fs::create_dir(bench.path("unpacked")).unwrap();
    shell(&bench, "tar -xf items.tar -C unpacked");
    assert_eq!(bench.files("unpacked"), bench.files("other"));
    // And what another program packs is read.
    shell(&bench, "tar --format=ustar -cf again.tar -C unpacked items");
    bench.run("import again.tar --store third").ok();
    assert_eq!(log("store"), log("third"));
    let older = only(
        &bench,
        "export --store store --version 3 --whole older.tar --json",
    );
    assert_eq!(older["last_version"], 3);
    let refused = bench.run("import items.tar --store other").refused(2);
    assert!(refused.contains("other is not empty"), "{refused}");
    bench.run("import older.tar --store other --yes").refused(2);
    bench.run("import items.tar --store other --yes").ok();
    let fresh = only(
        &bench,
        "import items.tar --store fresh --new-identity --no-check --json",
    );
    assert_ne!(fresh["identity"], written["identity"]);
}

#[test]
fn an_archive_that_is_not_right_is_refused_and_leaves_nothing_visible() {
    let bench = grown(6);
    bench.damages();
    bench.run("export --store store --whole items.tar").ok();
    assert!(bench.files("").iter().all(|name| !name.ends_with(".tmp")));
    let whole = std::fs::read(bench.path("items.tar")).unwrap();
    std::fs::write(bench.path("cut.tar"), &whole[..whole.len() / 2]).unwrap();
    let refused = bench.run("import cut.tar --store other").refused(5);
    assert!(refused.contains("archive cut.tar: it is cut"), "{refused}");
    let mut altered = whole.clone();
    let at = whole
        .windows(8)
        .position(|bytes| bytes == b"GROTTO\x1aB")
        .unwrap();
    altered[at + 40] ^= 1;
    std::fs::write(bench.path("altered.tar"), altered).unwrap();
    bench.run("import altered.tar --store other").refused(5);
    bench.run("log --store other --dataset items").refused(3);
    bench.write("text.tar", &"not an archive at all\n".repeat(100));
    let refused = bench.run("import text.tar --store other").refused(5);
    assert!(refused.contains("no tar archive"), "{refused}");
    bench.run("import none.tar --store other").refused(2);
    let refused = bench
        .run("import items.tar --store other --dataset towns")
        .refused(3);
    assert!(
        refused.contains("does not hold dataset towns, but items"),
        "{refused}"
    );
    let refused = bench
        .run("export --store store --whole x.tar --type Item")
        .refused(2);
    assert!(refused.contains("cannot be used with"), "{refused}");
    bench
        .run("export --store store --dataset none --whole x.tar")
        .refused(3);
    bench
        .run("export --store store --whole nowhere/x.tar")
        .refused(2);
}

#[test]
fn the_commands_of_the_notes_do_what_they_say() {
    let page = std::fs::read_to_string(repository("docs/operating/backup.md")).unwrap();
    let bench = grown(6);
    let mut ran = 0;
    for (kind, lines) in blocks(&page) {
        if kind == "console" {
            check_console(&|line| shell(&bench, line), &lines);
            ran += 1;
        }
    }
    assert!(ran >= 4, "{ran} blocks were run");
}
