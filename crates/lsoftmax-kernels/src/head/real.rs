//! The two element types of the head.

use super::rows::Rows;
use crate::buffer;
use crate::simd::Level;

/// f32 or f64.
pub trait Real: sealed::Kernels {
    /// 0.
    const ZERO: Self;

    /// The lowest finite number.
    const LOWEST: Self;

    /// Rounds to the nearest value of this type.
    fn from_f64(value: f64) -> Self;

    /// Converts to f64.
    fn to_f64(self) -> f64;

    /// A zeroed vector, such as a gradient, in large pages if it is long (see [`buffer::zeros`]).
    fn zeros(len: usize) -> Vec<Self>;
}

macro_rules! real {
    ($t:ty, $zeros:expr) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const LOWEST: Self = <$t>::MIN;

            fn from_f64(value: f64) -> Self {
                value as $t
            }

            fn to_f64(self) -> f64 {
                self as f64
            }

            fn zeros(len: usize) -> Vec<Self> {
                $zeros(len)
            }
        }
    };
}

real!(f32, buffer::zeros);
real!(f64, |len| vec![0.0; len]);

pub(super) mod sealed {
    use super::{Level, Rows};
    use std::ops::{AddAssign, Mul};

    /// Operations that differ by type. A block of logits is `[class, sample]`: some rows of the
    /// class weights times all features.
    pub trait Kernels:
        Copy + Send + Sync + PartialOrd + Mul<Output = Self> + AddAssign + 'static
    {
        /// The features in the memory layouts that the products need.
        type Packed: Sync;

        /// Packs the features for products with this many classes.
        fn pack(level: Level, features: &Rows<'_, Self>, classes: usize) -> Self::Packed;

        /// `logits = weights * features^T`
        fn logits(
            level: Level,
            weights: &Rows<'_, Self>,
            features: &Rows<'_, Self>,
            packed: &Self::Packed,
            logits: &mut [Self],
        );

        /// `d_weights = block * features`
        fn weight_gradient(
            level: Level,
            block: &[Self],
            features: &Rows<'_, Self>,
            packed: &Self::Packed,
            d_weights: &mut [Self],
        );

        /// `d_features = block^T * weights`, or `+=` if it accumulates.
        fn feature_gradient(
            level: Level,
            block: &[Self],
            weights: &Rows<'_, Self>,
            d_features: &mut [Self],
            accumulate: bool,
        );

        /// Raises `max` to the largest logit of each sample in the block and writes the sums of
        /// `exp(logit - max)` over the block. A NaN makes its sum NaN.
        fn statistics(level: Level, block: &[Self], max: &mut [Self], sum: &mut [Self]);

        /// `logit = factor * exp(logit - max)`, with one maximum and one factor per sample.
        fn scaled_exp(level: Level, block: &mut [Self], max: &[Self], factor: &[Self]);

        /// The inner product, summed in f64.
        fn dot(level: Level, a: &[Self], b: &[Self]) -> f64;

        /// `a . b`, `a . a` and `b . b`, summed in f64.
        fn inner_products(level: Level, a: &[Self], b: &[Self]) -> [f64; 3];

        /// `row += factor * direction`, each entry computed in f64.
        fn add_scaled(level: Level, row: &mut [Self], factor: f64, direction: &[Self]);

        /// A buffer with arbitrary content.
        fn take(len: usize) -> Vec<Self>;

        /// Returns a buffer for the next `take`.
        fn give(buffer: Vec<Self>);
    }
}
