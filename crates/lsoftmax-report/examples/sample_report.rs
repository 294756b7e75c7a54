//! A report of made-up numbers, to look at the page: four losses, ten classes, two seeds.
//!
//! `cargo run -p lsoftmax-report --example sample_report -- FOLDER`

use lsoftmax_report::{
    AnnealingCurve, Boundary, CurvePoint, FeatureFrame, FeaturePicture, Histogram, ImageStrip,
    MarginCurve, OpenSetRow, OpenSetSection, Report, RocCurve, RunDetail, RunSummary,
    ScoreHistogram, StripRow, Thumbnail, annealing_plot, figure_page, margin_plot, page, pictures,
};
use std::f64::consts::{PI, TAU};
use std::path::{Path, PathBuf};

/// A little generator of numbers that look random and are the same every time.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// About normal: the sum of twelve.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

const NAMES: [&str; 10] = [
    "disc", "ring", "square", "triangle", "star", "cross", "arrow", "crescent", "heart", "gear",
];
const STEPS: usize = 6_000;

fn label(m: u32) -> String {
    if m == 1 {
        "Softmax".to_owned()
    } else {
        format!("L-Softmax m = {m}")
    }
}

fn lambda(m: u32, step: usize) -> Option<f64> {
    let decay = 1000.0 * (1.0 + 0.01 * step as f64).powi(-3);
    (m > 1).then_some(if decay < 0.05 { 0.0 } else { decay })
}

fn picture(m: u32, error: f64) -> FeaturePicture {
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
    FeaturePicture {
        label: label(m),
        seed: 0,
        test_error_percent: error,
        mean_target_angle_deg: 38.0 / f64::from(m).powf(0.6),
        step: STEPS,
        earlier: [0.15, 0.5]
            .map(|share: f32| FeatureFrame {
                step: (share * STEPS as f32) as usize,
                points: points.iter().map(|p| p.map(|x: f32| x * share)).collect(),
                class_weights: (0..10).map(weight).collect(),
            })
            .to_vec(),
        points,
        labels,
        class_weights: (0..10).map(weight).collect(),
    }
}

fn angles(m: u32, seed: u64, scale: f64) -> Histogram {
    let mut noise = Noise(100 * u64::from(m) + seed);
    let mean = scale * 38.0 / f64::from(m).powf(0.6);
    let angle = move |_| (mean + mean * 0.3 * noise.normal()).abs();
    Histogram::from_degrees((0..4000).map(angle), 90)
}

fn detail(m: u32, seed: u64) -> RunDetail {
    let mut noise = Noise(7 + 31 * u64::from(m) + seed);
    let strength = f64::from(m);
    let curve = (0..=STEPS).step_by(50).map(|step| {
        let t = step as f64 / STEPS as f64;
        let fall = (-5.0 * t).exp();
        let noisy = 1.0 + 0.12 * noise.normal();
        let tested = step % 500 == 0;
        CurvePoint {
            step,
            loss: Some((2.3 * fall + 0.02 * strength) * noisy),
            lambda: lambda(m, step),
            m: Some(if step < 1_000 { 1 } else { m }),
            learning_rate: Some(if step < 3_000 {
                0.1
            } else if step < 4_500 {
                0.01
            } else {
                0.001
            }),
            train_error_percent: None,
            test_error_percent: tested.then(|| {
                (88.0 * (-9.0 * t).exp() + 2.5 - 0.2 * strength) * (1.0 + 0.03 * noise.normal())
            }),
            mean_target_angle_deg: Some(
                (90.0 - 38.0 / strength.powf(0.6)) * fall
                    + 38.0 / strength.powf(0.6)
                    + noise.normal(),
            ),
            feature_norm: Some(
                (3.0 + 10.0 * strength * (1.0 - fall)) * (1.0 + 0.03 * noise.normal()),
            ),
            weight_norm: Some(1.0 + 0.6 * strength * (1.0 - fall)),
        }
    });
    let curve: Vec<CurvePoint> = curve.collect();
    let confusion = (0..10).map(|truth: usize| {
        let mut row = vec![0_u64; 10];
        row[truth] = 400;
        for _ in 0..(10 - m) {
            let to = (truth + 1 + (noise.uniform() * noise.uniform() * 9.0) as usize) % 10;
            row[to] += 1;
            row[truth] -= 1;
        }
        row
    });
    RunDetail {
        label: label(m),
        seed,
        curve,
        confusion: Some(confusion.collect()),
        target_angle_train: Some(angles(m, seed + 50, 0.85)),
        target_angle_test: Some(angles(m, seed, 1.0)),
        class_angle: Some(Histogram::from_degrees(
            (0..45).map(|_| 100.0 + 3.0 * strength + 26.0 * noise.normal()),
            18,
        )),
    }
}

