//! A fleet as people and programs see it. Owns nothing.

use super::*;
use crate::commands::status::sample::{head as newest, lease, pointer};
use crate::terminal::fitted;
use grotto::store::LeaseTold;

/// Looked at twelve seconds after the commit.
fn look(consumers: Vec<Consumer>) -> Look {
    Look {
        wall_ms: newest().time_ms + 12_000,
        datasets: vec![Looked {
            name: "cities".to_owned(),
            head: Ok(Box::new(newest())),
            pointers: Vec::new(),
            consumers,
            complete: true,
        }],
    }
}

fn consumer(id: &str, change: impl FnOnce(&mut Consumer)) -> Consumer {
    let mut one = Consumer {
        id: id.to_owned(),
        lease: Ok(Box::new(lease(id))),
        age: Duration::from_secs(2),
        expired: false,
        behind: Behind::No,
    };
    change(&mut one);
    one
}

fn fleet() -> Look {
    let late = consumer("web-2.eu", |one| {
        one.behind = Behind::By(2, Duration::from_millis(8_500));
        let mut told = lease("web-2.eu");
        (told.version, told.held, told.health) = (40, Some(41), "degraded".to_owned());
        told.reasons = vec!["version 41 has a tenth of the records".to_owned()];
        one.lease = Ok(Box::new(told));
    });
    let damaged = consumer("web-3", |one| {
        one.lease = Err("lease is altered".to_owned())
    });
    let gone = consumer("web-4", |one| {
        (one.expired, one.age) = (true, Duration::from_secs(75));
    });
    let pinned = consumer("web-5", |one| {
        let mut told = lease("web-5");
        (told.version, told.pinned) = (30, Some(30));
        one.lease = Ok(Box::new(told));
        one.behind = Behind::By(12, Duration::from_secs(7_300));
    });
    look(vec![damaged, late, pinned, consumer("web-1", |_| {}), gone])
}

#[test]
fn a_fleet_is_a_table_with_reasons_below_those_in_trouble() {
    let expected = "\
cities: version 42, committed 12 s ago by host-9:1, 4 consumers, 2 behind
  consumer  version      behind                 health    since  held  host        up
  web-3     –            –                      damaged   –      –     –           –
    lease is altered
  web-2.eu  40           2 versions, 8.50 s     degraded  4 min  41    host-1:812  2 h 5 min
    version 41 has a tenth of the records
  web-5     30 (pinned)  12 versions, 2 h 1 min  ready     4 min  –     host-1:812  2 h 5 min
  web-1     42           –                      ready     4 min  –     host-1:812  2 h 5 min
  1 consumer not heard of any more left out (--all)";
    let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let found = lines(&fleet(), false);
    let wanted: Vec<String> = expected.lines().map(squeezed).collect();
    let seen: Vec<String> = found.iter().map(|line| squeezed(line)).collect();
    assert_eq!(seen, wanted);
    // Below the first line, every cell of a column starts where its name does.
    let at = |line: &str, cell: &str| {
        let byte = line
            .find(cell)
            .unwrap_or_else(|| panic!("{cell} in {line}"));
        line[..byte].chars().count()
    };
    let names = &found[1];
    assert_eq!(at(&found[4], "degraded"), at(names, "health"));
    assert_eq!(at(&found[6], "12 versions"), at(names, "behind"));
    assert_eq!(at(&found[7], "host-1"), at(names, "host"));
}

