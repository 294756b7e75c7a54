//! The experiments of a comparison of losses.

use crate::error::RecordError;
use crate::experiment::Experiment;
use crate::settings::Settings;
use lsoftmax_spec::{Gate, Lambda};

/// The gate of the pictures. A plane has no room to learn ten classes as far as the gate of the default
/// schedule asks for, and the pictures would all be that of softmax.
const PICTURE_GATE: Gate = Gate {
    from: 0.6,
    to: 0.9,
    ..Gate::AUTO
};

/// Which networks of a comparison are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ComparisonParts {
    /// Those of the table, and those of the pictures.
    #[default]
    All,
    /// Those with a full-sized feature, for the table.
    Table,
    /// Those with a 2-D feature, for the pictures.
    Pictures,
}

/// The same network with several losses, and with several seeds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Comparison {
    /// Experiments with a full-sized feature: a row of the table each.
    pub table: Vec<Experiment>,
    /// The same with a 2-D feature, of the first seed: a picture each.
    pub pictures: Vec<Experiment>,
    /// Whether the margin of the pictures begins earlier than by default.
    pub opens_early: bool,
}

impl Comparison {
    /// The losses that are compared unless others are named, with commas between them.
    pub const LOSSES: &str = "softmax,l-softmax:2,l-softmax:3,l-softmax:4";

    /// The experiments of `losses` (`NAME`, with `:M` for a margin and `@RATE` for a learning rate of its
    /// own) and `seeds`; `settings` win over those of a `file`.
    ///
    /// # Errors
    /// No loss or no seed, one that is not valid, or settings that name a loss, a margin or a seed.
    pub fn plan(
        losses: &[impl AsRef<str>],
        seeds: &[u64],
        settings: &Settings,
        file: &Settings,
        parts: ComparisonParts,
    ) -> Result<Self, RecordError> {
        for given in [settings, file] {
            refuse_own_loss(given)?;
        }
        let choices = losses.iter().map(|loss| Choice::parse(loss.as_ref()));
        let choices: Vec<Choice> = choices.collect::<Result<_, _>>()?;
        let is_annealed = choices.iter().any(|choice| {
            let loss = Some(choice.name.to_owned());
            let settings = Settings {
                loss,
                ..Settings::default()
            };
            settings.has_annealed_loss()
        });
        let mut plan = Self {
            table: Vec::new(),
            pictures: Vec::new(),
            opens_early: false,
        };
        for &seed in seeds {
            for choice in &choices {
                let settings = choice.settings(seed, settings, is_annealed);
                if parts != ComparisonParts::Table && seed == seeds[0] {
                    let settings = Settings {
                        feature: Some(2),
                        ..settings.clone()
                    };
                    let mut experiment = Experiment::resolve(settings, file.clone())?;
                    plan.opens_early |= open_early(&mut experiment);
                    plan.pictures.push(experiment);
                }
                if parts != ComparisonParts::Pictures {
                    plan.table
                        .push(Experiment::resolve(settings, file.clone())?);
                }
            }
        }
        if plan.all().next().is_none() {
            let name = if losses.is_empty() { "losses" } else { "seeds" };
            return Err(RecordError::setting(name, "at least one", "none"));
        }
        Ok(plan)
    }

    /// All experiments, those of the table first.
    pub fn all(&self) -> impl Iterator<Item = &Experiment> {
        self.table.iter().chain(&self.pictures)
    }

    /// The first of them; every plan has one.
    ///
    /// # Panics
    /// Both lists of experiments were emptied.
    pub fn first(&self) -> &Experiment {
        self.all().next().expect("a plan has an experiment")
    }

    /// The name of each experiment's folder in the comparison's, in the order of [`all`](Self::all).
    pub fn folders(&self) -> Vec<String> {
        let table = self.table.iter().map(Experiment::short_name);
        let pictures = self.pictures.iter();
        let pictures = pictures.map(|picture| format!("picture-{}", picture.short_name()));
        table.chain(pictures).collect()
    }

    /// What a page has to say of the pictures.
    pub fn note(&self) -> Option<String> {
        self.opens_early.then(|| {
            format!(
                "The 2-D features come from networks that are trained for these pictures, with a feature of \
                 two dimensions. Their margin begins when the signal of the gate reaches {}; by default it \
                 begins at {}, which is rarely reached with so little room for the classes.",
                PICTURE_GATE.from,
                Gate::AUTO.from
            )
        })
    }
}

/// Refuses settings of what a comparison takes its own lists of.
fn refuse_own_loss(settings: &Settings) -> Result<(), RecordError> {
    let expected =
        "left out: a comparison takes losses and seeds in place of loss, margin and seed";
    let refused = |name, found: String| Err(RecordError::setting(name, expected, found));
    match settings {
        Settings {
            loss: Some(loss), ..
        } => refused("loss", format!("{loss:?}")),
        Settings {
            margin: Some(margin),
            ..
        } => refused("margin", margin.to_string()),
        Settings {
            seed: Some(seed), ..
        } => refused("seed", seed.to_string()),
        _ => Ok(()),
    }
}

