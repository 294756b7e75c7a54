use super::{check, complete, data_of, death, report, say_what_is_trained_on};
use crate::args;
use crate::experiments::{self, Table};
use crate::interrupt;
use crate::misuse::Misuse;
use crate::output;
use crate::output_options::OutputOptions;
use crate::outputs::{Inputs, Outputs, own};
use crate::pages;
use crate::results::{self, Cell, Line, Section};
use anyhow::{Context as _, bail};
use lsoftmax_data::{Split, atomic_write};
use lsoftmax_record::{DataSummary, RecordError};
use lsoftmax_report::{FIGURES, Report, Run, boundaries};
use lsoftmax_train::{
    Experiment, OUTCOME_FILE, Outcome, RunFolder, Settings, TrainError, check_images,
};
use std::path::{Path, PathBuf};

/// The page kind of a table.
const PAGE: &str = "reproduce";
/// The file with the tables of all runs in the folder.
const RESULTS_FILE: &str = "results.md";

/// One training of the queue.
struct Job {
    path: PathBuf,
    experiment: Experiment,
}

pub(super) fn run(args: &args::Reproduce, output_options: OutputOptions) -> anyhow::Result<()> {
    if args.tables.is_empty() {
        return list(output_options);
    }
    if args.seeds.is_empty() {
        bail!(Misuse("reproduce needs at least one seed".into()));
    }
    let tables = experiments::tables(&args.tables)?;
    let plans: Vec<Plan> = tables
        .into_iter()
        .map(|table| Plan::new(table, args))
        .collect::<anyhow::Result<_>>()?;
    let file = args.out.join(RESULTS_FILE);
    check_outputs(&plans, &file, args)?;
    check_plans(&plans, output_options)?;
    interrupt::listen()?;
    let command = pages::command();
    let mut sections = Vec::new();
    for plan in &plans {
        let section = plan
            .run(args, &command, output_options)
            .map_err(|error| super::Unfinished::error(error, &command))?;
        sections.push(section);
        let text = results::markdown(&command, &sections);
        atomic_write(&file, text.as_bytes())?;
    }
    if output_options.json {
        let tables: serde_json::Map<_, _> = sections
            .iter()
            .map(|section| (section.name.clone(), serde_json::json!(section.lines)))
            .collect();
        let answer = output::Answer::new(serde_json::json!({ "tables": tables }));
        return answer.path("results", &file).print();
    }
    for section in &sections {
        let table = results::text(&section.lines);
        output::line(&format!("{}\n{table}\n", section.name))?;
    }
    output::line(&format!("tables: {}", file.display()))
}

/// Checks that the tables and the pages may be written.
fn check_outputs(plans: &[Plan], results: &Path, args: &args::Reproduce) -> anyhow::Result<()> {
    let inputs = Inputs::default();
    let outputs = Outputs::new(&inputs, args.overwrite.force);
    outputs.folder(&args.out, &[RESULTS_FILE], || own::is_results(results))?;
    outputs.pictures(&args.out.join(FIGURES))?;
    for plan in plans {
        outputs.page(&args.out.join(&plan.table.name), PAGE)?;
    }
    Ok(())
}

/// Checks that all tables can be run, before the first one starts. Data that only a later table
/// needs are read twice.
fn check_plans(plans: &[Plan], output_options: OutputOptions) -> anyhow::Result<()> {
    for plan in plans {
        let Some(first) = plan.jobs.first().and_then(|row| row.first()) else {
            continue;
        };
        let split = data_of(
            &first.experiment,
            OutputOptions {
                quiet: true,
                ..output_options
            },
        )?;
        for row in &plan.jobs {
            check(&row[0].experiment, &split, output_options)?;
        }
    }
    Ok(())
}

fn list(output_options: OutputOptions) -> anyhow::Result<()> {
    let tables = experiments::tables(&["all".to_owned()])?;
    if output_options.json {
        let names = experiments::names();
        return output::json(&serde_json::json!({ "tables": names }));
    }
    let mut rows = Vec::new();
    for table in tables {
        let Some((_, settings)) = table.rows.first() else {
            continue;
        };
        let first = Experiment::resolve(Settings::default(), settings.clone())?;
        rows.push(vec![
            table.name,
            table.rows.len().to_string(),
            first.data,
            first.network.name().to_owned(),
            first.iterations.to_string(),
            first.batch.to_string(),
        ]);
    }
    let header = ["table", "rows", "data", "network", "iterations", "batch"];
    output::line(&output::table(&header, &rows))
}

/// A table and its queue of trainings.
struct Plan {
    table: Table,
    /// The jobs: for each row of the table, one per seed.
    jobs: Vec<Vec<Job>>,
}

impl Plan {
    fn new(table: Table, args: &args::Reproduce) -> anyhow::Result<Self> {
        let jobs = table.rows.iter().map(|(row, settings)| {
            let job = |&seed: &u64| {
                let flags = Settings {
                    iterations: args.iterations,
                    seed: Some(seed),
                    ..Settings::default()
                };
                Ok(Job {
                    path: args.out.join(&table.name).join(format!("{row}-seed{seed}")),
                    experiment: Experiment::resolve(flags, settings.clone())?,
                })
            };
            args.seeds.iter().map(job).collect::<anyhow::Result<_>>()
        });
        Ok(Self {
            jobs: jobs.collect::<anyhow::Result<_>>()?,
            table,
        })
    }

