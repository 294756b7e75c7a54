//! How the weights move: the learning rate, the optimiser, the average.

use crate::error::RecordError;
use crate::range::in_range;
use crate::settings::Settings;
use lsoftmax_spec::annealing::PAPER_ITERATIONS;
use lsoftmax_spec::{Averaging, Method, Optimiser, ParameterGroup, RateSchedule, RateShape};

/// The milestones of the paper's training.
const PAPER_MILESTONES: [u64; 2] = [12_000, 15_000];
/// The optimiser of a training that names none.
const DEFAULT: &str = Method::NAMES[0];
/// Learning rate and weight decay, unless set: the paper's, and PyTorch's.
const SGD_RATE: f64 = 0.1;
const SGD_DECAY: f64 = 5e-4;
const ADAMW_RATE: f64 = 1e-3;
const ADAMW_DECAY: f64 = 1e-2;

/// The learning rate. Steps of the file or the paper are stretched to this length, those of flags are
/// not.
pub(crate) fn rates(
    flags: &Settings,
    file: &Settings,
    written_for: u64,
    iterations: u64,
) -> Result<RateSchedule, RecordError> {
    let stretch = |step: u64, from: u64| {
        let share = step as f64 / from as f64;
        (share * iterations as f64).round() as u64
    };
    let stretched = |milestones: &[u64], from: u64| -> Vec<u64> {
        milestones.iter().map(|&step| stretch(step, from)).collect()
    };
    let milestones = match (&flags.milestones, &file.milestones) {
        (Some(milestones), _) => milestones.clone(),
        (None, Some(milestones)) => stretched(milestones, written_for),
        (None, None) => stretched(&PAPER_MILESTONES, PAPER_ITERATIONS),
    };
    let of_file = file.warmup.map(|steps| stretch(steps, written_for));
    let warmup = flags.warmup.or(of_file).unwrap_or(0);
    let name = flags
        .rate_schedule
        .as_deref()
        .or(file.rate_schedule.as_deref());
    let shape: RateShape = name.map_or(Ok(RateShape::default()), str::parse)?;
    if warmup > 0 && shape.rises() {
        let expected = format!(
            "0 for {}, which starts with a rise of its own",
            shape.name()
        );
        return Err(RecordError::setting("warmup", expected, warmup));
    }
    let default = match method_of(&flags.clone().or(file.clone()))? {
        Method::Sgd { .. } => SGD_RATE,
        Method::AdamW { .. } => ADAMW_RATE,
    };
    let rate = flags
        .learning_rate
        .or(file.learning_rate)
        .unwrap_or(default);
    Ok(RateSchedule {
        rate: in_range("learning-rate", rate, 0.0..=1e3)?,
        shape,
        warmup: in_range("warmup", warmup, 0.0..=iterations as f64)?,
        milestones,
    })
}

/// The numbers of a file suit its own optimiser. A flag for another leaves them out.
pub(crate) fn suited(flags: &Settings, file: Settings) -> Settings {
    let other = match (&flags.optimizer, &file.optimizer) {
        (Some(flag), Some(file)) => flag != file,
        (Some(flag), None) => flag != DEFAULT,
        (None, _) => false,
    };
    if !other {
        return file;
    }
    Settings {
        learning_rate: None,
        weight_decay: None,
        head_decay: None,
        norm_decay: None,
        momentum: None,
        nesterov: None,
        beta1: None,
        beta2: None,
        epsilon: None,
        ..file
    }
}

fn method_of(settings: &Settings) -> Result<Method, RecordError> {
    let name = settings.optimizer.as_deref().unwrap_or(DEFAULT);
    Ok(Method::with_defaults(name)?)
}

impl Settings {
    /// The optimiser of these settings.
    ///
    /// # Errors
    /// A number that is out of range, or of another optimiser.
    pub fn optimiser(&self) -> Result<Optimiser, RecordError> {
        let method = method(self)?;
        if let Some(norm) = self.clip_norm.filter(|&norm| norm <= 0.0) {
            return Err(RecordError::setting("clip-norm", "above 0", norm));
        }
        let decay = match method {
            Method::Sgd { .. } => SGD_DECAY,
            Method::AdamW { .. } => ADAMW_DECAY,
        };
        let decay = self.weight_decay.unwrap_or(decay);
        let group = |[rate_name, decay_name]: [&'static str; 2], rate: Option<f64>, decay| {
            Ok::<_, RecordError>(ParameterGroup {
                rate: in_range(rate_name, rate.unwrap_or(1.0), 0.0..=1e3)?,
                decay: in_range(decay_name, decay, 0.0..=1.0)?,
            })
        };
        let Settings {
            backbone_rate,
            norm_rate,
            norm_decay,
            head_rate,
            head_decay,
            ..
        } = *self;
        Ok(Optimiser {
            method,
            clip_norm: self.clip_norm,
            backbone: group(["backbone-rate", "weight-decay"], backbone_rate, decay)?,
            norms: group(
                ["norm-rate", "norm-decay"],
                norm_rate,
                norm_decay.unwrap_or(0.0),
            )?,
            head: group(
                ["head-rate", "head-decay"],
                head_rate,
                head_decay.unwrap_or(decay),
            )?,
        })
    }
}

