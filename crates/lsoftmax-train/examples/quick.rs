//! scratch
use lsoftmax_train::*;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let get = |k: &str| a.iter().position(|x| x == k).map(|i| a[i + 1].clone());
    let s = Settings {
        data: Some(get("--data").unwrap_or("mnist".into())),
        data_dir: get("--data-dir").map(Into::into),
        loss: get("--loss"),
        margin: get("--m").map(|v| v.parse().unwrap()),
        network: get("--network").map(|v| NetworkChoice::Name(v)),
        feature: get("--feature").map(|v| v.parse().unwrap()),
        annealing: get("--annealing"),
        lambda: get("--lambda").map(|v| v.parse().unwrap()),
        iterations: get("--iterations").map(|v| v.parse().unwrap()),
        batch: get("--batch").map(|v| v.parse().unwrap()),
        seed: get("--seed").map(|v| v.parse().unwrap()),
        learning_rate: get("--lr").map(|v| v.parse().unwrap()),
        evaluations: Some(0),
        ..Settings::default()
    };
    let e = Experiment::resolve(s, Settings::default()).unwrap();
    let split = load_data(&e).unwrap();
    struct P(bool);
    impl Observer for P {
        fn progress(&mut self, p: &Progress) -> Result<(), TrainError> {
            if self.0 && p.step % 50 < 6 {
                eprintln!("{p:?}");
            }
            Ok(())
        }
    }
    let t = train(
        &e,
        &split,
        &burn::tensor::Device::flex(),
        &mut P(get("--v").is_some()),
    )
    .unwrap();
    let l = t.curve.last().unwrap();
    println!(
        "{} {} f{} seed {} it {}: test {:.2} train {:.1} angle {:.1} median {:.1} class {:.1} norm {:.2} lambda {:?} {:.1}s {:.0} img/s {:?}",
        e.loss,
        e.network.name,
        e.network.feature,
        e.seed,
        e.iterations,
        t.evaluation.error_percent,
        l.train_error_percent,
        t.evaluation.mean_target_angle_deg,
        t.evaluation.median_target_angle_deg,
        t.evaluation.min_class_angle_deg,
        t.evaluation.mean_feature_norm,
        l.lambda,
        t.seconds,
        t.images_per_second,
        t.divergence
    );
}
