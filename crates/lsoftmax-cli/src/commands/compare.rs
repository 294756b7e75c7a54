use super::{check, data_of, run_path, say_what_is_trained_on, train_into};
use crate::args;
use crate::interrupt;
use crate::output;
use crate::output_options::OutputOptions;
use crate::outputs;
use crate::pages;
use lsoftmax_record::{Comparison, DataSummary};
use lsoftmax_report::{Report, Row, Run, doubts};
use lsoftmax_train::{REPORT_FILE, create_new_folder};
use std::path::Path;

pub(super) fn run(args: &args::Compare, output_options: OutputOptions) -> anyhow::Result<()> {
    let train = &args.train;
    let (losses, seeds, file) = (&args.losses, &args.seeds, train.file()?);
    let comparison = Comparison::plan(losses, seeds, &train.settings, &file, args.parts())?;
    let first = comparison.first();
    let name = format!("compare-{}", first.data.replace(':', "-"));
    let path = run_path(train.out.clone(), &name);
    outputs::new_folder(&path)?;
    first.to_toml()?;
    let split = data_of(first, output_options)?;
    for experiment in comparison.all() {
        check(experiment, &split, output_options)?;
    }
    create_new_folder(&path)?;
    say_what_is_trained_on(&split);
    interrupt::listen()?;

    // The table first, since it is the main result.
    let mut runs = Vec::new();
    for (experiment, folder) in comparison.all().zip(comparison.folders()) {
        let folder = path.join(folder);
        let run = train_into(
            &folder,
            experiment,
            &split,
            train.tensorboard,
            output_options,
        )?;
        runs.push(run);
    }
    let (summary, unseen) = (DataSummary::new(&split), split.open_set.as_ref());
    let page = Report::of_comparison(pages::command(), &comparison, &runs, &summary, unseen);
    page.write(&path)?;
    let doubts = doubts(&page.runs);
    print(
        &comparison,
        &runs,
        &doubts,
        &path.join(REPORT_FILE),
        output_options,
    )
}

/// Prints the tables, or all of them as JSON.
fn print(
    comparison: &Comparison,
    runs: &[Run],
    doubts: &[String],
    report: &Path,
    output_options: OutputOptions,
) -> anyhow::Result<()> {
    let (rows, pictures) = runs.split_at(comparison.table.len());
    let (rows, pictures): (Vec<&Run>, Vec<&Run>) =
        (rows.iter().collect(), pictures.iter().collect());
    if output_options.json {
        let json = |runs: &[&Run]| -> serde_json::Value {
            runs.iter()
                .map(|run| serde_json::json!(Row::new(run)))
                .collect()
        };
        let answer = serde_json::json!({
            "rows": json(&rows), "pictures": json(&pictures), "remarks": doubts
        });
        return output::Answer::new(answer).path("report", report).print();
    }
    if !rows.is_empty() {
        output::line(&pages::table(&rows))?;
        if let Some(table) = pages::open_set_table(&rows) {
            output::line(&table)?;
        }
    }
    if !pictures.is_empty() {
        let earlier = if comparison.opens_early {
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
