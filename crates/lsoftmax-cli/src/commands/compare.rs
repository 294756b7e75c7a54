use super::train::with;
use super::{Manner, Misuse, run_path, short_name, train_into};
use crate::args;
use crate::output;
use crate::pages;
use anyhow::bail;
use lsoftmax_train::{
    Experiment, REPORT_FILE, create_new_folder, load_data, read_settings,
};

pub(super) fn run(args: args::Compare, manner: Manner) -> anyhow::Result<()> {
    let file = args
        .config
        .as_deref()
        .map(read_settings)
        .transpose()?
        .unwrap_or_default();
    for given in [&args.settings, &file] {
        if given.loss.is_some() || given.margin.is_some() || given.seed.is_some() {
            bail!(Misuse(
                "compare takes --losses and --seeds in place of loss, margin and seed".into()
            ));
        }
    }
    let mut experiments = Vec::new();
    for &seed in &args.seeds {
        for loss in &args.losses {
            let (name, m) = split_loss(loss)?;
            let settings = with(args.settings.clone(), |s| {
                s.loss = Some(name.to_owned());
                s.margin = m;
                s.seed = Some(seed);
            });
            let table = Experiment::resolve(settings.clone(), file.clone())?;
            if !args.no_pictures && seed == args.seeds[0] {
                let flat = with(settings, |s| s.feature = Some(2));
                experiments.push(Experiment::resolve(flat, file.clone())?);
            }
            if !args.only_pictures {
                experiments.push(table);
            }
        }
    }
    // The table first: it is what people wait for.
    experiments.sort_by_key(|experiment| experiment.network.feature == 2);
    let Some(first) = experiments.first() else {
        bail!(Misuse(
            "compare needs at least one loss and one seed".into()
        ));
    };
    let split = load_data(first)?;
    let path = run_path(
        args.out,
        &format!("compare-{}", first.data.replace(':', "-")),
    );
    create_new_folder(&path)?;

    let mut page = pages::Page::new(format!("Losses compared on {}", first.data), first, &split);
    let (mut rows, mut pictures) = (Vec::new(), Vec::new());
    for experiment in &experiments {
        let trained = train_into(
            &path.join(short_name(experiment)),
            experiment,
            &split,
            manner,
        )?;
        let row = pages::Row::new(experiment, &trained);
        if experiment.network.feature == 2 {
            &mut pictures
        } else {
            &mut rows
        }
        .push(row);
        page = page.with(experiment, &trained);
    }
    let report = path.join(REPORT_FILE);
    page.write(&report)?;
    if manner.json {
        let answer = serde_json::json!({ "rows": rows, "pictures": pictures, "report": report });
        return output::line(&answer.to_string());
    }
    if !rows.is_empty() {
        output::line(&pages::table(&rows))?;
    }
    if !pictures.is_empty() {
        output::line("\nwith a 2-D feature, for the pictures:")?;
        output::line(&pages::table(&pictures))?;
    }
    output::line(&format!("\nreport: {}", report.display()))
}

/// Reads `NAME` or `NAME:M`.
fn split_loss(text: &str) -> anyhow::Result<(&str, Option<f64>)> {
    let Some((name, m)) = text.split_once(':') else {
        return Ok((text, None));
    };
    match m.parse() {
        Ok(m) => Ok((name, Some(m))),
        Err(_) => bail!(Misuse(format!(
            "--losses takes NAME or NAME:M, such as l-softmax:4, found {text:?}"
        ))),
    }
}
