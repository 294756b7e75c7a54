//! Identity of files, independent of their paths.

use std::path::Path;

/// A file, whatever its path: two spellings, two links, or a link and its target are equal.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Identity(Inner);

#[cfg(unix)]
type Inner = (u64, u64);
#[cfg(not(unix))]
type Inner = std::path::PathBuf;

impl Identity {
    /// The file at a path, if it exists.
    pub(super) fn of(path: &Path) -> Option<Self> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            let found = path.metadata().ok()?;
            Some(Self((found.dev(), found.ino())))
        }
        #[cfg(not(unix))]
        {
            path.canonicalize().ok().map(Self)
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_and_spellings_are_one_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("a"), "x").unwrap();
        fs::write(path("b"), "x").unwrap();
        fs::create_dir(path("d")).unwrap();
        fs::hard_link(path("a"), path("hard")).unwrap();
        symlink("a", path("soft")).unwrap();
        symlink("nowhere", path("dangling")).unwrap();
        let a = Identity::of(&path("a")).unwrap();
        for same in ["hard", "soft", "d/../a", "./a"] {
            assert_eq!(Identity::of(&path(same)), Some(Identity(a.0)), "{same}");
        }
        assert_ne!(Identity::of(&path("b")), Some(Identity(a.0)));
        assert_eq!(Identity::of(&path("dangling")), None);
    }
}
