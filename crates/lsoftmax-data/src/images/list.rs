use super::folder::{self, alike};
use super::kinds::OtherFiles;
use super::{ClassFolders, locate};
use crate::error::DataError;
use crate::file::read_text;
use crate::identities::IdentityList;
use crate::names::{nfc, spelled};
use crate::origins::path_within;
use crate::table::{MAX_FILE_BYTES, Table};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};

/// Image files with their classes, not yet decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageList {
    /// The folder or list file that the images come from.
    pub source: PathBuf,
    /// Class names in byte order, in Unicode normalisation form C.
    pub class_names: Vec<String>,
    /// The images: of a folder by part, class and name; of a list in its order.
    pub entries: Vec<ImageEntry>,
    /// How the folder was interpreted.
    pub reading: Reading,
}

/// The interpretation of a folder, and its ignored content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// The subfolders that contain the classes, with the part of each: `train` and `test`, or one
    /// wrapper. Empty if the classes are in the folder itself.
    pub folders: Vec<(String, Option<Part>)>,
    /// Number of hidden files and folders and of system files (`__MACOSX`, `Thumbs.db`).
    pub passed_over: usize,
    /// Number of folders reached a second time through links, and of pipes, sockets and devices.
    pub skipped: usize,
    /// Files without an image extension.
    pub others: OtherFiles,
    /// Possible problems, one sentence each.
    pub warnings: Vec<String>,
}

impl Reading {
    /// The ignored content in a sentence; `None` if there is none.
    pub fn left_aside(&self) -> Option<String> {
        let mut left = Vec::new();
        if self.passed_over > 0 {
            left.push(format!("{} hidden or system files", self.passed_over));
        }
        if !self.others.is_empty() {
            left.push(format!("other files: {}", self.others));
        }
        if self.skipped > 0 {
            let number = self.skipped;
            left.push(format!(
                "{number} duplicated by links, or neither file nor folder"
            ));
        }
        (!left.is_empty()).then(|| format!("ignored: {}", left.join("; ")))
    }
}

/// An image of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageEntry {
    /// The image file.
    pub path: PathBuf,
    /// The class.
    pub label: u32,
    /// The part, if the source defines it.
    pub part: Option<Part>,
}

/// The use of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Training.
    Train,
    /// Testing, with a trained class.
    Test,
    /// Testing, with a class that is not trained on.
    OpenSet,
    /// Model selection, with a trained class.
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

/// A row of a list file with its number for messages.
struct Row {
    number: u64,
    path: String,
    label: String,
    split: Option<String>,
}

const COLUMNS: &str = "the columns path, label and, optionally, split";

impl ImageList {
    /// Lists the images of a folder, or of a list file by its extension: `.csv`, or `.parquet` with
    /// the feature `parquet`.
    ///
    /// # Errors
    /// As [`from_folder`](Self::from_folder) and [`from_csv`](Self::from_csv); or an unknown
    /// extension.
    pub fn from_path(path: &Path) -> Result<Self, DataError> {
        Self::from_path_as(path, ClassFolders::Auto)
    }

    /// [`from_path`](Self::from_path) with an explicit choice of class folders, which does not
    /// affect a list file.
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

    /// Lists the images of a folder. Its subfolders are the classes, with their names.
    ///
    /// Images are files with the extension `.jpg`, `.jpeg`, `.jpe`, `.jfif`, `.jif`, `.png`,
    /// `.webp`, `.bmp`, `.pgm`, `.ppm`, `.pbm` or `.pnm`, in upper or lower case. Hidden and system
    /// files are ignored, other files are counted ([`Reading`]). Links are followed, and no folder
    /// is visited twice. Names are normalised to Unicode form C; bytes that are not UTF-8 become
    /// `\xFF` and the like.
    ///
    /// Folders named `train`, `training`, `trainset`, `seg_train` and the like are the training
    /// part, folders such as `test` and `Testing` the test part; both contain the classes. `val`,
    /// `valid` and `validation` hold the images for model selection ([`Part::HeldOut`]) or, without
    /// a `test` folder, the test images. A single folder may wrap parts or classes. A class may
    /// keep its images in one subfolder. If a class has several, or if two classes have subfolders
    /// of the same name, [`ClassFolders`] must resolve the ambiguity.
    ///
    /// # Errors
    /// A folder cannot be read; there are no images, or some are next to the class folders; parts
    /// are next to other folders of images, or a part occurs twice; a class has only images of
    /// unsupported formats; or two names in a folder are equal in Unicode form C.
    pub fn from_folder(dir: &Path) -> Result<Self, DataError> {
        folder::list(dir, ClassFolders::Auto)
    }

    /// Lists the images of a CSV file. Its header has the columns `path`, `label` and optionally
    /// `split` (`train`, `test` or `open-set`; without it the split is drawn). Other columns and
    /// the case of the header are ignored. Paths are relative to the folder of the file;
    /// backslashes and other Unicode normal forms than those of the files are accepted.
    ///
    /// # Errors
    /// The file cannot be read or is not such a table; a row has no path or label, an unknown
    /// split, a missing image, or an image of an earlier row, even by another path; or two labels
    /// are equal in Unicode form C. The error names the row.
    pub fn from_csv(file: &Path) -> Result<Self, DataError> {
        let text = read_text(file, MAX_FILE_BYTES)?;
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

    /// Lists the images of a Parquet file with the columns of [`from_csv`](Self::from_csv). Labels
    /// may be strings or integers. Rows are counted from 0.
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
                        "train, test or open-set as the split (images for model selection are \
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
            let located = located.map_err(|found| wrong("images that exist", found, row))?;
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

    /// The list without the classes of these names, and the names that are not classes.
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

    /// The path of an image relative to [`base`](Self::base), with slashes and in Unicode form C.
    pub fn path_within(&self, image: &Path) -> String {
        let path = path_within(image, self.base());
        match nfc(&path) {
            Cow::Borrowed(_) => path,
            Cow::Owned(path) => path,
        }
    }

    /// The folder that the paths are relative to.
    pub fn base(&self) -> &Path {
        base(&self.source)
    }
}

/// The labels in Unicode form C, in byte order. Two spellings of one label are an error.
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

/// The folder that image paths are relative to, given that folder, or a list or image in it.
pub fn base(source: &Path) -> &Path {
    if source.is_dir() {
        source
    } else {
        source.parent().unwrap_or(Path::new(""))
    }
}