/// The method with its numbers. Those of another are an error.
fn method(settings: &Settings) -> Result<Method, RecordError> {
    let numbers = [
        ("momentum", settings.momentum),
        ("nesterov", settings.nesterov.map(f64::from)),
        ("beta1", settings.beta1),
        ("beta2", settings.beta2),
        ("epsilon", settings.epsilon),
    ];
    let method = method_of(settings)?;
    let (own, others) = match method {
        Method::Sgd { .. } => (&numbers[..2], &numbers[2..]),
        Method::AdamW { .. } => (&numbers[2..], &numbers[..2]),
    };
    for (name, number) in others {
        if let Some(found) = number {
            let expected = format!("left out for the optimizer {}", method.name());
            return Err(RecordError::setting(name, expected, found));
        }
    }
    let number = |at: usize, default: f64, range| {
        let (name, number): (_, Option<f64>) = own[at];
        in_range(name, number.unwrap_or(default), range)
    };
    Ok(match method {
        Method::Sgd { momentum, .. } => {
            let momentum = number(0, momentum, 0.0..=0.9999)?;
            let nesterov = settings.nesterov.unwrap_or(false);
            if nesterov && momentum == 0.0 {
                let expected = "above 0 for nesterov";
                return Err(RecordError::setting("momentum", expected, momentum));
            }
            Method::Sgd { momentum, nesterov }
        }
        Method::AdamW {
            beta1,
            beta2,
            epsilon,
        } => Method::AdamW {
            beta1: number(0, beta1, 0.0..=0.99999)?,
            beta2: number(1, beta2, 0.0..=0.99999)?,
            epsilon: number(2, epsilon, 1e-16..=1.0)?,
        },
    })
}

/// The average of the weights.
pub(crate) fn averaging(settings: &Settings) -> Result<Option<Averaging>, RecordError> {
    let Some(decay) = settings.ema_decay else {
        return match settings.ema_start {
            None => Ok(None),
            Some(start) => Err(RecordError::setting(
                "ema-start",
                "left out without ema-decay",
                start,
            )),
        };
    };
    if !(decay > 0.0 && decay <= 1.0) {
        return Err(RecordError::setting(
            "ema-decay",
            "above 0 and at most 1",
            decay,
        ));
    }
    let start = settings.ema_start.unwrap_or(0.0);
    if !(0.0..1.0).contains(&start) {
        return Err(RecordError::setting(
            "ema-start",
            "from 0 and below 1",
            start,
        ));
    }
    Ok(Some(Averaging { decay, start }))
}

/// The settings of a learning rate, an optimiser and an average.
pub(crate) fn write(
    rates: &RateSchedule,
    optimiser: &Optimiser,
    averaging: Option<Averaging>,
    settings: &mut Settings,
) {
    settings.learning_rate = Some(rates.rate);
    settings.rate_schedule =
        (rates.shape != RateShape::default()).then(|| rates.shape.name().into());
    settings.warmup = Some(rates.warmup).filter(|&steps| steps > 0);
    settings.milestones = Some(rates.milestones.clone());
    match optimiser.method {
        Method::Sgd { momentum, nesterov } => {
            settings.momentum = Some(momentum);
            settings.nesterov = nesterov.then_some(true);
        }
        Method::AdamW {
            beta1,
            beta2,
            epsilon,
        } => {
            settings.optimizer = Some(optimiser.method.name().to_owned());
            settings.beta1 = Some(beta1);
            settings.beta2 = Some(beta2);
            settings.epsilon = Some(epsilon);
        }
    }
    let Optimiser {
        backbone,
        norms,
        head,
        ..
    } = optimiser;
    settings.clip_norm = optimiser.clip_norm;
    settings.weight_decay = Some(backbone.decay);
    settings.head_decay = Some(head.decay).filter(|&decay| decay != backbone.decay);
    settings.norm_decay = Some(norms.decay).filter(|&decay| decay > 0.0);
    let factor = |group: &ParameterGroup| Some(group.rate).filter(|&rate| rate != 1.0);
    settings.backbone_rate = factor(backbone);
    settings.norm_rate = factor(norms);
    settings.head_rate = factor(head);
    settings.ema_decay = averaging.map(|it| it.decay);
    settings.ema_start = averaging.map(|it| it.start).filter(|&start| start > 0.0);
}
