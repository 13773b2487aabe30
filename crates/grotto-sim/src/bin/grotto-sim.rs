//! `grotto-sim`: runs seeds, each twice unless told otherwise, and says which of them fail.
//!
//! Owns: the command line and what it prints. Never: simulates anything itself.
#![forbid(unsafe_code)]
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a chore talks to the person who started it, and tells how long it took"
)]

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use grotto_sim::{Run, Tally, run};

const USAGE: &str = "\
usage: grotto-sim [--seeds N] [--from S] [--seconds N] [--threads N] [--keep-going] [--once]
       grotto-sim --seed S [--trace]

  --seeds N     how many seeds to run; 200 unless said
  --from S      the first of them; 1 unless said
  --seconds N   stops after so many seconds, at any number of seeds
  --threads N   seeds at a time, each on a thread of its own; 2 unless said
  --keep-going  runs all seeds, also after one failed
  --once        runs each seed once, and only every tenth twice, to see that it repeats
  --seed S      runs one seed
  --trace       prints everything that happens in it
";

/// From so many seeds on, each fault must have been injected.
const ENOUGH: u64 = 150;
/// Failed seeds that are told of in full.
const TOLD: usize = 3;
/// Of so many seeds that are run once, one is run twice.
const REPEATED: u64 = 10;

struct Options {
    from: u64,
    seeds: u64,
    seconds: Option<u64>,
    threads: usize,
    keep_going: bool,
    once: bool,
    seed: Option<u64>,
    trace: bool,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            from: 1,
            seeds: 200,
            seconds: None,
            threads: 2,
            keep_going: false,
            once: false,
            seed: None,
            trace: false,
        };
        while let Some(argument) = arguments.next() {
            let mut number = || -> Result<u64, String> {
                let value = arguments.next().unwrap_or_default();
                let parsed = value.parse();
                parsed.map_err(|_| format!("{argument}: expected a number, found {value:?}"))
            };
            match argument.as_str() {
                "--seeds" => options.seeds = number()?,
                "--from" => options.from = number()?,
                "--seconds" => (options.seconds, options.seeds) = (Some(number()?), u64::MAX / 2),
                "--threads" => options.threads = number()?.clamp(1, 64) as usize,
                "--seed" => options.seed = Some(number()?),
                "--keep-going" => options.keep_going = true,
                "--once" => options.once = true,
                "--trace" => options.trace = true,
                other => return Err(format!("there is no option {other:?}")),
            }
        }
        Ok(options)
    }
}

fn main() -> ExitCode {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(problem) => {
            eprintln!("grotto-sim: {problem}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let good = match options.seed {
        Some(seed) => run_one(seed, options.trace),
        None => run_many(&options),
    };
    match good {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("grotto-sim: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a seed twice; that both are the same is part of being good.
fn run_twice(seed: u64, whole_trace: bool) -> std::io::Result<Run> {
    let (mut first, second) = (run(seed, whole_trace)?, run(seed, whole_trace)?);
    if first.hash != second.hash {
        let (one, two) = (first.hash, second.hash);
        let what = format!("sim: the seed does not repeat: trace {one:016x}, then {two:016x}");
        first.violations.push(what);
    }
    Ok(first)
}

fn run_one(seed: u64, trace: bool) -> std::io::Result<bool> {
    let run = run_twice(seed, trace)?;
    if trace {
        run.trace.iter().for_each(|line| println!("{line}"));
    }
    let (hash, versions, time) = (run.hash, run.versions, run.time);
    println!("seed {seed}: trace {hash:016x}, {versions} versions, {time:?} of virtual time");
    if run.violations.is_empty() {
        return Ok(true);
    }
    tell(&run, !trace);
    Ok(false)
}

/// What the threads share.
struct Shared {
    next: AtomicU64,
    stop: AtomicBool,
    done: Mutex<Done>,
}

#[derive(Default)]
struct Done {
    seeds: u64,
    /// Failed seeds, and what was found first.
    failed: Vec<(u64, String)>,
    tally: Tally,
    versions: u64,
    time: Duration,
}

fn run_many(options: &Options) -> std::io::Result<bool> {
    let began = Instant::now();
    let shared = Shared {
        next: AtomicU64::new(options.from),
        stop: AtomicBool::new(false),
        done: Mutex::default(),
    };
    let work = || work(&shared, options, began);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.threads).map(|_| scope.spawn(work)).collect();
        let ended = threads.into_iter().map(|thread| {
            let panicked = |_| Err(std::io::Error::other("a simulation panicked"));
            thread.join().unwrap_or_else(panicked)
        });
        ended
            .collect::<Vec<_>>()
            .into_iter()
            .collect::<Result<(), _>>()
    })?;
    let done = shared.done.into_inner().unwrap_or_default();
    summarise(&done, options.once, began.elapsed());
    let never = done.tally.all().any(|(_, times)| times == 0);
    if never && done.seeds >= ENOUGH {
        println!("FAILED: a fault was never injected");
        return Ok(false);
    }
    Ok(done.failed.is_empty())
}

fn work(shared: &Shared, options: &Options, began: Instant) -> std::io::Result<()> {
    let over = |now: Instant| {
        let limit = options.seconds.map(Duration::from_secs);
        limit.is_some_and(|limit| now - began >= limit)
    };
    while !shared.stop.load(Ordering::Relaxed) && !over(Instant::now()) {
        let seed = shared.next.fetch_add(1, Ordering::Relaxed);
        if seed - options.from >= options.seeds {
            return Ok(());
        }
        let run = match options.once && !seed.is_multiple_of(REPEATED) {
            true => run(seed, false)?,
            false => run_twice(seed, false)?,
        };
        let Ok(mut done) = shared.done.lock() else {
            return Ok(());
        };
        done.seeds += 1;
        done.tally.add(&run.tally);
        done.versions += run.versions;
        done.time += run.time;
        if let Some(first) = run.violations.first() {
            done.failed.push((seed, first.clone()));
            match done.failed.len() <= TOLD {
                true => tell(&run, true),
                false => println!("seed {seed} FAILED: {first}"),
            }
            shared.stop.fetch_or(!options.keep_going, Ordering::Relaxed);
        }
    }
    Ok(())
}

fn tell(run: &Run, trace: bool) {
    println!("seed {} FAILED:", run.seed);
    if trace {
        run.trace.iter().for_each(|line| println!("    {line}"));
    }
    let all = run.violations.iter().take(10);
    all.for_each(|violation| println!("  {violation}"));
    println!("  to repeat: cargo xtask sim --seed {} --trace", run.seed);
}

fn summarise(done: &Done, once: bool, took: Duration) {
    let times = match once {
        true => "once, every tenth twice",
        false => "twice",
    };
    let seconds = took.as_secs_f64();
    println!("faults injected:");
    for (fault, times) in done.tally.all() {
        println!("  {times:>9}  {fault}");
    }
    println!(
        "{} seeds, each {times}, in {seconds:.1} s ({:.1} a second); {} versions, {:.0} minutes of virtual time",
        done.seeds,
        done.seeds as f64 / seconds,
        done.versions,
        done.time.as_secs_f64() / 60.0
    );
    if done.failed.is_empty() {
        println!("all good");
    } else {
        println!("{} FAILED:", done.failed.len());
        for (seed, first) in &done.failed {
            println!("  {seed}: {first}");
        }
    }
}
