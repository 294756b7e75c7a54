use crate::args;
use crate::embedder::Embedder;
use crate::misuse::Misuse;
use crate::open_set;
use crate::output;
use crate::output_options::OutputOptions;
use crate::outputs::{Inputs, Outputs};
use crate::pages::{Page, print_page_path};
use anyhow::{Context as _, bail};
use lsoftmax_data::faces::PairsFile;
use lsoftmax_data::images::base;
use lsoftmax_metrics::{Matrix, Roc, cosine_scores, k_fold_embeddings};
use lsoftmax_record::Verification;
use lsoftmax_report::{ImageStrip, OpenSetRow, OpenSetSection};
use lsoftmax_train::worst_mistakes;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The kind of the page.
const PAGE: &str = "verify";

pub(super) fn run(args: args::Verify, output_options: OutputOptions) -> anyhow::Result<()> {
    let trained = args.trained;
    if let Some(folder) = &args.out {
        let inputs = Inputs::default()
            .run(&trained.run)
            .file(trained.landmarks.as_deref())
            .file(args.pairs.as_deref());
        Outputs::new(&inputs, args.overwrite.force).page(folder, PAGE)?;
    }
    let embedder = Embedder::open(
        &trained.run,
        trained.landmarks.as_deref(),
        output_options.device,
    )?
    .refusing(true);
    match (&args.pairs, &args.images[..]) {
        (Some(pairs), []) => {
            let root = args.root.unwrap_or_else(|| base(pairs).to_owned());
            many(
                &embedder,
                pairs,
                &root,
                args.centred,
                args.out.as_deref(),
                output_options,
            )
        }
        (None, [left, right]) => one(
            &embedder,
            [left, right],
            args.far,
            args.threshold,
            output_options,
        ),
        _ => bail!(Misuse("verify takes two images, or --pairs FILE".into())),
    }
}

/// Two images: the cosine, the threshold, and what it means.
fn one(
    embedder: &Embedder,
    images: [&PathBuf; 2],
    far: Option<f64>,
    threshold: Option<f32>,
    output_options: OutputOptions,
) -> anyhow::Result<()> {
    let found = embedder.embed(&images.map(Clone::clone))?;
    let size = embedder.info.embedding_size();
    if found.paths.len() != 2 {
        bail!(Misuse(format!(
            "verify compares two images, found {}: for many, use --pairs",
            found.paths.len()
        )));
    }
    let (left, right) = found.rows.split_at(size);
    let score = cosine_scores(Matrix::new(left, 1, size)?, Matrix::new(right, 1, size)?)?[0];
    let decision = embedder.info.decision.as_ref();
    let (threshold, rates) = match (threshold, decision) {
        (Some(threshold), _) => (threshold, None),
        (None, None) => bail!(Misuse(
            "this model has no threshold of its own, since it was not tested on enough pairs (that takes \
             4 classes, 2 of them with two images or more): give one with --threshold, or train with \
             a larger test part or --open-set"
                .into()
        )),
        (None, Some(decision)) => {
            let point = far.map_or(Ok(decision.best), |far| decision.at_far(far))?;
            (point.threshold, Some((point, decision)))
        }
    };
    let same = score >= threshold;
    if output_options.json {
        let answer = serde_json::json!({
            "score": score,
            "threshold": threshold,
            "same": same,
            "false_accept_rate": rates.map(|(point, _)| point.far),
            "true_accept_rate": rates.map(|(point, _)| point.tar),
            "validation_classes_unseen": rates.map(|(_, decision)| decision.unseen_classes),
            "validation_classes_with_trained_names": rates.map(|(_, d)| d.same_names),
            "validation_pairs": rates.map(|(_, d)| d.same_pairs + d.different_pairs),
        });
        return output::json(&answer);
    }
    let answer = if same { "the same" } else { "different" };
    output::line(&format!(
        "{answer}: cosine {score:.4}, threshold {threshold:.4}"
    ))?;
    let Some((point, decision)) = rates else {
        return Ok(());
    };
    output::line(&format!(
        "at this threshold {:.3} % of {} different pairs were taken for the same, and {:.2} % of {} \
         same pairs were recognised; {}",
        100.0 * point.far,
        decision.different_pairs,
        100.0 * point.tar,
        decision.same_pairs,
        if !decision.unseen_classes {
            "their classes were trained on: expect more errors on others".to_owned()
        } else if decision.same_names > 0 {
            let names = open_set::same_names(decision.same_names);
            format!("their classes were never trained on; {names}")
        } else {
            "their classes were never trained on".to_owned()
        }
    ))
}

