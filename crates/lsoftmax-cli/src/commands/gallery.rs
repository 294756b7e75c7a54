//! The commands that build and search a gallery.

use crate::args::{self, Approximate};
use crate::misuse::Misuse;
use crate::output;
use crate::output_options::OutputOptions;
use crate::outputs::{Inputs, Outputs};
use crate::pages::note_skipped;
use anyhow::{Context as _, bail};
use lsoftmax_metrics::Matrix;
use lsoftmax_train::{Embedder, Gallery, Hit, INDEX_FROM, IndexPart};

pub(super) fn index(args: args::Index, output_options: OutputOptions) -> anyhow::Result<()> {
    let trained = args.trained;
    let inputs = Inputs::default()
        .run(&trained.run)
        .file(trained.landmarks.as_deref())
        .images(&args.images);
    Outputs::new(&inputs, args.overwrite.force)
        .files(&[&args.out], || Gallery::is_file(&args.out))?;
    let embedder = Embedder::open(
        &trained.run,
        trained.landmarks.as_deref(),
        &output_options.device.open()?,
    )?
    .refusing(trained.refuse_broken);
    let found = embedder.embed(&args.images)?;
    note_skipped(&found, output_options.quiet);
    let whole = embedder.file.canonicalize().unwrap_or(embedder.file);
    let gallery = Gallery::new(
        embedder.model.embedding_digest(&embedder.info)?,
        whole.to_string_lossy().into_owned(),
        embedder.info.embedding_size(),
        found.rows,
        found.paths,
        found.labels,
    )?;
    let gallery = indexed(gallery, args.approximate, output_options)?;
    gallery.save(&args.out)?;
    if output_options.json {
        let answer = serde_json::json!({
            "images": gallery.len(),
            "left_out": found.skipped.len(),
            "approximate": gallery.index(),
        });
        let answer = output::Answer::new(answer);
        return answer.path("gallery", &args.out).print();
    }
    output::line(&format!(
        "{} images in {}",
        gallery.len(),
        args.out.display()
    ))?;
    if let Some(index) = gallery.index() {
        output::line(&recall(index))?;
    }
    Ok(())
}

fn wants_index(gallery: &Gallery, when: Approximate) -> bool {
    match when {
        Approximate::Always => true,
        Approximate::Auto => gallery.len() >= INDEX_FROM,
        Approximate::Never => false,
    }
}

/// Builds the approximate index, if requested.
#[cfg(feature = "usearch")]
fn indexed(mut gallery: Gallery, when: Approximate, _: OutputOptions) -> anyhow::Result<Gallery> {
    if wants_index(&gallery, when) {
        gallery.build_index()?;
    }
    Ok(gallery)
}

/// Reports that the index requires a feature, if one is requested.
#[cfg(not(feature = "usearch"))]
fn indexed(
    gallery: Gallery,
    when: Approximate,
    output_options: OutputOptions,
) -> anyhow::Result<Gallery> {
    let without = "this lsoftmax was built without the feature usearch (cargo install --path \
                   crates/lsoftmax-cli --features usearch; it needs a C++ compiler)";
    if when == Approximate::Always {
        bail!(Misuse(format!("no approximate index: {without}")));
    }
    if wants_index(&gallery, when) && !output_options.quiet {
        let images = gallery.len();
        output::note(&format!(
            "{images} images without an approximate index: {without}"
        ));
    }
    Ok(gallery)
}

/// The measured recall of an index, as a sentence.
fn recall(index: &IndexPart) -> String {
    format!(
        "approximate index: finds {:.1} % of the ten nearest, measured on {} images of the gallery",
        100.0 * index.recall_at_10,
        index.probes
    )
}

/// The hits, and whether they come from the approximate index.
type Found = (Vec<Vec<Hit>>, bool);

#[cfg_attr(not(feature = "usearch"), allow(unused_variables))]
fn find(
    gallery: &Gallery,
    model: &str,
    queries: Matrix<'_>,
    k: usize,
    exact: bool,
) -> anyhow::Result<Found> {
    #[cfg(feature = "usearch")]
    if !exact && let Some(index) = gallery.approximate()? {
        return Ok((index.search(model, queries, k)?, true));
    }
    Ok((gallery.search(model, queries, k)?, false))
}

pub(super) fn search(args: args::Search, output_options: OutputOptions) -> anyhow::Result<()> {
    if args.k == 0 {
        bail!(Misuse("-k must be at least 1, found 0".into()));
    }
    let gallery = Gallery::load(&args.gallery)?;
    let run = args.run.unwrap_or_else(|| gallery.model_file().into());
    let device = output_options.device.open()?;
    let embedder = Embedder::open(&run, args.landmarks.as_deref(), &device)
        .with_context(|| "cannot open the gallery's model (--run says where it is now)")?
        .refusing(true);
    let found = embedder.embed(&args.images)?;
    let size = embedder.info.embedding_size();
    let digest = embedder.model.embedding_digest(&embedder.info)?;
    let queries = Matrix::new(&found.rows, found.paths.len(), size)?;
    let (hits, by_index) = find(&gallery, &digest, queries, args.k, args.exact)?;
    let index = gallery.index().filter(|_| by_index);
    if output_options.json {
        let answers: Vec<_> = found
            .paths
            .iter()
            .zip(&hits)
            .map(|(image, hits)| serde_json::json!({ "image": image, "hits": hits }))
            .collect();
        let answer = serde_json::json!({ "searches": answers, "approximate": index });
        return output::json(&answer);
    }
    if let (Some(index), false) = (index, output_options.quiet) {
        output::note(&recall(index));
    }
    for (image, hits) in found.paths.iter().zip(&hits) {
        let rows: Vec<Vec<String>> = hits
            .iter()
            .map(|hit| {
                vec![
                    hit.path.clone(),
                    hit.label.clone(),
                    format!("{:.4}", hit.score),
                ]
            })
            .collect();
        let header = [image, "label", "cosine"];
        output::line(&output::table(&header, &rows))?;
    }
    Ok(())
}
