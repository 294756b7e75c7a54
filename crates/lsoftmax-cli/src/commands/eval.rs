use super::class_folders_of;
use crate::args;
use crate::open_set;
use crate::output;
use crate::output_options::OutputOptions;
use crate::outputs::{Inputs, Outputs};
use crate::pages::{command, print_page_path};
use lsoftmax_report::{OpenSetRow, OpenSetSection, Report, open_set_about, open_set_caveats};
use lsoftmax_train::{
    Embedder, Evaluated, Evaluation, MODEL_FILE, Model, OtherImages, TestImages, evaluate,
    evaluate_open_set, recorded_settings, test_images,
};
use serde::Serialize;
use std::borrow::Cow;
use std::path::Path;

/// The page kind of this command.
const PAGE: &str = "eval";

pub(super) fn run(args: &args::Eval, output_options: OutputOptions) -> anyhow::Result<()> {
    if let Some(images) = &args.open_set {
        return open_set(args, images, output_options);
    }
    let settings = recorded_settings(&args.run)?;
    let other = OtherImages {
        data: args.data.clone(),
        data_dir: args.data_dir.clone(),
        landmarks: args.landmarks.clone(),
        class_folders: (args.class_folders.as_deref()).map(|name| class_folders_of(Some(name))),
    };
    let own = args.run.join(MODEL_FILE);
    let file = args.model.as_ref().unwrap_or(&own);
    let (model, info) = Model::load(file, &output_options.device.open()?)?;
    let images = test_images(&args.run, settings, &info, &other)?;
    tell(&images, output_options);
    let found = evaluate(&model, &info, &images.data)?;
    if output_options.json {
        let answer = Answer {
            figures: &found,
            evaluated: About::new(&images),
        };
        return output::json(&answer);
    }
    let rows = [
        ("test images", found.samples.to_string()),
        ("test error", format!("{:.2} %", found.error_percent)),
        (
            "mean target angle",
            format!("{:.1}°", found.mean_target_angle_deg),
        ),
        (
            "median target angle",
            format!("{:.1}°", found.median_target_angle_deg),
        ),
        (
            "smallest class angle",
            format!("{:.1}°", found.min_class_angle_deg),
        ),
        (
            "mean feature norm",
            format!("{:.2}", found.mean_feature_norm),
        ),
    ];
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    output::line(&output::table(&[&info.loss_label(), "value"], &rows))
}

/// The results, and what they were computed from.
#[derive(Serialize)]
struct Answer<'a> {
    #[serde(flatten)]
    figures: &'a Evaluation,
    evaluated: About<'a>,
}

#[derive(Serialize)]
struct About<'a> {
    data: &'a str,
    data_dir: Option<Cow<'a, str>>,
    part: Evaluated,
    images: usize,
    /// Number of classes with images. The model may know others.
    classes: usize,
    /// Number of images that the model was trained on; null if the run does not record its images.
    trained_on: Option<usize>,
    broken: Vec<Broken<'a>>,
}

#[derive(Serialize)]
struct Broken<'a> {
    path: &'a str,
    reason: &'a str,
}

impl<'a> About<'a> {
    fn new(images: &'a TestImages) -> Self {
        let broken = images.broken.iter();
        Self {
            data: &images.source,
            data_dir: images.data_dir.as_ref().map(|dir| dir.to_string_lossy()),
            part: images.evaluated,
            images: images.data.len(),
            classes: classes(images),
            trained_on: images.trained_on.as_ref().map(|(count, _)| *count),
            broken: broken
                .map(|(path, reason)| Broken { path, reason })
                .collect(),
        }
    }
}

/// Number of classes that have images.
fn classes(images: &TestImages) -> usize {
    let counts = images.data.class_counts();
    counts.into_iter().filter(|&count| count > 0).count()
}

/// Maximum number of broken images to name in a message.
const NAMED: usize = 3;

