//! A report of made-up numbers, to look at the page: four losses, ten classes, two seeds.
//!
//! `cargo run -p lsoftmax-report --example sample_report -- FOLDER`

use lsoftmax_report::{
    AnnealingCurve, Boundary, CurvePoint, FeatureFrame, FeaturePicture, Histogram, MarginCurve,
    Report, RunDetail, RunSummary, annealing_plot, figure_page, margin_plot, page, pictures, write,
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
    let save = |name: &str, text: &str| write(&folder.join(Path::new(name)), text);

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
