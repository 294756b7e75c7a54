//! Curves and panels that the caller computes.

use serde::Serialize;

/// The plane of two class weights and the effect of a margin in it: one panel of
/// [`boundary_plot`](crate::boundary_plot). Angles are in degrees, from class weight 1 towards class
/// weight 2.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Boundary {
    /// The title of the panel, such as "m = 2, equal norms".
    pub label: String,
    /// The angle between the two class weights, above 0 and below 180.
    pub between_deg: f64,
    /// The lengths of the class weights.
    pub norms: [f64; 2],
    /// The angle at which both logits are equal without a margin: the boundary of softmax, and of
    /// every test.
    pub plain_deg: f64,
    /// The largest angle at which a sample of class 1 counts as correct in training, and the
    /// smallest at which a sample of class 2 does.
    pub margin_deg: [f64; 2],
}

/// One curve of [`margin_plot`](crate::margin_plot).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct MarginCurve {
    /// The name in the legend, such as "m = 4, λ = 5".
    pub label: String,
    /// (θ in degrees, ψ, dψ/dθ with θ in radians), by increasing θ.
    pub points: Vec<(f64, f64, f64)>,
}

/// One curve of [`annealing_plot`](crate::annealing_plot).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct AnnealingCurve {
    /// The name in the legend, such as "power law".
    pub label: String,
    /// (step, λ), by increasing step. λ = 0 has its own position below the logarithmic axis.
    pub points: Vec<(f64, f64)>,
}
