use super::{ASoftmax, ArcFace, Combined, CosFace, LSoftmax, Margin, MarginError, Softmax};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A loss by its name and numbers, as it stands in files and on the command line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "loss", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Loss {
    /// [`Softmax`].
    #[default]
    Softmax,
    /// [`LSoftmax`].
    LSoftmax {
        /// Angular multiplier, 1 to 16.
        m: u32,
    },
    /// [`ASoftmax`].
    ASoftmax {
        /// Angular multiplier, 1 to 16.
        m: u32,
    },
    /// [`CosFace`].
    CosFace {
        /// Scale s.
        scale: f64,
        /// Cosine margin m.
        margin: f64,
    },
    /// [`ArcFace`].
    ArcFace {
        /// Scale s.
        scale: f64,
        /// Angular margin m in radians.
        margin: f64,
    },
    /// [`Combined`].
    Combined {
        /// Scale s.
        scale: f64,
        /// m1.
        m1: f64,
        /// m2 in radians.
        m2: f64,
        /// m3.
        m3: f64,
    },
}

impl Loss {
    /// `CosFace` as published: s = 64, m = 0.35.
    pub const COS_FACE: Self = Self::CosFace {
        scale: 64.0,
        margin: 0.35,
    };
    /// AM-Softmax as published: s = 30, m = 0.35.
    pub const AM_SOFTMAX: Self = Self::CosFace {
        scale: 30.0,
        margin: 0.35,
    };
    /// `ArcFace` as published: s = 64, m = 0.5.
    pub const ARC_FACE: Self = Self::ArcFace {
        scale: 64.0,
        margin: 0.5,
    };
    /// The combined margin as published: s = 64, (1, 0.3, 0.2).
    pub const COMBINED: Self = Self::Combined {
        scale: 64.0,
        m1: 1.0,
        m2: 0.3,
        m3: 0.2,
    };

    /// The scalar function of this loss.
    ///
    /// # Errors
    /// A parameter outside its range.
    pub fn margin(&self) -> Result<Box<dyn Margin>, MarginError> {
        Ok(match *self {
            Self::Softmax => Box::new(Softmax),
            Self::LSoftmax { m } => Box::new(LSoftmax::new(m)?),
            Self::ASoftmax { m } => Box::new(ASoftmax::new(m)?),
            Self::CosFace { scale, margin } => Box::new(CosFace::new(scale, margin)?),
            Self::ArcFace { scale, margin } => Box::new(ArcFace::new(scale, margin)?),
            Self::Combined { scale, m1, m2, m3 } => Box::new(Combined::new(scale, m1, m2, m3)?),
        })
    }

    /// The angular multiplier m; 1 for losses that have none.
    pub fn multiplier(&self) -> u32 {
        match *self {
            Self::LSoftmax { m } | Self::ASoftmax { m } => m,
            _ => 1,
        }
    }

    /// The same loss with another m; losses without one stay as they are.
    #[must_use]
    pub fn with_multiplier(self, m: u32) -> Self {
        match self {
            Self::LSoftmax { .. } => Self::LSoftmax { m },
            Self::ASoftmax { .. } => Self::ASoftmax { m },
            other => other,
        }
    }

    /// Whether it has an angular multiplier m, and with it λ: L-Softmax and A-Softmax.
    pub fn has_multiplier(&self) -> bool {
        matches!(self, Self::LSoftmax { .. } | Self::ASoftmax { .. })
    }

    /// Whether λ has something to blend: a loss with an angular multiplier above 1.
    pub fn is_annealed(&self) -> bool {
        self.multiplier() > 1
    }

    /// The name used in files and on the command line.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::LSoftmax { .. } => "l-softmax",
            Self::ASoftmax { .. } => "a-softmax",
            Self::CosFace { .. } => "cos-face",
            Self::ArcFace { .. } => "arc-face",
            Self::Combined { .. } => "combined",
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Softmax => write!(f, "softmax"),
            Self::LSoftmax { m } => write!(f, "L-Softmax m = {m}"),
            Self::ASoftmax { m } => write!(f, "A-Softmax m = {m}"),
            Self::CosFace { scale, margin } => write!(f, "CosFace s = {scale}, m = {margin}"),
            Self::ArcFace { scale, margin } => write!(f, "ArcFace s = {scale}, m = {margin}"),
            Self::Combined { scale, m1, m2, m3 } => {
                write!(f, "combined s = {scale}, m = ({m1}, {m2}, {m3})")
            }
        }
    }
}
