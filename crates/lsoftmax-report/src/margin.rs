//! Plots of margin functions (ψ and its slope over θ) and of annealing schedules (λ over the
//! steps).

use crate::chart::{Area, Plot, legend, legend_height, series_entries};
use crate::model::{AnnealingCurve, MarginCurve};
use crate::number::significant;
use crate::scale::Scale;
use crate::svg::{Anchor, Svg};
use crate::theme;

const WIDTH: f64 = 400.0;

/// The target logit as a function of the angle, `ψ_λ(θ)`, for θ from 0° to 180°, and below it the
/// slope dψ/dθ. The caller computes the curves.
pub fn margin_plot(curves: &[MarginCurve]) -> String {
    let entries = series_entries(curves.iter().map(|curve| curve.label.as_str()));
    let top = 40.0 + legend_height(&entries, WIDTH);
    let names: Vec<&str> = curves.iter().map(|curve| curve.label.as_str()).collect();
    let description = format!(
        "Upper part: target logit over the norms, as a function of the angle between feature and \
         class weight. Lower part: its slope. Curves: {}.",
        names.join("; ")
    );
    let mut svg = Svg::new(WIDTH, top + 484.0, "The margin function ψ(θ)", &description);
    svg.heading(
        "The margin function ψ(θ)",
        "target logit divided by both norms",
    );
    legend(&mut svg, &entries, (2.0, 38.0), WIDTH);
    let x = Scale::Linear {
        low: 0.0,
        high: 180.0,
    };
    if !curves
        .iter()
        .flat_map(|curve| &curve.points)
        .any(|p| p.1.is_finite())
    {
        svg.sentence("No finite values to draw.");
        return svg.standalone();
    }
    for (slope, panel_top, height) in [(false, top + 6.0, 264.0), (true, top + 296.0, 186.0)] {
        let value = |&(theta, psi, dpsi): &(f64, f64, f64)| (theta, if slope { dpsi } else { psi });
        let lines: Vec<Vec<(f64, f64)>> = curves
            .iter()
            .map(|curve| curve.points.iter().map(value).collect())
            .collect();
        let y = Scale::linear(lines.iter().flatten().map(|point| point.1), true);
        let area = Area {
            left: 0.0,
            top: panel_top,
            width: WIDTH,
            height,
        };
        let plot = Plot::new(&mut svg, area, x, y, "θ in degrees");
        for (index, line) in lines.iter().enumerate() {
            svg.open(&theme::series(index));
            plot.line(&mut svg, "line", index, line);
            svg.close();
        }
    }
    svg.text(
        "strong",
        Anchor::Start,
        (2.0, top + 286.0),
        "Slope dψ/dθ, per radian",
    );
    svg.standalone()
}

/// λ over the steps for several schedules, on a logarithmic axis with a position for zero.
pub fn annealing_plot(curves: &[AnnealingCurve]) -> String {
    let entries = series_entries(curves.iter().map(|curve| curve.label.as_str()));
    let top = 40.0 + legend_height(&entries, WIDTH);
    let ends: Vec<String> = curves
        .iter()
        .filter_map(|curve| {
            let ((_, first), (_, last)) = (curve.points.first()?, curve.points.last()?);
            Some(format!(
                "{} from {} to {}",
                curve.label,
                significant(*first),
                significant(*last)
            ))
        })
        .collect();
    let description = format!("λ against the step: {}.", ends.join("; "));
    let mut svg = Svg::new(WIDTH, top + 276.0, "Annealing of λ", &description);
    let values = || {
        curves
            .iter()
            .flat_map(|curve| &curve.points)
            .map(|point| point.1)
    };
    let y = Scale::log(values(), true);
    let subtitle = match y {
        Scale::LogZero { .. } => "log scale; zero and values close to it at the bottom",
        Scale::Log { .. } => "log scale",
        Scale::Linear { .. } | Scale::Probit { .. } => "",
    };
    svg.heading("Annealing of λ", subtitle);
    legend(&mut svg, &entries, (2.0, 38.0), WIDTH);
    if !values().any(f64::is_finite) {
        svg.sentence("No finite values to draw.");
        return svg.standalone();
    }
    let x = Scale::exact(
        curves
            .iter()
            .flat_map(|curve| &curve.points)
            .map(|point| point.0),
    );
    let area = Area {
        left: 0.0,
        top: top + 4.0,
        width: WIDTH,
        height: 270.0,
    };
    let plot = Plot::new(&mut svg, area, x, y, "step");
    for (index, curve) in curves.iter().enumerate() {
        svg.open(&theme::series(index));
        plot.line(&mut svg, "line", index, &curve.points);
        svg.close();
    }
    svg.standalone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_is_drawn_twice() {
        let curve = |label: &str| MarginCurve {
            label: label.to_owned(),
            points: (0..=180)
                .map(|d| (f64::from(d), 1.0 - f64::from(d) / 90.0, -1.0))
                .collect(),
        };
        let svg = margin_plot(&[curve("m = 1"), curve("m = 2")]);
        assert_eq!(svg.matches("class=\"line\"").count(), 4);
        assert!(margin_plot(&[]).contains("No finite values"));
        let lost = MarginCurve {
            points: vec![(0.0, f64::NAN, f64::NAN)],
            ..curve("x")
        };
        assert!(margin_plot(&[lost]).contains("No finite values"));
    }

    #[test]
    fn zero_is_drawn() {
        let curve = |last| AnnealingCurve {
            label: "power law".to_owned(),
            points: vec![(0.0, 1000.0), (50.0, 10.0), (100.0, last)],
        };
        assert!(annealing_plot(&[curve(0.0)]).contains("class=\"gap\""));
        assert!(!annealing_plot(&[curve(0.1)]).contains("class=\"gap\""));
        assert!(annealing_plot(&[]).contains("No finite values"));
    }
}
