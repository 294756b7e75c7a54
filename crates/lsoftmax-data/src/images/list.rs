use super::folder::{self, alike};
use super::kinds::OtherFiles;
use super::{ClassFolders, locate};
use crate::error::DataError;
use crate::faces::IdentityList;
use crate::file::read_text;
use crate::names::{nfc, spelled};
use crate::origins::path_within;
use crate::table::{LARGEST_FILE, Table};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

/// Images with their classes, not yet read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageList {
    /// The folder or the list file that they come from.
    pub source: PathBuf,
    /// A name for each class, in the order of the bytes, in Unicode's form C.
    pub class_names: Vec<String>,
    /// The images: of a folder by part, class and name, of a list in its order.
    pub entries: Vec<ImageEntry>,
    /// How the folder was understood.
    pub reading: Reading,
}

/// How a folder was understood, and what in it is not among the images.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The folders in it that the classes lie in, with the part that each is: `train` and `test`,
    /// or one that wraps all. None if the classes lie in the folder itself.
    pub folders: Vec<(String, Option<Part>)>,
    /// Files and folders that are hidden, or that systems leave (`__MACOSX`, `Thumbs.db`).
    pub passed_over: usize,
    /// Folders that links lead to once more, and pipes, sockets and devices.
    pub skipped: usize,
    /// Files that are not images by their names.
    pub others: OtherFiles,
    /// What may be wrong, a sentence each.
    pub warnings: Vec<String>,
}

impl Reading {
    /// What is not among the images, in a sentence, if there is something.
    pub fn left_aside(&self) -> Option<String> {
        let mut left = Vec::new();
        if self.passed_over > 0 {
            left.push(format!("{} hidden or left by systems", self.passed_over));
        }
        if !self.others.is_empty() {
            left.push(format!("other files: {}", self.others));
        }
        if self.skipped > 0 {
            let number = self.skipped;
            left.push(format!(
                "{number} there twice by links, or neither file nor folder"
            ));
        }
        (!left.is_empty()).then(|| format!("left aside: {}", left.join("; ")))
    }
}

/// An image of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageEntry {
    /// Its file.
    pub path: PathBuf,
    /// Its class.
    pub label: u32,
    /// What it is for, if the list says so.
    pub part: Option<Part>,
}

/// What an image is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// To train on.
    Train,
    /// To test on, of a class that is trained on.
    Test,
    /// To test on, of a class that is not trained on.
    OpenSet,
    /// To choose a model by, of a class that is trained on.
    HeldOut,
}

impl Part {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "train" => Some(Self::Train),
            "test" => Some(Self::Test),
            "open-set" => Some(Self::OpenSet),
            _ => None,
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Train => "train",
            Self::Test => "test",
            Self::OpenSet => "open-set",
            Self::HeldOut => "held-out",
        })
    }
}

/// A row of a list file, and its number for messages.
struct Row {
    number: u64,
    path: String,
    label: String,
    split: Option<String>,
}

const COLUMNS: &str = "the columns path, label and, if you like, split";

impl ImageList {
    /// The images of a folder, or of a list by the ending of its name: `.csv`, or `.parquet` with
    /// the feature `parquet`.
    ///
    /// # Errors
    /// As [`from_folder`](Self::from_folder) and [`from_csv`](Self::from_csv); or another ending.
    pub fn from_path(path: &Path) -> Result<Self, DataError> {
        Self::from_path_as(path, ClassFolders::Auto)
    }

    /// The same, where it is said which folders are classes; of a list that does not matter.
    ///
    /// # Errors
    /// As [`from_path`](Self::from_path).
    pub fn from_path_as(path: &Path, folders: ClassFolders) -> Result<Self, DataError> {
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        match &*ending.to_lowercase() {
            _ if path.is_dir() => folder::list(path, folders),
            "csv" => Self::from_csv(path),
            #[cfg(feature = "parquet")]
            "parquet" => Self::from_parquet(path),
            #[cfg(not(feature = "parquet"))]
            "parquet" => Err(DataError::format(
                path,
                "a folder or a .csv file",
                "a .parquet file, which this build cannot read (feature parquet)",
            )),
            _ if path.exists() => Err(DataError::format(
                path,
                "a folder of images, or a list of them as a .csv or .parquet file",
                "another file",
            )),
            _ => Err(DataError::file(
                "open",
                path,
                std::io::ErrorKind::NotFound.into(),
            )),
        }
    }

