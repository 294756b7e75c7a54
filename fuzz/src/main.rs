//! Runs the parsers on changed seeds: `lsoftmax-fuzz MINUTES [TARGET]... [--seed N]`.
//!
//! Each target runs in a process of its own, so that one that aborts or hangs is found too. What
//! was one too many is kept in `failures/` beside the crate's `Cargo.toml`.

use lsoftmax_fuzz::{Mutator, TARGETS, Target, folder};
use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What an input may take.
const SLOW: Duration = Duration::from_secs(1);
/// After this it is a hang.
const HANG: u64 = 60;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.first().map(String::as_str) {
        Some("--work") => work(&arguments[1..]),
        _ => all(&arguments),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let usage = "lsoftmax-fuzz MINUTES [TARGET]... [--seed N]";
            writeln!(std::io::stderr(), "{error}; {usage}").ok();
            ExitCode::from(2)
        }
    }
}

/// Runs the targets in turn, each for its share of the time.
fn all(arguments: &[String]) -> Result<bool, Box<dyn Error>> {
    let minutes: f64 = arguments.first().ok_or("MINUTES is missing")?.parse()?;
    let mut names: Vec<&str> = arguments[1..].iter().map(String::as_str).collect();
    let mut seed = 0;
    if let Some(place) = names.iter().position(|name| *name == "--seed") {
        seed = names
            .get(place + 1)
            .ok_or("--seed takes a number")?
            .parse()?;
        names.drain(place..place + 2);
    }
    if let Some(unknown) = names.iter().find(|name| target(name).is_none()) {
        return Err(format!("there is no target {unknown}").into());
    }
    let chosen: Vec<Target> = TARGETS
        .into_iter()
        .filter(|target| names.is_empty() || names.contains(&target.name))
        .collect();
    let seconds = minutes * 60.0 / chosen.len() as f64;
    let mut clean = true;
    for target in chosen {
        let folder = folder();
        let current = folder.path().join("current");
        let end = Instant::now() + Duration::from_secs_f64(seconds);
        let mut round = 0;
        // A target that ends early is started again, elsewhere in the sequence.
        while round == 0 || (Instant::now() < end && round < 20) {
            let left = end.saturating_duration_since(Instant::now()).as_secs_f64();
            let status = Command::new(std::env::current_exe()?)
                .arg("--work")
                .args([
                    target.name,
                    &format!("{}", seed + 1000 * round),
                    &left.to_string(),
                ])
                .arg(&current)
                .status()?;
            round += 1;
            if status.success() {
                break;
            }
            clean = false;
            let kept = keep(target.name, &fs::read(&current)?)?;
            writeln!(
                std::io::stderr(),
                "{}: {status}, see {}",
                target.name,
                kept.display()
            )?;
        }
    }
    Ok(clean)
}

fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}

/// Keeps an input.
fn keep(name: &str, bytes: &[u8]) -> Result<PathBuf, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("failures")
        .join(name);
    fs::create_dir_all(&folder)?;
    let number = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |sum, &byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let path = folder.join(format!("{number:016x}"));
    fs::write(&path, bytes)?;
    Ok(path)
}

/// Runs one target: its name, a seed, seconds, and where the input is written before it is read.
fn work(arguments: &[String]) -> Result<bool, Box<dyn Error>> {
    let [name, seed, seconds, current] = arguments else {
        return Err("--work takes four arguments".into());
    };
    let target = target(name).ok_or("no such target")?;
    let seeds = (target.seeds)();
    let mut mutator = Mutator::new(seed.parse()?);
    std::panic::set_hook(Box::new(|_| ()));
    let begin = Instant::now();
    let end = begin + Duration::from_secs_f64(seconds.parse()?);
    let count = Arc::new(AtomicU64::new(0));
    watch(Arc::clone(&count));
    let mut slowest = Duration::ZERO;
    let mut clean = true;
    while Instant::now() < end {
        let input = mutator.input(&seeds);
        fs::write(current, &input)?;
        let mut start = Instant::now();
        let mut fine = catch_unwind(|| (target.run)(&input)).is_ok();
        let mut took = start.elapsed();
        // A busy machine may be to blame.
        for _ in 0..2 {
            if took > SLOW {
                start = Instant::now();
                fine &= catch_unwind(|| (target.run)(&input)).is_ok();
                took = took.min(start.elapsed());
            }
        }
        slowest = slowest.max(took);
        if !fine || took > SLOW {
            clean = false;
            let why = if fine { "is slow" } else { "panics" };
            let kept = keep(target.name, &input)?;
            writeln!(std::io::stderr(), "{name} {why}, see {}", kept.display())?;
        }
        count.fetch_add(1, Ordering::Relaxed);
    }
    let memory = peak_memory().map_or("unknown".to_owned(), |kib| format!("{} MiB", kib >> 10));
    let count = count.load(Ordering::Relaxed);
    writeln!(
        std::io::stdout(),
        "{name}: {count} inputs in {:.0} s, the slowest {} ms, at most {memory} of memory{}",
        begin.elapsed().as_secs_f64(),
        slowest.as_millis(),
        if clean { "" } else { ", NOT CLEAN" }
    )?;
    Ok(true)
}

/// Ends the process where an input takes for ever.
fn watch(count: Arc<AtomicU64>) {
    thread::spawn(move || {
        loop {
            let before = count.load(Ordering::Relaxed);
            thread::sleep(Duration::from_secs(HANG));
            if count.load(Ordering::Relaxed) == before {
                std::process::abort();
            }
        }
    });
}

/// The most memory that the process ever had, in KiB.
fn peak_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}
