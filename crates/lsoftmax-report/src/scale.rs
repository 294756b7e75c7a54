//! Mapping of values to positions on an axis, and the ticks.

use crate::number::{scientific, significant};
use lsoftmax_metrics::probit;

/// A linear or logarithmic axis. Positions range from 0 (low end) to 1 (high end).
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scale {
    /// Equal steps from `low` to `high`.
    Linear { low: f64, high: f64 },
    /// Equal factors from `low` to `high`, both positive.
    Log { low: f64, high: f64 },
    /// The same with a separate position below, for zero and for values less than `low`.
    LogZero { low: f64, high: f64 },
    /// Equal steps of the normal deviate from `low` to `high`; both rates are above 0 and below 1.
    Probit { low: f64, high: f64 },
}

/// The rates that are labelled on an axis of normal deviates.
const RATES: [f64; 8] = [1e-4, 1e-3, 0.01, 0.05, 0.1, 0.2, 0.4, 0.6];

/// A tick: its position from 0 to 1, and its label.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Tick {
    pub(crate) place: f64,
    pub(crate) label: String,
}

/// The positions of zero on [`Scale::LogZero`], of the gap, and of the start of the logarithm.
const ZERO: f64 = 0.03;
pub(crate) const ZERO_GAP: f64 = 0.09;
const LOG_START: f64 = 0.15;
/// Maximum number of decades to show, for values that go to zero and for others.
const ZERO_DECADES: f64 = 8.0;
const MAX_DECADES: f64 = 40.0;

impl Scale {
    /// A linear axis around the values, with round ends.
    pub(crate) fn linear(values: impl IntoIterator<Item = f64>, with_zero: bool) -> Self {
        let (mut low, mut high) = extent(values);
        if low > high {
            return Scale::Linear {
                low: 0.0,
                high: 1.0,
            };
        }
        if with_zero {
            low = low.min(0.0);
            high = high.max(0.0);
        }
        if high - low <= high.abs().max(low.abs()) * 1e-9 {
            let pad = if high == 0.0 { 1.0 } else { high.abs() * 0.5 };
            if low != 0.0 || !with_zero {
                low -= pad;
            }
            high += pad;
        }
        let step = nice_step((high - low) / 4.0);
        Scale::Linear {
            low: (low / step + 1e-6).floor() * step,
            high: (high / step - 1e-6).ceil() * step,
        }
    }

    /// A linear axis from the smallest to the largest value, as for steps.
    pub(crate) fn exact(values: impl IntoIterator<Item = f64>) -> Self {
        let (low, high) = extent(values);
        if low < high {
            Scale::Linear { low, high }
        } else if low == high {
            Scale::Linear {
                low: low - 1.0,
                high: high + 1.0,
            }
        } else {
            Scale::Linear {
                low: 0.0,
                high: 1.0,
            }
        }
    }

    /// A logarithmic axis around the positive values, with a position for zero if needed, or a
    /// linear one if no value is positive. For values that may go to zero (λ), the axis covers a
    /// limited number of whole decades, and values close to zero are shown as zero.
    pub(crate) fn log(values: impl IntoIterator<Item = f64>, to_zero: bool) -> Self {
        let (mut low, mut high, mut zero) = (f64::INFINITY, 0.0_f64, false);
        for value in values.into_iter().filter(|value| value.is_finite()) {
            if value > 0.0 {
                // Within the range of powers of ten.
                let value = value.clamp(1e-280, 1e300);
                low = low.min(value);
                high = high.max(value);
            } else {
                zero = true;
            }
        }
        if high <= 0.0 || low > high {
            return Scale::Linear {
                low: 0.0,
                high: 1.0,
            };
        }
        let decades = if to_zero { ZERO_DECADES } else { MAX_DECADES };
        let floor = high * 10f64.powf(-decades);
        if low < floor {
            low = floor;
            zero = true;
        }
        if to_zero {
            low = 10f64.powf((low.log10() + 1e-9).floor());
            high = 10f64.powf((high.log10() - 1e-9).ceil());
        } else {
            (low, high) = (round_down(low), round_up(high));
        }
        if low >= high {
            (low, high) = (low / 10.0, high * 10.0);
        }
        if zero {
            Scale::LogZero { low, high }
        } else {
            Scale::Log { low, high }
        }
    }

    pub(crate) fn is_log(self) -> bool {
        matches!(self, Scale::Log { .. } | Scale::LogZero { .. })
    }

