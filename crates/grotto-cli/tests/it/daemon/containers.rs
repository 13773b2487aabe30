//! The files of `deploy/container`: what they name is there, and their health check tells a daemon that runs from one
//! that does not. Nobody builds an image here.

use super::kit::{Daemon, configure};
use crate::kit::{Bench, Run, repository};
use serde_yaml::Value;

/// Where the image has the binary.
const BINARY: &str = "/usr/bin/grotto";

fn compose() -> Value {
    let text = std::fs::read_to_string(repository("deploy/container/compose.yaml")).unwrap();
    serde_yaml::from_str(&text).unwrap()
}

/// Services by name.
fn services(compose: &Value) -> Vec<(String, Value)> {
    let services = compose["services"].as_mapping().unwrap().iter();
    services
        .map(|(name, of)| (name.as_str().unwrap().to_owned(), of.clone()))
        .collect()
}

fn words(list: &Value) -> Vec<String> {
    let words = list.as_sequence().unwrap().iter();
    words
        .map(|word| word.as_str().unwrap().to_owned())
        .collect()
}

/// The arguments of the binary in a health check.
fn health_check(service: &Value) -> Vec<String> {
    let test = words(&service["healthcheck"]["test"]);
    // Without a shell, which the image does not have.
    assert_eq!(test[..2], ["CMD", BINARY]);
    test[2..].to_vec()
}

#[test]
fn services_start_commands_with_configurations_that_there_are() {
    let (bench, compose) = (Bench::new(), compose());
    let mut commands = Vec::new();
    for (name, service) in services(&compose) {
        let command = words(&service["command"]);
        let [subcommand, option, config] = &command[..] else {
            panic!("{name}: {command:?}")
        };
        let help = bench.run(&format!("{subcommand} --help")).ok();
        assert!(help.contains(&format!("{option} ")), "{name}: {option}");
        let config = repository("configs").join(config.strip_prefix("/etc/grotto/").unwrap());
        let check = bench.command(&["config", "check"]).arg(&config).output();
        Run::of(check.unwrap()).ok();
        // The health check asks where the daemon listens.
        let text: Value = serde_yaml::from_str(&std::fs::read_to_string(config).unwrap()).unwrap();
        let section = if subcommand == "sidecar" {
            "consumer"
        } else {
            "producer"
        };
        let port = text[section]["monitoring"]["health_check_port"].as_u64();
        let port = port.unwrap_or(if section == "consumer" { 8080 } else { 8081 });
        let check = health_check(&service).join(" ");
        assert!(
            check.ends_with(&format!("http://127.0.0.1:{port}")),
            "{name}: {check}"
        );
        commands.push(subcommand.clone());
    }
    assert_eq!(commands, ["producer", "sidecar"]);
}

#[test]
fn volumes_files_and_users_are_those_of_the_image() {
    let compose = compose();
    let folder = repository("deploy/container");
    for (name, service) in services(&compose) {
        for volume in words(&service["volumes"]) {
            let (from, _) = volume.split_once(':').unwrap();
            let there = match from.starts_with('.') {
                true => folder.join(from).is_dir(),
                false => compose["volumes"].get(from).is_some(),
            };
            assert!(there, "{name}: {volume}");
        }
    }
    let build = &compose["services"]["producer"]["build"];
    let context = folder.join(build["context"].as_str().unwrap());
    let image = context.join(build["dockerfile"].as_str().unwrap());
    let image = std::fs::read_to_string(image).unwrap();
    let last = image.split("\nFROM ").last().unwrap();
    assert!(
        last.contains(&format!(" /src/target/release/grotto {BINARY}\n")),
        "{last}"
    );
    assert!(last.contains("\nUSER 65532:65532\n"), "{last}");
    let options = compose["volumes"]["run"]["driver_opts"]["o"]
        .as_str()
        .unwrap();
    assert!(options.starts_with("uid=65532,gid=65532,"), "{options}");
    // What is copied from the checkout is in it.
    let copied = last.lines().filter_map(|line| line.strip_prefix("COPY "));
    for line in copied.filter(|line| !line.starts_with("--from")) {
        let files: Vec<&str> = line.split_whitespace().collect();
        for file in &files[..files.len() - 1] {
            assert!(context.join(file).exists(), "{line}");
        }
    }
}

#[test]
fn the_health_check_tells_a_daemon_that_runs_from_one_that_does_not() {
    let bench = Bench::with_schema();
    configure(&bench, "");
    let daemon = Daemon::start(&bench);
    let url = format!("http://{}", daemon.address);
    let mut check = health_check(&compose()["services"]["producer"]);
    *check.last_mut().unwrap() = url.clone();
    let ask = || Run::of(bench.command(&check).output().unwrap());
    let told = ask().ok();
    assert!(["ready\n", "degraded\n"].contains(&told.as_str()), "{told}");
    daemon.kill();
    let gone = ask().refused(4);
    assert!(gone.contains("no daemon answers at 127.0.0.1:"), "{gone}");
}
