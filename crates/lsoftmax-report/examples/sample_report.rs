//! A report with made-up numbers, for inspecting the page: four losses, ten classes, two seeds.
//!
//! `cargo run -p lsoftmax-report --example sample_report -- FOLDER`

use lsoftmax_metrics::{OpenSetPoint, OperatingPoint, RetrievalReport, TarAtFar, TpirAtFpir};
use lsoftmax_record::{
    Divergence, Evaluation, Frame, IdentificationRates, OpenSetEvaluation, Outcome, Progress,
    Verification,
};
use lsoftmax_report::{
    AnnealingCurve, Boundary, ImageStrip, MarginCurve, OpenSetRow, OpenSetSection, Report, Run,
    StripRow, Thumbnail, annealing_plot, figure_page, margin_plot, page, pictures,
};
use std::f64::consts::{PI, TAU};
use std::path::{Path, PathBuf};

/// A small random number generator with reproducible numbers.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Approximately normal: the sum of twelve uniform numbers.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

const NAMES: [&str; 10] = [
    "disc", "ring", "square", "triangle", "star", "cross", "arrow", "crescent", "heart", "gear",
];
const STEPS: u64 = 6_000;

fn label(m: u32) -> String {
    if m == 1 {
        "Softmax".to_owned()
    } else {
        format!("L-Softmax m = {m}")
    }
}

fn lambda(m: u32, step: u64) -> Option<f64> {
    let decay = 1000.0 * (1.0 + 0.01 * step as f64).powi(-3);
    (m > 1).then_some(if decay < 0.05 { 0.0 } else { decay })
}

/// Test samples in the plane after a part of the training, and at its end.
fn frames(m: u32, error: f64) -> Vec<Frame> {
    let mut noise = Noise(11 + u64::from(m));
    let spread = 0.34 / f64::from(m).powf(0.8);
    let length = 40.0 + 45.0 * f64::from(m);
    let turn = 0.4 * f64::from(m);
    let angle = |class: usize| turn + TAU * class as f64 / 10.0;
    let mut points = Vec::new();
    let mut labels = Vec::new();
    for i in 0..4000_usize {
        let class = i % 10;
        let wrong = noise.uniform() < error / 100.0;
        let about = if wrong {
            angle(class + 1)
        } else {
            angle(class)
        };
        let theta = about + spread * noise.normal() * 0.5;
        let radius = length * (0.55 + 0.18 * noise.normal()).abs();
        points.push([(radius * theta.cos()) as f32, (radius * theta.sin()) as f32]);
        labels.push(class as u32);
    }
    let weight = |class: usize| [angle(class).cos() as f32, angle(class).sin() as f32];
    [0.15, 0.5, 1.0]
        .map(|share: f32| Frame {
            step: (share * STEPS as f32) as u64,
            points: points.iter().map(|p| p.map(|x: f32| x * share)).collect(),
            labels: labels.clone(),
            class_weights: (0..10).map(weight).collect(),
        })
        .to_vec()
}

fn curve(m: u32, noise: &mut Noise) -> Vec<Progress> {
    let strength = f64::from(m);
    let mut point = |step: u64| {
        let t = step as f64 / STEPS as f64;
        let fall = (-5.0 * t).exp();
        let noisy = 1.0 + 0.12 * noise.normal();
        let test_error =
            (88.0 * (-9.0 * t).exp() + 2.5 - 0.2 * strength) * (1.0 + 0.03 * noise.normal());
        Progress {
            step,
            loss: (2.3 * fall + 0.02 * strength) * noisy,
            lambda: lambda(m, step),
            m: if step < 1_000 { 1 } else { m },
            learning_rate: match step {
                0..3_000 => 0.1,
                3_000..4_500 => 0.01,
                _ => 0.001,
            },
            test_error_percent: step.is_multiple_of(500).then_some(test_error),
            mean_target_angle_deg: (90.0 - 38.0 / strength.powf(0.6)) * fall
                + 38.0 / strength.powf(0.6)
                + noise.normal(),
            feature_norm: (3.0 + 10.0 * strength * (1.0 - fall)) * (1.0 + 0.03 * noise.normal()),
            weight_norm: 1.0 + 0.6 * strength * (1.0 - fall),
            ..Progress::default()
        }
    };
    (0..=STEPS).step_by(50).map(&mut point).collect()
}

/// An evaluation whose target angles are spread around their mean.
fn evaluation(m: u32, noise: &mut Noise, scale: f64) -> Evaluation {
    let mean = scale * 38.0 / f64::from(m).powf(0.6);
    let mut counts = vec![0; 90];
    for _ in 0..4000 {
        let angle = (mean + mean * 0.3 * noise.normal()).abs();
        counts[((angle / 2.0) as usize).min(89)] += 1;
    }
    Evaluation {
        samples: 4000,
        error_percent: scale * (2.45 - 0.18 * f64::from(m) + 0.05 * noise.normal()),
        mean_target_angle_deg: mean + 0.4 * noise.normal(),
        median_target_angle_deg: mean,
        min_class_angle_deg: 33.0 + 0.6 * f64::from(m),
        mean_feature_norm: 12.0 * f64::from(m),
        target_angle_edges_deg: (0..=90).map(|edge| 2.0 * f64::from(edge)).collect(),
        target_angle_counts: counts,
        confusion: Some(confusion(m, noise)),
    }
}