    /// Whether a value lies between the ends.
    pub(crate) fn holds(self, value: f64) -> bool {
        let place = self.place(value);
        place.is_some_and(|place| (-1e-9..=1.0 + 1e-9).contains(&place))
    }

    /// The position of a value; `None` if it has none (not finite, or no logarithm).
    pub(crate) fn place(self, value: f64) -> Option<f64> {
        if !value.is_finite() {
            return None;
        }
        let place = match self {
            Scale::Linear { low, high } => (value - low) / (high - low),
            Scale::Log { low, high } if value > 0.0 => (value / low).ln() / (high / low).ln(),
            Scale::Probit { low, high } if value > 0.0 && value < 1.0 => {
                (probit(value) - probit(low)) / (probit(high) - probit(low))
            }
            Scale::Log { .. } | Scale::Probit { .. } => return None,
            Scale::LogZero { low, .. } if value < low => ZERO,
            Scale::LogZero { low, high } => {
                LOG_START + (1.0 - LOG_START) * (value / low).ln() / (high / low).ln()
            }
        };
        place.is_finite().then_some(place)
    }

    /// About `count` round ticks within the axis.
    pub(crate) fn ticks(self, count: usize) -> Vec<Tick> {
        match self {
            Scale::Linear { low, high } => {
                let step = match (low, high) {
                    // Half a turn is divided like angles.
                    (0.0, 180.0) => 30.0,
                    _ => nice_step((high - low) / count.max(1) as f64),
                };
                let first = (low / step - 1e-6).ceil();
                let last = (high / step + 1e-6).floor();
                if !(first.is_finite() && last.is_finite() && last - first < 1000.0) {
                    return Vec::new();
                }
                let steps = (last - first) as usize;
                let values: Vec<f64> = (0..=steps).map(|i| (first + i as f64) * step).collect();
                let most = values
                    .iter()
                    .fold(0.0_f64, |most, value| most.max(value.abs()));
                let tick = |value: f64| {
                    let place = self.place(value)?;
                    Some(Tick {
                        place,
                        label: linear_label(value, step, most),
                    })
                };
                values.into_iter().filter_map(tick).collect()
            }
            Scale::Probit { .. } => RATES
                .into_iter()
                .filter(|&rate| self.holds(rate))
                .filter_map(|rate| {
                    Some(Tick {
                        place: self.place(rate)?,
                        label: format!("{} %", significant(100.0 * rate)),
                    })
                })
                .collect(),
            Scale::Log { low, high } | Scale::LogZero { low, high } => {
                let mut values = log_values(low, high, count);
                if matches!(self, Scale::LogZero { .. }) {
                    values.insert(0, 0.0);
                }
                let tick = |value: f64| {
                    let place = self.place(value)?;
                    Some(Tick {
                        place,
                        label: log_label(value),
                    })
                };
                values.into_iter().filter_map(tick).collect()
            }
        }
    }
}

/// The smallest and the largest of the finite values. If there are none, the smallest is above the
/// largest.
fn extent(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let finite = values.into_iter().filter(|value| value.is_finite());
    // Beyond this, a difference would overflow.
    let bounded = finite.map(|value| value.clamp(-1e300, 1e300));
    bounded.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
        (low.min(value), high.max(value))
    })
}

/// The largest number of the form 1, 2 or 5 times a power of ten that is not much above `rough`.
pub(crate) fn nice_step(rough: f64) -> f64 {
    if !rough.is_finite() || rough <= f64::MIN_POSITIVE * 1e10 {
        return 1.0;
    }
    let power = 10f64.powf(rough.log10().floor());
    let factor = match rough / power {
        x if x < 1.5 => 1.0,
        x if x < 3.5 => 2.0,
        x if x < 7.5 => 5.0,
        _ => 10.0,
    };
    factor * power
}

fn round_down(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let factor = [5.0, 2.0]
        .into_iter()
        .find(|factor| factor * power <= value * (1.0 + 1e-9));
    factor.unwrap_or(1.0) * power
}

