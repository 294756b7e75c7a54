//! The protocol: `{"steps": n}` is answered by the seconds and the value of each step, and by the
//! memory used so far.

use serde::{Deserialize, Serialize};
use std::io::{BufRead as _, Write as _};
use std::time::Instant;

#[derive(Deserialize)]
struct Command {
    steps: usize,
}

#[derive(Serialize)]
struct Answer {
    seconds: Vec<f64>,
    values: Vec<f64>,
    /// Bytes above what the process held before model and data were made.
    memory: Option<u64>,
}

/// Serves commands until the input ends. `baseline` is [`resident`] before anything was made.
pub(crate) fn serve(
    baseline: Option<u64>,
    mut step: impl FnMut() -> anyhow::Result<f64>,
) -> anyhow::Result<()> {
    for line in std::io::stdin().lock().lines() {
        let command: Command = serde_json::from_str(&line?)?;
        let (mut seconds, mut values) = (Vec::new(), Vec::new());
        for _ in 0..command.steps {
            let start = Instant::now();
            values.push(step()?);
            seconds.push(start.elapsed().as_secs_f64());
        }
        let memory = status("VmHWM:")
            .zip(baseline)
            .map(|(peak, base)| peak - base);
        let answer = Answer {
            seconds,
            values,
            memory,
        };
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
        out.flush()?;
    }
    Ok(())
}

/// Memory of the process in bytes, where the system tells.
pub(crate) fn resident() -> Option<u64> {
    status("VmRSS:")
}

fn status(key: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes << 10)
}
