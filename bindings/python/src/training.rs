//! Training and comparing.

use crate::errors::{exception, of_training, value_error};
use crate::model::{Model, device_of};
use crate::settings::{of_file, read};
use crate::watch::{News, Watch, tell};
use crate::work::{beside, detached};
use lsoftmax_data::{DataError, Split};
use lsoftmax_record::{Comparison, ComparisonParts, DataSummary, Experiment, Settings};
use lsoftmax_report::{Report, Row, Run, doubts, page, pictures};
use lsoftmax_train::{
    DeviceChoice, Embedder, MODEL_FILE, RunFolder, Saved, TrainError, Trained, check,
    create_new_folder, load_data, train, train_recorded,
};
use pyo3::exceptions::PyKeyboardInterrupt;
use pyo3::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::mpsc;

pub(crate) fn add_to(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("DEFAULT_LOSSES", Comparison::LOSSES)?;
    module.add_function(wrap_pyfunction!(train_run, module)?)?;
    module.add_function(wrap_pyfunction!(compare_losses, module)?)?;
    module.add_function(wrap_pyfunction!(load_run, module)?)
}

/// A trained run: its folder, its experiment as TOML, its results and its table row as JSON, its
/// model if it is usable, and its page.
type PythonRun = (Option<PathBuf>, String, String, String, Option<Model>, Page);
/// A page, and its pictures (SVG) by name.
type Page = (String, Vec<(String, String)>);
/// Runs, their page, caveats, failed trainings with the reasons, and the warnings and remarks about
/// the data.
type Answer = (
    Vec<PythonRun>,
    Page,
    Vec<String>,
    Vec<String>,
    Vec<String>,
    Vec<String>,
);

/// A trained run in Rust types.
struct Finished {
    path: Option<PathBuf>,
    experiment: Experiment,
    run: Run,
    model: Option<Embedder>,
    page: Page,
}

impl Finished {
    /// The reason why the training failed, if it did.
    fn failure(&self) -> Option<String> {
        let outcome = &self.run.outcome;
        let why = outcome.death().unwrap_or(outcome.divergence?.words());
        Some(format!("{}: the training diverged: {why}", self.run.label))
    }

    fn into_python(self) -> PyResult<PythonRun> {
        let experiment = self.experiment.to_toml();
        Ok((
            self.path,
            experiment.map_err(|error| exception(&error))?,
            serde_json::to_string(&self.run.outcome).map_err(value_error)?,
            serde_json::to_string(&Row::new(&self.run)).map_err(value_error)?,
            self.model.map(Model::of),
            self.page,
        ))
    }
}

/// Where runs are trained and recorded, and the command to record.
struct Place {
    device: DeviceChoice,
    out: Option<PathBuf>,
    tensorboard: bool,
    command: String,
}

impl Place {
    /// Trains one run, in a folder or in memory.
    fn train(
        &self,
        mut folder: Option<RunFolder>,
        experiment: &Experiment,
        split: &Split,
        saved: Option<Saved>,
        watch: &mut Watch<'_>,
    ) -> Result<Finished, TrainError> {
        let device = self.device.open()?;
        if self.tensorboard {
            folder = folder.map(RunFolder::with_events).transpose()?;
        }
        let trained = match &mut folder {
            None => train(experiment, split, &device, watch)?,
            Some(folder) => train_recorded(folder, experiment, split, saved, &device, watch)?,
        };
        let is_usable = trained.is_usable();
        let Trained {
            model,
            info,
            outcome,
        } = trained;
        let landmarks = experiment.images.landmarks.as_deref();
        let model = is_usable.then(|| Embedder::of(model, info, landmarks));
        let run = Run::new(experiment, outcome);
        let path = folder.map(|folder| folder.path().to_owned());
        let (summary, unseen) = (DataSummary::new(split), split.open_set.as_ref());
        let command = self.command.clone();
        let report = Report::of_run(command, experiment, &run, &summary, unseen);
        Ok(Finished {
            page: published(&report, path.as_deref())?,
            path,
            experiment: experiment.clone(),
            model: model.transpose()?,
            run,
        })
    }
}

/// Trained runs, their page, caveats, and the warnings and remarks about the data.
struct Work {
    runs: Vec<Finished>,
    page: Page,
    doubts: Vec<String>,
    warnings: Vec<String>,
    remarks: Vec<String>,
}

impl Work {
    fn new(runs: Vec<Finished>, split: Split) -> Self {
        let mut remarks = split.remarks;
        remarks.extend(split.summary);
        Self {
            runs,
            page: Page::default(),
            doubts: Vec::new(),
            warnings: split.warnings,
            remarks,
        }
    }
}

