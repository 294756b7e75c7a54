use super::{check, data_of, run_path, say_what_is_trained_on, short_name, train_into};
use crate::args;
use crate::boundary;
use crate::interrupt;
use crate::misuse::Misuse;
use crate::output;
use crate::output_options::OutputOptions;
use crate::outputs;
use crate::pages::{self, Page, Row};
use anyhow::bail;
use lsoftmax::{Gate, Lambda};
use lsoftmax_record::DataSummary;
use lsoftmax_report::Run;
use lsoftmax_train::{Experiment, REPORT_FILE, Settings, create_new_folder};

/// The gate of the pictures. A plane has no room to learn ten classes as far as the gate of the default
/// schedule asks for, and the pictures would all be that of softmax.
const PICTURE_GATE: Gate = Gate {
    from: 0.6,
    to: 0.9,
    ..Gate::AUTO
};

/// Sets the gate of the pictures in an experiment that has the default schedule; whether it has.
fn open_early(experiment: &mut Experiment) -> bool {
    let annealing = &mut experiment.annealing;
    let is_default = matches!(annealing.lambda, Lambda::Auto { .. }) && annealing.gate.is_none();
    let opens_early = is_default && experiment.loss.has_multiplier();
    if opens_early {
        annealing.gate = Some(PICTURE_GATE);
    }
    opens_early
}

/// The paragraph of the page on [`PICTURE_GATE`].
fn about_pictures() -> String {
    format!(
        "The 2-D features come from networks that are trained for these pictures, with a feature of \
         two dimensions. Their margin begins when the signal of the gate reaches {}; by default it \
         begins at {}, which is rarely reached with so little room for the classes.",
        PICTURE_GATE.from,
        Gate::AUTO.from
    )
}

pub(super) fn run(args: &args::Compare, output_options: OutputOptions) -> anyhow::Result<()> {
    let train = &args.train;
    let file = train.file()?;
    for given in [&train.settings, &file] {
        if given.loss.is_some() || given.margin.is_some() || given.seed.is_some() {
            bail!(Misuse(
                "compare takes --losses and --seeds in place of loss, margin and seed".into()
            ));
        }
    }
    let choices = args.losses.iter().map(|loss| Choice::parse(loss));
    let choices: Vec<Choice> = choices.collect::<Result<_, _>>()?;
    let is_annealed = choices.iter().any(|choice| {
        let loss = Some(choice.name.to_owned());
        let settings = Settings {
            loss,
            ..Settings::default()
        };
        settings.has_annealed_loss()
    });
    let (mut table, mut flat) = (Vec::new(), Vec::new());
    let mut opens_early = false;
    for &seed in &args.seeds {
        for choice in &choices {
            let settings = Settings {
                loss: Some(choice.name.to_owned()),
                margin: choice.margin,
                seed: Some(seed),
                learning_rate: choice.learning_rate.or(train.settings.learning_rate),
                ..train.settings.clone()
            };
            // One schedule for all losses that have λ; alone, a loss refuses what it would ignore.
            let settings = if is_annealed {
                settings.without_idle_annealing()
            } else {
                settings
            };
            if !args.no_pictures && seed == args.seeds[0] {
                let settings = Settings {
                    feature: Some(2),
                    ..settings.clone()
                };
                let mut experiment = Experiment::resolve(settings, file.clone())?;
                opens_early |= open_early(&mut experiment);
                flat.push(experiment);
            }
            if !args.only_pictures {
                table.push(Experiment::resolve(settings, file.clone())?);
            }
        }
    }
    let Some(first) = table.first().or(flat.first()) else {
        bail!(Misuse(
            "compare needs at least one loss and one seed".into()
        ));
    };
    let name = format!("compare-{}", first.data.replace(':', "-"));
    let path = run_path(train.out.clone(), &name);
    outputs::new_folder(&path)?;
    first.to_toml()?;
    let split = data_of(first, output_options)?;
    for experiment in table.iter().chain(&flat) {
        check(experiment, &split, output_options)?;
    }
    create_new_folder(&path)?;
    say_what_is_trained_on(&split);
    interrupt::listen()?;

    // The table first: it is what people wait for.
    let mut rows = Vec::new();
    for experiment in &table {
        let folder = path.join(short_name(experiment));
        let run = train_into(
            &folder,
            experiment,
            &split,
            train.tensorboard,
            output_options,
        )?;
        rows.push(run);
    }
    let mut pictures = Vec::new();
    for experiment in &flat {
        let folder = path.join(format!("picture-{}", short_name(experiment)));
        let run = train_into(
            &folder,
            experiment,
            &split,
            train.tensorboard,
            output_options,
        )?;
        pictures.push(run);
    }
    let title = format!("Losses compared on {}", first.data);
    let losses: Vec<_> = table.iter().chain(&flat).map(|e| e.loss).collect();
    let rows: Vec<&Run> = rows.iter().collect();
    let pictures: Vec<&Run> = pictures.iter().collect();
    let shown = if args.only_pictures { &pictures } else { &rows };
    let report = path.join(REPORT_FILE);
    Page::new("compare", title, first, &DataSummary::new(&split))
        .with_boundaries(boundary::boundaries(&losses))
        .with_runs(shown.iter().copied())
        .with_pictures(pictures.iter().copied())
        .with_open_set(&rows, split.open_set.as_ref())
        .with_notes(opens_early.then(about_pictures))
        .write(&path)?;
    let doubts = lsoftmax_report::doubts(shown);
    if output_options.json {
        let json = |runs: &[&Run]| -> serde_json::Value {
            runs.iter()
                .map(|run| serde_json::json!(Row::new(run)))
                .collect()
        };
        let answer = serde_json::json!({
            "rows": json(&rows), "pictures": json(&pictures), "remarks": doubts
        });
        return output::Answer::new(answer).path("report", &report).print();
    }
    if !rows.is_empty() {
        output::line(&pages::table(&rows))?;
        if let Some(table) = pages::open_set_table(&rows) {
            output::line(&table)?;
        }
    }
    if !pictures.is_empty() {
        let earlier = if opens_early {
            " (the margin begins earlier)"
        } else {
            ""
        };
        output::line(&format!("\nwith a 2-D feature, for the pictures{earlier}:"))?;
        output::line(&pages::table(&pictures))?;
    }
    if !doubts.is_empty() {
        output::line(&format!("\n{}", doubts.join("\n")))?;
    }
    output::line(&format!("\nreport: {}", report.display()))
}

