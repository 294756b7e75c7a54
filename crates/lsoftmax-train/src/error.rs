use lsoftmax_data::shell::quoted_path;
use lsoftmax_networks::{DeviceError, SpecError};
use lsoftmax_record::RecordError;
use std::path::PathBuf;

/// An error between reading an experiment file and returning a trained model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A file that cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// The action that failed, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The run folder already exists.
    #[error("the run folder {0} exists already; name another with --out, or remove it")]
    RunExists(PathBuf),
    /// The file is not a model of this program.
    #[error("{path} is not a model of lsoftmax: {message}")]
    Model {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// The file is not a gallery of this program.
    #[error("{path} is not a gallery of lsoftmax: {message}")]
    Gallery {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// An approximate index could not be built or opened.
    #[error("the gallery's approximate index: {message}; --exact searches without it")]
    Index {
        /// The reason.
        message: String,
    },
    /// The gallery and the model do not belong together.
    #[error(
        "the gallery was made by another model ({gallery:.12}...) than this one ({model:.12}...): \
         rebuild it with `lsoftmax index`"
    )]
    OtherModel {
        /// The embedding digest of the gallery's model.
        gallery: String,
        /// The embedding digest of the given model.
        model: String,
    },
    /// The checkpoint is damaged, so the run cannot be resumed from it.
    #[error("the checkpoint {path} is damaged: {message}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// The checkpoint belongs to another experiment.
    #[error("the checkpoint {path} is of another experiment: {message}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The difference.
        message: String,
    },
    /// The checkpoint cannot be resumed, but there is an earlier one.
    #[error(
        "{error}; resume from the one before it with --resume {}",
        quoted_path(before)
    )]
    Before {
        /// The error of the newer checkpoint.
        error: Box<TrainError>,
        /// The path of the earlier checkpoint.
        before: PathBuf,
    },
    /// The images are not those that the run recorded.
    #[error(
        "{}: not the images that the run {} recorded: {changes}; {hint}", path.display(), run.display()
    )]
    ImagesChanged {
        /// The folder or list of the images.
        path: PathBuf,
        /// The run folder.
        run: PathBuf,
        /// The differences: their number and the first of each kind.
        changes: String,
        /// How to fix it.
        hint: &'static str,
    },
    /// The images contain a class that the model does not know.
    #[error("{}: {error} (use --open-set for images of classes that were not trained on)", path.display())]
    OtherClasses {
        /// The folder or list of the images.
        path: PathBuf,
        /// The error that names the class.
        error: lsoftmax_data::DataError,
    },
    /// The file name of an image is not UTF-8, so it cannot be written to a table.
    #[error("the name of {0} is not UTF-8, as image names must be: rename it")]
    ImageName(String),
    /// The path to resume from is not a run.
    #[error("{} is neither a run nor a checkpoint of one", .0.display())]
    NoRun(PathBuf),
    /// Another process is writing to the run folder.
    #[error("the run {} is being trained by another process", .0.display())]
    Running(PathBuf),
    /// The run is already finished.
    #[error("the run {} is finished; there is nothing to resume", .0.display())]
    Finished(PathBuf),
    /// The run is not finished, so it has no results yet.
    #[error(
        "the run {} is not finished: resume it first with `lsoftmax train --resume {}`",
        .0.display(),
        quoted_path(.0)
    )]
    NotFinished(PathBuf),
    /// The training was stopped on request.
    #[error("stopped after step {step} of {iterations}")]
    Interrupted {
        /// Number of completed steps, all of them saved.
        step: u64,
        /// Number of steps of the whole training.
        iterations: u64,
    },
    /// An evaluation was stopped on request.
    #[error("stopped during the evaluation")]
    Stopped,
    /// The device is unknown or unavailable.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The network does not suit the images.
    #[error(transparent)]
    Network(#[from] SpecError),
    /// A custom network cannot be built.
    #[error("the network {network:?}: {message}")]
    OwnNetwork {
        /// The name of the network.
        network: &'static str,
        /// The reason.
        message: String,
    },
    /// The experiment or the model has another network than the program.
    #[error("the network is {found:?}, and this program expects {expected:?}")]
    OtherNetwork {
        /// The network of the program.
        expected: &'static str,
        /// The network of the experiment or the model.
        found: String,
    },
    /// The output of a network does not match the feature size that it declares.
    #[error(
        "the network {network:?} gives features {found:?} for one image, and its feature size is \
         {expected}: [1, {expected}] expected"
    )]
    FeatureSize {
        /// The name of the network.
        network: String,
        /// The declared feature size.
        expected: usize,
        /// The shape of its output.
        found: [usize; 2],
    },
    /// An error in an experiment or its file.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The open set is too small to be evaluated.
    #[error(
        "the open set has {classes} classes, {with_two_images} of them with two images or more: its \
         figures need 4 classes, 2 of them with two images or more; name a larger one with --open-set"
    )]
    OpenSet {
        /// Number of its classes that have images.
        classes: usize,
        /// Number of its classes that have two images or more.
        with_two_images: usize,
    },
    /// An error of the loss, its schedule, or a batch.
    #[error(transparent)]
    Head(#[from] lsoftmax::Error),
    /// An error of the data.
    #[error(transparent)]
    Data(#[from] lsoftmax_data::DataError),
    /// An error of the metrics.
    #[error(transparent)]
    Metrics(#[from] lsoftmax_metrics::Error),
}

impl TrainError {
    /// Creates an error for a failed action on a file.
    pub fn file(action: &'static str, path: impl Into<PathBuf>, source: std::io::Error) -> Self {
        Self::File {
            action,
            path: path.into(),
            source,
        }
    }

    pub(crate) fn setting(
        name: &'static str,
        expected: impl Into<String>,
        found: impl std::fmt::Display,
    ) -> Self {
        RecordError::setting(name, expected, found).into()
    }
}