/// Sets the gate of the pictures in an experiment that has the default schedule; whether it has.
fn open_early(experiment: &mut Experiment) -> bool {
    let annealing = &mut experiment.annealing;
    let is_default = matches!(annealing.lambda, Lambda::Auto { .. }) && annealing.gate.is_none();
    let opens_early = is_default && experiment.loss.has_multiplier();
    if opens_early {
        annealing.gate = Some(PICTURE_GATE);
    }
    opens_early
}

/// A loss to compare.
#[derive(Debug, PartialEq)]
struct Choice<'a> {
    name: &'a str,
    margin: Option<f64>,
    learning_rate: Option<f64>,
}

impl<'a> Choice<'a> {
    /// Reads `NAME`, with `:M` for its margin and `@RATE` for a learning rate of its own.
    fn parse(text: &'a str) -> Result<Self, RecordError> {
        let (loss, learning_rate) = match text.split_once('@') {
            Some((loss, rate)) => (loss, Some(rate)),
            None => (text, None),
        };
        let (name, margin) = match loss.split_once(':') {
            Some((name, margin)) => (name, Some(margin)),
            None => (loss, None),
        };
        let number = |part: Option<&str>| part.map(str::parse).transpose();
        match (number(margin), number(learning_rate)) {
            (Ok(margin), Ok(learning_rate)) => Ok(Self {
                name,
                margin,
                learning_rate,
            }),
            _ => Err(RecordError::setting(
                "losses",
                "NAME, NAME:M, NAME@RATE or NAME:M@RATE, such as l-softmax:4 or arc-face@0.01",
                format!("{text:?}"),
            )),
        }
    }

    /// The settings with this loss.
    fn settings(&self, seed: u64, settings: &Settings, is_annealed: bool) -> Settings {
        let settings = Settings {
            loss: Some(self.name.to_owned()),
            margin: self.margin,
            seed: Some(seed),
            learning_rate: self.learning_rate.or(settings.learning_rate),
            ..settings.clone()
        };
        // One schedule for all losses that have λ; alone, a loss refuses what it would ignore.
        if is_annealed {
            settings.without_idle_annealing()
        } else {
            settings
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_may_have_a_margin_and_a_rate_of_its_own() {
        let parsed = |text| Choice::parse(text).unwrap();
        let choice = |name, margin, learning_rate| Choice {
            name,
            margin,
            learning_rate,
        };
        assert_eq!(parsed("softmax"), choice("softmax", None, None));
        assert_eq!(parsed("l-softmax:4"), choice("l-softmax", Some(4.0), None));
        let both = choice("softmax+center", Some(1.0), Some(0.02));
        assert_eq!(parsed("softmax+center:1@0.02"), both);
        for wrong in ["l-softmax:", "l-softmax:x", "triplet@", "triplet@fast:3"] {
            let message = Choice::parse(wrong).unwrap_err().to_string();
            assert!(message.contains(wrong), "{message}");
        }
    }

    fn plan(seeds: &[u64], parts: ComparisonParts) -> Result<Comparison, RecordError> {
        let file = Settings::default();
        Comparison::plan(
            &["softmax", "l-softmax:2"],
            seeds,
            &Settings::default(),
            &file,
            parts,
        )
    }

    #[test]
    fn pictures_are_of_the_first_seed_and_open_early() {
        let all = plan(&[3, 5], ComparisonParts::All).unwrap();
        let folders = all.folders();
        assert_eq!((all.table.len(), all.pictures.len()), (4, 2));
        assert_eq!(folders.len(), all.all().count());
        assert!(folders[4].starts_with("picture-softmax"), "{folders:?}");
        assert!(all.pictures.iter().all(|it| it.seed == 3));
        assert!(all.opens_early && all.note().is_some());
        assert_eq!(all.pictures[1].annealing.gate, Some(PICTURE_GATE));
        assert_eq!(all.table[1].annealing.gate, None);
        let table = plan(&[0], ComparisonParts::Table).unwrap();
        assert!(table.pictures.is_empty() && table.note().is_none());
        let pictures = plan(&[0], ComparisonParts::Pictures).unwrap();
        assert!(pictures.table.is_empty() && pictures.pictures.len() == 2);
    }

    #[test]
    fn what_is_compared_is_not_set_beside_it() {
        let none: [&str; 0] = [];
        let (settings, parts) = (Settings::default(), ComparisonParts::All);
        for (losses, seeds, name) in [
            (&none[..], &[0][..], "losses"),
            (&["softmax"], &[], "seeds"),
        ] {
            let error = Comparison::plan(losses, seeds, &settings, &settings, parts);
            let message = error.unwrap_err().to_string();
            assert!(message.starts_with(name), "{message}");
        }
        let file = Settings {
            seed: Some(1),
            ..Settings::default()
        };
        let error = Comparison::plan(&["softmax"], &[0], &settings, &file, parts);
        let message = error.unwrap_err().to_string();
        assert!(message.contains("losses and seeds"), "{message}");
    }
}
