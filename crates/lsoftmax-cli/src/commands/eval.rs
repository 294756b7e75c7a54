use super::Manner;
use crate::args;
use crate::output;
use burn::tensor::Device;
use lsoftmax_train::{
    EXPERIMENT_FILE, Experiment, MODEL_FILE, Model, Settings, evaluate, load_data, read_settings,
};

pub(super) fn run(args: &args::Eval, manner: Manner) -> anyhow::Result<()> {
    let file = read_settings(&args.run.join(EXPERIMENT_FILE))?;
    let flags = Settings {
        data: args.data.clone(),
        data_dir: args.data_dir.clone(),
        ..Settings::default()
    };
    let experiment = Experiment::resolve(flags, file)?;
    let own = args.run.join(MODEL_FILE);
    let file = args.model.as_ref().unwrap_or(&own);
    let (model, info) = Model::load(file, &Device::flex())?;
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
    output::line(&output::table(&[&info.loss.to_string(), "value"], &rows))
}