/// Writes the page, if there is a folder for it.
fn published(report: &Report<'_>, folder: Option<&Path>) -> Result<Page, DataError> {
    if let Some(folder) = folder {
        report.write(folder)?;
    }
    Ok((page(report), pictures(report)))
}

/// The starting point of a training.
enum Start {
    Anew(Box<Experiment>),
    Resumed {
        run: PathBuf,
        data_dir: Option<PathBuf>,
    },
}

fn train_one(start: Start, place: &Place, watch: &mut Watch<'_>) -> Result<Work, TrainError> {
    let device = place.device.open()?;
    let (folder, experiment, saved, split, remark) = match start {
        Start::Anew(experiment) => {
            let split = load_data(&experiment)?;
            watch.check(0, &experiment)?;
            check(&experiment, &split, &device)?;
            let out = place.out.as_deref();
            let folder = out.map(|out| RunFolder::create(out, &experiment, &split));
            (folder.transpose()?, *experiment, None, split, None)
        }
        Start::Resumed { run, data_dir } => {
            let (folder, file) = RunFolder::locate(&run)?;
            let (mut folder, experiment, saved) = RunFolder::open(&folder, file, data_dir)?;
            let split = load_data(&experiment)?;
            check(&experiment, &split, &device)?;
            let step = saved.as_ref().map_or(0, |saved| saved.last.step());
            watch.check(step, &experiment)?;
            let remark = folder.check_images(&experiment, &split, step)?;
            (Some(folder), experiment, saved, split, remark)
        }
    };
    watch.begin(0, 1, &experiment);
    let finished = place.train(folder, &experiment, &split, saved, watch)?;
    let mut work = Work::new(vec![finished], split);
    work.remarks.extend(remark);
    Ok(work)
}

fn compare_all(
    comparison: &Comparison,
    place: &Place,
    watch: &mut Watch<'_>,
) -> Result<Work, TrainError> {
    let split = load_data(comparison.first())?;
    let device = place.device.open()?;
    for experiment in comparison.all() {
        check(experiment, &split, &device)?;
    }
    watch.check(0, comparison.first())?;
    if let Some(out) = &place.out {
        create_new_folder(out)?;
    }
    let folders = comparison.folders();
    let mut all = Vec::new();
    for (number, (experiment, name)) in comparison.all().zip(&folders).enumerate() {
        watch.begin(number, folders.len(), experiment);
        let path = place.out.as_ref().map(|out| out.join(name));
        let folder = path.map(|path| RunFolder::create(&path, experiment, &split));
        all.push(place.train(folder.transpose()?, experiment, &split, None, watch)?);
    }
    let (summary, unseen) = (DataSummary::new(&split), split.open_set.as_ref());
    let runs: Vec<Run> = all.iter().map(|finished| finished.run.clone()).collect();
    let command = place.command.clone();
    let report = Report::of_comparison(command, comparison, &runs, &summary, unseen);
    let (page, doubts) = (
        published(&report, place.out.as_deref())?,
        doubts(&report.runs),
    );
    Ok(Work {
        page,
        doubts,
        ..Work::new(all, split)
    })
}

