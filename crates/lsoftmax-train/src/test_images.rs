//! Selection of the images to evaluate a trained model on.

use crate::error::TrainError;
use crate::image_options::image_options;
use crate::load_data;
use crate::run_folder::{CHECKPOINTS, EXPERIMENT_FILE, IMAGES_FILE};
use lsoftmax_data::images::{Channels, ClassFolders, Decoded, ImageList, ImageOptions, Part};
use lsoftmax_data::{DataError, DataSource, Dataset, RunImages, RunPart, SourceOptions, Split};
use lsoftmax_record::{Experiment, ModelInfo, Settings};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Images other than those of the run to evaluate on. Unset fields are taken from the run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OtherImages {
    /// The name of a data set.
    pub data: Option<String>,
    /// The folder or list of the data set.
    pub data_dir: Option<PathBuf>,
    /// The landmarks of its faces.
    pub landmarks: Option<PathBuf>,
    /// Which folders of a folder of images are classes.
    pub class_folders: Option<ClassFolders>,
}

/// Which images of the data are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evaluated {
    /// The test part that the run recorded.
    RecordedTestPart,
    /// The test part, either defined by the data or drawn at random.
    TestPart,
    /// All images.
    All,
}

/// The images to evaluate a model on, with their origin.
#[derive(Clone, Debug)]
pub struct TestImages {
    /// The images, with the classes of the model.
    pub data: Dataset,
    /// The name of the data set.
    pub source: String,
    /// The folder or list that the images come from.
    pub data_dir: Option<PathBuf>,
    /// The selection that was made.
    pub evaluated: Evaluated,
    /// Number of these images that the model was trained on, and the path of the first one. `None`
    /// if the run does not record its images.
    pub trained_on: Option<(usize, Option<String>)>,
    /// The images that cannot be read, and why.
    pub broken: Vec<(String, String)>,
    /// Remarks on the selection, one sentence each.
    pub remarks: Vec<String>,
}

/// The images that a run folder records, if it does.
///
/// # Errors
/// The file is damaged.
pub fn run_images(run: &Path) -> Result<Option<RunImages>, TrainError> {
    Ok(RunImages::read(&run.join(IMAGES_FILE))?)
}

/// The run that a model file belongs to, if any: the file is in the run's folder or among its
/// checkpoints.
pub fn run_beside(model: &Path) -> Option<&Path> {
    let folder = model.parent().unwrap_or(Path::new(""));
    let run = match folder.file_name() {
        Some(name) if name == CHECKPOINTS => folder.parent().unwrap_or(Path::new("")),
        _ => folder,
    };
    run.join(EXPERIMENT_FILE).is_file().then_some(run)
}

/// The images that a run recorded, given its model file ([`run_beside`]). `None` if the file does
/// not belong to a run, or if the run did not record its images.
///
/// # Errors
/// The file is damaged.
/// The file is damaged.
pub fn images_beside(model: &Path) -> Result<Option<RunImages>, TrainError> {
    // Outside a run folder, a file of this name may be anything.
    run_beside(model).map_or(Ok(None), run_images)
}

/// Selects the images to evaluate the model of a run on. For the run's own data, these are exactly
/// the images of the recorded test part, even if the data have been moved or extended. For other
/// data, they are the images of the split `test`, or all images if the data have no splits. Classes
/// are matched by name.
///
/// # Errors
/// The data cannot be read, recorded images are missing or have changed, or an image has a class
/// that the model does not know.
pub fn test_images(
    run: &Path,
    settings: Settings,
    info: &ModelInfo,
    other: &OtherImages,
) -> Result<TestImages, TrainError> {
    let experiment = Experiment::resolve(Settings::default(), settings)?;
    let search = Search {
        run,
        record: run_images(run)?,
        info,
        experiment,
    };
    if *other == OtherImages::default() {
        search.own()
    } else {
        search.other(other)
    }
}

struct Search<'a> {
    run: &'a Path,
    record: Option<RunImages>,
    info: &'a ModelInfo,
    experiment: Experiment,
}

