use lsoftmax_data::shell::quoted_path;
use lsoftmax_networks::{DeviceError, SpecError};
use lsoftmax_record::RecordError;
use std::path::PathBuf;

/// What can go wrong between an experiment file and a trained model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A file that cannot be read or written.
    #[error("cannot {action} {path}: {source}")]
    File {
        /// What was being done.
        action: &'static str,
        /// To which file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A run folder that exists already.
    #[error("the run folder {0} exists already; name another with --out, or remove it")]
    RunExists(PathBuf),
    /// A file that is no model of this program.
    #[error("{path} is not a model of lsoftmax: {message}")]
    Model {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// A file that is no gallery of this program.
    #[error("{path} is not a gallery of lsoftmax: {message}")]
    Gallery {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// An approximate index that could not be built or opened.
    #[error("the gallery's approximate index: {message}; --exact searches without it")]
    Index {
        /// What happened.
        message: String,
    },
    /// A gallery and a model that do not belong together.
    #[error(
        "the gallery was made by another model ({gallery:.12}...) than this one ({model:.12}...): \
         make it anew with `lsoftmax index`"
    )]
    OtherModel {
        /// The digest of the gallery's model.
        gallery: String,
        /// That of the model at hand.
        model: String,
    },
    /// A checkpoint that cannot be gone on from.
    #[error("the checkpoint {path} is damaged: {message}")]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What was expected and found.
        message: String,
    },
    /// A checkpoint that belongs to something else.
    #[error("the checkpoint {path} is of another experiment: {message}")]
    Foreign {
        /// The file.
        path: PathBuf,
        /// The difference.
        message: String,
    },
    /// A checkpoint that cannot be gone on from, with one before it.
    #[error(
        "{error}; go on from the one before it with --resume {}",
        quoted_path(before)
    )]
    Before {
        /// What is wrong with the last.
        error: Box<TrainError>,
        /// The checkpoint before it.
        before: PathBuf,
    },
    /// Images that are not those of a run.
    #[error(
        "{}: not the images that the run {} recorded: {changes}; {hint}", path.display(), run.display()
    )]
    ImagesChanged {
        /// The folder or list of the images.
        path: PathBuf,
        /// The run.
        run: PathBuf,
        /// What differs, how often, and the first of each kind.
        changes: String,
        /// How to mend it.
        hint: &'static str,
    },
    /// Images of classes that a model does not know.
    #[error("{}: {error} (images of classes that were not trained on are for --open-set)", path.display())]
    OtherClasses {
        /// The folder or list of the images.
        path: PathBuf,
        /// Which class.
        error: lsoftmax_data::DataError,
    },
    /// An image whose name cannot be written to a table.
    #[error("the name of {0} is not UTF-8, as that of an image has to be: rename it")]
    ImageName(String),
    /// What is to be gone on with is no run.
    #[error("{} is neither a run nor a checkpoint of one", .0.display())]
    NoRun(PathBuf),
    /// Somebody else writes to the folder.
    #[error("the run {} is being trained by another process", .0.display())]
    Running(PathBuf),
    /// A run that needs no going on.
    #[error("the run {} is finished: there is nothing to go on with", .0.display())]
    Finished(PathBuf),
    /// A run without figures, which come at its end.
    #[error(
        "the run {} is not finished: go on with it first, with `lsoftmax train --resume {}`",
        .0.display(),
        quoted_path(.0)
    )]
    NotFinished(PathBuf),
    /// Somebody asked the training to stop.
    #[error("stopped after step {step} of {iterations}")]
    Interrupted {
        /// Steps done, all of them saved.
        step: u64,
        /// Steps of the whole training.
        iterations: u64,
    },
    /// Somebody asked an evaluation to stop.
    #[error("stopped during the evaluation")]
    Stopped,
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The network does not suit the images.
    #[error(transparent)]
    Network(#[from] SpecError),
    /// A network of a program's own that cannot be built.
    #[error("the network {network:?}: {message}")]
    OwnNetwork {
        /// The network.
        network: &'static str,
        /// Why.
        message: String,
    },
    /// An experiment or a model of another network than the program's.
    #[error("the network is {found:?}, and this program expects {expected:?}")]
    OtherNetwork {
        /// The network of the program.
        expected: &'static str,
        /// That of the experiment or the model.
        found: String,
    },
    /// A network whose features are not what it says.
    #[error(
        "the network {network:?} gives features {found:?} for one image, and its feature size is \
         {expected}: [1, {expected}] expected"
    )]
    FeatureSize {
        /// The network.
        network: String,
        /// Its feature size.
        expected: usize,
        /// The shape of its output.
        found: [usize; 2],
    },
    /// An experiment, or a file of one.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An open set that is too small for its figures.
    #[error(
        "the open set has {classes} classes, {with_two_images} of them with two images or more: its \
         figures need 4 classes, 2 of them with two images or more; name a larger one with --open-set"
    )]
    OpenSet {
        /// Its classes that have images.
        classes: usize,
        /// Those of them that have two or more.
        with_two_images: usize,
    },
    /// The loss, its schedule, or a batch.
    #[error(transparent)]
    Head(#[from] lsoftmax::Error),
    /// The data.
    #[error(transparent)]
    Data(#[from] lsoftmax_data::DataError),
    /// The metrics.
    #[error(transparent)]
    Metrics(#[from] lsoftmax_metrics::Error),
}

impl TrainError {
    /// An action on a file that failed.
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
