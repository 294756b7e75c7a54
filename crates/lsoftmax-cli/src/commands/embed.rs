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
    let mut files = vec![args.out.clone()];
    if let Some(names) = names {
        let shape = [found.paths.len(), size];
        let table = stage_names(&names, &found)?;
        let array = npy::stage(&args.out, &shape, &Values::F32(found.rows))?;
        table.publish()?;
        array.publish()?;
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
    if output_options.json {
        let answer = serde_json::json!({
            "images": found.paths.len(),
            "embedding_size": size,
            "left_out": found.skipped.len(),
        });
        return output::Answer::new(answer).paths("files", &files).print();
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

/// Stages a file with the path and the label of each row.
fn stage_names(file: &Path, found: &Embedded) -> anyhow::Result<Staged> {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(["path", "label"])?;
    for row in found.paths.iter().zip(&found.labels) {
        table.write_record([row.0, row.1])?;
    }
    Ok(Staged::write(file, &table.into_inner()?)?)
}