fn confusion(m: u32, noise: &mut Noise) -> Vec<Vec<u64>> {
    let row = |truth: usize| {
        let mut row = vec![0_u64; 10];
        row[truth] = 400;
        for _ in 0..(10 - m) {
            let to = (truth + 1 + (noise.uniform() * noise.uniform() * 9.0) as usize) % 10;
            row[to] += 1;
            row[truth] -= 1;
        }
        row
    };
    (0..10).map(row).collect()
}

fn run(m: u32, seed: u64) -> Run {
    let mut noise = Noise(7 + 31 * u64::from(m) + seed);
    let diverged = m == 4 && seed == 2;
    let evaluated = evaluation(m, &mut noise, 1.0);
    Run {
        loss: if m == 1 { "softmax" } else { "l-softmax" }.to_owned(),
        m,
        label: label(m),
        network: "lenet-plus".to_owned(),
        feature: 2,
        seed,
        outcome: Outcome {
            train_evaluation: evaluation(m, &mut noise, 0.85),
            curve: curve(m, &mut noise),
            frames: frames(m, evaluated.error_percent),
            evaluation: evaluated,
            open_set: (seed == 0).then(|| open_set(m)),
            divergence: diverged.then_some(Divergence::NormCollapse),
            remarks: diverged
                .then(|| "norm collapse at step 412".to_owned())
                .into_iter()
                .collect(),
            seconds: 74.0 + f64::from(m),
            images_per_second: 10_400.0 - 120.0 * f64::from(m),
            ..Outcome::default()
        },
    }
}

fn runs(multipliers: &[u32], seeds: u64) -> Vec<Run> {
    (0..seeds)
        .flat_map(|seed| multipliers.iter().map(move |&m| run(m, seed)))
        .collect()
}

/// The report of these runs; the pictures are of the first seed.
fn report(runs: &[Run]) -> Report<'_> {
    let first: Vec<&Run> = runs.iter().filter(|run| run.seed == 0).collect();
    Report {
        kind: "compare".to_owned(),
        title: match &first[..] {
            [run] => format!("{} on glyphs", run.label),
            _ => "Softmax against L-Softmax on glyphs".to_owned(),
        },
        command:
            "lsoftmax compare --data glyphs --m 2,3,4 --feature 2 --seeds 3 --out runs/glyphs-2d"
                .to_owned(),
        data: "glyphs, 20,000 training and 4,000 test images, 28x28, 10 classes".to_owned(),
        created: "2026-03-01 12:00 UTC".to_owned(),
        class_names: NAMES.map(str::to_owned).to_vec(),
        runs: runs.iter().collect(),
        pictures: first,
        open_set: Some(OpenSetSection {
            about: "2,000 images of 100 classes never trained on.".to_owned(),
            rows: runs.iter().filter_map(OpenSetRow::of_run).collect(),
            strips: vec![neighbours()],
        }),
        boundaries: vec![Boundary {
            label: "m = 2, equal norms".to_owned(),
            between_deg: 72.0,
            norms: [1.0, 1.0],
            plain_deg: 36.0,
            margin_deg: [24.0, 48.0],
        }],
        notes: vec!["All numbers of this page are made up, to show what it looks like.".to_owned()],
    }
}

/// Normally distributed cosines: those of same pairs around 0.45 or more, those of different pairs
/// around 0.
fn verification(m: u32) -> Verification {
    let strength = f64::from(m);
    let shift = 2.0 + 0.25 * strength;
    // The logistic distribution stands in for the normal one.
    let share = |logit: f64| 1.0 / (1.0 + (-logit).exp());
    let point = |logit: f64| OperatingPoint {
        threshold: 0.3,
        far: share(logit),
        tar: share(logit + 1.7 * shift),
    };
    let score_edges: Vec<f64> = (0..=40).map(|i| -1.0 + f64::from(i) / 20.0).collect();
    let bell = |middle: f64| -> Vec<u64> {
        let height = |edge: f64| (-((edge + 0.025 - middle) / 0.2).powi(2) / 2.0).exp();
        let edges = score_edges[..40].iter();
        edges.map(|&edge| (1000.0 * height(edge)) as u64).collect()
    };
    Verification {
        same_pairs: 3000,
        different_pairs: 3000,
        folds: 10,
        accuracy_percent: 92.0 + 0.4 * strength,
        standard_error_percent: 0.4,
        threshold: 0.3,
        eer_percent: 9.0 - 0.4 * strength,
        auc: 0.96,
        smallest_far: 1e-3,
        tar_at_far: vec![TarAtFar {
            asked: 1e-2,
            measured: Some(OperatingPoint {
                threshold: 0.4,
                far: 1e-2,
                tar: 0.62 + 0.02 * strength,
            }),
        }],
        points: (0..=200)
            .map(|i| point(-9.0 + 18.0 * f64::from(i) / 200.0))
            .collect(),
        same_counts: bell(0.45 + 0.04 * strength),
        different_counts: bell(0.0),
        score_edges,
    }
}