/// A list of pairs: the figures of verification.
fn many(
    embedder: &Embedder,
    file: &Path,
    root: &Path,
    centred: bool,
    out: Option<&Path>,
    output_options: OutputOptions,
) -> anyhow::Result<()> {
    let pairs = PairsFile::read(file)?;
    let images = pairs.resolve(root)?;
    let size = embedder.info.embedding_size();
    let (rows, data) = embedder.embed_files(&images.images, root)?;
    let trained_on = (embedder.trained_images()?).map(|trained| {
        let (count, first) = trained.trained_on(&data);
        (count, first.map(str::to_owned))
    });
    if let Some((count @ 1.., Some(first))) = &trained_on {
        output::note(&format!(
            "warning: {count} of {} images were trained on, such as {first}: pairs of them say \
             nothing about new images",
            data.len()
        ));
    }
    let side = |which: usize| -> Vec<f32> {
        let places = images.pairs.iter().map(|pair| pair[which]);
        places
            .flat_map(|at| &rows[at * size..][..size])
            .copied()
            .collect()
    };
    let (left, right) = (side(0), side(1));
    let count = pairs.pairs.len();
    let left = Matrix::new(&left, count, size)?;
    let right = Matrix::new(&right, count, size)?;
    let same: Vec<bool> = pairs.pairs.iter().map(|pair| pair.same).collect();
    let folds: Vec<usize> = pairs.pairs.iter().map(|pair| pair.fold).collect();
    let scores = cosine_scores(left, right)?;
    let roc = Roc::new(&scores, &same).with_context(|| file.display().to_string())?;
    let k_fold = if pairs.folds > 1 {
        Some(k_fold_embeddings(left, right, &same, &folds, centred)?)
    } else {
        None
    };
    let verification = Verification::new(&roc, k_fold.as_ref())?;
    if let Some(folder) = out {
        let label = embedder.info.loss_label();
        let place = |at: usize| images.pairs[at].map(|image| image as u32);
        let worst = worst_mistakes(&scores, &same, place);
        let mut about = format!("{count} pairs of {} images.", images.images.len());
        if let Some((trained @ 1.., _)) = &trained_on {
            write!(about, " {trained} of the images were trained on.").ok();
        }
        let part = OpenSetSection {
            about,
            rows: vec![OpenSetRow::of_pairs(&label, &verification)],
            strips: vec![ImageStrip::mistakes(&label, &worst, &data)],
        };
        Page::of_model(PAGE, format!("{label} on {}", file.display()), part).write(folder)?;
    }
    let best = roc.best_threshold();
    let own = embedder.info.decision.as_ref();
    let own = own.map(|own| (own.best.threshold, roc.accuracy_at(own.best.threshold)));
    if output_options.json {
        let answer = serde_json::json!({
            "pairs": count,
            "images": images.images.len(),
            "trained_on": trained_on.map(|(count, _)| count),
            "k_fold": k_fold,
            "accuracy_percent_at_models_threshold": own.map(|(_, accuracy)| 100.0 * accuracy),
            "models_threshold": own.map(|(threshold, _)| threshold),
            "best_threshold": best,
            "eer_percent": verification.eer_percent,
            "auc": verification.auc,
            "smallest_far": verification.smallest_far,
            "tar_at_far": verification.tar_at_far,
        });
        return output::json(&answer);
    }
    let mut rows = vec![[
        "pairs".to_owned(),
        format!("{count} of {} images", images.images.len()),
    ]];
    if let Some(k_fold) = &k_fold {
        let name = format!("accuracy over {} folds", k_fold.folds.len());
        let (mean, error) = (k_fold.accuracy_percent, k_fold.standard_error_percent);
        rows.push([name, format!("{mean:.2} ± {error:.2} %")]);
    }
    if let Some((threshold, accuracy)) = own {
        let name = format!("accuracy at the model's threshold ({threshold:.4})");
        rows.push([name, format!("{:.2} %", 100.0 * accuracy)]);
    }
    let name = format!("accuracy at the best threshold ({:.4})", best.threshold);
    rows.push([name, format!("{:.2} %", 100.0 * best.accuracy)]);
    rows.push([
        "equal error rate".into(),
        format!("{:.2} %", verification.eer_percent),
    ]);
    rows.push([
        "area under the ROC".into(),
        format!("{:.5}", verification.auc),
    ]);
    for tar in &verification.tar_at_far {
        let value = tar.measured.map_or_else(
            || {
                format!(
                    "not measurable with {} different pairs",
                    roc.different_pairs()
                )
            },
            |point| format!("{:.2} %", 100.0 * point.tar),
        );
        rows.push([format!("TAR at FAR {:e}", tar.asked), value]);
    }
    let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
    output::line(&output::table(&["verification", "value"], &rows))?;
    print_page_path(out, output_options)
}
