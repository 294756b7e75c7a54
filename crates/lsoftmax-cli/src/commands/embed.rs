use super::{Manner, Misuse};
use crate::args;
use crate::embedder::{Embedded, Embedder};
use crate::output;
use anyhow::bail;
use lsoftmax_data::npy::{self, Values};
use lsoftmax_data::{atomic_write, parquet_file};
use std::path::Path;

pub(super) fn run(args: args::Embed, manner: Manner) -> anyhow::Result<()> {
    let ending = args.out.extension().unwrap_or_default().to_string_lossy();
    let parquet = match &*ending.to_lowercase() {
        "npy" => false,
        "parquet" => true,
        _ => bail!(Misuse(format!(
            "--out must end in .npy or .parquet, found {}",
            args.out.display()
        ))),
    };
    let names = (!parquet).then(|| args.out.with_extension("csv"));
    // A list of images may well have the name of what is made of it.
    let same = |a: &Path, b: &Path| {
        a.canonicalize()
            .ok()
            .is_some_and(|a| b.canonicalize().is_ok_and(|b| a == b))
    };
    for written in [Some(&args.out), names.as_ref()].into_iter().flatten() {
        if args.images.iter().any(|input| same(input, written)) {
            bail!(Misuse(format!(
                "{} is one of the inputs, and would be written over: give --out another name",
                written.display()
            )));
        }
    }
    let trained = args.trained;
    let embedder = Embedder::open(&trained.run, trained.landmarks.as_deref(), manner.device)?
        .refusing(trained.refuse_broken);
    let found = embedder.embed(&args.images)?;
    found.note(manner.quiet);
    let size = embedder.info.embedding_size();
    let mut files = vec![args.out.clone()];
    if let Some(names) = names {
        write_names(&names, &found)?;
        npy::write(
            &args.out,
            &[found.paths.len(), size],
            &Values::F32(found.rows),
        )?;
        files.push(names);
    } else {
        parquet_file::write_embeddings_parquet(
            &args.out,
            &found.rows,
            size,
            &found.paths,
            &found.labels,
        )?;
    }
    if manner.json {
        let answer = serde_json::json!({
            "images": found.paths.len(),
            "embedding_size": size,
            "left_out": found.skipped.len(),
            "files": files,
        });
        return output::line(&answer.to_string());
    }
    let names: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    output::line(&format!(
        "{} images, embeddings of length {size}: {}",
        found.paths.len(),
        names.join(", ")
    ))
}

/// The path and the label of each row.
fn write_names(file: &Path, found: &Embedded) -> anyhow::Result<()> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["path", "label"])?;
    for row in found.paths.iter().zip(&found.labels) {
        table.write_record([row.0, row.1])?;
    }
    Ok(atomic_write(file, &table.into_inner()?)?)
}
