//! Names of classes.

/// The name of a class, or its number if it has none.
pub(crate) fn class_name(names: &[String], label: usize) -> String {
    match names.get(label) {
        Some(name) if !name.trim().is_empty() => name.clone(),
        _ => label.to_string(),
    }
}
