use super::folder;
use crate::error::DataError;
use crate::faces::IdentityList;
use crate::names::nfc;
use crate::origins::path_within;
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};

/// Images with their classes, not yet read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageList {
    /// The folder or the list file that they come from.
    pub source: PathBuf,
    /// A name for each class, in the order of the bytes.
    pub class_names: Vec<String>,
    /// The images: of a folder by class and name, of a list in its order.
    pub entries: Vec<ImageEntry>,
    /// Files of the folder that are no images by their names, or hidden, and folders that links
    /// lead to once more.
    pub ignored: usize,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// To train on.
    Train,
    /// To test on, of a class that is trained on.
    Test,
    /// To test on, of a class that is not trained on.
    OpenSet,
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
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        match &*ending.to_lowercase() {
            _ if path.is_dir() => Self::from_folder(path),
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

    /// The images of a folder: every folder in it that holds images is a class, with the path to
    /// it as its name (`Latin/character01`).
    ///
    /// Images are files named `.jpg`, `.jpeg`, `.png`, `.webp`, `.bmp`, `.pgm`, `.ppm`, `.pbm` or
    /// `.pnm`, in upper or lower case; others and hidden ones are counted. Links are followed,
    /// and no folder is taken twice: where a link leads to one that is already taken, or to one
    /// that this folder lies in, it is counted and left. If `train` and `test` are the only
    /// folders in it, they are the two parts, and the classes are the folders in them.
    ///
    /// # Errors
    /// A folder cannot be read; there are no images, or some lie beside the folders of the
    /// classes; `train` is beside `val` and the like, whose images must not become classes.
    pub fn from_folder(dir: &Path) -> Result<Self, DataError> {
        folder::list(dir)
    }

    /// The images that a CSV file names: a header with `path` and `label` and, if the split is not
    /// to be drawn, `split` (`train`, `test` or `open-set`); other columns do not matter. Paths
    /// count from the folder of the file.
    ///
    /// # Errors
    /// The file cannot be read or is no such table; a row has no path or label, another split, a
    /// path that a row before it has, or an image that is not there. The row is named.
    pub fn from_csv(file: &Path) -> Result<Self, DataError> {
        let opened = regular(file)?;
        let mut reader = csv::ReaderBuilder::new()
            .trim(csv::Trim::All)
            .from_reader(opened);
        let wrong = |error: csv::Error| {
            DataError::format(file, "a table of comma-separated values", error.to_string())
        };
        let header = reader.headers().map_err(wrong)?.clone();
        let column = |name: &str| header.iter().position(|column| column == name);
        let (Some(path), Some(label)) = (column("path"), column("label")) else {
            let found: Vec<&str> = header.iter().collect();
            return Err(DataError::format(
                file,
                format!("{COLUMNS} in the first line"),
                format!("{:?}", found.join(",")),
            ));
        };
        let split = column("split");
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(wrong)?;
            let cell = |column: usize| record.get(column).unwrap_or_default().to_owned();
            rows.push(Row {
                number: record.position().map_or(0, csv::Position::line),
                path: cell(path),
                label: cell(label),
                split: split.map(cell),
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
        let folder = file.parent().unwrap_or(Path::new(""));
        let wrong = |expected: &str, found: String, row: u64| {
            DataError::format(file, expected, format!("{found} in {unit} {row}"))
        };
        if rows.is_empty() {
            return Err(DataError::format(file, "at least one image", "none"));
        }
        let mut class_names: Vec<String> = rows.iter().map(|row| row.label.clone()).collect();
        class_names.sort_unstable();
        class_names.dedup();
        let mut first = HashMap::new();
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            let number = row.number;
            if row.path.is_empty() || row.label.is_empty() {
                return Err(wrong("a path and a label", "an empty cell".into(), number));
            }
            let part = match row.split.as_deref() {
                None => None,
                Some(text) => Some(Part::parse(text).ok_or_else(|| {
                    wrong(
                        "train, test or open-set as the split (images to choose a model by are \
                         held out of train)",
                        format!("{text:?}"),
                        number,
                    )
                })?),
            };
            let path = folder.join(&row.path);
            if let Some(first) = first.insert(path.clone(), number) {
                let found = format!("{} of {unit} {first} again", row.path);
                return Err(wrong("each image once", found, number));
            }
            let label = class_names.binary_search(&row.label).unwrap_or_default() as u32;
            entries.push(ImageEntry { path, label, part });
        }
        let missing = entries
            .par_iter()
            .zip(rows)
            .find_first(|(entry, _)| !entry.path.is_file());
        if let Some((entry, row)) = missing {
            let found = format!("no file {}", entry.path.display());
            return Err(wrong("images that are there", found, row.number));
        }
        Ok(Self {
            source: file.to_owned(),
            class_names,
            entries,
            ignored: 0,
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

/// The folder that the paths of images count from, given that folder, or a list or an image in it.
pub fn base(source: &Path) -> &Path {
    if source.is_dir() {
        source
    } else {
        source.parent().unwrap_or(Path::new(""))
    }
}

/// Opens what is a file; a pipe would be waited on for ever.
pub(crate) fn regular(path: &Path) -> Result<File, DataError> {
    let unreadable = |source| DataError::file("open", path, source);
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(DataError::format(path, "a file", "something else"));
    }
    File::open(path).map_err(unreadable)
}
