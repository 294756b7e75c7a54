//! The mean of the weights over the steps of a training.

/// An exponential moving average (EMA) of the weights.
///
/// It begins at a step and has no trace of the weights before: after `n` steps from there, the weights of
/// `i` steps ago have the share `decay^i (1 - decay) / (1 - decay^n)`. With a decay of 1 all have the same share,
/// `1 / n`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Averaging {
    /// Share of the average that is kept from step to step, above 0 and at most 1.
    pub decay: f64,
    /// Share of the steps after which it begins, from 0 and below 1.
    pub start: f64,
}

impl Averaging {
    /// The share of the weights after a step, counted from 0, in the average; `None` before it begins.
    pub fn share(&self, step: u64, iterations: u64) -> Option<f64> {
        let first = (self.start * iterations as f64) as u64;
        let first = first.min(iterations.saturating_sub(1));
        let steps = step.checked_sub(first)? + 1;
        Some(if self.decay < 1.0 {
            (1.0 - self.decay) / (1.0 - libm::pow(self.decay, steps as f64))
        } else {
            1.0 / steps as f64
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The average of numbers, as the shares make it.
    fn average(averaging: Averaging, numbers: &[f64]) -> Option<f64> {
        let iterations = numbers.len() as u64;
        (0..).zip(numbers).fold(None, |average, (step, number)| {
            let share = averaging.share(step, iterations)?;
            Some(average.map_or(*number, |old: f64| old + share * (number - old)))
        })
    }

    #[test]
    fn the_shares_are_those_of_the_formula() {
        let numbers: Vec<f64> = (0..50).map(|i| f64::from(i * i % 17) - 3.0).collect();
        for decay in [0.5, 0.9, 0.999, 1.0] {
            for (start, first) in [(0.0, 0), (0.5, 25), (0.79, 39), (0.999, 49)] {
                let averaging = Averaging { decay, start };
                let (mut sum, mut shares) = (0.0, 0.0);
                for (back, number) in numbers[first..].iter().rev().enumerate() {
                    let share = decay.powi(back as i32);
                    sum += share * number;
                    shares += share;
                }
                let found = average(averaging, &numbers).unwrap();
                let expected = sum / shares;
                assert!(
                    (found - expected).abs() < 1e-9,
                    "{averaging:?}: {found}, {expected}"
                );
                assert_eq!(averaging.share(first as u64, 50), Some(1.0));
                assert_eq!(
                    first
                        .checked_sub(1)
                        .and_then(|step| averaging.share(step as u64, 50)),
                    None
                );
            }
        }
    }
}
