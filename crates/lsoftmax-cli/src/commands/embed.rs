use crate::args;
use crate::misuse::Misuse;
use crate::output;
use crate::output_options::OutputOptions;
use crate::outputs::{Inputs, Outputs, own};
use crate::pages::note_skipped;
use anyhow::bail;
use lsoftmax_data::npy::{self, Values};
use lsoftmax_data::{Staged, parquet_file};
use lsoftmax_train::{Embedded, Embedder};
use std::path::Path;

pub(super) fn run(args: args::Embed, output_options: OutputOptions) -> anyhow::Result<()> {
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
    let trained = args.trained;
    let inputs = Inputs::default()
        .run(&trained.run)
        .file(trained.landmarks.as_deref())
        .images(&args.images);
    let outputs = Outputs::new(&inputs, args.overwrite.force);
    match &names {
        Some(names) => outputs.files(&[&args.out, names], || {
            own::is_array_with_names(&args.out, names)
        })?,
        None => outputs.files(&[&args.out], || own::is_table(&args.out))?,
    }
    let embedder = Embedder::open(
        &trained.run,
        trained.landmarks.as_deref(),
        &output_options.device.open()?,
    )?
    .refusing(trained.refuse_broken);
    let found = embedder.embed(&args.images)?;
    note_skipped(&found, output_options.quiet);
    let size = embedder.info.embedding_size();
    let (images, left_out) = (found.paths.len(), found.skipped.len());
    let files: Vec<&Path> = [&args.out]
        .into_iter()
        .chain(&names)
        .map(|file| &**file)
        .collect();
    write(found, size, &args.out, names.as_deref())?;
    if output_options.json {
        let answer = serde_json::json!({
            "images": images,
            "embedding_size": size,
            "left_out": left_out,
        });
        return output::Answer::new(answer).paths("files", &files).print();
    }
    let files: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let files = files.join(", ");
    output::line(&format!(
        "{images} images, embeddings of length {size}: {files}"
    ))
}

/// Writes an array and a file with the names of its rows, or one table of both.
fn write(found: Embedded, size: usize, out: &Path, names: Option<&Path>) -> anyhow::Result<()> {
    let Some(names) = names else {
        let (rows, paths, labels) = (&found.rows, &found.paths, &found.labels);
        parquet_file::write_embeddings_parquet(out, rows, size, paths, labels)?;
        return Ok(());
    };
    let table = stage_names(names, &found)?;
    let array = npy::stage(out, &[found.paths.len(), size], &Values::F32(found.rows))?;
    table.publish()?;
    array.publish()?;
    Ok(())
}

/// Stages a file with the path and the label of each row.
fn stage_names(file: &Path, found: &Embedded) -> anyhow::Result<Staged> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["path", "label"])?;
    for row in found.paths.iter().zip(&found.labels) {
        table.write_record([row.0, row.1])?;
    }
    Ok(Staged::write(file, &table.into_inner()?)?)
}
