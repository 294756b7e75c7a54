//! The training loop.

mod average;
mod evaluation;
mod recovery;
mod steps;

#[cfg(feature = "_gpu")]
use crate::batches::Resident;
use crate::checkpoint::{Checkpoint, Snapshot, TrainingState};
use crate::error::TrainError;
use crate::learner::{Learner, StepNumbers};
use crate::memory::check_fit;
use crate::model::Model;
use crate::network::Network;
use crate::observer::{Observer, Saved, Trained};
use crate::open_set::check_open_set;
use crate::watch::{Trouble, Watch};
use burn::tensor::Device;
use lsoftmax_data::{Dataset, Draws, Split};
use lsoftmax_networks::{Backbone, Precision, is_graphics, trains_in};
use lsoftmax_record::{DataSummary, Experiment, ModelInfo, NetworkKind};
use std::path::PathBuf;

/// Number of test images whose 2-D features are stored at every evaluation.
const FRAME_POINTS: usize = 1_500;

/// Trains a model from scratch.
///
/// All random numbers depend only on the seed, the epoch and the index: the same experiment with
/// the same number of threads gives the same bits.
///
/// # Errors
/// The experiment does not suit the data, or the observer returned an error.
pub fn train(
    experiment: &Experiment,
    split: &Split,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Trained, TrainError> {
    train_network(experiment, split, device, observer)
}

/// [`train`] with a custom network, which implements [`Network`]. The experiment must contain the
/// network's [`kind`](Network::kind).
///
/// # Errors
/// The same as for [`train`]; also if the experiment has another network, or if the module breaks
/// the contract of [`Network`].
pub fn train_network<N: Network>(
    experiment: &Experiment,
    split: &Split,
    device: &Device,
    observer: &mut dyn Observer,
) -> Result<Trained<N>, TrainError> {
    Training::new(experiment, split, device)?.run(observer)
}

/// Checks everything about an experiment and its data that can be checked before the first step.
///
/// # Errors
/// The same as for [`train`].
pub fn check(experiment: &Experiment, split: &Split, device: &Device) -> Result<(), TrainError> {
    check_network::<Backbone>(experiment, split, device)
}

/// [`check`] with a custom network.
///
/// # Errors
/// The same as for [`train_network`].
pub fn check_network<N: Network>(
    experiment: &Experiment,
    split: &Split,
    device: &Device,
) -> Result<(), TrainError> {
    let training = Training::<N>::new(experiment, split, device)?;
    Draws::new(training.plan())?;
    Ok(())
}

/// Resumes a training from a checkpoint, to the same bits as without the interruption.
///
/// # Errors
/// The checkpoint's model does not match the experiment. Otherwise the same as for [`train`].
pub fn resume(
    experiment: &Experiment,
    split: &Split,
    device: &Device,
    saved: Saved,
    observer: &mut dyn Observer,
) -> Result<Trained, TrainError> {
    resume_network(experiment, split, device, saved, observer)
}

/// [`resume`] with a custom network.
///
/// # Errors
/// The same as for [`resume`] and [`train_network`].
pub fn resume_network<N: Network>(
    experiment: &Experiment,
    split: &Split,
    device: &Device,
    saved: Saved,
    observer: &mut dyn Observer,
) -> Result<Trained<N>, TrainError> {
    let mut training = Training::new(experiment, split, device)?;
    training.check(&saved.last)?;
    let good = saved.last.good_step();
    training.good = saved
        .good
        .or_else(|| (good == Some(saved.last.step())).then(|| saved.last.clone()));
    training.best = saved.best;
    training.restore(saved.last)?;
    training.run(observer)
}

/// Checks that a device can train in a precision.
///
/// # Errors
/// The device does not support it.
pub fn check_precision(precision: Precision, device: &Device) -> Result<(), TrainError> {
    if trains_in(device, precision) {
        return Ok(());
    }
    let expected = if is_graphics(device) {
        "one that the device computes in, such as f32"
    } else {
        "f32 on the CPU; for others name a graphics processor with --device"
    };
    Err(TrainError::setting("precision", expected, precision.name()))
}

/// A training in progress.
struct Training<'a, N: Network> {
    experiment: &'a Experiment,
    train: Dataset,
    held_out: Option<Dataset>,
    test: &'a Dataset,
    open_set: Option<&'a Dataset>,
    split: &'a Split,
    frame: Option<Dataset>,
    device: Device,
    /// The training images, if they are kept on the device.
    #[cfg(feature = "_gpu")]
    resident: Option<Resident>,
    learner: Option<Learner<N>>,
    /// The averaged weights at the last evaluation.
    averaged: Option<Model<N>>,
    /// Figures of the last steps, not yet read from the device.
    unread: Vec<StepNumbers>,
    /// Number of training images of each class.
    class_counts: Vec<usize>,
    info: ModelInfo,
    state: TrainingState,
    good: Option<Checkpoint>,
    best: Option<Snapshot>,
    watch: Watch,
    summary: DataSummary,
}

