//! Unknown names, and hints for what was meant.

/// A name that is not one of those known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// The thing that is named, such as a loss.
    pub subject: &'static str,
    /// The names that exist.
    pub known: Vec<&'static str>,
    /// The name given.
    pub found: String,
}

impl UnknownName {
    /// The error for `found`.
    pub fn new(subject: &'static str, known: &[&'static str], found: impl Into<String>) -> Self {
        Self {
            subject,
            known: known.to_vec(),
            found: found.into(),
        }
    }
}

impl std::fmt::Display for UnknownName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            subject,
            known,
            found,
        } = self;
        let names = known.join(", ");
        write!(f, "{subject} must be one of {names}, found {found:?}")?;
        match nearest(found, known) {
            Some(name) => write!(f, " (did you mean {name}?)"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UnknownName {}

/// The value of this name among all values of a setting.
pub(crate) fn named<T: Copy, const N: usize>(
    subject: &'static str,
    all: [T; N],
    name: impl Fn(T) -> &'static str,
    wanted: &str,
) -> Result<T, UnknownName> {
    let mut values = all.into_iter();
    let found = values.find(|&value| name(value) == wanted);
    found.ok_or_else(|| UnknownName::new(subject, &all.map(name), wanted))
}

/// The known name that `name` is most likely a misspelling of, if any.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|&candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|&(similarity, _)| similarity > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
