//! λ and the stages of m over the steps of a training.

use crate::error::RecordError;
use crate::settings::Settings;
use lsoftmax_spec::annealing::LambdaParameters;
use lsoftmax_spec::{Annealing, Lambda, Loss};

/// Reads the schedule of a training of `iterations` steps for this loss. Numbers of the file, which
/// was written for `written_for` steps, are stretched; those of flags are not.
pub(crate) fn resolve(
    loss: Loss,
    flags: &Settings,
    file: &Settings,
    written_for: u64,
    iterations: u64,
) -> Result<Annealing, RecordError> {
    let name = flags.annealing.as_deref().or(file.annealing.as_deref());
    let name = name.unwrap_or(Settings::DEFAULT_ANNEALING);
    check(loss, flags, name)?;
    // The file's numbers belong to the file's loss and schedule.
    if flags.loss.is_none() && flags.annealing.is_none() {
        check(loss, file, name)?;
    }
    let from_file = parameters(file).stretched(written_for, iterations);
    let parameters = parameters(flags).or(from_file);
    let lambda = Lambda::from_parameters(name, &parameters, iterations)?;
    let stages = match (&flags.stages, &file.stages) {
        (Some(stages), _) => stages.clone(),
        (None, Some(stages)) => {
            let written = Annealing {
                stages: stages.clone(),
                ..Annealing::none()
            };
            written.stretched(written_for, iterations).stages
        }
        (None, None) => Vec::new(),
    };
    let annealing = Annealing {
        gate: flags.gate.or(file.gate),
        class_balance: flags.class_balance.or(file.class_balance),
        stages,
        ..lambda.into()
    };
    let annealing = if annealing.suits(loss) {
        annealing
    } else {
        Annealing::auto(iterations)
    };
    annealing.check()?;
    Ok(annealing)
}

fn parameters(settings: &Settings) -> LambdaParameters {
    LambdaParameters {
        lambda: settings.lambda,
        lambda_min: settings.lambda_min,
        gamma: settings.gamma,
        power: settings.power,
        factor: settings.factor,
    }
}

/// The schedules, each with all of its parameters.
fn schedules() -> impl Iterator<Item = Lambda> {
    let schedule =
        |name: &'static &str| Lambda::from_parameters(name, &LambdaParameters::default(), 1);
    Lambda::NAMES.iter().flat_map(schedule)
}

/// Checks that nothing is given for λ and m that this loss or the schedule of this name ignores.
fn check(loss: Loss, given: &Settings, schedule: &str) -> Result<(), RecordError> {
    let parameters = parameters(given).named();
    let mut parameters = parameters
        .into_iter()
        .filter_map(|(name, number)| Some((name, number?)));
    if loss.has_multiplier() {
        // An unknown schedule is another error.
        let Some(schedule) = schedules().find(|known| known.name() == schedule) else {
            return Ok(());
        };
        let uses = |lambda: Lambda, name: &str| {
            let mut own = lambda.parameters().named().into_iter();
            own.any(|(known, number)| known == name && number.is_some())
        };
        return match parameters.find(|&(name, _)| !uses(schedule, name)) {
            None => Ok(()),
            Some((name, number)) => {
                let used_by = schedules().filter(|lambda| uses(*lambda, name));
                let used_by: Vec<&str> = used_by.map(|lambda| lambda.name()).collect();
                let expected = format!("for annealing = {}", used_by.join(" or "));
                let found = format!("{number} with annealing = {}", schedule.name());
                Err(RecordError::setting(name, expected, found))
            }
        };
    }
    let expected = format!("left out for {loss}: only l-softmax and a-softmax have λ and stages");
    if let Some((name, number)) = parameters.next() {
        return Err(RecordError::setting(name, expected, number));
    }
    for (name, is_given) in [
        ("stages", given.stages.is_some()),
        ("gate", given.gate.is_some()),
        ("class-balance", given.class_balance.is_some()),
    ] {
        if is_given {
            return Err(RecordError::setting(name, expected, "some"));
        }
    }
    let mut with_parameters = schedules().filter(|known| !known.has_no_parameters());
    match given.annealing.as_deref() {
        Some(name) if with_parameters.any(|known| known.name() == name) => {
            Err(RecordError::setting("annealing", expected, name))
        }
        _ => Ok(()),
    }
}

/// Writes the settings that [`resolve`] reads.
pub(crate) fn write(annealing: &Annealing, settings: &mut Settings) {
    let LambdaParameters {
        lambda,
        lambda_min,
        gamma,
        power,
        factor,
    } = annealing.lambda.parameters();
    settings.annealing = Some(annealing.lambda.name().to_owned());
    settings.lambda = lambda;
    settings.lambda_min = lambda_min;
    settings.gamma = gamma;
    settings.power = power;
    settings.factor = factor;
    settings.stages = (!annealing.stages.is_empty()).then(|| annealing.stages.clone());
    settings.gate = annealing.gate;
    settings.class_balance = annealing.class_balance;
}
