//! Sentences about the results on classes that were not trained on.

use lsoftmax_record::OpenSetEvaluation;
use std::fmt::Write as _;

/// The test data, as a sentence without a full stop.
pub fn open_set_about(found: &OpenSetEvaluation) -> String {
    let verification = &found.verification;
    let mut text = format!(
        "{} images of {} classes never trained on; {} same and {} different pairs in {} folds",
        found.images,
        found.classes,
        verification.same_pairs,
        verification.different_pairs,
        verification.folds
    );
    if let Some(label) = open_set_caveats(found) {
        write!(text, "; {label}").ok();
    }
    text
}

/// Caveats of the results: shared class names, and images that were not compared.
pub fn open_set_caveats(found: &OpenSetEvaluation) -> Option<String> {
    let names = (found.same_names > 0).then(|| same_names_clause(found.same_names));
    let images = (!found.images_compared).then(|| {
        "only the names of the classes were compared with those of the training: the list of its \
         images was not found next to the model"
            .to_owned()
    });
    let both: Vec<String> = [names, images].into_iter().flatten().collect();
    (!both.is_empty()).then(|| both.join("; "))
}

/// A clause on classes that share their names with trained ones.
pub fn same_names_clause(count: usize) -> String {
    let which = match count {
        1 => "1 of the classes has the name of a trained class and is",
        _ => &format!("{count} of the classes have names of trained classes and are"),
    };
    format!("{which} declared to be different")
}