fn round_up(value: f64) -> f64 {
    let power = 10f64.powf(value.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power >= value * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// Decades within the limits, thinned to about `count`, with 2 and 5 in between if there are few.
fn log_values(low: f64, high: f64, count: usize) -> Vec<f64> {
    let (first, last) = (
        (low.log10() - 1e-9).ceil() as i32,
        (high.log10() + 1e-9).floor() as i32,
    );
    let inside = |value: f64| value >= low * (1.0 - 1e-9) && value <= high * (1.0 + 1e-9);
    let decades = (last - first).max(0) as usize;
    if decades >= 3 {
        let every = (decades + 1).div_ceil(count.max(2)).max(1);
        let from_top = |power: &i32| (last - power) as usize;
        return (first..=last)
            .filter(|power| from_top(power).is_multiple_of(every))
            .map(|power| 10f64.powi(power))
            .collect();
    }
    let factors: &[f64] = if decades < 2 {
        &[1.0, 2.0, 5.0]
    } else {
        &[1.0, 3.0]
    };
    (first - 1..=last + 1)
        .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)))
        .filter(|&value| inside(value))
        .collect()
}

fn linear_label(value: f64, step: f64, most: f64) -> String {
    let value = if value.abs() < step * 1e-6 {
        0.0
    } else {
        value
    };
    if value == 0.0 {
        return "0".to_owned();
    }
    if most >= 1e9 || step < 1e-6 {
        return scientific(value);
    }
    let (divisor, unit) = match most {
        most if most >= 1e6 && step >= 1e4 => (1e6, "M"),
        most if most >= 1e4 && step >= 1e2 => (1e3, "k"),
        _ => (1.0, ""),
    };
    let decimals = (-((step / divisor).log10() + 1e-9).floor()).max(0.0) as usize;
    format!("{:.decimals$}{unit}", value / divisor).replace('-', "−")
}

fn log_label(value: f64) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if !(0.99e-3..1.01e4).contains(&value) {
        return scientific(value);
    }
    let decimals = (-(value.log10() + 1e-9).floor()).max(0.0) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(scale: Scale, count: usize) -> Vec<String> {
        scale
            .ticks(count)
            .into_iter()
            .map(|tick| tick.label)
            .collect()
    }

    #[test]
    fn linear_ticks_are_round() {
        assert_eq!(
            labels(Scale::linear([0.3, 97.0], true), 5),
            ["0", "20", "40", "60", "80", "100"]
        );
        assert_eq!(
            labels(Scale::linear([0.0, 0.83], true), 4),
            ["0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            labels(
                Scale::Linear {
                    low: 0.0,
                    high: 30_000.0
                },
                3
            ),
            ["0", "10k", "20k", "30k"]
        );
        assert_eq!(
            labels(
                Scale::Linear {
                    low: -2.0,
                    high: 2.0
                },
                4
            ),
            ["−2", "−1", "0", "1", "2"]
        );
    }

    #[test]
    fn log_ticks_are_decades() {
        assert_eq!(
            labels(Scale::log([0.02, 900.0], true), 6),
            ["0.01", "0.1", "1", "10", "100", "1000"]
        );
        let zero = Scale::log([0.0, 0.5, 1000.0], true);
        assert_eq!(
            zero,
            Scale::LogZero {
                low: 0.1,
                high: 1000.0
            }
        );
        assert_eq!(labels(zero, 6)[0], "0");
        assert_eq!(zero.place(0.0), zero.place(1e-30));
        assert!(zero.place(0.0) < zero.place(0.1));
        assert_eq!(
            labels(Scale::log([1.3, 80.0], false), 5),
            ["1", "3", "10", "30", "100"]
        );
    }

    #[test]
    fn bad_values_do_no_harm() {
        let bad = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        assert_eq!(
            Scale::linear(bad, true),
            Scale::Linear {
                low: 0.0,
                high: 1.0
            }
        );
        assert_eq!(
            Scale::log(bad, true),
            Scale::Linear {
                low: 0.0,
                high: 1.0
            }
        );
        assert_eq!(
            Scale::exact([]),
            Scale::Linear {
                low: 0.0,
                high: 1.0
            }
        );
        for scale in [
            Scale::linear([5.0], false),
            Scale::linear([0.0], true),
            Scale::linear([f64::MAX, f64::MIN], true),
            Scale::linear([5e-324], true),
            Scale::log([5.0], true),
            Scale::log([f64::MIN_POSITIVE, f64::MAX], true),
            Scale::exact([3.0]),
            Scale::exact([f64::MIN, f64::MAX]),
        ] {
            for value in bad {
                assert_eq!(scale.place(value), None);
            }
            for tick in scale.ticks(5) {
                assert!((-0.01..=1.01).contains(&tick.place), "{scale:?} {tick:?}");
            }
            assert!(scale.ticks(5).len() < 20, "{scale:?}");
        }
    }
}