fn summary(m: u32, seed: u64) -> RunSummary {
    let mut noise = Noise(3 + u64::from(m) + 17 * seed);
    RunSummary {
        loss: if m == 1 { "softmax" } else { "l-softmax" }.to_owned(),
        m,
        label: label(m),
        network: "lenet-plus".to_owned(),
        feature: 2,
        seed,
        iterations: STEPS,
        train_error_percent: None,
        test_error_percent: 2.45 - 0.18 * f64::from(m) + 0.05 * noise.normal(),
        mean_target_angle_deg: 38.0 / f64::from(m).powf(0.6) + 0.4 * noise.normal(),
        min_class_angle_deg: 33.0 + 0.6 * f64::from(m),
        mean_feature_norm: 12.0 * f64::from(m),
        final_lambda: lambda(m, STEPS),
        seconds: 74.0 + f64::from(m),
        images_per_second: 10_400.0 - 120.0 * f64::from(m),
        diverged: m == 4 && seed == 2,
        remark: if m == 4 && seed == 2 {
            "norm collapse at step 412".to_owned()
        } else {
            String::new()
        },
    }
}

fn sample(multipliers: &[u32], seeds: u64) -> Report {
    let runs = || (0..seeds).flat_map(|seed| multipliers.iter().map(move |&m| (m, seed)));
    Report {
        kind: "compare".to_owned(),
        title: if multipliers.len() > 1 {
            "Softmax against L-Softmax on glyphs".to_owned()
        } else {
            format!("{} on glyphs", label(multipliers[0]))
        },
        command:
            "lsoftmax compare --data glyphs --m 2,3,4 --feature 2 --seeds 3 --out runs/glyphs-2d"
                .to_owned(),
        data: "glyphs, 20,000 training and 4,000 test images, 28x28, 10 classes".to_owned(),
        created: "2026-03-01 12:00 UTC".to_owned(),
        class_names: NAMES.map(str::to_owned).to_vec(),
        rows: runs().map(|(m, seed)| summary(m, seed)).collect(),
        pictures: multipliers
            .iter()
            .map(|&m| picture(m, 2.45 - 0.18 * f64::from(m)))
            .collect(),
        runs: runs().map(|(m, seed)| detail(m, seed)).collect(),
        open_set: Some(open_set(multipliers)),
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

/// Normally distributed cosines: of same pairs around `mean`, of different ones around 0.
fn open_set(multipliers: &[u32]) -> OpenSetSection {
    let curve = |m: u32| {
        let shift = 2.0 + 0.25 * f64::from(m);
        // The logistic distribution stands in for the normal one.
        let points = (0..=200).map(|i| {
            let logit = -9.0 + 18.0 * f64::from(i) / 200.0;
            let share = |logit: f64| 1.0 / (1.0 + (-logit).exp());
            (share(logit), share(logit + 1.7 * shift))
        });
        RocCurve {
            label: label(m),
            seed: 0,
            smallest_far: 1e-3,
            points: points.collect(),
        }
    };
    let scores = |m: u32| {
        let edges: Vec<f64> = (0..=40).map(|i| -1.0 + f64::from(i) / 20.0).collect();
        let bell = |middle: f64| -> Vec<u64> {
            let height = |edge: f64| (-((edge + 0.025 - middle) / 0.2).powi(2) / 2.0).exp();
            edges[..40]
                .iter()
                .map(|&edge| (1000.0 * height(edge)) as u64)
                .collect()
        };
        ScoreHistogram {
            label: label(m),
            seed: 0,
            same: bell(0.45 + 0.04 * f64::from(m)),
            different: bell(0.0),
            edges,
            threshold: Some(0.3),
        }
    };
    let image = |shade: u8, right| Thumbnail {
        width: 8,
        height: 8,
        channels: 1,
        bytes: (0..64).map(|i| i * 3 + shade).collect(),
        caption: format!("{shade}"),
        right,
    };
    OpenSetSection {
        about: "2,000 images of 100 classes never trained on.".to_owned(),
        rows: multipliers
            .iter()
            .map(|&m| OpenSetRow {
                label: label(m),
                accuracy_percent: 92.0 + 0.4 * f64::from(m),
                standard_error_percent: 0.4,
                tar_at_1e2_percent: 62.0 + 2.0 * f64::from(m),
                tar_at_1e3_percent: f64::NAN,
                eer_percent: 9.0 - 0.4 * f64::from(m),
                recall_at_1_percent: 86.0,
                map_at_r_percent: 44.0 + 2.0 * f64::from(m),
                rank_1_percent: 80.0 + f64::from(m),
                tpir_at_1e2_percent: 40.0 + 2.0 * f64::from(m),
                nmi: 0.83,
                ami: 0.78,
                seed: 0,
            })
            .collect(),
        curves: multipliers.iter().map(|&m| curve(m)).collect(),
        scores: multipliers.iter().map(|&m| scores(m)).collect(),
        strips: vec![ImageStrip {
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

    let compared = sample(&[1, 2, 3, 4], 3);
    save("compare.html", &page(&compared))?;
    save("train.html", &page(&sample(&[3], 1)))?;
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
