use super::{Manner, run_path, short_name, train_into};
use crate::args;
use crate::output;
use crate::pages;
use lsoftmax_train::{Experiment, REPORT_FILE, load_data};

pub(super) fn run(args: args::Train, manner: Manner) -> anyhow::Result<()> {
    let file = args.file()?;
    let experiment = Experiment::resolve(args.settings, file)?;
    let split = load_data(&experiment)?;
    let name = format!(
        "{}-{}",
        experiment.data.replace(':', "-"),
        short_name(&experiment)
    );
    let path = run_path(args.out, &name);
    let (row, _) = train_into(&path, &experiment, &split, manner)?;
    let report = path.join(REPORT_FILE);
    if manner.json {
        let answer = serde_json::json!({ "run": path, "report": report, "row": row });
        output::line(&answer.to_string())
    } else {
        output::line(&pages::table(std::slice::from_ref(&row)))?;
        output::line(&format!(
            "\nrun:    {}\nreport: {}",
            path.display(),
            report.display()
        ))
    }
}
