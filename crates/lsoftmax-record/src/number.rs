//! Numbers that JSON cannot hold: those that are not finite are left out, and come back as NaN. A
//! field of this kind has
//!
//! ```text
//! #[serde(default = "number::nan", deserialize_with = "number::lenient",
//!         skip_serializing_if = "number::is_none")]
//! ```

use serde::{Deserialize, Deserializer};

/// What was left out.
pub fn nan() -> f64 {
    f64::NAN
}

/// Files of older versions have null for a number that was not finite.
pub fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

/// Points in the plane: null is read as NaN.
///
/// # Errors
/// A value is not a list of pairs of numbers.
pub fn lenient_points<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<[f32; 2]>, D::Error> {
    let points = Vec::<[Option<f32>; 2]>::deserialize(deserializer)?;
    let number = |value: Option<f32>| value.unwrap_or(f32::NAN);
    Ok(points.into_iter().map(|point| point.map(number)).collect())
}

/// Whether a number is left out.
// Serde asks with a reference.
#[allow(clippy::trivially_copy_pass_by_ref)]
pub fn is_none(number: &f64) -> bool {
    !number.is_finite()
}

/// The same where there may be no number anyway.
#[allow(clippy::ref_option, clippy::trivially_copy_pass_by_ref)]
pub fn is_no_option(number: &Option<f64>) -> bool {
    number.is_none_or(|number| !number.is_finite())
}
