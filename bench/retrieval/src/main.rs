//! Our side of the benchmark: one search in a process of its own, told on one line of JSON.
//!
//! `bench.py` starts it and the other sides in turn; `other_side.py` does the same work.

use anyhow::Context;
use clap::Parser;
use lsoftmax_metrics::{Matrix, SearchOptions, nearest};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Searches the `k` nearest rows of a gallery for each probe.
#[derive(Parser)]
struct Arguments {
    /// File of f32 values, little-endian: the probes, then the gallery.
    file: PathBuf,
    probes: usize,
    gallery: usize,
    columns: usize,
    k: usize,
}

fn main() -> anyhow::Result<()> {
    let Arguments {
        file,
        probes,
        gallery,
        columns,
        k,
    } = Arguments::parse();
    let before = status("VmRSS:");
    let [probe_values, gallery_values] = read(&file, [probes * columns, gallery * columns])?;
    let queries = Matrix::new(&probe_values, probes, columns)?;
    let rows = Matrix::new(&gallery_values, gallery, columns)?;
    let options = SearchOptions::default();
    // Threads are started and code is paged in by a search in a tenth of the gallery.
    let few = gallery / 10;
    let warm_up = Matrix::new(&gallery_values[..few * columns], few, columns)?;
    nearest(queries, warm_up, k, options)?;
    let (start, before_search) = (Instant::now(), processor_seconds());
    let found = nearest(queries, rows, k, options)?;
    let seconds = start.elapsed().as_secs_f64();
    let processor = processor_seconds().zip(before_search);
    let arrays = size_of_val(&*probe_values) + size_of_val(&*gallery_values);
    let memory = status("VmHWM:").zip(before);
    let answer = serde_json::json!({
        "seconds": seconds,
        "processor": processor.map_or(seconds, |(after, before)| after - before),
        "memory": memory.map(|(peak, before)| peak.saturating_sub(before + arrays)),
        "indices": found.indices,
        "sum": found.scores.iter().map(|&score| f64::from(score)).sum::<f64>(),
    });
    #[allow(clippy::print_stdout, reason = "the answer to bench.py")]
    {
        println!("{answer}");
    }
    Ok(())
}

/// Reads arrays of these lengths that lie one after another in a file.
fn read(path: &Path, lengths: [usize; 2]) -> anyhow::Result<[Vec<f32>; 2]> {
    let doing = || format!("reading {}", path.display());
    let mut file = File::open(path).with_context(doing)?;
    let found = file.seek(SeekFrom::End(0)).with_context(doing)?;
    let expected = 4 * (lengths[0] + lengths[1]) as u64;
    anyhow::ensure!(
        found == expected,
        "{} has {found} bytes, expected {expected}",
        path.display()
    );
    file.rewind().with_context(doing)?;
    let mut arrays = lengths.map(|length| vec![0_f32; length]);
    for array in &mut arrays {
        file.read_exact(bytemuck::cast_slice_mut(array))
            .with_context(doing)?;
    }
    Ok(arrays)
}

/// A line of the process's memory in bytes, where the system tells.
fn status(key: &str) -> Option<usize> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    let kib: usize = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib << 10)
}

/// Processor time of all threads in seconds, where the system tells, in steps of 10 ms.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name before may hold anything, but it ends with the last bracket.
    let (_, fields) = text.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(str::parse::<f64>);
    Some((times.next()?.ok()? + times.next()?.ok()?) / 100.0)
}
