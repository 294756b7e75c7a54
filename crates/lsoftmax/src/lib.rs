//! Large-margin softmax for [Burn](https://burn.dev): margin losses, the head that computes them,
//! and the annealing that keeps their training stable.
//!
//! Softmax cross-entropy only asks that a feature lies on the right side of the boundary between
//! two classes. Large-margin softmax (L-Softmax; Liu et al., ICML 2016, arXiv 1612.02295) asks for
//! more: it gathers the features of a class in a narrow angle and opens a gap between the classes.
//! The trained network is used as before.
//!
//! # In your own model
//!
//! Replace the last, bias-free linear layer of your model with a [`MarginHead`]:
//!
//! ```
//! use burn::module::Module;
//! use burn::nn::{Linear, LinearConfig};
//! use burn::tensor::{Device, Int, Tensor};
//! use lsoftmax::{Annealing, Loss, MarginHead, MarginHeadConfig};
//!
//! #[derive(Module, Debug)]
//! struct Model {
//!     backbone: Linear,
//!     head: MarginHead,
//! }
//!
//! let device = Device::flex().autodiff();
//! let model = Model {
//!     backbone: LinearConfig::new(784, 64).init(&device),
//!     head: MarginHeadConfig::new(64, 10, Annealing::auto(18_000)) // steps of the training
//!         .with_loss(Loss::LSoftmax { m: 4 })
//!         .init(&device)?,
//! };
//!
//! let images = Tensor::<2>::ones([2, 784], &device);
//! let labels = Tensor::<1, Int>::from_data([3, 8], &device);
//! let features = model.backbone.forward(images);
//! let loss = model.head.loss(features.clone(), labels, 0)?; // at step 0
//! let gradients = loss.backward();
//! let predicted = model.head.logits(features).argmax(1); // no label, no margin
//! # assert!(model.head.weight.val().grad(&gradients).is_some());
//! # assert_eq!(predicted.dims(), [2, 1]);
//! # Ok::<(), lsoftmax::Error>(())
//! ```
//!
//! The weights of the head are part of the model's record. There is nothing else to save, since λ
//! and m depend only on the step.
//!
//! # Loss, logits and cosines
//!
//! | method | use | label | margin, λ |
//! |---|---|---|---|
//! | [`MarginHead::loss`] | training | yes | those of the step |
//! | [`MarginHead::logits`] | accuracy, inference | no | no |
//! | [`MarginHead::cosines`] | verification, retrieval | no | no |
//!
//! A margin at test time would make every sample look worse than it is, and would require the very
//! label that is to be predicted, so `logits` leaves it out. What remains are the logits that the
//! loss trains: `w_j · x` for softmax and L-Softmax, scaled cosines for the losses that normalise.
//!
//! # The formula
//!
//! For a feature `x` of class `y`, class weights `w_j`, and the angle θ between `x` and `w_y`, the
//! loss is the softmax cross-entropy of these logits:
//!
//! ```text
//! f_j = w_j · x                                         for j ≠ y
//! f_y = |w_y| |x| (λ cos θ + ψ(θ)) / (1 + λ)
//! ψ(θ) = (-1)^k cos(mθ) - 2k,   θ in [kπ/m, (k+1)π/m]   for k = 0 .. m-1
//! ```
//!
//! ψ falls from 1 to -(2m - 1). m = 1 is softmax; the larger m, the smaller the angle that a sample
//! has to reach. m may be any whole number up to 16; the paper uses 2 to 4.
//!
//! The gradient is exact and written by hand: an ordinary softmax gradient with one changed entry
//! per row, plus a few scalars per row ([`lsoftmax_kernels::head`]). It computes no arccosine and
//! is finite everywhere: for zero features, for cosines of 0 and ±1, and at the boundaries between
//! the intervals of ψ. NaN in the features gives a NaN loss.
//!
//! [`Loss`] lists the losses: softmax, L-Softmax, and its successors on normalised vectors,
//! A-Softmax (`SphereFace`), `CosFace` and AM-Softmax, `ArcFace`, and the combined margin.
//!
//! # Annealing
//!
//! For m >= 3, starting with λ = 0 usually makes the training diverge: random features are at right
//! angles to their class weight, ψ(90°) is -(m - 1), and the fastest way to reduce the loss is to
//! shrink all features to 0. The default, [`Annealing::auto`], only needs the number of training
//! steps. It starts as plain softmax and adds the margin as the classes are learned: a [`Gate`]
//! compares the plain softmax loss with chance level ([`Signal`]). If a task is too hard for its
//! budget, the training stays with softmax. [`Lambda`] offers the authors' power law and other
//! schedules, and [`MarginStage`] raises m in stages instead.
//!
//! [`MarginHead::loss`] applies the gate to each batch separately. The loop of `lsoftmax-train`
//! averages the signal over some steps instead, which is less noisy. To do the same, keep a
//! [`RunningSignal`] and pass it to [`MarginHead::loss_after`]. Otherwise λ depends only on the
//! step, and the head keeps no counter: a run that resumes at step 9,000 has the λ of step 9,000,
//! and an additional forward pass changes nothing.
//!
//! # Your own margin
//!
//! A loss that changes only the target logit is a function of one cosine and two norms, together
//! with its derivatives: a [`Margin`]. This one subtracts a constant from the plain logit:
//!
//! ```
//! use burn::tensor::{Device, Int, Tensor};
//! use lsoftmax::margin::{Normalisation, Target, TargetLogit};
//! use lsoftmax::{Margin, margin_cross_entropy};
//! use std::sync::Arc;
//!
//! #[derive(Debug)]
//! struct Shifted(f64);
//!
//! impl Margin for Shifted {
//!     fn normalisation(&self) -> Normalisation {
//!         Normalisation::default() // nothing is normalised
//!     }
//!
//!     fn target_logit(&self, t: Target) -> TargetLogit {
//!         TargetLogit {
//!             value: t.feature_norm * t.weight_norm * t.cosine - self.0,
//!             d_cosine: t.feature_norm * t.weight_norm,
//!             d_feature_norm: t.weight_norm * t.cosine,
//!             d_weight_norm: t.feature_norm * t.cosine,
//!         }
//!     }
//! }
//!
//! let device = Device::flex().autodiff();
//! let features = Tensor::<2>::from_data([[1.0, 0.0], [0.5, 0.5]], &device).require_grad();
//! let weights = Tensor::<2>::from_data([[2.0, 0.0], [0.0, 1.0]], &device);
//! let labels = Tensor::<1, Int>::from_data([0, 1], &device);
//! let lambda = 0.0;
//! let out = margin_cross_entropy(features, weights, labels, Arc::new(Shifted(0.5)), lambda)?;
//! let gradients = out.loss.backward();
//! # Ok::<(), lsoftmax::Error>(())
//! ```
//!
//! # Backends
//!
//! On the CPU (`flex`) the whole loss is one fused kernel that holds one block of logits at a time,
//! whatever the number of classes. Equal inputs give equal bits. On graphics processors (features
//! `cuda`, `metal`, `vulkan`, `webgpu`) it consists of matrix products and custom kernels, also one
//! block of logits at a time. There, a [`Margin`] that describes itself as a
//! [`Curve`](margin::Curve) is computed on the device; any other is evaluated on the host, which
//! waits for the device. Features may be f16 or bf16: all arithmetic and the loss are then f32. On
//! other backends of Burn, the loss consists of tensor operations, which hold all logits.

// Unit tests and the tests in tests/ share their problems.
#[cfg(test)]
extern crate self as lsoftmax;

mod checks;
mod error;
mod head;
pub mod metric;
pub mod ops;
mod record;
mod rows;
#[cfg(feature = "train")]
pub mod train;

pub use error::Error;
pub use head::{
    HeadLoss, HeadOutput, Labels, MarginHead, MarginHeadConfig, Reduction, margin_cross_entropy,
};
pub use lsoftmax_spec::{
    Annealing, AnnealingError, Floor, Gate, Lambda, Loss, Margin, MarginError, MarginStage,
    RunningSignal, Signal, StepLambda, annealing, margin,
};
pub use record::StepCounter;

/// Tests the example of the README together with the documentation.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
