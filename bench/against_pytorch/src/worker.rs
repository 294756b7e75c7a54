//! The protocol: `{"steps": n}` is answered by the seconds and the value of each step, and by the
//! memory used so far; with `"profile": true` also by the seconds that the device itself worked.

use anyhow::Context as _;
use burn::tensor::{Device, ProfileOptions, Tensor, read_sync};
use serde::{Deserialize, Serialize};
use std::io::{BufRead as _, Write as _};
use std::time::Instant;

#[derive(Deserialize)]
struct Command {
    steps: usize,
    #[serde(default)]
    profile: bool,
}

#[derive(Default, Serialize)]
struct Answer {
    seconds: Vec<f64>,
    values: Vec<f64>,
    /// Bytes above what there was before model and data were made: of the process on the CPU, of
    /// Burn's pools on a graphics processor.
    memory: Option<u64>,
    /// By the device's clock, for all steps together.
    device_seconds: Option<f64>,
}

/// Serves commands until the input ends. `before` is [`baseline`]. The values of the steps are read
/// when all are done, so that no step waits for a graphics processor.
pub(crate) fn serve(
    before: Option<u64>,
    device: &Device,
    mut step: impl FnMut() -> anyhow::Result<Tensor<1>> + Send,
) -> anyhow::Result<()> {
    for line in std::io::stdin().lock().lines() {
        let command: Command = serde_json::from_str(&line?)?;
        let mut answer = Answer::default();
        let mut values = Vec::with_capacity(command.steps);
        let mut run = || -> anyhow::Result<()> {
            for _ in 0..command.steps {
                let start = Instant::now();
                values.push(step()?);
                answer.seconds.push(start.elapsed().as_secs_f64());
            }
            // What is still queued belongs to the last step.
            let start = Instant::now();
            device.sync()?;
            if let Some(last) = answer.seconds.last_mut() {
                *last += start.elapsed().as_secs_f64();
            }
            Ok(())
        };
        if command.profile {
            let options = ProfileOptions::default().flush();
            let (done, duration) = device.profile_with(options, run)?;
            done?;
            let ticks = read_sync(duration.resolve()).context("the device measured nothing")?;
            answer.device_seconds = Some(ticks.duration().as_secs_f64());
        } else {
            run()?;
        }
        for value in values {
            let value = value.into_data().iter::<f64>().next();
            answer.values.push(value.context("a step without a value")?);
        }
        let peak = if *device == Device::flex() {
            status("VmHWM:")
        } else {
            pools(device)
        };
        answer.memory = peak
            .zip(before)
            .map(|(peak, before)| peak.saturating_sub(before));
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
        out.flush()?;
    }
    Ok(())
}

/// Memory in bytes before anything was made, where it is told.
pub(crate) fn baseline(device: &Device) -> Option<u64> {
    if *device == Device::flex() {
        status("VmRSS:")
    } else {
        pools(device)
    }
}

/// What Burn has taken from a graphics processor. Its pools grow, and hardly ever shrink.
fn pools(device: &Device) -> Option<u64> {
    device.memory_pool_usage().map(|usage| usage.bytes_reserved)
}

fn status(key: &str) -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes << 10)
}
