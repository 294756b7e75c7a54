//! Training of networks with margin losses: the training loop, evaluation, model files and run
//! folders.
//!
//! ```no_run
//! # use lsoftmax_train::{Experiment, Settings, load_data, train};
//! # fn main() -> Result<(), lsoftmax_train::TrainError> {
//! let settings = Settings { iterations: Some(600), ..Settings::default() };
//! let experiment = Experiment::resolve(settings, Settings::default())?;
//! let split = load_data(&experiment)?;
//! let device = burn::tensor::Device::flex();
//! let trained = train(&experiment, &split, &device, &mut ())?;
//! println!("{:.2} % wrong", trained.outcome.evaluation.error_percent);
//! # Ok(())
//! # }
//! ```

#[cfg(doctest)]
#[doc = include_str!("../../../docs/guide/own-network.md")]
struct Guide;

mod answers;
mod average;
mod batches;
mod checkpoint;
mod embedder;
mod error;
mod evaluation;
mod gallery;
mod generator;
mod image_options;
mod learner;
mod memory;
mod model;
mod network;
mod objective;
mod observer;
mod open_set;
mod optimiser;
mod recorded;
mod run_folder;
mod sgd;
mod stop;
mod tensor_file;
mod tensorboard;
mod test_images;
mod training;
mod watch;
mod window;

pub use answers::Answers;
pub use batches::TrainBatch;
pub use checkpoint::{Checkpoint, Snapshot};
pub use embedder::{Embedded, Embedder, Picture, Predictions, ScoreKind, model_file};
pub use error::TrainError;
pub use evaluation::{embeddings, evaluate};
#[cfg(feature = "usearch")]
pub use gallery::ApproximateSearch;
pub use gallery::{Gallery, Hit, INDEX_FROM, IndexPart};
pub use learner::{Forward, Learner, StepNumbers, TargetNumbers};
pub use lsoftmax_networks::{Backbone, DeviceChoice, DeviceError, Precision};
pub use lsoftmax_record as record;
pub use lsoftmax_record::{
    Decision, Divergence, Evaluation, Experiment, ModelInfo, OpenSetEvaluation, Outcome, Progress,
    REPORT_FILE, Settings,
};
pub use lsoftmax_spec::{Averaging, Method, Optimiser};
pub use memory::check_fit;
pub use model::{Model, NamedTensor};
pub use network::Network;
pub use observer::{Observer, Saved, Trained};
pub use open_set::{check_open_set, evaluate_open_set, worst_mistakes};
pub use recorded::train_recorded;
pub use run_folder::{
    BEST_FILE, CHECKPOINTS, EVALUATION_FILE, EXPERIMENT_FILE, IMAGES_FILE, METRICS_FILE,
    MODEL_FILE, OUTCOME_FILE, RUN_FILES, RunFolder, check_images, create_new_folder, is_free,
    recorded_settings,
};
pub use tensorboard::EVENTS_FILE;
pub use test_images::{
    Evaluated, OtherImages, TestImages, images_beside, run_beside, run_images, test_images,
};
pub use training::{
    check, check_network, check_precision, resume, resume_network, train, train_network,
};

use lsoftmax_data::{DataSource, SourceOptions, Split};

/// Loads the data of an experiment.
///
/// # Errors
/// The data set is unknown, or its files are missing or damaged. Also if images are to be held out
/// although the data has its own validation part, or if an open set is too small to be evaluated.
pub fn load_data(experiment: &Experiment) -> Result<Split, TrainError> {
    let root = experiment.data_dir.clone().unwrap_or_default();
    let options = SourceOptions {
        dir: experiment.data_dir.clone(),
        seed: experiment.data_seed,
        train_samples: experiment.train_samples,
        test_samples: experiment.test_samples,
        test_share: experiment.images.test_share,
        open_set: experiment.open_set.clone(),
        open_set_same_names: experiment.open_set_same_names,
        exclude: experiment.images.exclude.clone(),
        class_folders: experiment.images.class_folders,
        images: image_options::image_options(&experiment.images, &root)?,
    };
    let split = DataSource::parse(&experiment.data)?.load(&options)?;
    if let (Some(held_out), 1..) = (&split.held_out, experiment.held_out) {
        let count = held_out.len();
        let expected = format!("left out, as the data has {count} images to choose a model by");
        return Err(TrainError::setting(
            "held-out",
            expected,
            experiment.held_out,
        ));
    }
    if let Some(open_set) = &split.open_set {
        check_open_set(open_set)?;
    }
    Ok(split)
}