/// The reason why a run of steps ended.
enum End {
    Done,
    Diverged(Trouble),
    Stopped,
}

impl<'a, N: Network> Training<'a, N> {
    fn new(
        experiment: &'a Experiment,
        split: &'a Split,
        device: &Device,
    ) -> Result<Self, TrainError> {
        check_own_precision(experiment)?;
        check_precision(experiment.precision, device)?;
        if let Some(open_set) = &split.open_set {
            check_open_set(open_set)?;
        }
        check_fit(experiment, split, device)?;
        let (train, held_out) = hold_out(experiment, split)?;
        let info = model_info(experiment, &train);
        let margin = experiment.loss.margin().map_err(lsoftmax::Error::from)?;
        let mut training = Self {
            experiment,
            class_counts: train.class_counts(),
            train,
            held_out,
            test: &split.test,
            open_set: split.open_set.as_ref(),
            split,
            frame: (experiment.network.feature() == 2).then(|| split.test.subset(FRAME_POINTS)),
            device: device.clone().autodiff(),
            #[cfg(feature = "_gpu")]
            resident: None,
            learner: None,
            averaged: None,
            unread: Vec::new(),
            watch: Watch {
                classes: info.class_names.len(),
                iterations: experiment.iterations,
                normalisation: margin.normalisation(),
                distances: experiment.pairs.is_some_and(|pairs| pairs.alone),
            },
            state: TrainingState {
                experiment: experiment.to_toml()?,
                threads: rayon::current_num_threads(),
                ..TrainingState::default()
            },
            summary: DataSummary::new(split),
            info,
            good: None,
            best: None,
        };
        training.start_over()?;
        Ok(training)
    }

    /// Starts again with fresh weights.
    fn start_over(&mut self) -> Result<(), TrainError> {
        let model = Model::init(&self.info, self.experiment.seed, &self.device)?;
        self.learner = Some(self.learner_of(model)?);
        Ok(())
    }

    fn learner_of(&self, mut model: Model<N>) -> Result<Learner<N>, TrainError> {
        let experiment = self.experiment;
        model.head = (model.head)
            .with_class_counts(&self.class_counts)?
            .with_label_smoothing(experiment.label_smoothing)?;
        Learner::new(model, experiment.optimiser)
            .with_precision(experiment.precision)
            .with_pairs(experiment.pairs)
    }

    fn learner(&self) -> &Learner<N> {
        self.learner
            .as_ref()
            .expect("there always is one between steps")
    }

    /// Checks that a checkpoint can be resumed with these data.
    fn check(&self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        let (ours, theirs) = (&self.info, &checkpoint.snapshot.info);
        let fits = ours.image == theirs.image
            && ours.class_names == theirs.class_names
            && ours.preprocessing == theirs.preprocessing
            && ours.network == theirs.network
            && ours.loss == theirs.loss
            && ours.pairs == theirs.pairs
            && ours.mirrored == theirs.mirrored
            && ours.images == theirs.images;
        let path = path_of(checkpoint);
        if fits {
            // The parameters of a network row were checked when it was read.
            return match ours.network {
                NetworkKind::Row(_) => Ok(()),
                NetworkKind::Own(_) => checkpoint.check_network::<N>(&path),
            };
        }
        Err(TrainError::Foreign {
            path,
            message: "it was trained on other data or with another network".into(),
        })
    }

    /// The share of the current weights in their average after a step.
    fn share(&self, step: u64) -> Option<f64> {
        let averaging = self.experiment.averaging?;
        averaging.share(step, self.experiment.iterations)
    }

