//! The optimiser's numbers.

use crate::names::{UnknownName, named};

/// How a gradient becomes a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Method {
    /// Stochastic gradient descent with momentum, as Caffe and PyTorch have it.
    Sgd {
        /// Share of the velocity that is kept from step to step.
        momentum: f64,
        /// Whether the step looks ahead along the velocity (Nesterov, as in PyTorch).
        nesterov: bool,
    },
    /// Adam with a weight decay of its own (Loshchilov and Hutter 2019), as in PyTorch.
    AdamW {
        /// Share of the mean of the gradient that is kept from step to step.
        beta1: f64,
        /// The same for the mean of its square.
        beta2: f64,
        /// Added to the root of that mean.
        epsilon: f64,
    },
}

impl Method {
    /// The names of all methods.
    pub const NAMES: [&str; 2] = ["sgd", "adamw"];

    /// The method of a name with PyTorch's numbers; the momentum of SGD is the paper's.
    ///
    /// # Errors
    /// An unknown name.
    pub fn with_defaults(name: &str) -> Result<Self, UnknownName> {
        let sgd = Self::Sgd {
            momentum: 0.9,
            nesterov: false,
        };
        let adamw = Self::AdamW {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
        };
        named("optimizer", [sgd, adamw], Self::name, name)
    }

    /// The name in experiment files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sgd { .. } => Self::NAMES[0],
            Self::AdamW { .. } => Self::NAMES[1],
        }
    }
}

/// What concerns the parameters of a group.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ParameterGroup {
    /// Factor of the learning rate.
    pub rate: f64,
    /// Weight decay.
    pub decay: f64,
}

/// An optimiser of a whole model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Optimiser {
    /// How a gradient becomes a step.
    pub method: Method,
    /// The norm of the gradient of all parameters together to which a longer one is scaled down.
    pub clip_norm: Option<f64>,
    /// The weights of the backbone's convolutions and linear layers.
    pub backbone: ParameterGroup,
    /// Normalisations, biases and slopes.
    pub norms: ParameterGroup,
    /// The class weights.
    pub head: ParameterGroup,
}

impl Optimiser {
    /// One learning rate for all parameters, and weight decay on weights only.
    pub const fn new(method: Method, decay: f64) -> Self {
        let weights = ParameterGroup { rate: 1.0, decay };
        Self {
            method,
            clip_norm: None,
            backbone: weights,
            norms: ParameterGroup {
                rate: 1.0,
                decay: 0.0,
            },
            head: weights,
        }
    }

    /// SGD with this momentum and weight decay.
    pub const fn sgd(momentum: f64, decay: f64) -> Self {
        let nesterov = false;
        Self::new(Method::Sgd { momentum, nesterov }, decay)
    }

    /// The group of a parameter, by its name in model files or its path in the model.
    pub fn group_of(&self, parameter: &str) -> ParameterGroup {
        if parameter.starts_with("head.") {
            self.head
        } else if parameter.rsplit('.').next() == Some("weight") {
            self.backbone
        } else {
            self.norms
        }
    }
}
