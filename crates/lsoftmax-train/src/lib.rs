//! The training of margin losses: networks as rows of data, experiment files, the loop,
//! evaluation, model files and run folders.
//!
//! ```no_run
//! # use lsoftmax_train::{Experiment, Settings, load_data, train};
//! # fn main() -> Result<(), lsoftmax_train::TrainError> {
//! let settings = Settings { iterations: Some(600), ..Settings::default() };
//! let experiment = Experiment::resolve(settings, Settings::default())?;
//! let split = load_data(&experiment)?;
//! let device = burn::tensor::Device::flex();
//! let trained = train(&experiment, &split, &device, &mut ())?;
//! println!("{:.2} % wrong", trained.evaluation.error_percent);
//! # Ok(())
//! # }
//! ```

mod error;
mod evaluation;
mod experiment;
mod learner;
mod model;
mod network;
mod ops;
mod run_folder;
mod settings;
mod streams;
mod training;

pub use error::TrainError;
pub use evaluation::{Evaluation, evaluate};
pub use experiment::{Experiment, LOSSES, SCHEDULES, loss_of, nearest, read_settings};
pub use learner::{Forward, Learner};
pub use model::{Model, ModelInfo};
pub use network::{Backbone, Block, Feature, NetworkSpec, SpecError, Stage, pooled_size};
pub use run_folder::{
    EVALUATION_FILE, EXPERIMENT_FILE, METRICS_FILE, MODEL_FILE, REPORT_FILE, RunFolder,
    create_new_folder,
};
pub use settings::{NetworkChoice, Settings, parse_stage};
pub use training::{Divergence, Observer, Progress, Trained, train};

use lsoftmax_data::{DataSource, SourceOptions, Split};

/// The data of an experiment.
///
/// # Errors
/// An unknown name, files missing or damaged.
pub fn load_data(experiment: &Experiment) -> Result<Split, TrainError> {
    let options = SourceOptions {
        dir: experiment.data_dir.clone(),
        seed: experiment.data_seed,
        train_samples: experiment.train_samples,
        test_samples: experiment.test_samples,
    };
    Ok(DataSource::parse(&experiment.data)?.load(&options)?)
}
