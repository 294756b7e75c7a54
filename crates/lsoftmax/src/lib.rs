//! Large-margin softmax for [Burn](https://burn.dev): the margins, the head that trains
//! with them, and the annealing that keeps them alive.
//!
//! Softmax cross-entropy is content when a feature is on the right side of the boundary
//! between two classes. Large-margin softmax (L-Softmax; Liu et al., ICML 2016, arXiv 1612.02295)
//! asks for more: features of one class gather in a narrow angle, and a gap opens between the
//! classes. The trained network is used as before.
//!
//! # In a model of your own
//!
//! Take the last, bias-free linear layer off your model and put a [`MarginHead`] in its place:
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
//! The weights of the head belong to the record of the model. There is nothing else to save: λ and
//! m follow from the step.
//!
//! # Three readings
//!
//! | method | what for | label | margin, λ |
//! |---|---|---|---|
//! | [`MarginHead::loss`] | training | yes | those of the step |
//! | [`MarginHead::logits`] | accuracy, inference | no | no |
//! | [`MarginHead::cosines`] | verification, retrieval | no | no |
//!
//! A margin at test time makes every sample look worse than it is, and needs the label that is to
//! be found, so `logits` leaves it out. What is left are the logits that the loss trains:
//! `w_j · x` for softmax and L-Softmax, scaled cosines for the losses that normalise.
//!
//! # The formula
//!
//! With the feature `x`, the class weights `w_j` and the angle θ between `x` and the weight of its
//! own class `y`, the loss is the softmax cross-entropy of these logits:
//!
//! ```text
//! f_j = w_j · x                                         for j ≠ y
//! f_y = |w_y| |x| (λ cos θ + ψ(θ)) / (1 + λ)
//! ψ(θ) = (-1)^k cos(mθ) - 2k,   θ in [kπ/m, (k+1)π/m]   for k = 0 .. m-1
//! ```
//!
//! ψ falls from 1 to -(2m - 1). m = 1 is softmax; the larger m, the narrower the angle that a
//! sample has to reach. Whole numbers up to 16 are offered, the paper uses 2 to 4.
//!
//! The gradient is exact and written by hand: an ordinary softmax gradient in which one entry of
//! each row is changed, plus a few numbers a row ([`lsoftmax_kernels::head`]). It takes no
//! arccosine and is finite everywhere: for zero features, for cosines of 0 and ±1, and at the
//! corners between the sectors. NaN in the features gives a NaN loss.
//!
//! [`Loss`] names the losses: softmax, L-Softmax, and those of normalised vectors that came
//! of it, A-Softmax (`SphereFace`), `CosFace` and AM-Softmax, `ArcFace`, and the combined margin.
//!
//! # Annealing
//!
//! From m = 3 on, λ = 0 in the first step usually kills the training: random features are at
//! right angles to their class weight, ψ(90°) is -(m - 1), and the quickest way to a smaller loss
//! is to shrink all features to 0. The default, [`Annealing::auto`], needs the number of training
//! steps and nothing else. It starts as plain softmax and adds the margin as far as the classes are
//! learned: a [`Gate`] compares the plain softmax loss with that of guessing ([`Signal`]). Where a
//! task is too hard for its budget, the training stays with softmax. [`Lambda`] has the authors' power
//! law and others, and [`MarginStage`] lets m grow instead.
//!
//! [`MarginHead::loss`] applies the gate to each batch by itself. The loop of `lsoftmax-train` averages
//! its signal over some steps instead, which is less noisy: keep a [`RunningSignal`] and pass it to
//! [`MarginHead::loss_after`] to do the same. λ is otherwise a function of the step and counts nothing:
//! a run that resumes at step 9,000 has the λ of step 9,000, and a second forward pass changes nothing.
//!
//! # A margin of your own
//!
//! A loss that changes only the target logit is a function of one cosine and two norms, with its
//! derivatives: a [`Margin`]. Here is one that takes a constant off the plain logit:
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
//!         Normalisation::default() // of nothing
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
//! On the CPU (`flex`) the whole loss is one fused kernel that holds a block of logits at a
//! time, whatever the number of classes; equal inputs give equal bits. On graphics processors
//! (features `cuda`, `metal`, `vulkan`, `webgpu`) it is matrix products and kernels of its own, a
//! block of logits at a time too. A [`Margin`] that says which [`Curve`](margin::Curve) it is costs no
//! wait for the device there; any other is asked on the host. Features may be f16 or bf16: all
//! arithmetic and the loss are f32 then. On any other backend of Burn the loss consists of tensor
//! operations, which hold all logits.

// The tests in tests/ and those in here share their problems.
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

/// The README's example is tested with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
