//! Means over seeds.

/// Mean and sample standard deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanStd {
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation (divided by `count - 1`); `None` for one value.
    pub deviation: Option<f64>,
    /// Number of values.
    pub count: usize,
}

impl MeanStd {
    /// Mean and deviation of the finite values; `None` if there are none.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let values: Vec<f64> = values
            .into_iter()
            .filter(|value| value.is_finite())
            .collect();
        let count = values.len();
        if count == 0 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / count as f64;
        let deviation = (count > 1).then(|| {
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            (squares / (count - 1) as f64).sqrt()
        });
        Some(Self {
            mean,
            deviation,
            count,
        })
    }

    /// Whether two means differ by at most one joint standard deviation. False if either has no
    /// deviation.
    pub fn is_within_spread(self, other: Self) -> bool {
        match (self.deviation, other.deviation) {
            (Some(left), Some(right)) => (self.mean - other.mean).abs() <= left.hypot(right),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deviation_is_that_of_a_sample() {
        let stat = MeanStd::of([1.0, f64::NAN, 3.0]).unwrap();
        assert_eq!((stat.mean, stat.count), (2.0, 2));
        assert_eq!(stat.deviation, Some(2f64.sqrt()));
        assert_eq!(MeanStd::of([1.5]).unwrap().deviation, None);
        assert_eq!(MeanStd::of([f64::NAN]), None);
    }
}