/// A loss of `--losses`.
#[derive(Debug, PartialEq)]
struct Choice<'a> {
    name: &'a str,
    margin: Option<f64>,
    learning_rate: Option<f64>,
}

impl<'a> Choice<'a> {
    /// Reads `NAME`, with `:M` for its margin and `@RATE` for a learning rate of its own.
    fn parse(text: &'a str) -> anyhow::Result<Self> {
        let (loss, learning_rate) = match text.split_once('@') {
            Some((loss, rate)) => (loss, Some(rate)),
            None => (text, None),
        };
        let (name, margin) = match loss.split_once(':') {
            Some((name, margin)) => (name, Some(margin)),
            None => (loss, None),
        };
        let number = |part: Option<&str>| part.map(str::parse).transpose();
        match (number(margin), number(learning_rate)) {
            (Ok(margin), Ok(learning_rate)) => Ok(Self {
                name,
                margin,
                learning_rate,
            }),
            _ => bail!(Misuse(format!(
                "--losses takes NAME, NAME:M, NAME@RATE or NAME:M@RATE, such as l-softmax:4 or \
                 arc-face@0.01, found {text:?}"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_may_have_a_margin_and_a_rate_of_its_own() {
        let parsed = |text| Choice::parse(text).unwrap();
        let choice = |name, margin, learning_rate| Choice {
            name,
            margin,
            learning_rate,
        };
        assert_eq!(parsed("softmax"), choice("softmax", None, None));
        assert_eq!(parsed("l-softmax:4"), choice("l-softmax", Some(4.0), None));
        let both = choice("softmax+center", Some(1.0), Some(0.02));
        assert_eq!(parsed("softmax+center:1@0.02"), both);
        for wrong in ["l-softmax:", "l-softmax:x", "triplet@", "triplet@fast:3"] {
            let message = Choice::parse(wrong).unwrap_err().to_string();
            assert!(message.contains(wrong), "{message}");
        }
    }
}
