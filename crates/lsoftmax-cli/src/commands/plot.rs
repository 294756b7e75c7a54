use super::check_lambda;
use crate::args;
use crate::output;
use crate::output_options::OutputOptions;
use crate::outputs::{Inputs, Outputs, own};
use anyhow::Context as _;
use lsoftmax::margin::{Psi, Softmax, blend};
use lsoftmax::{Loss, Margin};
use lsoftmax_data::atomic_write;
use lsoftmax_report::{
    AnnealingCurve, MarginCurve, annealing_plot, boundaries, boundary_plot, figure_page,
    margin_plot,
};
use lsoftmax_train::{Experiment, Settings};
use serde::Serialize;
use std::path::Path;

pub(super) fn run(args: &args::Plot, output_options: OutputOptions) -> anyhow::Result<()> {
    match args {
        args::Plot::Margin {
            margin,
            lambda,
            out,
            overwrite,
        } => plot_margin(margin, lambda, Place::new(out, *overwrite), output_options),
        args::Plot::Boundary {
            margin,
            out,
            overwrite,
        } => plot_boundary(margin, Place::new(out, *overwrite), output_options),
        args::Plot::Annealing {
            annealing,
            iterations,
            margin,
            out,
            overwrite,
        } => {
            let place = Place::new(out, *overwrite);
            plot_annealing(annealing, *iterations, *margin, place, output_options)
        }
    }
}

/// Where a picture is written, and whether it may replace the files of others.
#[derive(Clone, Copy)]
struct Place<'a> {
    out: &'a Path,
    force: bool,
}

impl<'a> Place<'a> {
    fn new(out: &'a Path, overwrite: args::Overwrite) -> Self {
        Self {
            out,
            force: overwrite.force,
        }
    }
}

/// Steps of half a degree.
const ANGLES: usize = 360;

fn plot_margin(
    ms: &[u32],
    lambdas: &[f64],
    out: Place,
    output_options: OutputOptions,
) -> anyhow::Result<()> {
    let mut curves = Vec::new();
    for &m in ms {
        Psi::new(m).map_err(lsoftmax::Error::from)?;
        // m = 1 is softmax at any λ.
        for &lambda in if m == 1 { &lambdas[..1] } else { lambdas } {
            check_lambda(lambda)?;
            let margin: Box<dyn Margin> = if m == 1 {
                Box::new(Softmax)
            } else {
                Loss::LSoftmax { m }
                    .margin()
                    .map_err(lsoftmax::Error::from)?
            };
            let point = |i: usize| {
                let degrees = 180.0 * i as f64 / ANGLES as f64;
                let theta = degrees.to_radians();
                let target = lsoftmax::margin::Target {
                    cosine: theta.cos(),
                    feature_norm: 1.0,
                    weight_norm: 1.0,
                };
                let logit = blend(&*margin, lambda, target);
                (degrees, logit.value, -theta.sin() * logit.d_cosine)
            };
            let label = if m == 1 {
                "m = 1 (softmax)".into()
            } else {
                format!("m = {m}, λ = {lambda}")
            };
            curves.push(MarginCurve {
                label,
                points: (0..=ANGLES).map(point).collect(),
            });
        }
    }
    write(
        out,
        "The margin function of L-Softmax",
        margin_plot(&curves),
        "The target logit |w||x| ψ(θ) for |w| = |x| = 1, blended with the plain logit as \
         cos θ + (ψ(θ) - cos θ) / (1 + λ), and its slope by the angle in radians.",
        &curves,
        output_options,
    )
}

fn plot_boundary(ms: &[u32], out: Place, output_options: OutputOptions) -> anyhow::Result<()> {
    let mut losses = Vec::new();
    for &m in ms {
        Psi::new(m).map_err(lsoftmax::Error::from)?;
        losses.push(Loss::LSoftmax { m });
    }
    let panels = boundaries(&losses);
    write(
        out,
        "The decision boundaries of two classes",
        boundary_plot(&panels),
        "Two class weights and the plane they span: section 3.3 of the L-Softmax paper. In training, a \
         sample counts as correct within the sector of its class; the gap between the sectors is the \
         margin. Plain softmax, and every test, separates the classes at the dashed line.",
        &panels,
        output_options,
    )
}

fn plot_annealing(
    names: &[String],
    iterations: u64,
    m: u32,
    out: Place,
    output_options: OutputOptions,
) -> anyhow::Result<()> {
    let mut curves = Vec::new();
    for name in names {
        let settings = Settings {
            annealing: Some(name.clone()),
            margin: Some(f64::from(m)),
            iterations: Some(iterations),
            ..Settings::default()
        };
        let experiment = Experiment::resolve(settings, Settings::default())?;
        let step = (iterations / 500).max(1);
        let points = (0..iterations)
            .step_by(step as usize)
            .chain([iterations - 1])
            .map(|step| {
                let (_, lambda) = experiment.annealing.at(step, experiment.loss);
                (step as f64, lambda.least())
            })
            .collect();
        curves.push(AnnealingCurve {
            label: name.clone(),
            points,
        });
    }
    write(
        out,
        &format!("λ over the steps, L-Softmax m = {m}"),
        annealing_plot(&curves),
        "A large λ is plain softmax, λ = 0 the full margin. For auto, λ is shown for separated classes.",
        &curves,
        output_options,
    )
}

fn write(
    Place { out, force }: Place,
    title: &str,
    svg: String,
    explanation: &str,
    curves: &impl Serialize,
    output_options: OutputOptions,
) -> anyhow::Result<()> {
    let inputs = Inputs::default();
    Outputs::new(&inputs, force).files(&[out], || own::is_plot(out, &svg))?;
    let page = out.extension().is_some_and(|extension| extension == "html");
    let text = if page {
        figure_page(title, &svg, explanation)
    } else {
        svg
    };
    atomic_write(out, text.as_bytes()).context("cannot write the picture")?;
    if output_options.json {
        let answer = serde_json::json!({ "curves": curves });
        output::Answer::new(answer).path("picture", out).print()
    } else {
        output::line(&format!("picture: {}", out.display()))
    }
}