/// Runs the work in another thread and reports its progress to the callback. If it is stopped, the
/// run can be resumed from `folder`.
fn run(
    py: Python<'_>,
    callback: Option<&Bound<'_, PyAny>>,
    folder: Option<&Path>,
    work: impl FnOnce(&mut Watch<'_>) -> Result<Work, TrainError> + Send,
) -> PyResult<Answer> {
    let stop = AtomicBool::new(false);
    let (sender, news) = mpsc::channel::<News>();
    let mut watch = Watch::new(&stop, sender);
    let work = || work(&mut watch);
    let (found, failed) = beside(py, &stop, work, |_| tell(callback, &news))?;
    let interrupted = |error: &TrainError| of_training(error, folder);
    match (found, failed) {
        // An exception of the callback takes precedence over the interruption that it caused, but
        // Ctrl-C is reported as an interruption.
        (Err(error), Some(failed)) if failed.is_instance_of::<PyKeyboardInterrupt>(py) => {
            Err(interrupted(&error))
        }
        (_, Some(failed)) => Err(failed),
        (Err(error), None) => Err(interrupted(&error)),
        (Ok(work), None) => {
            let failures = work.runs.iter().filter_map(Finished::failure).collect();
            let runs = work.runs.into_iter().map(Finished::into_python);
            let runs = runs.collect::<PyResult<_>>()?;
            Ok((
                runs,
                work.page,
                work.doubts,
                failures,
                work.warnings,
                work.remarks,
            ))
        }
    }
}

/// Trains one run; `settings` is a JSON object with the keys of an experiment file.
#[pyfunction]
#[pyo3(signature = (settings, command, config=None, out=None, resume=None, device="cpu", tensorboard=false, callback=None))]
fn train_run(
    py: Python<'_>,
    settings: &str,
    command: String,
    config: Option<PathBuf>,
    out: Option<PathBuf>,
    resume: Option<PathBuf>,
    device: &str,
    tensorboard: bool,
    callback: Option<&Bound<'_, PyAny>>,
) -> PyResult<Answer> {
    let mut settings = read(settings)?;
    let saved_in = match &resume {
        Some(run) => RunFolder::locate(run).ok().map(|(folder, _)| folder),
        None => out.clone(),
    };
    let start = match resume {
        None => {
            let experiment = Experiment::resolve(settings, of_file(config.as_deref())?);
            Start::Anew(Box::new(experiment.map_err(|error| exception(&error))?))
        }
        Some(run) => {
            let data_dir = settings.data_dir.take();
            if settings != Settings::default() || config.is_some() || out.is_some() {
                return Err(value_error(
                    "resume uses the run's own settings; only data_dir may be changed",
                ));
            }
            Start::Resumed { run, data_dir }
        }
    };
    let place = Place {
        device: device_of(device)?,
        out,
        tensorboard,
        command,
    };
    run(py, callback, saved_in.as_deref(), |watch| {
        train_one(start, &place, watch)
    })
}

/// Trains the same network with several losses.
#[pyfunction]
#[pyo3(signature = (settings, command, losses, seeds, parts, config=None, out=None, device="cpu", tensorboard=false, callback=None))]
fn compare_losses(
    py: Python<'_>,
    settings: &str,
    command: String,
    losses: Vec<String>,
    seeds: Vec<u64>,
    parts: &str,
    config: Option<PathBuf>,
    out: Option<PathBuf>,
    device: &str,
    tensorboard: bool,
    callback: Option<&Bound<'_, PyAny>>,
) -> PyResult<(Answer, usize)> {
    let (settings, file) = (read(settings)?, of_file(config.as_deref())?);
    let parts = match parts {
        "table" => ComparisonParts::Table,
        "pictures" => ComparisonParts::Pictures,
        _ => ComparisonParts::All,
    };
    let comparison = Comparison::plan(&losses, &seeds, &settings, &file, parts);
    let comparison = comparison.map_err(|error| exception(&error))?;
    let place = Place {
        device: device_of(device)?,
        out,
        tensorboard,
        command,
    };
    let answer = run(py, callback, None, |watch| {
        compare_all(&comparison, &place, watch)
    })?;
    Ok((answer, comparison.table.len()))
}

/// Loads a finished run from its folder. Also returns the path of the landmarks file, if that is
/// missing and the model was therefore not loaded.
#[pyfunction]
#[pyo3(signature = (path, device="cpu"))]
fn load_run(py: Python<'_>, path: PathBuf, device: &str) -> PyResult<(PythonRun, Option<PathBuf>)> {
    let device = device_of(device)?;
    let load = || -> Result<(Finished, Option<PathBuf>), TrainError> {
        let (experiment, outcome) = RunFolder::outcome(&path)?;
        let file = path.join(MODEL_FILE);
        let landmarks = experiment.images.landmarks.as_deref();
        let missing = landmarks.filter(|file| !file.exists());
        let missing = missing.map(Path::to_owned);
        let model = (missing.is_none() && file.exists())
            .then(|| Embedder::open(&file, landmarks, &device.open()?));
        let run = Run::new(&experiment, outcome);
        let summary = match &run.outcome.data {
            Some(summary) => summary.clone(),
            // Recorded by an older version.
            None => DataSummary::new(&load_data(&experiment)?),
        };
        let command = format!("lsoftmax.Outcome.load({:?})", path.to_string_lossy());
        let report = Report::of_run(command, &experiment, &run, &summary, None);
        let page = published(&report, None)?;
        let finished = Finished {
            page,
            path: Some(path.clone()),
            model: model.transpose()?,
            experiment,
            run,
        };
        Ok((finished, missing))
    };
    let (finished, missing) = detached(py, load)?.map_err(|error| exception(&error))?;
    Ok((finished.into_python()?, missing))
}