    /// Runs the jobs that are not done, and prints the table.
    fn run(
        &self,
        args: &args::Reproduce,
        command: &str,
        output_options: OutputOptions,
    ) -> anyhow::Result<Section> {
        let mut section = Section {
            name: self.table.name.clone(),
            lines: Vec::new(),
            figures: Vec::new(),
        };
        let Some(first) = self.jobs.first().and_then(|row| row.first()) else {
            return Ok(section);
        };
        let split = data_of(&first.experiment, output_options)?;
        say_what_is_trained_on(&split);
        let total = self.jobs.len() * args.seeds.len();
        // One seed after another, so that rows can be compared early.
        for seed in 0..args.seeds.len() {
            for (row, jobs) in self.jobs.iter().enumerate() {
                let number = seed * self.jobs.len() + row + 1;
                let what = format!("{} {number}/{total}", self.table.name);
                jobs[seed].run(&split, &what, command, output_options)?;
            }
        }
        let mut runs = Vec::new();
        for (jobs, (_, settings)) in self.jobs.iter().zip(&self.table.rows) {
            let mut cells = Vec::new();
            for job in jobs {
                if let Some(run) = job.readable()? {
                    cells.push(Cell::new(&run));
                    runs.push(run);
                }
            }
            let experiment = &jobs[0].experiment;
            let published = settings.published.clone().unwrap_or_default();
            section.lines.push(Line::new(experiment, published, cells));
        }
        let losses: Vec<_> = self.jobs.iter().map(|row| row[0].experiment.loss).collect();
        let title = format!("{}: softmax against L-Softmax", self.table.name);
        let summary = DataSummary::new(&split);
        let command = pages::command();
        let page = Report {
            runs: runs.iter().collect(),
            pictures: runs.iter().collect(),
            boundaries: boundaries(&losses),
            ..Report::of_experiment(PAGE, title, command, &first.experiment, &summary)
        };
        page.write(&args.out.join(&self.table.name))?;
        let folder = args.out.join(FIGURES);
        let failed = || format!("cannot make the folder {}", folder.display());
        std::fs::create_dir_all(&folder).with_context(failed)?;
        for (name, title, svg) in page.figures() {
            let file = format!("{}-{name}.svg", self.table.name);
            atomic_write(&folder.join(&file), svg.as_bytes())?;
            section.figures.push((format!("{FIGURES}/{file}"), title));
        }
        Ok(section)
    }
}

impl Job {
    fn run(
        &self,
        split: &Split,
        what: &str,
        command: &str,
        output_options: OutputOptions,
    ) -> anyhow::Result<()> {
        let (folder, saved) = if self.path.join(OUTCOME_FILE).exists() {
            return self.finished(split, output_options);
        } else if self.path.exists() {
            let (mut folder, experiment, saved) = RunFolder::open(&self.path, None, None)?;
            self.check(&experiment)?;
            let step = saved.as_ref().map_or(0, |saved| saved.last.step());
            if let Some(remark) = folder.check_images(&self.experiment, split, step)? {
                output::note(&remark);
            }
            (folder, saved)
        } else {
            (
                RunFolder::create(&self.path, &self.experiment, split)?,
                None,
            )
        };
        if !output_options.quiet {
            let verb = if saved.is_some() {
                "resuming"
            } else {
                "running"
            };
            output::note(&format!("{what}: {verb} {}", self.path.display()));
        }
        let run = complete(
            folder,
            &self.experiment,
            split,
            saved,
            command,
            output_options,
        )?;
        self.tell_death(&run.outcome, output_options);
        Ok(())
    }

    /// Completes a run that is already trained, and reports its problems.
    fn finished(&self, split: &Split, output_options: OutputOptions) -> anyhow::Result<()> {
        match self.outcome() {
            Err(error) if is_damage(&error) => {
                let reason = output::causes(&error);
                let text = "the table is made without it; remove its folder to run it again";
                output::note(&format!("{reason}: {text}"));
            }
            Err(error) => return Err(error),
            Ok((_, outcome)) => {
                check_images(&self.path, &self.experiment, split)?;
                if report::is_missing(&self.path) {
                    report::make(&self.path, output_options)?;
                }
                self.tell_death(&outcome, output_options);
            }
        }
        Ok(())
    }

    fn tell_death(&self, outcome: &Outcome, output_options: OutputOptions) {
        if let Some(death) = death(outcome, &self.path)
            && !output_options.quiet
        {
            output::note(&death);
        }
    }

    /// The run, or `None` if its outcome is damaged.
    ///
    /// # Errors
    /// The run has other settings.
    fn readable(&self) -> anyhow::Result<Option<Run>> {
        match self.outcome() {
            Err(error) if is_damage(&error) => Ok(None),
            Err(error) => Err(error),
            Ok((experiment, outcome)) => Ok(Some(Run::new(&experiment, outcome))),
        }
    }

    fn outcome(&self) -> anyhow::Result<(Experiment, Outcome)> {
        let (experiment, outcome) = RunFolder::outcome(&self.path)?;
        self.check(&experiment)?;
        Ok((experiment, outcome))
    }

    /// Checks that the experiment in the folder is the requested one.
    fn check(&self, found: &Experiment) -> anyhow::Result<()> {
        let same = Experiment {
            data_dir: self.experiment.data_dir.clone(),
            ..found.clone()
        };
        if same == self.experiment {
            return Ok(());
        }
        bail!(Misuse(format!(
            "{} was run with other settings; remove it, or name another folder with --out",
            self.path.display()
        )))
    }
}

/// Whether an error means that a file is damaged.
fn is_damage(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(TrainError::Record(RecordError::Syntax { .. }))
    )
}
