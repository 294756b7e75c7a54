//! Making a gallery, and searching in it.

use super::{Manner, Misuse};
use crate::args;
use crate::embedder::Embedder;
use crate::output;
use anyhow::{Context as _, bail};
use lsoftmax_metrics::Matrix;
use lsoftmax_train::Gallery;

pub(super) fn index(args: args::Index, manner: Manner) -> anyhow::Result<()> {
    let trained = args.trained;
    let embedder = Embedder::open(&trained.run, trained.landmarks, manner.device)?
        .refusing(trained.refuse_broken);
    let found = embedder.embed(&args.images)?;
    found.note(manner.quiet);
    let whole = embedder.file.canonicalize().unwrap_or(embedder.file);
    let gallery = Gallery {
        model: embedder.model.embedding_digest(&embedder.info)?,
        model_file: whole.to_string_lossy().into_owned(),
        size: embedder.info.embedding_size(),
        embeddings: found.rows,
        paths: found.paths,
        labels: found.labels,
    };
    gallery.save(&args.out)?;
    if manner.json {
        let answer = serde_json::json!({
            "gallery": args.out,
            "images": gallery.paths.len(),
            "left_out": found.skipped.len(),
        });
        return output::line(&answer.to_string());
    }
    output::line(&format!(
        "{} images in {}",
        gallery.paths.len(),
        args.out.display()
    ))
}

pub(super) fn search(args: args::Search, manner: Manner) -> anyhow::Result<()> {
    if args.k == 0 {
        bail!(Misuse("-k must be at least 1, found 0".into()));
    }
    let gallery = Gallery::load(&args.gallery)?;
    let run = args
        .run
        .unwrap_or_else(|| gallery.model_file.clone().into());
    let embedder = Embedder::open(&run, args.landmarks, manner.device)
        .with_context(|| "cannot open the gallery's model (--run says where it is now)")?
        .refusing(true);
    let found = embedder.embed(&args.images)?;
    let size = embedder.info.embedding_size();
    let digest = embedder.model.embedding_digest(&embedder.info)?;
    let queries = Matrix::new(&found.rows, found.paths.len(), size)?;
    let hits = gallery.search(&digest, queries, args.k)?;
    if manner.json {
        let answers: Vec<_> = found
            .paths
            .iter()
            .zip(&hits)
            .map(|(image, hits)| serde_json::json!({ "image": image, "hits": hits }))
            .collect();
        return output::line(&serde_json::json!({ "searches": answers }).to_string());
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
