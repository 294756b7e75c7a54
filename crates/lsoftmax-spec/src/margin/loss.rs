//! The list of losses. Names, default parameters, parsing and display of a [`Loss`] are here and
//! nowhere else.

use super::{
    ASoftmax, ArcFace, Combined, CosFace, LSoftmax, MAX_MULTIPLIER, Margin, MarginError, Softmax,
};
use crate::names::UnknownName;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::mem::discriminant;

/// A loss by its name and numbers, as it stands in files and on the command line.
///
/// ```
/// use lsoftmax_spec::margin::{Loss, LossParameters};
///
/// let parameters = LossParameters { margin: Some(3.0), ..LossParameters::default() };
/// assert_eq!(Loss::from_parameters("l-softmax", &parameters)?, Loss::LSoftmax { m: 3 });
/// # Ok::<(), lsoftmax_spec::MarginError>(())
/// ```
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

/// The parameters of a loss as files and flags spell them. A parameter that is left out has its
/// published value.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LossParameters {
    /// The multiplier of L-Softmax and A-Softmax, or the margin of `CosFace` and `ArcFace`.
    pub margin: Option<f64>,
    /// The scale s of the losses that normalise features.
    pub scale: Option<f64>,
    /// m1, m2 and m3 of the combined margin.
    pub margins: Option<Vec<f64>>,
}

impl LossParameters {
    /// The multiplier, or `default`.
    fn multiplier(&self, loss: Loss, default: u32) -> Result<u32, MarginError> {
        let Some(found) = self.margin else {
            return Ok(default);
        };
        if found.fract() == 0.0 && (1.0..=f64::from(MAX_MULTIPLIER)).contains(&found) {
            Ok(found as u32)
        } else {
            let loss = loss.name();
            Err(MarginError::NotAMultiplier { loss, found })
        }
    }

    /// The three margins, or `default`.
    fn margins(&self, default: [f64; 3]) -> Result<[f64; 3], MarginError> {
        match self.margins.as_deref() {
            None => Ok(default),
            Some(&[m1, m2, m3]) => Ok([m1, m2, m3]),
            Some(other) => Err(MarginError::Margins(other.len())),
        }
    }
}

/// Each loss with its default parameters, under its name.
const NAMED: [(&str, Loss); 7] = [
    ("softmax", Loss::Softmax),
    ("l-softmax", Loss::LSoftmax { m: 4 }),
    ("a-softmax", Loss::ASoftmax { m: 4 }),
    ("cos-face", Loss::COS_FACE),
    // The same loss with another scale. It is recorded as cos-face.
    ("am-softmax", Loss::AM_SOFTMAX),
    ("arc-face", Loss::ARC_FACE),
    ("combined", Loss::COMBINED),
];

const NAMES: [&str; NAMED.len()] = {
    let mut names = [""; NAMED.len()];
    let mut index = 0;
    while index < names.len() {
        names[index] = NAMED[index].0;
        index += 1;
    }
    names
};

impl Loss {
    /// The names accepted by [`named`](Self::named). `am-softmax` is `cos-face` with other defaults.
    pub const NAMES: &[&str] = &NAMES;

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
        let same = |known: &Self| discriminant(known) == discriminant(self);
        let named = NAMED.iter().find(|(_, loss)| same(loss));
        named.map_or("", |(name, _)| name)
    }

    /// The loss of this name with its default parameters: m = 4, or the published ones.
    pub fn named(name: &str) -> Option<Self> {
        let named = NAMED.iter().find(|(known, _)| *known == name);
        named.map(|&(_, loss)| loss)
    }

    /// The loss of this name with these parameters. Parameters that it does not have are ignored.
    ///
    /// # Errors
    /// An unknown name, a multiplier that is not a whole number from 1 to 16, or margins that are
    /// not three.
    pub fn from_parameters(name: &str, parameters: &LossParameters) -> Result<Self, MarginError> {
        let default = Self::named(name)
            .ok_or_else(|| UnknownName::new("loss", Self::NAMES, name.to_owned()))?;
        let LossParameters {
            margin: given_margin,
            scale: given_scale,
            ..
        } = *parameters;
        Ok(match default {
            Self::Softmax => Self::Softmax,
            Self::LSoftmax { m } => Self::LSoftmax {
                m: parameters.multiplier(default, m)?,
            },
            Self::ASoftmax { m } => Self::ASoftmax {
                m: parameters.multiplier(default, m)?,
            },
            Self::CosFace { scale, margin } => Self::CosFace {
                scale: given_scale.unwrap_or(scale),
                margin: given_margin.unwrap_or(margin),
            },
            Self::ArcFace { scale, margin } => Self::ArcFace {
                scale: given_scale.unwrap_or(scale),
                margin: given_margin.unwrap_or(margin),
            },
            Self::Combined { scale, m1, m2, m3 } => {
                let [m1, m2, m3] = parameters.margins([m1, m2, m3])?;
                let scale = given_scale.unwrap_or(scale);
                Self::Combined { scale, m1, m2, m3 }
            }
        })
    }

    /// The parameters from which [`from_parameters`](Self::from_parameters) makes this loss.
    pub fn parameters(&self) -> LossParameters {
        let (margin, scale, margins) = match *self {
            Self::Softmax => (None, None, None),
            Self::LSoftmax { m } | Self::ASoftmax { m } => (Some(f64::from(m)), None, None),
            Self::CosFace { scale, margin } | Self::ArcFace { scale, margin } => {
                (Some(margin), Some(scale), None)
            }
            Self::Combined { scale, m1, m2, m3 } => (None, Some(scale), Some(vec![m1, m2, m3])),
        };
        LossParameters {
            margin,
            scale,
            margins,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_parameters_are_read_and_written() {
        for name in Loss::NAMES {
            let loss = Loss::named(name).unwrap();
            let again = Loss::from_parameters(loss.name(), &loss.parameters()).unwrap();
            assert_eq!(again, loss);
            if *name != "am-softmax" {
                assert_eq!(loss.name(), *name);
            }
            // serde has the same names.
            let table = toml::Table::try_from(loss).unwrap();
            assert_eq!(table["loss"].as_str(), Some(loss.name()));
        }
    }

    #[test]
    fn wrong_names_and_parameters_are_errors() {
        let message = |name, parameters| {
            let error = Loss::from_parameters(name, &parameters).unwrap_err();
            error.to_string()
        };
        let none = LossParameters::default;
        let unknown = message("arc-fce", none());
        assert!(unknown.starts_with("loss must be one of softmax, l-softmax,"));
        assert!(unknown.ends_with("found \"arc-fce\" (did you mean arc-face?)"));
        for margin in [0.0, 2.5, 17.0, f64::NAN] {
            let margin = Some(margin);
            let found = message("a-softmax", LossParameters { margin, ..none() });
            assert!(found.starts_with("margin must be a whole number from 1 to 16 for a-softmax"));
        }
        let margins = Some(vec![1.0, 2.0]);
        let found = message("combined", LossParameters { margins, ..none() });
        assert_eq!(found, "margins must be three numbers, found 2");
    }
}
