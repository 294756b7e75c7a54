//! The rules for output files: a command never overwrites its inputs, and replaces files that it
//! did not write only with `--force`. The rules are checked before the work starts and before
//! anything is written.

mod identity;
pub(crate) mod own;

use crate::misuse::Misuse;
use anyhow::{Context as _, bail};
use identity::Identity;
use lsoftmax_data::images::ImageList;
use lsoftmax_report::{FIGURES, RUN};
use lsoftmax_train::{CHECKPOINTS, EXPERIMENT_FILE, REPORT_FILE, RUN_FILES, TrainError, is_free};
use std::collections::HashSet;
use std::path::{Path, PathBuf};

/// All inputs of a command.
#[derive(Default)]
pub(crate) struct Inputs {
    files: Vec<PathBuf>,
    /// Images, folders and lists of images.
    images: Vec<PathBuf>,
}

impl Inputs {
    /// Adds a file, if there is one.
    pub(crate) fn file(mut self, file: Option<&Path>) -> Self {
        self.files.extend(file.map(Path::to_owned));
        self
    }

    /// Adds a model file, or all files of a run.
    pub(crate) fn run(mut self, run: &Path) -> Self {
        if !run.is_dir() {
            return self.file(Some(run));
        }
        self.files.extend(RUN_FILES.map(|name| run.join(name)));
        for folder in [CHECKPOINTS, FIGURES] {
            self.files.extend(files_of(&run.join(folder)));
        }
        self
    }

    /// Adds images: files, folders, or lists and the images in them.
    pub(crate) fn images(mut self, places: &[PathBuf]) -> Self {
        self.images.extend_from_slice(places);
        self
    }

    fn identities(&self) -> anyhow::Result<HashSet<Identity>> {
        let files = self.files.iter().chain(&self.images);
        let mut found: HashSet<_> = files.filter_map(|path| Identity::of(path)).collect();
        for place in &self.images {
            let list = ImageList::from_anything(place)?;
            let images = list.entries.iter();
            found.extend(images.filter_map(|image| Identity::of(&image.path)));
        }
        Ok(found)
    }
}

/// The outputs of a command.
pub(crate) struct Outputs<'a> {
    inputs: &'a Inputs,
    force: bool,
}

impl<'a> Outputs<'a> {
    /// The outputs of a command with these inputs. With `force`, files that the command did not
    /// write are replaced too.
    pub(crate) fn new(inputs: &'a Inputs, force: bool) -> Self {
        Self { inputs, force }
    }

    /// Checks files that are written together. `is_own` tells whether existing files were written
    /// by this command.
    ///
    /// # Errors
    /// One of them is an input, is not a file, or was made by something else; or its folder is
    /// missing or not writable.
    pub(crate) fn files(
        &self,
        files: &[&Path],
        is_own: impl FnOnce() -> bool,
    ) -> anyhow::Result<()> {
        for file in files {
            writable(parent(file))?;
        }
        self.existing(files, is_own)
    }

    /// Checks files in a folder that may have to be created.
    ///
    /// # Errors
    /// The same as for [`files`](Self::files).
    pub(crate) fn folder(
        &self,
        folder: &Path,
        names: &[&str],
        is_own: impl FnOnce() -> bool,
    ) -> anyhow::Result<()> {
        may_be_folder(folder)?;
        let files: Vec<PathBuf> = names.iter().map(|name| folder.join(name)).collect();
        let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        self.existing(&files, is_own)
    }

    /// Checks a page and the folder of its pictures.
    ///
    /// # Errors
    /// The same as for [`files`](Self::files).
    pub(crate) fn page(&self, folder: &Path, kind: &str) -> anyhow::Result<()> {
        if folder.join(EXPERIMENT_FILE).exists() {
            bail!(Misuse(format!(
                "{} is the folder of a run, whose page would be overwritten: name another folder",
                folder.display()
            )));
        }
        self.any_page(folder, kind)
    }

    /// Checks the page of a run in its own folder.
    ///
    /// # Errors
    /// The same as for [`files`](Self::files).
    pub(crate) fn run_page(&self, folder: &Path) -> anyhow::Result<()> {
        self.any_page(folder, RUN)
    }

    fn any_page(&self, folder: &Path, kind: &str) -> anyhow::Result<()> {
        let page = folder.join(REPORT_FILE);
        self.folder(folder, &[REPORT_FILE], || own::is_page(&page, kind))?;
        self.pictures(&folder.join(FIGURES))
    }

    /// Checks a folder of pictures.
    ///
    /// # Errors
    /// The same as for [`files`](Self::files).
    pub(crate) fn pictures(&self, folder: &Path) -> anyhow::Result<()> {
        may_be_folder(folder)?;
        for file in files_of(folder) {
            if file.extension().is_some_and(|ending| ending == "svg") {
                self.existing(&[&file], || own::is_picture(&file))?;
            }
        }
        Ok(())
    }

    fn existing(&self, files: &[&Path], is_own: impl FnOnce() -> bool) -> anyhow::Result<()> {
        let there = |file: &&&Path| file.symlink_metadata().is_ok();
        let files: Vec<&&Path> = files.iter().filter(there).collect();
        let Some(first) = files.first() else {
            return Ok(());
        };
        let inputs = self.inputs.identities()?;
        for file in &files {
            if Identity::of(file).is_some_and(|file| inputs.contains(&file)) {
                bail!(Misuse(format!(
                    "{} is one of the inputs, and would be overwritten: name another output",
                    file.display()
                )));
            }
            if file.exists() && !file.is_file() {
                bail!(Misuse(format!(
                    "{} is in the way: it is not a regular file",
                    file.display()
                )));
            }
        }
        if !self.force && !is_own() {
            bail!(Misuse(format!(
                "{} already exists and was not written by this command: name another output, or \
                 replace it with --force",
                first.display()
            )));
        }
        Ok(())
    }
}

/// # Errors
/// The path is not an empty folder, or the folder cannot be created.
pub(crate) fn new_folder(path: &Path) -> anyhow::Result<()> {
    if !is_free(path) {
        return Err(TrainError::RunExists(path.to_owned()).into());
    }
    may_be_folder(path)
}

/// The folder of a file.
fn parent(file: &Path) -> &Path {
    match file.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The files in a folder, or none if the folder does not exist.
fn files_of(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// # Errors
/// A new file in the folder cannot be written.
fn writable(folder: &Path) -> anyhow::Result<()> {
    tempfile::tempfile_in(folder)
        .map(drop)
        .with_context(|| format!("cannot write to the folder {}", folder.display()))
}

/// # Errors
/// The folder cannot be created or written to.
fn may_be_folder(folder: &Path) -> anyhow::Result<()> {
    let mut there = folder;
    while there.symlink_metadata().is_err() {
        there = parent(there);
        if there == Path::new(".") {
            break;
        }
    }
    if !there.is_dir() {
        bail!(Misuse(format!(
            "{} is in the way: {} needs a folder there",
            there.display(),
            folder.display()
        )));
    }
    writable(there)
}
