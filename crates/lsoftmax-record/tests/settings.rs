//! Settings are read, checked and written.

use lsoftmax_record::{Experiment, Settings};
use lsoftmax_spec::{Gate, Lambda, MarginStage};

fn settings(loss: &str) -> Settings {
    Settings {
        loss: Some(loss.into()),
        ..Settings::default()
    }
}

#[test]
fn an_experiment_reads_back_from_its_own_file() {
    for loss in [
        "softmax",
        "l-softmax",
        "a-softmax",
        "am-softmax",
        "arc-face",
        "combined",
        "softmax+contrastive",
        "triplet",
        "a-softmax+center",
    ] {
        for annealing in ["auto", "none", "constant", "power-law", "geometric"] {
            let settings = Settings {
                annealing: Some(annealing.into()),
                seed: Some(u64::MAX),
                ..settings(loss)
            };
            let annealed = settings.has_annealed_loss();
            let settings = Settings {
                gate: (annealed && annealing != "none").then_some(Gate::AUTO),
                ..settings
            };
            let experiment = match Experiment::resolve(settings, Settings::default()) {
                Err(error) if !annealed && !matches!(annealing, "auto" | "none") => {
                    assert!(error.to_string().contains("annealing must be left out"));
                    continue;
                }
                experiment => experiment.unwrap(),
            };
            let file = toml::from_str(&experiment.to_toml().unwrap()).unwrap();
            assert_eq!(
                Experiment::resolve(Settings::default(), file).unwrap(),
                experiment
            );
        }
    }
}

/// λ that a loss or a schedule ignores is an error, wherever it comes from.
#[test]
fn lambda_that_nothing_uses_is_refused() {
    let number = |key: &str| Settings {
        lambda: (key == "lambda").then_some(5.0),
        lambda_min: (key == "lambda-min").then_some(1.0),
        gamma: (key == "gamma").then_some(0.1),
        power: (key == "power").then_some(35.0),
        factor: (key == "factor").then_some(0.9),
        gate: (key == "gate").then_some(Gate::AUTO),
        stages: (key == "stages").then(|| vec![MarginStage { step: 0, m: 2 }]),
        annealing: (key == "annealing").then(|| "constant".to_owned()),
        ..Settings::default()
    };
    let none = Settings::default;
    for loss in [
        "softmax",
        "cos-face",
        "am-softmax",
        "arc-face",
        "combined",
        "softmax+center",
        "triplet",
    ] {
        for key in [
            "lambda",
            "lambda-min",
            "gamma",
            "power",
            "factor",
            "stages",
            "gate",
            "annealing",
        ] {
            let given = number(key).or(settings(loss));
            for [flags, file] in [[given.clone(), none()], [none(), given.clone()]] {
                let error = Experiment::resolve(flags, file).unwrap_err().to_string();
                assert!(
                    error.starts_with(&format!("{key} must be left out")),
                    "{error}"
                );
            }
            // A file's schedule is for the file's loss; a flag may set another loss.
            let file = number(key).or(Settings {
                annealing: Some("power-law".into()),
                ..settings("l-softmax")
            });
            let file = if key == "factor" || key == "annealing" {
                settings("l-softmax")
            } else {
                file
            };
            let flags = Settings {
                loss: Some(loss.into()),
                ..none()
            };
            let found = Experiment::resolve(flags, file).unwrap();
            assert!(matches!(found.annealing.lambda, Lambda::Auto { .. }));
            // What an older run recorded is read without it.
            let recorded = given.without_idle_annealing();
            assert!(Experiment::resolve(none(), recorded).is_ok());
        }
    }
    // A schedule that does not use the number.
    for (annealing, key) in [
        ("auto", "lambda"),
        ("none", "lambda"),
        ("constant", "lambda-min"),
        ("geometric", "gamma"),
        ("power-law", "factor"),
    ] {
        let given = Settings {
            annealing: Some(annealing.into()),
            ..number(key)
        };
        let given = given.or(settings("l-softmax"));
        let error = Experiment::resolve(given, none()).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("{key} must be for annealing")),
            "{error}"
        );
    }
}

/// TOML knows `nan` and `inf`: no setting takes them, those of later versions included.
#[test]
fn settings_that_are_not_finite_are_refused() {
    for key in Settings::KEYS {
        for number in ["nan", "inf", "-inf", "[1.0, nan, 0.0]", "{ paper = inf }"] {
            let text = format!("{key} = {number}");
            let Ok(file) = toml::from_str::<Settings>(&text) else {
                continue;
            };
            let name = if number.contains("paper") {
                "paper"
            } else {
                key
            };
            for [flags, file] in [
                [file.clone(), Settings::default()],
                [Settings::default(), file],
            ] {
                let error = Experiment::resolve(flags, file).unwrap_err().to_string();
                let expected = format!("{name} must be a finite number, found ");
                assert!(error.starts_with(&expected), "{text}: {error}");
            }
        }
    }
}

#[test]
fn the_known_keys_are_those_of_the_settings() {
    let all = toml::Table::try_from(
        Experiment::resolve(settings("l-softmax"), Settings::default())
            .unwrap()
            .to_settings(),
    )
    .unwrap();
    assert!(all.keys().all(|key| Settings::KEYS.contains(&key.as_str())));
    for key in Settings::KEYS {
        let text = format!("{key} = {{ nonsense = true }}");
        let message = toml::from_str::<Settings>(&text).unwrap_err().to_string();
        assert!(
            !message.contains(&format!("unknown field `{key}`")),
            "{key}: {message}"
        );
    }
}

