use super::Manner;
use crate::args;
use crate::embedder::Embedder;
use crate::open_set;
use crate::output;
use crate::pages::{Page, told_page};
use lsoftmax_train::{
    EXPERIMENT_FILE, Experiment, MODEL_FILE, Model, Settings, evaluate, evaluate_open_set,
    load_data, read_settings,
};
use std::path::Path;

pub(super) fn run(args: &args::Eval, manner: Manner) -> anyhow::Result<()> {
    if let Some(images) = &args.open_set {
        return open_set(args, images, manner);
    }
    let file = read_settings(&args.run.join(EXPERIMENT_FILE))?;
    let flags = Settings {
        data: args.data.clone(),
        data_dir: args.data_dir.clone(),
        ..Settings::default()
    };
    let experiment = Experiment::resolve(flags, file)?;
    let own = args.run.join(MODEL_FILE);
    let file = args.model.as_ref().unwrap_or(&own);
    let (model, info) = Model::load(file, &manner.device.open()?)?;
    let split = load_data(&experiment)?;
    let found = evaluate(&model, &info, &split.test)?;
    if manner.json {
        return output::line(&serde_json::to_string(&found)?);
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

/// On classes that the model was not trained on.
fn open_set(args: &args::Eval, images: &Path, manner: Manner) -> anyhow::Result<()> {
    let run = args.model.as_ref().unwrap_or(&args.run);
    let embedder = Embedder::open(run, args.landmarks.as_deref(), manner.device)?;
    let decoded = embedder.decode(images)?;
    let info = &embedder.info;
    let (found, _) = evaluate_open_set(&embedder.model, info, &decoded.dataset, 0)?;
    let label = info.loss_label();
    let entries = [(&*label, 0, &found)];
    if let Some(folder) = &args.out {
        let title = format!("{label} on {}", images.display());
        if let Some(part) = open_set::section(&entries, &decoded.dataset) {
            Page::of_model(title, part).write(folder)?;
        }
    }
    if manner.json {
        return output::line(&serde_json::to_string(&found)?);
    }
    if !manner.quiet {
        for remark in &decoded.remarks {
            output::note(remark);
        }
        output::note(&open_set::about(&found));
    }
    output::line(&open_set::table(&entries))?;
    if let Some(sentence) = open_set::identification(&found) {
        output::line(&sentence)?;
    }
    told_page(args.out.as_deref(), manner)
}