    /// The images of a folder: the folders in it are the classes, with their names.
    ///
    /// Images are files named `.jpg`, `.jpeg`, `.jpe`, `.jfif`, `.jif`, `.png`, `.webp`, `.bmp`,
    /// `.pgm`, `.ppm`, `.pbm` or `.pnm`, in upper or lower case. What is hidden or left by systems
    /// is passed over, other files are counted ([`Reading`]). Links are followed, and no folder is
    /// taken twice. Names are brought to Unicode's form C; bytes of a name that are not UTF-8
    /// become `\xFF` and the like.
    ///
    /// Folders named `train`, `training`, `trainset`, `seg_train` and the like are the part to train
    /// on, such as `test` and `Testing` the part to test on, and the classes lie in them. `val`,
    /// `valid` and `validation` hold the images to choose a model by ([`Part::HeldOut`]), or, where
    /// there is no `test`, those to test on. Parts and classes may lie in one folder that wraps
    /// them. A class may hold its images in one folder in it; where it holds several, or where such
    /// folders have the same name in two classes, [`ClassFolders`] has to say what is meant.
    ///
    /// # Errors
    /// A folder cannot be read; there are no images, or some lie beside the folders of the classes;
    /// parts stand beside other folders of images, or are one part twice; a class has images only
    /// of formats that are not read; two names in a folder are the same in Unicode's form C.
    pub fn from_folder(dir: &Path) -> Result<Self, DataError> {
        folder::list(dir, ClassFolders::Auto)
    }

    /// The images that a CSV file names: a header with `path` and `label` and, if the split is not
    /// to be drawn, `split` (`train`, `test` or `open-set`); other columns do not matter, nor does
    /// the case of the header. Paths count from the folder of the file, and may be written with
    /// backslashes or in another normal form of Unicode than the files.
    ///
    /// # Errors
    /// The file cannot be read or is no such table; a row has no path or label, another split, an
    /// image that is not there, or that a row before it has, be it by another path; two labels are
    /// the same in Unicode's form C. The row is named.
    pub fn from_csv(file: &Path) -> Result<Self, DataError> {
        let text = read_text(file, LARGEST_FILE)?;
        let table = Table::parse(file, &text)?;
        let (Some(path), Some(label)) = (table.find(&["path"])?, table.find(&["label"])?) else {
            let expected = format!("{COLUMNS} in the first line");
            return Err(DataError::format(file, expected, table.found()));
        };
        let split = table.find(&["split"])?;
        let mut rows = Vec::new();
        for row in table.rows() {
            let row = row?;
            rows.push(Row {
                number: row.line() as u64,
                path: row.get(path).to_owned(),
                label: row.get(label).to_owned(),
                split: split.map(|column| row.get(column).to_owned()),
            });
        }
        Self::from_rows(file, &rows, "line")
    }

    /// The images that a Parquet file names, with the columns of [`from_csv`](Self::from_csv);
    /// labels may be strings or integers. Rows are counted from 0.
    ///
    /// # Errors
    /// As [`from_csv`](Self::from_csv) and
    /// [`read_columns`](crate::parquet_file::read_columns).
    #[cfg(feature = "parquet")]
    pub fn from_parquet(file: &Path) -> Result<Self, DataError> {
        use crate::parquet_file::{Column, read_columns};
        let columns = read_columns(file, &["path", "label", "split"])?;
        let Ok([path, label, split]) = <[Option<Column>; 3]>::try_from(columns) else {
            return Err(DataError::format(file, COLUMNS, "others"));
        };
        let texts = |name: &str, column: Option<Column>| match column {
            Some(Column::Text(texts)) => Ok(texts),
            Some(Column::Integer(numbers)) if name == "label" => {
                Ok(numbers.iter().map(i64::to_string).collect())
            }
            Some(other) => Err(DataError::format(
                file,
                format!("strings in the column {name}"),
                other.kind(),
            )),
            None => Err(DataError::format(
                file,
                COLUMNS,
                format!("no column {name}"),
            )),
        };
        let paths = texts("path", path)?;
        let labels = texts("label", label)?;
        let splits: Vec<Option<String>> = match split {
            None => vec![None; paths.len()],
            some => texts("split", some)?.into_iter().map(Some).collect(),
        };
        let rows: Vec<Row> = paths
            .into_iter()
            .zip(labels)
            .zip(splits)
            .zip(0..)
            .map(|(((path, label), split), number)| Row {
                number,
                path,
                label,
                split,
            })
            .collect();
        Self::from_rows(file, &rows, "row")
    }

