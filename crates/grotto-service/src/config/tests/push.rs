//! Section `push`: which servers, and what lets into them.

use super::*;
use grotto::push::PushUrl;

const KEYS: &str = "expected one of `url`, `channel`, `user`, `password_file`";
const FORM: &str = "push address: expected redis://host, rediss://host, nats://host or tls://host, with an optional port";

/// Settings of a producer whose section has this text.
fn producer(variables: &[(&str, &str)], section: &str) -> PushSettings {
    let text = format!("producer:\n  push: {{{section}}}\n");
    let settings = with(variables, &text).unwrap();
    settings.producer.unwrap().common.push
}

/// Why its server is not gone to.
#[track_caller]
fn refused(variables: &[(&str, &str)], section: &str) -> String {
    let refused = producer(variables, section).server().unwrap_err();
    assert!(!format!("{refused:?}").contains("hidden"), "{refused:?}");
    refused.message().to_owned()
}

#[test]
fn every_key_is_read_on_both_sides_and_set_by_its_variable() {
    let section = "push: {url: 'redis://127.0.0.1:7000/3', channel: versions, user: reader, password_file: secret}";
    for side in ["producer", "consumer"] {
        let text = format!("{side}:\n  {section}\n");
        let settings = with(&[], &text).unwrap();
        for (key, value) in [
            ("url", "redis://127.0.0.1:7000/3"),
            ("channel", "versions"),
            ("user", "reader"),
            ("password_file", "/etc/grotto/secret"),
        ] {
            let path = format!("{side}.push.{key}");
            assert_eq!(value_of(&settings, &path), value, "{path}");
            let variable = format!("GROTTO_{}", path.replace('.', "_").to_uppercase());
            let same = with(&[(&variable, value)], &format!("{side}: {{}}\n")).unwrap();
            assert_eq!(value_of(&same, &path), value, "{variable}");
        }
    }
}

#[test]
fn a_dataset_has_a_section_of_its_own() {
    let text = "producer:\n  push: {url: 'nats://localhost'}\n  datasets:\n    - dataset: a\n    - dataset: b\n      push: {channel: versions}\n";
    let settings = parse(text).unwrap();
    let [a, b] = settings.producer.as_ref().unwrap().datasets() else {
        panic!("expected two datasets");
    };
    for (of, channel) in [(a, "grotto.a"), (b, "versions")] {
        let url = of.push.server().unwrap().unwrap();
        assert_eq!(url.to_string(), "nats://localhost:4222");
        let name = of.dataset.as_deref().unwrap();
        assert_eq!(of.push.channel_of(name).unwrap().as_str(), channel);
    }
}

#[test]
fn what_is_no_key_no_address_and_no_channel_is_refused_with_the_line() {
    for side in ["producer", "consumer"] {
        check_refused(
            &format!("{side}:\n  push:\n    urk: x\n"),
            &format!("line 3, column 5: {side}.push: unknown key `urk`, {KEYS}"),
        );
        for address in ["http://host", "host", "redis://", "nats://host:hidden"] {
            check_refused(
                &format!("{side}:\n  push:\n    url: '{address}'\n"),
                &format!("line 3, column 10: {side}.push.url: {FORM}"),
            );
        }
        for address in ["redis://user:hidden@host", "nats://hidden@host"] {
            check_refused(
                &format!("{side}:\n  push:\n    url: '{address}'\n"),
                &format!(
                    "line 3, column 10: {side}.push.url: push address: found a user or a password: credentials come \
                     from the environment or a file, never from an address"
                ),
            );
        }
        let complaint = parse(&format!("{side}:\n  push:\n    channel: 'a b'\n")).unwrap_err();
        let expected = format!("line 3, column 14: {side}.push.channel: channel \"a b\": expected");
        assert!(complaint.starts_with(&expected), "{complaint}");
    }
}

#[test]
fn without_an_address_nothing_is_announced_whatever_else_is_set() {
    let settings = producer(
        &[],
        "user: reader, password_file: nowhere, channel: versions",
    );
    assert!(settings.server().unwrap().is_none());
}

