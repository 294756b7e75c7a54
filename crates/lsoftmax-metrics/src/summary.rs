use serde::{Deserialize, Serialize};

/// Summary of a list of numbers: mean, standard deviation and quantiles, in the unit of the
/// numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Number of values.
    pub count: usize,
    /// Mean.
    pub mean: f64,
    /// Standard deviation (divided by `count`).
    pub standard_deviation: f64,
    /// Smallest value.
    pub minimum: f64,
    /// The 5 % quantile.
    pub quantile_05: f64,
    /// The 25 % quantile.
    pub quantile_25: f64,
    /// The 50 % quantile.
    pub median: f64,
    /// The 75 % quantile.
    pub quantile_75: f64,
    /// The 95 % quantile.
    pub quantile_95: f64,
    /// Largest value.
    pub maximum: f64,
}

impl Summary {
    /// Summarises `values`; `None` if there are none or one is not finite.
    pub fn new(mut values: Vec<f64>) -> Option<Self> {
        if values.is_empty() || values.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let count = values.len();
        values.sort_unstable_by(f64::total_cmp);
        let mean = values.iter().sum::<f64>() / count as f64;
        let variance = values
            .iter()
            .map(|value| (value - mean).powi(2))
            .sum::<f64>()
            / count as f64;
        Some(Self {
            count,
            mean,
            standard_deviation: variance.sqrt(),
            minimum: values[0],
            quantile_05: quantile(&values, 0.05)?,
            quantile_25: quantile(&values, 0.25)?,
            median: quantile(&values, 0.5)?,
            quantile_75: quantile(&values, 0.75)?,
            quantile_95: quantile(&values, 0.95)?,
            maximum: values[count - 1],
        })
    }
}

/// The quantile at `share` (0 to 1) of values in ascending order, linear between neighbours.
///
/// This is the default of most numerical packages (type 7 of Hyndman and Fan). `None` if there are
/// no values or `share` is outside 0 to 1.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    if !(0.0..=1.0).contains(&share) {
        return None;
    }
    let position = share * last as f64;
    let below = (position.floor() as usize).min(last);
    let above = (below + 1).min(last);
    let part = position - below as f64;
    Some(sorted[below] * (1.0 - part) + sorted[above] * part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        let sorted = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(quantile(&sorted, 0.0), Some(1.0));
        assert_eq!(quantile(&sorted, 0.5), Some(2.5));
        assert_eq!(quantile(&sorted, 0.25), Some(1.75));
        assert_eq!(quantile(&sorted, 1.0), Some(4.0));
        assert_eq!(quantile(&[7.0], 0.3), Some(7.0));
        assert_eq!(quantile(&[], 0.3), None);
        assert_eq!(quantile(&sorted, 1.1), None);
        assert_eq!(quantile(&sorted, f64::NAN), None);
    }

    #[test]
    fn a_summary_by_hand() {
        let summary = Summary::new(vec![4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((summary.count, summary.mean, summary.median), (4, 2.5, 2.5));
        assert_eq!((summary.minimum, summary.maximum), (1.0, 4.0));
        assert!((summary.standard_deviation - 1.25_f64.sqrt()).abs() < 1e-15);
        assert_eq!(Summary::new(vec![]), None);
        assert_eq!(Summary::new(vec![1.0, f64::NAN]), None);
    }
}
