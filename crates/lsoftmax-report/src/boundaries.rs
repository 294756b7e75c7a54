//! The position of the boundary between two classes in their plane, with a margin.

use crate::model::Boundary;
use lsoftmax_spec::Loss;
use lsoftmax_spec::margin::Target;

/// The angle between the two class weights, as between five classes in the plane.
const BETWEEN_DEG: f64 = 72.0;

/// The boundaries of losses for equal norms and for norms that differ by a factor of two, for each
/// m once. A loss that normalises class weights has none.
pub fn boundaries(losses: &[Loss]) -> Vec<Boundary> {
    let mut panels: Vec<Boundary> = Vec::new();
    for loss in losses {
        for (norms, words) in [([1.0, 1.0], "equal norms"), ([1.0, 2.0], "|w₂| = 2 |w₁|")] {
            let m = loss.multiplier();
            let label = format!("m = {m}, {words}");
            let is_new = panels.iter().all(|panel| panel.label != label);
            if is_new && matches!(loss, Loss::Softmax | Loss::LSoftmax { .. }) {
                panels.push(boundary(&label, m, norms));
            }
        }
    }
    panels
}

fn boundary(label: &str, m: u32, norms: [f64; 2]) -> Boundary {
    let between = BETWEEN_DEG.to_radians();
    // The largest angle from its own class weight at which a sample counts as correct.
    let own = |own: f64, other: f64, m: u32| {
        let margin = (Loss::LSoftmax { m }).margin();
        let target = |angle: f64| {
            let target = Target {
                cosine: angle.cos(),
                feature_norm: 1.0,
                weight_norm: own,
            };
            margin
                .as_ref()
                .map_or(f64::NAN, |margin| margin.target_logit(target).value)
        };
        // The logit of the own class falls with the angle, and that of the other rises.
        let (mut low, mut high) = (between - std::f64::consts::PI, between);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if target(middle.abs()) > other * (between - middle).cos() {
                low = middle;
            } else {
                high = middle;
            }
        }
        low.to_degrees()
    };
    Boundary {
        label: label.to_owned(),
        between_deg: BETWEEN_DEG,
        norms,
        plain_deg: own(norms[0], norms[1], 1),
        margin_deg: [
            own(norms[0], norms[1], m),
            BETWEEN_DEG - own(norms[1], norms[0], m),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boundaries_are_those_of_the_paper() {
        // cos(mθ) = cos(φ - θ) where 0 <= mθ <= 180°: θ = φ / (m + 1).
        for m in 1..=4 {
            let even = boundary("", m, [1.0, 1.0]);
            let expected = BETWEEN_DEG / (f64::from(m) + 1.0);
            assert!(
                (even.margin_deg[0] - expected).abs() < 1e-6,
                "{m}: {even:?}"
            );
            assert!((even.margin_deg[1] - (BETWEEN_DEG - expected)).abs() < 1e-6);
            assert!((even.plain_deg - 36.0).abs() < 1e-6);
        }
        // The longer class weight gets more of the plane.
        let uneven = boundary("", 2, [1.0, 2.0]);
        assert!(uneven.plain_deg < 36.0 && uneven.margin_deg[0] < uneven.plain_deg);
        assert!(uneven.margin_deg[1] > uneven.plain_deg);
    }
}