impl Search<'_> {
    /// The record, if the run has a test part that comes from files.
    fn tested(&self) -> Option<&RunImages> {
        let record = self.record.as_ref();
        record.filter(|record| record.of(RunPart::Test).next().is_some())
    }

    fn found(&self, experiment: &Experiment, evaluated: Evaluated, data: Dataset) -> TestImages {
        let trained_on = self.record.as_ref().map(|record| {
            let (count, first) = record.trained_on(&data);
            (count, first.map(str::to_owned))
        });
        TestImages {
            data,
            source: experiment.data.clone(),
            data_dir: experiment.data_dir.clone(),
            evaluated,
            trained_on,
            broken: Vec::new(),
            remarks: Vec::new(),
        }
    }

    /// The image preparation of the model for a folder or list.
    fn options(
        &self,
        experiment: &Experiment,
        list: &ImageList,
    ) -> Result<ImageOptions, TrainError> {
        let [channels, height, width] = self.info.image;
        let mut images = experiment.images.clone();
        images.size = [height, width];
        images.channels = match channels {
            1 => Channels::Grey,
            _ => Channels::Colour,
        };
        // The cache belongs to the run and its images, not to these.
        images.cache = None;
        image_options(&images, &list.source)
    }

    fn own(&self) -> Result<TestImages, TrainError> {
        let experiment = &self.experiment;
        let source = DataSource::parse(&experiment.data)?;
        let Some(record) = self.tested() else {
            let split = load_data(experiment)?;
            let data = self.by_name(experiment, &split.test)?;
            let mut found = self.found(experiment, Evaluated::TestPart, data);
            if source.is_generated() {
                // Training images are generated from other random numbers.
                found.trained_on = Some((0, None));
            } else {
                found.remarks = split.remarks;
                found.remarks.push(format!(
                    "{} does not record its images (it was made by an older version): its test part is \
                     drawn again from the current images",
                    self.run.display()
                ));
            }
            return Ok(found);
        };
        if source == DataSource::Images {
            let list = list_of(experiment)?;
            self.recorded(experiment, &list, record)
        } else {
            let split = packed(experiment)?;
            self.recorded_of(experiment, &split, record)
        }
    }

    fn other(&self, other: &OtherImages) -> Result<TestImages, TrainError> {
        let mut experiment = self.experiment.clone();
        let same_data = other
            .data
            .as_ref()
            .is_none_or(|data| *data == experiment.data);
        if let Some(data) = &other.data {
            experiment.data.clone_from(data);
        }
        if other.data_dir.is_some() || !same_data {
            experiment.data_dir.clone_from(&other.data_dir);
        }
        if other.landmarks.is_some() {
            if self.info.images.align.is_none() {
                return Err(TrainError::setting(
                    "landmarks",
                    "left out: this model was trained without --align",
                    "a file of them",
                ));
            }
            experiment.images.landmarks.clone_from(&other.landmarks);
        }
        if let Some(class_folders) = other.class_folders {
            experiment.images.class_folders = class_folders;
        }
        experiment.open_set = None;
        let source = DataSource::parse(&experiment.data)?;
        let record = self.tested().filter(|_| same_data);
        if source.is_generated() {
            let split = load_data(&experiment)?;
            let data = self.by_name(&experiment, &split.test)?;
            return Ok(self.found(&experiment, Evaluated::TestPart, data));
        }
        if source == DataSource::Images {
            let list = list_of(&experiment)?;
            match record.filter(|record| record.are_in_list(&list)) {
                Some(record) => self.recorded(&experiment, &list, record),
                None => self.all(&experiment, list),
            }
        } else {
            let split = packed(&experiment)?;
            if let Some(record) = record.filter(|record| record.are_in(&split)) {
                return self.recorded_of(&experiment, &split, record);
            }
            let data = self.by_name(&experiment, &split.test)?;
            Ok(self.found(&experiment, Evaluated::TestPart, data))
        }
    }

    /// Selects the recorded test part from a list.
    fn recorded(
        &self,
        experiment: &Experiment,
        list: &ImageList,
        record: &RunImages,
    ) -> Result<TestImages, TrainError> {
        let wanted = record.listed(RunPart::Test, list);
        if wanted.entries.is_empty() {
            let none = "none of them was found".to_owned();
            return Err(self.changed(&list.source, none));
        }
        let decoded = wanted.decode(&self.options(experiment, list)?)?;
        let broken = named(&decoded, list);
        let data = record.select(RunPart::Test, &decoded.dataset, &broken);
        let data = data.map_err(|changes| self.changed(&list.source, changes))?;
        self.as_recorded(experiment, &data)
    }

    /// The same for a data set that packs many images in few files.
    fn recorded_of(
        &self,
        experiment: &Experiment,
        split: &Split,
        record: &RunImages,
    ) -> Result<TestImages, TrainError> {
        let place = experiment
            .data_dir
            .clone()
            .unwrap_or_else(|| PathBuf::from(&experiment.data));
        let test = self.by_name(experiment, &split.test)?;
        let data = record.select(RunPart::Test, &test, &[]);
        let data = data.map_err(|changes| self.changed(&place, changes))?;
        self.as_recorded(experiment, &data)
    }

    fn as_recorded(
        &self,
        experiment: &Experiment,
        data: &Dataset,
    ) -> Result<TestImages, TrainError> {
        let data = self.by_name(experiment, data)?;
        Ok(self.found(experiment, Evaluated::RecordedTestPart, data))
    }

    fn changed(&self, path: &Path, changes: String) -> TrainError {
        TrainError::ImagesChanged {
            path: path.to_owned(),
            run: self.run.to_owned(),
            changes,
            hint: "eval evaluates the test images that the run recorded; --data-dir evaluates \
                   others",
        }
    }

    /// All images of a list, or those of the split `test` if the list has splits.
    fn all(&self, experiment: &Experiment, mut list: ImageList) -> Result<TestImages, TrainError> {
        let has_parts = list.entries.iter().any(|entry| entry.part.is_some());
        if has_parts {
            list.entries.retain(|entry| entry.part == Some(Part::Test));
        }
        if list.entries.is_empty() {
            let expected = "images of the split test";
            return Err(DataError::Format {
                path: list.source,
                expected: expected.into(),
                found: "only images of other splits".into(),
            }
            .into());
        }
        let decoded = list.decode(&self.options(experiment, &list)?)?;
        let data = self.by_name(experiment, &decoded.dataset)?;
        let evaluated = if has_parts {
            Evaluated::TestPart
        } else {
            Evaluated::All
        };
        Ok(TestImages {
            broken: named(&decoded, &list),
            ..self.found(experiment, evaluated, data)
        })
    }

    /// Relabels the images with the model's classes. Files in MNIST's format name their classes
    /// only through the folder. If the classes of either side are plain numbers, they are matched
    /// by order.
    fn by_name(&self, experiment: &Experiment, data: &Dataset) -> Result<Dataset, TrainError> {
        let known = &self.info.class_names;
        let is_idx = |name: &str| matches!(DataSource::parse(name), Ok(DataSource::Idx { .. }));
        let numbered = |names: &[String]| {
            let mut numbers = names.iter().enumerate();
            numbers.all(|(number, name)| *name == number.to_string())
        };
        let both = is_idx(&experiment.data) && is_idx(&self.experiment.data);
        let unnamed = numbered(&data.class_names) || numbered(known);
        let largest = data.labels().iter().max().copied().unwrap_or_default();
        if both && unnamed && (largest as usize) < known.len() {
            let mut data = data.clone();
            data.class_names.clone_from(known);
            return Ok(data);
        }
        let place = experiment.data_dir.clone();
        let place = place.unwrap_or_else(|| experiment.data.clone().into());
        data.relabelled(known).map_err(|error| match error {
            DataError::UnknownClass { .. } => TrainError::OtherClasses { path: place, error },
            error => error.into(),
        })
    }
}

/// The images of an experiment, not yet read.
fn list_of(experiment: &Experiment) -> Result<ImageList, TrainError> {
    let dir = experiment.data_dir.as_ref().ok_or_else(|| {
        TrainError::setting("data-dir", "the folder or list of the images", "none")
    })?;
    let folders = experiment.images.class_folders;
    Ok(ImageList::from_path_as(dir, folders)?)
}

/// A complete data set that packs many images in few files.
fn packed(experiment: &Experiment) -> Result<Split, TrainError> {
    let options = SourceOptions {
        dir: experiment.data_dir.clone(),
        ..SourceOptions::default()
    };
    Ok(DataSource::parse(&experiment.data)?.load(&options)?)
}

/// The images that cannot be read, as paths within the list, with the reasons.
fn named(decoded: &Decoded, list: &ImageList) -> Vec<(String, String)> {
    let skipped = decoded.skipped.iter();
    skipped
        .map(|(path, reason)| (list.path_within(path), reason.clone()))
        .collect()
}