#[test]
fn errors_name_the_setting_and_what_was_expected() {
    let message = |given: Settings| {
        let error = Experiment::resolve(given, Settings::default()).unwrap_err();
        error.to_string()
    };
    let none = Settings::default;
    for (given, expected) in [
        (
            settings("arc-fce"),
            "loss must be one of softmax, l-softmax, ",
        ),
        (
            settings("softmax+pairs"),
            "the loss after + must be one of contrastive, triplet, center",
        ),
        (
            settings("center"),
            "loss must be beside another, as softmax+center",
        ),
        (
            Settings {
                margin: Some(2.5),
                ..none()
            },
            "margin must be a whole number from 1 to 16 for l-softmax, found 2.5",
        ),
        (
            Settings {
                pair_margin: Some(1.0),
                ..settings("softmax+center")
            },
            "pair-margin must be left out, found it with center loss, which has none",
        ),
        (
            Settings {
                pair_weight: Some(1.0),
                ..settings("softmax")
            },
            "pair-weight must be left out, or given to a loss such as softmax+contrastive",
        ),
        (
            Settings {
                pair_selection: Some("semi-hard".into()),
                ..settings("contrastive")
            },
            "pair-selection must be one of all, random, hard, found \"semi-hard\"",
        ),
        (
            Settings {
                annealing: Some("linear".into()),
                ..none()
            },
            "annealing must be one of auto, none, constant, power-law, geometric",
        ),
        (
            Settings {
                lambda_min: Some(1.0),
                ..none()
            },
            "lambda-min must be for annealing = power-law or geometric, found 1 with annealing = auto",
        ),
        (
            Settings {
                on_divergence: Some("halt".into()),
                ..none()
            },
            "on-divergence must be one of stop, raise-lambda",
        ),
        (
            Settings {
                batch: Some(1),
                ..none()
            },
            "batch must be from 2 to 65536, found 1",
        ),
        (
            Settings {
                fit: Some("crp".into()),
                ..none()
            },
            "fit must be one of crop, stretch, pad, found \"crp\" (did you mean crop?)",
        ),
    ] {
        let found = message(given);
        assert!(found.starts_with(expected), "{found}");
    }
}

/// `--iterations` on top of a file stretches the numbers of the file, not those of flags.
#[test]
fn numbers_of_a_file_are_stretched() {
    let file = Settings {
        iterations: Some(1000),
        milestones: Some(vec![500]),
        annealing: Some("power-law".into()),
        gamma: Some(0.1),
        stages: Some(vec![MarginStage { step: 100, m: 2 }]),
        ..Settings::default()
    };
    let flags = Settings {
        iterations: Some(2000),
        power: Some(2.0),
        ..Settings::default()
    };
    let experiment = Experiment::resolve(flags, file).unwrap();
    assert_eq!(experiment.rates.milestones, [1000]);
    assert_eq!(experiment.annealing.stages[0].step, 200);
    let expected = Lambda::PowerLaw {
        base: 1000.0,
        gamma: 0.05,
        power: 2.0,
        min: 0.0,
    };
    assert_eq!(experiment.annealing.lambda, expected);
}

#[test]
fn the_learning_rate_has_a_shape_and_a_warm_up() {
    let resolve = |settings: Settings| Experiment::resolve(settings, Settings::default());
    let cosine = Settings {
        iterations: Some(100),
        rate_schedule: Some("cosine".into()),
        warmup: Some(10),
        nesterov: Some(true),
        clip_norm: Some(5.0),
        label_smoothing: Some(0.1),
        ..Settings::default()
    };
    let experiment = resolve(cosine.clone()).unwrap();
    assert_eq!(experiment.learning_rate_at(0), 0.01);
    assert_eq!(experiment.learning_rate_at(10), 0.1);
    assert!(experiment.learning_rate_at(99) < 1e-4);
    let written = toml::from_str(&experiment.to_toml().unwrap()).unwrap();
    assert_eq!(resolve(written).unwrap(), experiment);
    let longer = Settings {
        iterations: Some(200),
        ..Settings::default()
    };
    let stretched = Experiment::resolve(longer, cosine.clone()).unwrap();
    assert_eq!(stretched.rates.warmup, 20);
    let error = |change: fn(&mut Settings)| {
        let mut settings = cosine.clone();
        change(&mut settings);
        resolve(settings).unwrap_err().to_string()
    };
    for (change, expected) in [
        (
            (|s| s.rate_schedule = Some("cosin".into())) as fn(&mut Settings),
            "did you mean cosine?",
        ),
        (
            |s| s.rate_schedule = Some("one-cycle".into()),
            "warmup must be 0",
        ),
        (|s| s.warmup = Some(101), "from 0 to 100"),
        (|s| s.momentum = Some(0.0), "above 0 for nesterov"),
        (|s| s.clip_norm = Some(0.0), "clip-norm must be above 0"),
        (|s| s.clip_norm = Some(f64::NAN), "finite"),
        (|s| s.label_smoothing = Some(1.0), "from 0 to 0.999"),
    ] {
        let found = error(change);
        assert!(found.contains(expected), "{found}");
    }
}
