use crate::args;
use crate::misuse::Misuse;
use crate::output;
use crate::output_options::OutputOptions;
use crate::outputs::{Inputs, Outputs};
use crate::pages::{command, print_page_path};
use anyhow::{Context as _, bail};
use lsoftmax_data::Dataset;
use lsoftmax_data::faces::{PairImages, PairsFile};
use lsoftmax_data::images::base;
use lsoftmax_metrics::{KFold, Matrix, Roc, cosine_scores, k_fold_embeddings};
use lsoftmax_record::Verification;
use lsoftmax_report::{ImageStrip, OpenSetRow, OpenSetSection, Report, same_names_clause};
use lsoftmax_train::{Embedder, worst_mistakes};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The page kind of this command.
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
        &output_options.device.open()?,
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

/// Compares two images: prints the cosine, the threshold, and the decision.
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
    let (threshold, point) = embedder.info.threshold(threshold, far)?;
    let rates = point.zip(embedder.info.decision.as_ref());
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
        "at this threshold {:.3} % of {} different pairs were accepted as the same, and {:.2} % of {} \
         same pairs were recognised; {}",
        100.0 * point.far,
        decision.different_pairs,
        100.0 * point.tar,
        decision.same_pairs,
        if !decision.unseen_classes {
            "their classes were trained on: expect more errors on others".to_owned()
        } else if decision.same_names > 0 {
            let names = same_names_clause(decision.same_names);
            format!("their classes were never trained on; {names}")
        } else {
            "their classes were never trained on".to_owned()
        }
    ))
}

/// Measures verification on a list of pairs.
fn many(
    embedder: &Embedder,
    file: &Path,
    root: &Path,
    centred: bool,
    out: Option<&Path>,
    output_options: OutputOptions,
) -> anyhow::Result<()> {
    let scored = Scored::new(embedder, file, root, centred)?;
    if let Some(folder) = out {
        let label = embedder.info.loss_label();
        let title = format!("{label} on {}", file.display());
        Report::of_model(PAGE, title, command(), scored.section(&label)).write(folder)?;
    }
    if output_options.json {
        return output::json(&scored.json(embedder));
    }
    let rows: Vec<Vec<String>> = scored.rows(embedder).into_iter().map(Vec::from).collect();
    output::line(&output::table(&["verification", "value"], &rows))?;
    print_page_path(out, output_options)
}

/// A list of pairs with their cosines.
struct Scored {
    images: PairImages,
    data: Dataset,
    /// Number of images that were trained on, if the run records its images.
    trained_on: Option<usize>,
    same: Vec<bool>,
    scores: Vec<f32>,
    roc: Roc,
    k_fold: Option<KFold>,
    verification: Verification,
}

impl Scored {
    fn new(embedder: &Embedder, file: &Path, root: &Path, centred: bool) -> anyhow::Result<Self> {
        let pairs = PairsFile::read(file)?;
        let images = pairs.resolve(root)?;
        let size = embedder.info.embedding_size();
        let (rows, data) = embedder.embed_files(&images.images, root)?;
        let trained_on = embedder.trained_images()?.map(|trained| {
            let (count, first) = trained.trained_on(&data);
            if let (1.., Some(first)) = (count, first) {
                output::note(&format!(
                    "warning: {count} of {} images were trained on, such as {first}: pairs of them \
                     say nothing about new images",
                    data.len()
                ));
            }
            count
        });
        let side = |which: usize| -> Vec<f32> {
            let places = images.pairs.iter().map(|pair| pair[which]);
            places
                .flat_map(|at| &rows[at * size..][..size])
                .copied()
                .collect()
        };
        let (left, right) = (side(0), side(1));
        let left = Matrix::new(&left, pairs.pairs.len(), size)?;
        let right = Matrix::new(&right, pairs.pairs.len(), size)?;
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
        Ok(Self {
            images,
            data,
            trained_on,
            same,
            scores,
            roc,
            k_fold,
            verification,
        })
    }

    /// The threshold of the model, and the accuracy at it.
    fn at_own_threshold(&self, embedder: &Embedder) -> Option<(f32, f64)> {
        let own = embedder.info.decision.as_ref()?.best.threshold;
        Some((own, self.roc.accuracy_at(own)))
    }

    /// The section of the page: the figures and the worst mistakes.
    fn section<'a>(&'a self, label: &'a str) -> OpenSetSection<'a> {
        let place = |at: usize| self.images.pairs[at].map(|image| image as u32);
        let worst = worst_mistakes(&self.scores, &self.same, place);
        let (count, images) = (self.same.len(), self.images.images.len());
        let mut about = format!("{count} pairs of {images} images.");
        if let Some(trained @ 1..) = self.trained_on {
            write!(about, " {trained} of the images were trained on.").ok();
        }
        OpenSetSection {
            about,
            rows: vec![OpenSetRow::of_pairs(label, &self.verification)],
            strips: vec![ImageStrip::mistakes(label, &worst, &self.data)],
        }
    }

    fn json(&self, embedder: &Embedder) -> serde_json::Value {
        let own = self.at_own_threshold(embedder);
        serde_json::json!({
            "pairs": self.same.len(),
            "images": self.images.images.len(),
            "trained_on": self.trained_on,
            "k_fold": self.k_fold,
            "accuracy_percent_at_models_threshold": own.map(|(_, accuracy)| 100.0 * accuracy),
            "models_threshold": own.map(|(threshold, _)| threshold),
            "best_threshold": self.roc.best_threshold(),
            "eer_percent": self.verification.eer_percent,
            "auc": self.verification.auc,
            "smallest_far": self.verification.smallest_far,
            "tar_at_far": self.verification.tar_at_far,
        })
    }

    /// Names and values of the figures.
    fn rows(&self, embedder: &Embedder) -> Vec<[String; 2]> {
        let percent = |value: f64| format!("{value:.2} %");
        let (count, images) = (self.same.len(), self.images.images.len());
        let mut rows = vec![["pairs".to_owned(), format!("{count} of {images} images")]];
        if let Some(k_fold) = &self.k_fold {
            let name = format!("accuracy over {} folds", k_fold.folds.len());
            let (mean, error) = (k_fold.accuracy_percent, k_fold.standard_error_percent);
            rows.push([name, format!("{mean:.2} ± {error:.2} %")]);
        }
        if let Some((threshold, accuracy)) = self.at_own_threshold(embedder) {
            let name = format!("accuracy at the model's threshold ({threshold:.4})");
            rows.push([name, percent(100.0 * accuracy)]);
        }
        let best = self.roc.best_threshold();
        let name = format!("accuracy at the best threshold ({:.4})", best.threshold);
        rows.push([name, percent(100.0 * best.accuracy)]);
        let Verification {
            eer_percent, auc, ..
        } = self.verification;
        rows.push(["equal error rate".into(), percent(eer_percent)]);
        rows.push(["area under the ROC".into(), format!("{auc:.5}")]);
        for tar in &self.verification.tar_at_far {
            let different = self.roc.different_pairs();
            let value = tar.measured.map_or_else(
                || format!("not measurable with {different} different pairs"),
                |point| percent(100.0 * point.tar),
            );
            rows.push([format!("TAR at FAR {:e}", tar.asked), value]);
        }
        rows
    }
}
