//! Numbers that JSON cannot hold.

use serde::{Deserialize, Deserializer};

/// A number that was not finite was written as null; it comes back as NaN.
pub(crate) fn lenient<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
