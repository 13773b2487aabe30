//! Publishers killed at random moments.

use crate::kit::{Bench, Run};
use std::process::Stdio;
use std::sync::mpsc;

const KILLS: u64 = 150;

/// Numbers that look random and repeat.
fn mixed(seed: u64) -> u64 {
    let x = (seed ^ (seed >> 31)).wrapping_mul(0x7fb5_d329_728e_a185);
    (x ^ (x >> 27)).wrapping_mul(0x81da_def4_bc2d_d44d) >> 33
}

fn edition(round: u64) -> String {
    let line = |id: u64| {
        format!(
            "{{\"id\":{id},\"name\":\"name {}\",\"size\":{round}}}\n",
            mixed(id + round)
        )
    };
    (0..300 + round).map(line).collect()
}

#[test]
fn a_store_survives_publishers_that_are_killed_at_any_moment() {
    let bench = Bench::with_schema();
    bench.publish(&edition(0), "--snapshot-every 3").ok();
    // How long a whole run takes here: kills are spread over that, and a little beyond.
    let clock = grotto::engine::env::Env::system().clock;
    let began = clock.monotonic();
    bench.publish(&edition(1), "--snapshot-every 3").ok();
    let longest = (clock.monotonic() - began) * 5 / 4;
    // Nobody sends: waiting on it is waiting for a moment to kill at.
    let (_keep, never) = mpsc::channel::<()>();
    let (mut killed, mut published) = (0, Vec::new());
    for round in 2..2 + KILLS {
        let name = format!("{round}.ndjson");
        bench.write(&name, &edition(round));
        let line = "publish --store store --dataset items --schema item.schema --snapshot-every 3 --json --input";
        let mut command = bench.command(&line.split(' ').collect::<Vec<&str>>());
        let mut child = command.arg(&name).stdin(Stdio::null()).spawn().unwrap();
        let moment = longest.mul_f64((mixed(round) % 1000) as f64 / 1000.0);
        assert!(never.recv_timeout(moment).is_err());
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        match output.status.code() {
            None => killed += 1,
            Some(_) => published.push((
                round,
                Run::of(output).values().remove(0)["version"]
                    .as_u64()
                    .unwrap(),
            )),
        }
    }
    assert!(killed > 0, "no publisher was killed before it was done");
    let verified = bench.run("verify --store store --json").values().remove(0);
    assert_eq!(verified["ok"], true, "{verified}");
    // What was reported as published is there, and the next publisher goes on.
    for (round, version) in published {
        let found = bench
            .run(&format!("export --store store --version {version}"))
            .ok();
        assert_eq!(found, edition(round), "version {version}");
    }
    bench.publish(&edition(KILLS + 2), "").ok();
    assert_eq!(bench.run("export --store store").ok(), edition(KILLS + 2));
    assert_eq!(
        bench.run("verify --store store --json").values().remove(0)["ok"],
        true
    );
}