#[cfg(unix)]
#[test]
fn a_password_comes_from_a_file_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let section = format!(
        "url: 'redis://127.0.0.1', password_file: {}",
        path.display()
    );
    assert!(refused(&[], &section).contains("it does not exist"));
    std::fs::write(&path, "hidden\nmore\n").unwrap();
    let mode =
        |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    assert!(refused(&[], &section).contains("a file for its owner alone"));
    mode(0o600);
    let url = producer(&[], &section).server().unwrap().unwrap();
    let expected = PushUrl::parse("redis://127.0.0.1").unwrap();
    assert_eq!(url, expected.clone().with_password("hidden"));
    assert_ne!(url, expected);
    std::fs::write(&path, "\nhidden\n").unwrap();
    assert!(refused(&[], &section).contains("expected a password in the first line"));
}

#[test]
fn credentials_of_variables_are_those_of_the_server_and_go_to_no_other_host_in_the_clear() {
    for (url, variables) in [
        (
            "redis://other",
            [("REDISCLI_AUTH", "hidden"), ("NATS_USER", "x")],
        ),
        (
            "nats://other",
            [("NATS_PASSWORD", "hidden"), ("NATS_USER", "x")],
        ),
    ] {
        let section = format!("url: '{url}'");
        let why = refused(&variables, &section);
        assert!(why.contains("GROTTO_PUSH_ALLOW_PLAIN"), "{why}");
        let allowed = [variables[0], ("GROTTO_PUSH_ALLOW_PLAIN", "true")];
        let server = producer(&allowed, &section).server().unwrap().unwrap();
        assert_eq!(
            server
                .to_string()
                .split_once("//")
                .map(|(_, host)| &host[..5]),
            Some("other")
        );
        // Those of the other kind of server are none of its.
        let others = [
            ("redis://other", "NATS_PASSWORD"),
            ("nats://other", "REDISCLI_AUTH"),
        ];
        let (_, others) = others.iter().find(|(of, _)| *of == url).unwrap();
        assert!(producer(&[(others, "hidden")], &section).server().is_ok());
    }
    for url in [
        "rediss://other",
        "tls://other",
        "redis://127.0.0.1",
        "nats://[::1]",
    ] {
        let variables = [("REDISCLI_AUTH", "hidden"), ("NATS_PASSWORD", "hidden")];
        let text = format!("producer:\n  push: {{url: '{url}'}}\n");
        let settings = with(&variables, &text).unwrap();
        assert!(
            settings
                .producer
                .as_ref()
                .unwrap()
                .common
                .push
                .server()
                .is_ok(),
            "{url}"
        );
        assert!(!format!("{settings:?}").contains("hidden"), "{url}");
    }
}

#[test]
fn what_a_start_would_trip_over_is_found_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.yaml");
    for side in ["producer", "consumer"] {
        let complaint = |push: &str, variables: &[(&str, &str)]| {
            let store = folder.path().join("store");
            let listen = "monitoring: {health_check_port: 0}";
            let text = format!(
                "{side}:\n  dataset: items..\n  store: {}\n  {listen}\n  push: {{{push}}}\n",
                store.display()
            );
            std::fs::write(&file, text).unwrap();
            let pairs = variables.iter();
            let environment = pairs.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            check(&file, &environment.collect())
                .unwrap_err()
                .message()
                .to_owned()
        };
        for (push, expected) in [
            (
                "url: 'redis://127.0.0.1', password_file: nowhere",
                "push.password_file: ",
            ),
            ("url: 'redis://127.0.0.1'", "push.channel: "),
        ] {
            let found = complaint(push, &[]);
            assert!(found.contains(&format!("{side}.{expected}")), "{found}");
        }
        let found = complaint("url: 'redis://other'", &[("REDISCLI_AUTH", "hidden")]);
        assert!(found.contains(&format!("{side}.push.url: ")), "{found}");
        assert!(!found.contains("hidden"), "{found}");
    }
}
