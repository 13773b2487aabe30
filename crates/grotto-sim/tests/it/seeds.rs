//! A few dozen seeds of the simulator: enough for every kind of fault.

use grotto_sim::{Run, Tally, run};

const SEEDS: u64 = 60;

#[test]
fn nothing_breaks_under_any_kind_of_fault() {
    let mut tally = Tally::default();
    for seed in 1..=SEEDS {
        let run = run(seed, false).unwrap();
        tally.add(&run.tally);
        assert_good(&run);
    }
    let never: Vec<_> = tally.all().filter(|(_, times)| *times == 0).collect();
    assert!(never.is_empty(), "never injected: {never:?}");
}

#[test]
fn a_seed_repeats_to_the_last_line() {
    for seed in [1, 2, 4, 5] {
        let (first, second) = (run(seed, true).unwrap(), run(seed, true).unwrap());
        assert_eq!(first.trace, second.trace, "seed {seed}");
        assert_eq!(first.hash, second.hash);
        assert!(first.trace.len() > 500, "little happens in seed {seed}");
    }
    assert_ne!(run(1, false).unwrap().hash, run(2, false).unwrap().hash);
}

fn assert_good(run: &Run) {
    let (seed, trace) = (run.seed, run.trace.join("\n"));
    assert!(
        run.violations.is_empty(),
        "seed {seed}: {:#?}\n{trace}\nto repeat: cargo xtask sim --seed {seed} --trace",
        run.violations
    );
    assert!(run.versions > 0, "seed {seed} publishes nothing");
}