fn open_set(m: u32) -> OpenSetEvaluation {
    let strength = f64::from(m);
    OpenSetEvaluation {
        images: 2000,
        classes: 100,
        same_names: 0,
        images_compared: true,
        verification: verification(m),
        retrieval: RetrievalReport {
            queries: 2000,
            without_reference: 0,
            recall_at: vec![(1, 0.86)],
            precision_at_1: 0.86,
            r_precision: 0.5,
            map_at_r: 0.44 + 0.02 * strength,
            mean_average_precision: 0.5,
        },
        nmi: Some(0.83),
        ami: Some(0.78),
        identification: Some(IdentificationRates {
            enrolled: 50,
            mated_probes: 950,
            non_mated_probes: 1000,
            cmc: vec![(1, 0.8 + 0.01 * strength)],
            tpir_at_fpir: vec![TpirAtFpir {
                asked: 1e-2,
                measured: Some(OpenSetPoint {
                    threshold: 0.4,
                    fpir: 1e-2,
                    tpir: 0.4 + 0.02 * strength,
                }),
            }],
        }),
        mistakes: Vec::new(),
        neighbourhoods: Vec::new(),
        shown: String::new(),
    }
}

fn neighbours() -> ImageStrip {
    let image = |shade: u8, right| Thumbnail {
        width: 8,
        height: 8,
        channels: 1,
        bytes: (0..64).map(|i| i * 3 + shade).collect(),
        caption: format!("{shade}"),
        right,
    };
    ImageStrip {
        title: "Nearest neighbours".to_owned(),
        about: "An image and the images nearest to it.".to_owned(),
        rows: vec![StripRow {
            caption: "7".to_owned(),
            images: vec![
                image(0, None),
                image(20, Some(true)),
                image(60, Some(false)),
            ],
        }],
    }
}

fn psi(m: u32, theta: f64) -> (f64, f64) {
    let m = f64::from(m);
    let k = (m * theta / PI).floor().min(m - 1.0);
    let sign = if k % 2.0 == 0.0 { 1.0 } else { -1.0 };
    (
        sign * (m * theta).cos() - 2.0 * k,
        -sign * m * (m * theta).sin(),
    )
}

fn margins() -> Vec<MarginCurve> {
    let curve = |m: u32, lambda: f64| MarginCurve {
        label: format!("m = {m}, λ = {lambda}"),
        points: (0..=360)
            .map(|i| {
                let theta = f64::from(i) * PI / 360.0;
                let (value, slope) = psi(m, theta);
                let mix = |plain: f64, with: f64| (lambda * plain + with) / (1.0 + lambda);
                (
                    f64::from(i) / 2.0,
                    mix(theta.cos(), value),
                    mix(-theta.sin(), slope),
                )
            })
            .collect(),
    };
    vec![
        curve(1, 0.0),
        curve(2, 0.0),
        curve(3, 0.0),
        curve(4, 0.0),
        curve(4, 5.0),
    ]
}

fn schedules() -> Vec<AnnealingCurve> {
    let curve = |label: &str, value: fn(f64) -> f64| AnnealingCurve {
        label: label.to_owned(),
        points: (0..=300)
            .map(|i| (f64::from(i) * 100.0, value(f64::from(i) * 100.0)))
            .collect(),
    };
    vec![
        curve("power law, to 5", |step| {
            (1000.0 * (1.0 + 0.12 * step).powi(-1)).max(5.0)
        }),
        curve("exponential, then 0", |step| {
            if step < 20_000.0 {
                1000.0 * (-step / 2500.0).exp()
            } else {
                0.0
            }
        }),
        curve("constant 10", |_| 10.0),
    ]
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(
        std::env::args()
            .nth(1)
            .unwrap_or_else(|| "sample-report".to_owned()),
    );
    std::fs::create_dir_all(folder.join("pictures"))?;
    let save = |name: &str, text: &str| std::fs::write(folder.join(Path::new(name)), text);

    let compared = runs(&[1, 2, 3, 4], 3);
    let compared = report(&compared);
    save("compare.html", &page(&compared))?;
    save("train.html", &page(&report(&runs(&[3], 1))))?;
    save("empty.html", &page(&Report::default()))?;
    for (name, svg) in pictures(&compared) {
        save(&format!("pictures/{name}"), &svg)?;
    }
    let margin = margin_plot(&margins());
    save("pictures/margin.svg", &margin)?;
    save(
        "margin.html",
        &figure_page(
            "The margin function",
            &margin,
            "What the target logit is multiplied by, as the feature turns away from its class \
             weight.\n\nWhere the slope is zero the margin does not turn the feature at all.",
        ),
    )?;
    let annealing = annealing_plot(&schedules());
    save("pictures/annealing.svg", &annealing)?;
    save(
        "annealing.html",
        &figure_page("Annealing", &annealing, "λ as the steps go by."),
    )?;
    Ok(())
}
