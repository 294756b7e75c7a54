//! The names and numbers of help texts, from the types that have them.

use lsoftmax_spec::annealing::{LambdaParameters, PAPER_ITERATIONS};
use lsoftmax_spec::margin::LossParameters;
use lsoftmax_spec::metric::{MetricLoss, MetricParameters, PairSelection, TripletSelection};
use lsoftmax_spec::{Lambda, Loss};
use std::fmt::Display;

/// The names in backticks, with commas between them.
pub(super) fn list(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// The losses, alone and combined.
pub(super) fn losses() -> String {
    let beside = MetricLoss::NAMES.iter().map(|name| format!("`+{name}`"));
    let beside: Vec<String> = beside.collect();
    let alone = MetricLoss::NAMES.iter().copied();
    let alone: Vec<&str> = alone
        .filter(|name| MetricLoss::stands_alone(name))
        .collect();
    format!(
        "{}, each optionally followed by one of {}; {}",
        list(Loss::NAMES),
        beside.join(", "),
        list(&alone)
    )
}

/// The selections of pairs, and those of triplets.
pub(super) fn selections() -> String {
    let pairs = PairSelection::ALL.map(PairSelection::name);
    let triplets = TripletSelection::ALL.map(TripletSelection::name);
    let more = triplets.iter().copied();
    let more: Vec<&str> = more.filter(|name| !pairs.contains(name)).collect();
    format!("{}; for triplets also {}", list(&pairs), list(&more))
}

/// `4 for a, b; 5 for c`, or `4` if there is one value. Names without a value are left out.
fn by_value<T: Display>(values: impl Iterator<Item = (&'static str, Option<T>)>) -> String {
    let mut groups: Vec<(String, Vec<&str>)> = Vec::new();
    for (name, value) in values {
        let Some(value) = value.map(|value| value.to_string()) else {
            continue;
        };
        match groups.iter_mut().find(|(known, _)| *known == value) {
            Some((_, names)) => names.push(name),
            None => groups.push((value, vec![name])),
        }
    }
    if let [(value, _)] = &groups[..] {
        return value.clone();
    }
    let groups = groups.iter();
    let groups: Vec<String> = groups
        .map(|(value, names)| format!("{value} for {}", list(names)))
        .collect();
    groups.join("; ")
}

pub(super) fn loss_defaults(value: impl Fn(&LossParameters) -> Option<f64>) -> String {
    let losses = Loss::NAMES.iter();
    by_value(losses.filter_map(|name| Some((*name, value(&Loss::named(name)?.parameters())))))
}

pub(super) fn combined_margins() -> String {
    let margins = Loss::COMBINED.parameters().margins.unwrap_or_default();
    let margins: Vec<String> = margins.iter().map(f64::to_string).collect();
    margins.join(" ")
}

pub(super) fn metric_defaults<T: Display>(value: impl Fn(&MetricLoss) -> Option<T>) -> String {
    let losses = MetricLoss::NAMES.iter();
    by_value(losses.filter_map(|name| {
        let loss = MetricLoss::from_parameters(name, &MetricParameters::default());
        Some((*name, value(&loss.ok()?)))
    }))
}

pub(super) fn lambda_defaults(value: impl Fn(&LambdaParameters) -> Option<f64>) -> String {
    let none = LambdaParameters::default();
    by_value(Lambda::NAMES.iter().filter_map(|name| {
        let lambda = Lambda::from_parameters(name, &none, PAPER_ITERATIONS);
        Some((*name, value(&lambda.ok()?.parameters())))
    }))
}

/// The same for a parameter that depends on the length of the training.
pub(super) fn lambda_defaults_of_paper(value: impl Fn(&LambdaParameters) -> Option<f64>) -> String {
    let default = lambda_defaults(value);
    format!("{default} for {PAPER_ITERATIONS} iterations")
}