/// Prints which images are evaluated, with warnings.
fn tell(images: &TestImages, output_options: OutputOptions) {
    let count = images.data.len();
    if !output_options.quiet {
        for remark in &images.remarks {
            output::note(remark);
        }
        let place = images.data_dir.as_ref();
        let place = place.map_or(images.source.clone(), |dir| dir.display().to_string());
        let classes = format!(
            "{} of the {} classes",
            classes(images),
            images.data.num_classes()
        );
        output::note(&match images.evaluated {
            Evaluated::RecordedTestPart => {
                format!("evaluating the {count} test images that the run recorded, in {place}")
            }
            Evaluated::TestPart => {
                format!("evaluating the test part of {place}: {count} images of {classes}")
            }
            Evaluated::All => format!("evaluating all {count} images of {place}, of {classes}"),
        });
    }
    if !images.broken.is_empty() {
        let named = images.broken.iter().take(NAMED);
        let named: Vec<String> = named
            .map(|(path, reason)| format!("{path} ({reason})"))
            .collect();
        let more = match images.broken.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        output::note(&format!(
            "warning: {} broken images are not evaluated: {}{more}",
            images.broken.len(),
            named.join(", ")
        ));
    }
    match &images.trained_on {
        Some((trained @ 1.., Some(first))) => output::note(&format!(
            "warning: {trained} of {count} images were trained on, such as {first}: their \
             error says nothing about new images"
        )),
        // If the run's own images are evaluated, the missing list was already reported above.
        None if !output_options.quiet && images.remarks.is_empty() => output::note(
            "it is unknown whether these images were trained on, since the run does not record its \
             images",
        ),
        _ => {}
    }
}

/// Evaluates on classes that the model was not trained on.
fn open_set(args: &args::Eval, images: &Path, output_options: OutputOptions) -> anyhow::Result<()> {
    let run = args.model.as_ref().unwrap_or(&args.run);
    if let Some(folder) = &args.out {
        let inputs = Inputs::default()
            .run(&args.run)
            .file(args.model.as_deref())
            .file(args.landmarks.as_deref())
            .images(&[images.to_owned()]);
        Outputs::new(&inputs, args.overwrite.force).page(folder, PAGE)?;
    }
    let device = output_options.device.open()?;
    let embedder = Embedder::open(run, args.landmarks.as_deref(), &device)?;
    let folders = class_folders_of(args.class_folders.as_deref());
    let decoded = embedder.decode_classes(images, folders)?;
    for warning in &decoded.warnings {
        output::note(&format!("warning: {warning}"));
    }
    let info = &embedder.info;
    let unseen = &decoded.dataset;
    let same_names = args.open_set_same_names.unwrap_or_default();
    let same_names = same_names.check(unseen, &info.class_names, images)?;
    let trained = embedder.trained_images()?;
    if let Some(trained) = &trained
        && let Some(warning) = trained.refuse_in(unseen, images)?
    {
        output::note(&format!("warning: {warning}"));
    }
    let (mut found, _) = evaluate_open_set(&embedder.model, info, unseen, 0)?;
    found.same_names = same_names;
    found.images_compared = trained.is_some();
    // Otherwise this remark is part of the results.
    if (output_options.json || output_options.quiet)
        && let Some(label) = open_set_caveats(&found)
    {
        output::note(&format!("warning: {label}"));
    }
    let label = info.loss_label();
    let rows = [OpenSetRow::of_classes(&label, &found)];
    if let Some(folder) = &args.out {
        let title = format!("{label} on {}", images.display());
        let about = format!("{}.", open_set_about(&found));
        let part = OpenSetSection::new(about, rows.to_vec(), Some(&decoded.dataset));
        Report::of_model(PAGE, title, command(), part).write(folder)?;
    }
    if output_options.json {
        return output::json(&found);
    }
    if !output_options.quiet {
        for remark in &decoded.remarks {
            output::note(remark);
        }
        output::note(&open_set_about(&found));
    }
    output::line(&open_set::table(&rows))?;
    if let Some(sentence) = open_set::identification(&found) {
        output::line(&sentence)?;
    }
    print_page_path(args.out.as_deref(), output_options)
}