    /// Restores the model, the optimiser and the state of a checkpoint.
    fn restore(&mut self, checkpoint: Checkpoint) -> Result<(), TrainError> {
        let path = path_of(&checkpoint);
        let method = checkpoint.optimiser(&path)?.method;
        let own = self.experiment.optimiser.method;
        if method.name() != own.name() {
            let (own, found) = (own.name(), method.name());
            let message = format!("optimizer {own} expected, {found} found");
            return Err(TrainError::Checkpoint { path, message });
        }
        let (model, info) = checkpoint.snapshot.network_model(&self.device)?;
        let average = checkpoint.snapshot.averaged(&path, &self.device)?;
        let last = checkpoint.step().checked_sub(1);
        let is_averaged = last.and_then(|step| self.share(step)).is_some();
        if average.is_some() != is_averaged {
            let has = if is_averaged { "no" } else { "an" };
            return Err(TrainError::Checkpoint {
                path,
                message: format!("it has {has} average of the weights, unlike its experiment"),
            });
        }
        self.averaged = None;
        self.info = info;
        let learner = self
            .learner_of(model)?
            .with_centers(&checkpoint.snapshot.file)?
            .with_average(average.as_ref());
        self.learner = Some(learner.with_optimiser_state(checkpoint.optimiser)?);
        self.state = checkpoint.state;
        Ok(())
    }

    fn checkpoint(&self) -> Result<Checkpoint, TrainError> {
        Ok(Checkpoint {
            snapshot: self.snapshot()?,
            optimiser: self.learner().optimiser_state()?,
            state: self.state.clone(),
        })
    }

    fn snapshot(&self) -> Result<Snapshot, TrainError> {
        Ok(Snapshot {
            file: self.learner().to_file(&self.info)?,
            info: self.info.clone(),
        })
    }

    fn run(mut self, observer: &mut dyn Observer) -> Result<Trained<N>, TrainError> {
        let divergence = loop {
            match self.stretch(observer) {
                Ok(End::Done) => break None,
                Ok(End::Stopped) | Err(TrainError::Stopped) => {
                    observer.checkpoint(&self.checkpoint()?)?;
                    return Err(self.interrupted());
                }
                Err(error) => return Err(error),
                Ok(End::Diverged(trouble)) => {
                    if !self.recover(&trouble, observer)? {
                        break Some(trouble.divergence);
                    }
                }
            }
        };
        self.finish(divergence, observer)
    }

    fn interrupted(&self) -> TrainError {
        TrainError::Interrupted {
            step: self.state.step,
            iterations: self.experiment.iterations,
        }
    }
}

/// Checks that a user's own network trains in f32.
fn check_own_precision(experiment: &Experiment) -> Result<(), TrainError> {
    let precision = experiment.precision;
    match &experiment.network {
        NetworkKind::Own(own) if precision != Precision::F32 => {
            let expected = format!("f32 for the network {:?}", own.module);
            Err(TrainError::setting("precision", expected, precision.name()))
        }
        _ => Ok(()),
    }
}

/// The training images, and the held-out ones that choose the best checkpoint.
fn hold_out(
    experiment: &Experiment,
    split: &Split,
) -> Result<(Dataset, Option<Dataset>), TrainError> {
    let data = &split.train;
    match (experiment.held_out, &split.held_out) {
        (_, Some(held_out)) => Ok((data.clone(), Some(held_out.clone()))),
        (0, None) => Ok((data.clone(), None)),
        (count, None) => {
            let (train, held_out) = data.hold_out(count, experiment.data_seed)?;
            Ok((train, Some(held_out)))
        }
    }
}

fn model_info(experiment: &Experiment, train: &Dataset) -> ModelInfo {
    let mut info = ModelInfo::new(
        experiment.network.clone(),
        [train.channels, train.height, train.width],
        train.class_names.clone(),
        train.preprocessing(),
        experiment.loss,
        experiment.annealing.clone(),
    );
    info.pairs = experiment.pairs;
    info.mirrored = experiment.mirrored;
    info.images = experiment.images.rules;
    info
}

/// How errors refer to a checkpoint.
fn path_of(checkpoint: &Checkpoint) -> PathBuf {
    format!("of step {}", checkpoint.step()).into()
}