#[test]
fn a_pin_and_channels_are_told_with_who_follows_them() {
    let told = |by, version| Some(LeaseTold { by, version });
    let of = |id: &str, channel: Option<&str>, told| {
        consumer(id, |one| {
            let mut lease = lease(id);
            (lease.channel, lease.told) = (channel.map(str::to_owned), told);
            one.lease = Ok(Box::new(lease));
        })
    };
    let mut look = look(vec![
        of("web-1", Some("stable"), told(ToldBy::Pin, 41)),
        of("web-2", Some("stable"), told(ToldBy::Channel, 40)),
        of("web-3", Some("canary"), None),
        of("web-4", None, None),
    ]);
    let mut torn = pointer(Some("canary"), 42);
    torn.content = Err(grotto::Error::corrupt("canary.json is torn"));
    look.datasets[0].pointers = vec![pointer(None, 41), torn, pointer(Some("stable"), 40)];
    let found = lines(&look, false);
    let expected = [
        "  the pin: version 41, set by ada@host-1 at 2026-01-01 00:00:00: 42 lacks the capitals",
        "  channel canary cannot be read: canary.json is torn",
        "  channel stable: version 40, set by ada@host-1 at 2026-01-01 00:00:00: 42 lacks the capitals",
    ];
    assert_eq!(found[1..4], expected);
    for (line, follows) in [
        (4, "follows"),
        (5, "pin 41"),
        (6, "stable 40"),
        (7, "canary"),
        (8, "newest"),
    ] {
        assert!(
            found[line].contains(follows),
            "{follows} in {}",
            found[line]
        );
    }
    let value = json(&look, false);
    let cities = &value["datasets"][0];
    assert_eq!(cities["pin"]["version"], 41);
    assert_eq!(cities["channels"][0]["damaged"], "canary.json is torn");
    assert_eq!(
        (
            &cities["channels"][1]["channel"],
            &cities["channels"][1]["version"]
        ),
        (&json!("stable"), &json!(40))
    );
    let consumers = &cities["consumers"];
    assert_eq!(consumers[0]["told"], json!({ "by": "pin", "version": 41 }));
    assert_eq!(consumers[2]["channel"], "canary");
    assert!(consumers[3]["told"].is_null() && consumers[3]["channel"].is_null());
}

#[test]
fn those_that_are_gone_are_listed_when_all_are_asked_for() {
    let found = lines(&fleet(), true);
    let last = found.last().unwrap();
    assert!(
        last.contains("web-4") && last.contains("gone 1 min"),
        "{last}"
    );
    assert!(!found.iter().any(|line| line.contains("--all")));
    assert!(found[0].contains("4 consumers"), "{}", found[0]);
}

#[test]
fn a_dataset_whose_newest_version_is_damaged_still_has_its_consumers() {
    let mut look = look(vec![consumer("web-1", |_| {})]);
    look.datasets[0].head = Err("entry 42\nis torn".to_owned());
    look.datasets[0].complete = false;
    let found = lines(&look, false);
    let expected = "cities: the newest version is damaged (entry 42 is torn), 1 consumer or more";
    assert_eq!(found[0], expected);
    assert_eq!(found.len(), 3);
}

#[test]
fn a_terminal_that_is_small_gets_as_much_as_it_can_show() {
    let all = lines(&fleet(), false);
    assert_eq!(fitted(all.clone(), None), all);
    let few = fitted(all.clone(), Some((30, 5)));
    assert_eq!(few.len(), 3);
    assert!(few.iter().all(|line| line.chars().count() <= 30), "{few:?}");
    assert_eq!(few[0], "cities: version 42, committed…");
    assert_eq!(few[2], "… 7 lines more");
    // Nothing is cut that has its place.
    let (columns, rows) = (
        all.iter().map(|l| l.chars().count()).max().unwrap(),
        all.len() + 2,
    );
    assert_eq!(fitted(all.clone(), Some((columns, rows))), all);
    assert_eq!(fitted(all, Some((1, 1))).len(), 2);
}

#[test]
fn a_look_as_a_value_has_numbers_and_nothing_that_is_unknown() {
    let value = json(&fleet(), false);
    let cities = &value["datasets"][0];
    assert_eq!(cities["version"], 42);
    assert_eq!(cities["committed_age_ms"], 12_000);
    assert_eq!(cities["expired"], 1);
    let [damaged, late, pinned, fine] = &cities["consumers"].as_array().unwrap()[..] else {
        panic!("{cities}")
    };
    assert_eq!(damaged["damaged"], "lease is altered");
    assert!(damaged["version"].is_null() && damaged["versions_behind"].is_null());
    assert_eq!(
        (&late["versions_behind"], &late["behind_ms"]),
        (&json!(2), &json!(8_500))
    );
    assert_eq!(
        (&late["held"], &late["health"]),
        (&json!(41), &json!("degraded"))
    );
    assert_eq!(
        (&pinned["pinned"], &pinned["versions_behind"]),
        (&json!(30), &json!(12))
    );
    assert_eq!(
        (&fine["versions_behind"], &fine["behind_ms"]),
        (&json!(0), &Value::Null)
    );
    assert_eq!(
        (&fine["up_seconds"], &fine["health_seconds"]),
        (&json!(7_502), &json!(242))
    );
    assert_eq!(
        json(&fleet(), true)["datasets"][0]["consumers"][4]["expired"],
        true
    );
}
