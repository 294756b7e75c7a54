//! Labels in file names.

/// A label as a part of a file name: lower-case ASCII letters, digits and hyphens, at most 60
/// characters, or "run" if nothing is left.
pub fn slug(label: &str) -> String {
    let lower = label.to_lowercase();
    let words = lower
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty());
    let slug = words.collect::<Vec<_>>().join("-");
    if slug.is_empty() {
        "run".to_owned()
    } else {
        slug.chars().take(60).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_plain() {
        assert_eq!(slug("L-Softmax m = 4"), "l-softmax-m-4");
        assert_eq!(slug("../../etc"), "etc");
        assert_eq!(slug("λ"), "run");
    }
}
