//! Configuration files: those of the repository, and what they do.

use crate::kit::{Bench, Run, data, repository};

#[test]
fn every_example_is_valid() {
    let bench = Bench::new();
    let mut examples = 0;
    for entry in std::fs::read_dir(repository("configs")).unwrap() {
        let path = entry.unwrap().path();
        // Profiles of the sidecar are checked with its tests.
        let is_of_a_sidecar = path.to_str().unwrap().contains("sidecar-");
        if path.extension().is_some_and(|ending| ending == "yaml") && !is_of_a_sidecar {
            let args = ["config".as_ref(), "check".as_ref(), path.as_os_str()];
            let mut command = bench.command(&args);
            // Not everybody who runs tests may write to the folders of the examples.
            for (key, folder) in [
                ("STORE", "store"),
                ("WAL_DIR", "wal"),
                ("DEAD_LETTER_DIR", "dead"),
            ] {
                command.env(format!("GROTTO_PRODUCER_{key}"), bench.path(folder));
            }
            for section in ["PRODUCER", "CONSUMER"] {
                command.env(
                    format!("GROTTO_{section}_MONITORING_HEALTH_CHECK_PORT"),
                    "0",
                );
            }
            command.env("GROTTO_CONSUMER_STATE_DIR", bench.path("state"));
            let text = Run::of(command.output().unwrap()).ok();
            assert!(text.starts_with("ok: "), "{text}");
            let key = "producer.performance.snapshot_frequency = ";
            assert!(text.contains(key), "{text}");
            examples += 1;
        }
    }
    assert!(examples > 0);
}

#[test]
fn an_example_works_where_it_is_copied_to() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("etc")).unwrap();
    for name in ["cities.yaml", "cities.schema"] {
        std::fs::copy(
            repository("configs").join(name),
            bench.path("etc").join(name),
        )
        .unwrap();
    }
    let same = std::fs::read(bench.path("etc/cities.schema")).unwrap();
    assert_eq!(same, std::fs::read(data("cities.schema")).unwrap());
    let store = bench.path("store");
    let line = format!(
        "publish --config etc/cities.yaml --store {} --input {}",
        store.display(),
        data("cities15000-2020-05.ndjson.zst").display()
    );
    bench.run(&line).ok();
}

#[test]
fn a_schema_that_a_configuration_names_is_looked_at() {
    let bench = Bench::new();
    bench.write(
        "c.yaml",
        "producer:\n  dataset: items\n  schema: item.schema\n  store: store\n",
    );
    let complaint = bench.run("config check c.yaml").refused(2);
    assert!(
        complaint.contains("cannot read schema item.schema: it does not exist"),
        "{complaint}"
    );
    bench.write("item.schema", "Item {");
    let complaint = bench.run("config check c.yaml").refused(2);
    assert!(
        complaint.contains("item.schema: schema line 1"),
        "{complaint}"
    );
}

#[test]
fn a_file_says_what_the_options_would() {
    let bench = Bench::with_schema();
    bench.write(
        "c.yaml",
        "producer:\n  dataset: items\n  schema: item.schema\n  store: store\n  performance:\n    snapshot_frequency: 0\n\
         consumer:\n  state_dir: state\n",
    );
    bench.write("input.ndjson", "{\"id\":1}\n");
    bench
        .run("publish --config c.yaml --input input.ndjson")
        .ok();
    assert!(
        !bench.path("store/items/snapshots").exists(),
        "snapshots are off"
    );
    assert_eq!(bench.run("get --config c.yaml Item 1").ok(), "{\"id\":1}\n");
    assert!(
        bench.path("state/CURRENT").exists(),
        "the state directory is used"
    );
    assert_eq!(
        bench.run("get --config c.yaml --offline Item 1").ok(),
        "{\"id\":1}\n"
    );
}

#[test]
fn a_bad_file_is_refused_with_file_and_line_by_every_command() {
    let bench = Bench::new();
    bench.write("c.yaml", "consumer:\n  dataset: items\n  poll: 1s\n");
    let expected = "error: c.yaml: line 3, column 3: consumer: unknown key `poll`, expected one of `dataset`, `store`, \
                    `fallback_store`, `state_dir`, `state_mode`, `state_group`, `channel`, `types`, `poll_interval`, `max_backoff`, `health_check_interval`, \
                    `max_errors_per_minute`, `memory_limit`, `guards`, `blob_cache`, `push`, `lease`, `lease_interval`, `graceful_shutdown_timeout`, `id`, `monitoring`, `listeners`, `limits`, \
                    `security`, `datasets`\n";
    assert_eq!(bench.run("config check c.yaml").refused(2), expected);
    assert_eq!(bench.run("get --config c.yaml Item 1").refused(2), expected);
    let complaint = bench.run("config check none.yaml").refused(2);
    assert_eq!(
        complaint,
        "error: cannot read configuration none.yaml: it does not exist\n"
    );
}

/// The settings come from `.cargo/config.toml` when the binary is built, where a misspelt variable would
/// go unnoticed.
#[cfg(target_os = "linux")]
#[test]
fn the_binary_has_an_allocator_that_gives_memory_back() {
    let bench = Bench::new();
    let mut command = bench.command(&["--version"]);
    command.env("_RJEM_MALLOC_CONF", "stats_print:true");
    let told = Run::of(command.output().unwrap());
    for setting in [
        "opt.narenas: 2",
        "opt.background_thread: true",
        "opt.dirty_decay_ms: 1000",
        "opt.muzzy_decay_ms: 0",
    ] {
        assert!(told.err.contains(setting), "{setting}: {}", told.err);
    }
}