    fn from_rows(file: &Path, rows: &[Row], unit: &str) -> Result<Self, DataError> {
        let wrong = |expected: &str, found: String, row: &Row| {
            DataError::format(file, expected, format!("{found} in {unit} {}", row.number))
        };
        if rows.is_empty() {
            return Err(DataError::format(file, "at least one image", "none"));
        }
        let class_names = class_names(file, rows, unit)?;
        let mut parts = Vec::with_capacity(rows.len());
        for row in rows {
            if row.path.is_empty() || row.label.is_empty() {
                return Err(wrong("a path and a label", "an empty cell".into(), row));
            }
            parts.push(match row.split.as_deref() {
                None => None,
                Some(text) => Some(Part::parse(text).ok_or_else(|| {
                    wrong(
                        "train, test or open-set as the split (images to choose a model by are \
                         held out of train)",
                        format!("{text:?}"),
                        row,
                    )
                })?),
            });
        }
        let paths: Vec<&str> = rows.iter().map(|row| &*row.path).collect();
        let located = locate::all(file.parent().unwrap_or(Path::new("")), &paths);
        let mut first: HashMap<String, &Row> = HashMap::with_capacity(rows.len());
        let mut entries = Vec::with_capacity(rows.len());
        for ((row, located), part) in rows.iter().zip(located).zip(parts) {
            let located = located.map_err(|found| wrong("images that are there", found, row))?;
            if let Some(first) = first.insert(located.identity, row) {
                let found = if first.label == row.label {
                    format!(
                        "{} again, {} of {unit} {},",
                        row.path, first.path, first.number
                    )
                } else {
                    format!(
                        "{} again with the label {}, {} of {unit} {} with the label {},",
                        row.path, row.label, first.path, first.number, first.label
                    )
                };
                return Err(wrong("each image once", found, row));
            }
            let label = class_names.binary_search_by(|name| (**name).cmp(&nfc(&row.label)));
            entries.push(ImageEntry {
                path: located.path,
                label: label.unwrap_or_default() as u32,
                part,
            });
        }
        let reading = Reading {
            warnings: alike(&class_names),
            ..Reading::default()
        };
        Ok(Self {
            source: file.to_owned(),
            class_names,
            entries,
            reading,
        })
    }

    /// The list without the classes of these names, and the names that no class has.
    pub fn without(mut self, names: &IdentityList) -> (Self, Vec<String>) {
        let unknown = names.unknown(&self.class_names);
        let unknown = unknown.into_iter().map(str::to_owned).collect();
        let kept = |name: &String| !names.contains(name);
        let mut places = Vec::with_capacity(self.class_names.len());
        let mut next = 0;
        for name in &self.class_names {
            places.push(kept(name).then_some(next));
            next += u32::from(kept(name));
        }
        self.class_names.retain(kept);
        self.entries.retain_mut(|entry| {
            let place = places[entry.label as usize];
            entry.label = place.unwrap_or(entry.label);
            place.is_some()
        });
        (self, unknown)
    }

    /// The path of an image within [`base`](Self::base), with slashes and in Unicode's form C.
    pub fn path_within(&self, image: &Path) -> String {
        let path = path_within(image, self.base());
        match nfc(&path) {
            Cow::Borrowed(_) => path,
            Cow::Owned(path) => path,
        }
    }

    /// The folder that the paths are below.
    pub fn base(&self) -> &Path {
        base(&self.source)
    }
}

/// The labels in Unicode's form C, in the order of their bytes; two spellings of one are refused.
fn class_names(file: &Path, rows: &[Row], unit: &str) -> Result<Vec<String>, DataError> {
    let mut names: BTreeMap<String, &Row> = BTreeMap::new();
    for row in rows {
        let first = names.entry(nfc(&row.label).into_owned()).or_insert(row);
        if first.label != row.label {
            return Err(DataError::format(
                file,
                "each label in one spelling",
                format!(
                    "{:?} twice, which are the same name after Unicode normalisation (NFC): \"{}\" \
                     in {unit} {} and \"{}\" in {unit} {}",
                    row.label,
                    spelled(&first.label),
                    first.number,
                    spelled(&row.label),
                    row.number
                ),
            ));
        }
    }
    Ok(names.into_keys().collect())
}

/// The folder that the paths of images count from, given that folder, or a list or an image in it.
pub fn base(source: &Path) -> &Path {
    if source.is_dir() {
        source
    } else {
        source.parent().unwrap_or(Path::new(""))
    }
}
