//! Record of the images of a run: their files, classes, parts and content.

use crate::dataset::Dataset;
use crate::digest::Digest;
use crate::error::DataError;
use crate::file::open_file;
use crate::images::ImageList;
use crate::names::nfc;
use crate::origins::{Origin, Texts};
use crate::splits::Split;
use rayon::prelude::*;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::Path;

/// The use of an image in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunPart {
    /// Training.
    Train,
    /// Held out of the training, to select the best model.
    HeldOut,
    /// Testing.
    Test,
    /// Open set: its class is not trained on.
    OpenSet,
}

impl RunPart {
    const ALL: [Self; 4] = [Self::Train, Self::HeldOut, Self::Test, Self::OpenSet];

    fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::HeldOut => "held-out",
            Self::Test => "test",
            Self::OpenSet => "open-set",
        }
    }
}

impl fmt::Display for RunPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// An image of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunImage<'a> {
    /// As in [`Origin`](crate::Origin): relative to the data, or to the folder of the open set.
    pub path: &'a str,
    /// Name of the class.
    pub class: &'a str,
    /// The part.
    pub part: RunPart,
    /// As in [`Origin`](crate::Origin).
    pub digest: Digest,
    /// Digest of the decoded image `[channel, height, width]`, which stays the same when the file
    /// is saved in another format. `None` if [`digest`](Self::digest) is already that digest.
    pub pixels: Option<Digest>,
}

impl RunImage<'_> {
    /// Digest of the decoded image, or of the file if that is unknown.
    fn shown(&self) -> Digest {
        self.pixels.unwrap_or(self.digest)
    }
}

/// All images of a run that come from files, by part, each part in the order of the run. Stored as
/// a CSV table with the columns `path`, `class`, `part`, `sha256` and `pixels_sha256`; the last may
/// be missing or empty.
#[derive(Clone, Debug, Default)]
pub struct RunImages {
    classes: Vec<String>,
    paths: Texts,
    rows: Vec<Row>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    class: u32,
    part: RunPart,
    digest: Digest,
    pixels: Option<Digest>,
}

const HEADER: [&str; 4] = ["path", "class", "part", "sha256"];
const PIXELS: &str = "pixels_sha256";

impl RunImages {
    /// Records the images of a training. The split's held-out images are held out, and so are its
    /// training images marked in `held_out` (none for an empty slice). Generated images are not
    /// recorded.
    pub fn new(split: &Split, held_out: &[bool]) -> Self {
        let mut images = Self::default();
        let held_out = |index: usize| held_out.get(index).copied().unwrap_or(false);
        images.add(&split.train, RunPart::Train, |index| !held_out(index));
        images.add(&split.train, RunPart::HeldOut, held_out);
        if let Some(held_out) = &split.held_out {
            images.add(held_out, RunPart::HeldOut, |_| true);
        }
        images.add(&split.test, RunPart::Test, |_| true);
        if let Some(open_set) = &split.open_set {
            images.add(open_set, RunPart::OpenSet, |_| true);
        }
        images
    }

    fn add(&mut self, data: &Dataset, part: RunPart, wanted: impl Fn(usize) -> bool) {
        let first = self.classes.len() as u32;
        self.classes.extend(data.class_names.iter().cloned());
        if !data.has_origins() {
            return;
        }
        let shown = shown(data);
        for index in (0..data.len()).filter(|&index| wanted(index)) {
            if let Some(origin) = data.origin(index) {
                self.paths.push(origin.path);
                self.rows.push(Row {
                    class: first + data.label(index),
                    part,
                    digest: origin.digest,
                    pixels: (shown[index] != origin.digest).then_some(shown[index]),
                });
            }
        }
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn get(&self, place: usize) -> RunImage<'_> {
        let row = self.rows[place];
        RunImage {
            path: self.paths.get(place),
            class: &self.classes[row.class as usize],
            part: row.part,
            digest: row.digest,
            pixels: row.pixels,
        }
    }

    /// All images in order.
    pub fn iter(&self) -> impl Iterator<Item = RunImage<'_>> {
        (0..self.len()).map(|place| self.get(place))
    }

    /// The images of a part in order.
    pub fn of(&self, part: RunPart) -> impl Iterator<Item = RunImage<'_>> {
        self.iter().filter(move |image| image.part == part)
    }

    /// Writes the table as CSV.
    ///
    /// # Errors
    /// None are known.
    pub fn to_csv(&self) -> Result<Vec<u8>, DataError> {
        let failed =
            |error: String| DataError::out_of_range("the list of images", "writable", error);
        let mut table = csv::Writer::from_writer(Vec::new());
        let header = table.write_record(HEADER.iter().chain([&PIXELS]));
        header.map_err(|error| failed(error.to_string()))?;
        for image in self.iter() {
            let digest = image.digest.to_string();
            let pixels = image.pixels.map(|pixels| pixels.to_string());
            let pixels = pixels.unwrap_or_default();
            let row = [image.path, image.class, image.part.name(), &digest, &pixels];
            let written = table.write_record(row);
            written.map_err(|error| failed(error.to_string()))?;
        }
        table
            .into_inner()
            .map_err(|error| failed(error.to_string()))
    }

    /// Reads the table; `None` if the file does not exist.
    ///
    /// # Errors
    /// The file cannot be read or is not such a table; the error names the line.
    pub fn read(file: &Path) -> Result<Option<Self>, DataError> {
        if !file.exists() {
            return Ok(None);
        }
        let mut reader = csv::Reader::from_reader(open_file(file)?);
        let wrong = |expected: &str, found: String| DataError::format(file, expected, found);
        let not_csv = |error: csv::Error| wrong("a CSV table", error.to_string());
        let header = reader.headers().map_err(not_csv)?.clone();
        let column = |name: &str| {
            let place = header.iter().position(|column| column == name);
            place.ok_or_else(|| {
                let expected = format!("the columns {}", HEADER.join(", "));
                wrong(&expected, format!("no column {name}"))
            })
        };
        let [path, class, part, digest] = HEADER.map(column);
        let (path, class, part, digest) = (path?, class?, part?, digest?);
        let pixels = column(PIXELS).ok();
        let mut images = Self::default();
        let mut places: HashMap<String, u32> = HashMap::new();
        for record in reader.records() {
            let record = record.map_err(not_csv)?;
            let line = record.position().map_or(0, csv::Position::line);
            let cell = |column: usize| record.get(column).unwrap_or_default();
            let not_one = |expected: &str, column: usize| {
                wrong(expected, format!("{:?} in line {line}", cell(column)))
            };
            let row = Row {
                class: if let Some(&place) = places.get(cell(class)) {
                    place
                } else {
                    let place = images.classes.len() as u32;
                    images.classes.push(cell(class).to_owned());
                    places.insert(cell(class).to_owned(), place);
                    place
                },
                part: RunPart::ALL
                    .into_iter()
                    .find(|known| known.name() == cell(part))
                    .ok_or_else(|| not_one("train, held-out, test or open-set", part))?,
                digest: cell(digest)
                    .parse()
                    .map_err(|_| not_one("a SHA-256 of 64 hexadecimal digits", digest))?,
                pixels: match pixels {
                    Some(column) if !cell(column).is_empty() => {
                        let parsed = cell(column).parse();
                        Some(parsed.map_err(|_| not_one("a SHA-256 or nothing", column))?)
                    }
                    _ => None,
                },
            };
            images.paths.push(cell(path));
            images.rows.push(row);
        }
        Ok(Some(images))
    }

    /// Describes how the images of `now` differ from these, without a final period. `None` if they
    /// are the same in the same order.
    pub fn changes<'a>(&'a self, now: &'a Self) -> Option<String> {
        let (before, after) = (Places::new(self), Places::new(now));
        let mut content = Difference::new("with other content");
        let mut class = Difference::new("of another class");
        let mut part = Difference::new("in another part");
        let mut gone = Difference::new("no longer there");
        let mut new = Difference::new("new");
        for image in self.iter() {
            match after.of(&image) {
                None => match after.in_other_part(&image) {
                    Some(other) => part.add(|| moved(&image, image.part, other.part)),
                    None => gone.add(|| match after.of_digest(image.digest) {
                        Some(other) => format!("{}, now {}", image.path, other.path),
                        None => image.path.to_owned(),
                    }),
                },
                Some(other) if other.digest != image.digest => {
                    content.add(|| image.path.to_owned());
                }
                Some(other) if nfc(other.class) != nfc(image.class) => {
                    class.add(|| moved(&image, image.class, other.class));
                }
                Some(other) if other.part != image.part => {
                    part.add(|| moved(&image, image.part, other.part));
                }
                Some(_) => {}
            }
        }
        for image in now.iter() {
            if before.of(&image).is_none() && before.in_other_part(&image).is_none() {
                new.add(|| image.path.to_owned());
            }
        }
        let redrawn = gone.count + new.count > 0;
        let differences = [content, class, gone, new, part];
        // If images were added or removed, a drawn split changes for all; that is not reported.
        let reported = &differences[..if redrawn { 4 } else { 5 }];
        let reported: Vec<String> = reported.iter().filter_map(Difference::sentence).collect();
        if !reported.is_empty() {
            return Some(reported.join(", "));
        }
        let other = self
            .iter()
            .zip(now.iter())
            .find(|(a, b)| a.path != b.path)?;
        Some(format!(
            "the same in another order (first {}, now {})",
            other.0.path, other.1.path
        ))
    }

    /// Rejects an open set that contains training, held-out or test images. If only the decoded
    /// pixels match, returns a warning.
    ///
    /// # Errors
    /// Some files are the same; the error gives their number and the first. `path` is the open set.
    pub fn refuse_in(&self, open_set: &Dataset, path: &Path) -> Result<Option<String>, DataError> {
        let (mut files, mut pixels) = (HashMap::new(), HashMap::new());
        for image in self.iter().filter(|image| image.part != RunPart::OpenSet) {
            files.entry(image.digest).or_insert(image);
            pixels.entry(image.shown()).or_insert(image);
        }
        let mut same_file = Difference::new("identical to images of trained classes");
        let mut same_pixels = Difference::new("of them");
        let twins = |origin: Origin<'_>, image: &RunImage<'_>| {
            let RunImage {
                path, class, part, ..
            } = image;
            format!(
                "{} and {path} of the class {class:?}, part {part}",
                origin.path
            )
        };
        for (index, shown) in shown(open_set).iter().enumerate() {
            let Some(origin) = open_set.origin(index) else {
                continue;
            };
            if let Some(image) = files.get(&origin.digest) {
                same_file.add(|| twins(origin, image));
            } else if let Some(image) = pixels.get(shown) {
                same_pixels.add(|| twins(origin, image));
            }
        }
        if let Some(found) = same_file.sentence() {
            return Err(DataError::format(
                path,
                "an open set without images of trained classes (remove them)",
                found,
            ));
        }
        Ok(same_pixels.sentence().map(|found| {
            format!(
                "images of the open set have the same pixels as images of trained classes: {found}; \
                 its results include trained images"
            )
        }))
    }

    /// Whether all classes outside the open set are among these.
    pub fn are_of(&self, class_names: &[String]) -> bool {
        let names: HashSet<Cow<'_, str>> = class_names.iter().map(|name| nfc(name)).collect();
        let trained = self.iter().filter(|image| image.part != RunPart::OpenSet);
        let mut classes: Vec<&str> = trained.map(|image| image.class).collect();
        classes.dedup();
        classes.iter().all(|class| names.contains(&nfc(class)))
    }

    /// The number of images of a data set that are trained on, and the path of the first. Images
    /// saved in another format count too.
    pub fn trained_on<'a>(&self, data: &'a Dataset) -> (usize, Option<&'a str>) {
        let known = self.of(RunPart::Train);
        let known: HashSet<Digest> = known.flat_map(|it| [it.digest, it.shown()]).collect();
        let shown = shown(data);
        let mut found = (0..data.len()).filter_map(|index| {
            let origin = data.origin(index)?;
            let trained = known.contains(&origin.digest) || known.contains(&shown[index]);
            trained.then_some(origin.path)
        });
        let first = found.next();
        (usize::from(first.is_some()) + found.count(), first)
    }

    /// Selects exactly the images of a part from a data set that contains them and possibly others.
    /// `broken` lists the paths of unreadable images with the reasons.
    ///
    /// # Errors
    /// Describes the difference: images are missing, have other content, or belong to another
    /// class.
    pub fn select(
        &self,
        part: RunPart,
        data: &Dataset,
        broken: &[(String, String)],
    ) -> Result<Dataset, String> {
        let origins = (0..data.len()).filter_map(|index| Some((index, data.origin(index)?)));
        let places: HashMap<Cow<'_, str>, usize> = origins
            .map(|(index, origin)| (nfc(origin.path), index))
            .collect();
        let broken: HashMap<Cow<'_, str>, &str> = broken
            .iter()
            .map(|(path, reason)| (nfc(path), &**reason))
            .collect();
        let mut wanted = vec![false; data.len()];
        let mut content = Difference::new("with other content");
        let mut class = Difference::new("of another class");
        let mut gone = Difference::new("missing");
        for image in self.of(part) {
            let path = nfc(image.path);
            let Some(&index) = places.get(&path) else {
                match broken.get(&path) {
                    Some(reason) => content.add(|| format!("{}: {reason}", image.path)),
                    None => gone.add(|| image.path.to_owned()),
                }
                continue;
            };
            let now = &data.class_names[data.label(index) as usize];
            if data.origin(index).map(|origin| origin.digest) != Some(image.digest) {
                content.add(|| image.path.to_owned());
            } else if nfc(now) != nfc(image.class) {
                class.add(|| moved(&image, image.class, now));
            }
            wanted[index] = true;
        }
        let differences = [gone, content, class];
        let differences: Vec<String> = differences
            .iter()
            .filter_map(Difference::sentence)
            .collect();
        if differences.is_empty() && wanted.contains(&true) {
            Ok(data.select(|index| wanted[index]))
        } else {
            Err(differences.join(", "))
        }
    }

    /// Whether all training, held-out and test images are files of this list, with the same classes
    /// and content.
    pub fn are_in_list(&self, list: &ImageList) -> bool {
        let places: HashMap<String, usize> = (list.entries.iter().enumerate())
            .map(|(place, entry)| (list.path_within(&entry.path), place))
            .collect();
        let own: Option<Vec<(RunImage<'_>, usize)>> = (self.iter())
            .filter(|image| image.part != RunPart::OpenSet)
            .map(|image| Some((image, *places.get(&*nfc(image.path))?)))
            .collect();
        own.is_some_and(|own| {
            own.par_iter().all(|(image, place)| {
                let entry = &list.entries[*place];
                let class = &list.class_names[entry.label as usize];
                nfc(class) == nfc(image.class)
                    && Digest::of_file(&entry.path).is_ok_and(|digest| digest == image.digest)
            })
        })
    }

    /// The same for a data set in two parts.
    pub fn are_in(&self, split: &Split) -> bool {
        let parts = [&split.train, &split.test];
        let origins = parts.iter().flat_map(|part| {
            let origins = (0..part.len()).filter_map(|index| part.origin(index));
            origins.map(|origin| (origin.path, origin.digest))
        });
        let origins: HashMap<&str, Digest> = origins.collect();
        self.iter()
            .filter(|image| image.part != RunPart::OpenSet)
            .all(|image| origins.get(image.path) == Some(&image.digest))
    }

    /// The files of a list that belong to a part. Missing files are omitted.
    pub fn listed(&self, part: RunPart, list: &ImageList) -> ImageList {
        let wanted: HashSet<Cow<'_, str>> = self.of(part).map(|image| nfc(image.path)).collect();
        let entries = list.entries.iter();
        let entries = entries.filter(|entry| wanted.contains(&*list.path_within(&entry.path)));
        ImageList {
            entries: entries.cloned().collect(),
            ..list.clone()
        }
    }
}

/// The digest of each decoded image.
fn shown(data: &Dataset) -> Vec<Digest> {
    let images = (0..data.len()).into_par_iter();
    images.map(|index| Digest::of(data.image(index))).collect()
}

fn moved(image: &RunImage<'_>, from: impl fmt::Display, to: impl fmt::Display) -> String {
    format!("{}, from {from} to {to}", image.path)
}

/// Index of the images of a run by path and content. An open set may be in another folder with the
/// same paths.
struct Places<'a> {
    images: &'a RunImages,
    by_path: HashMap<(bool, Cow<'a, str>), u32>,
    by_digest: HashMap<Digest, u32>,
}

impl<'a> Places<'a> {
    fn new(images: &'a RunImages) -> Self {
        let (mut by_path, mut by_digest) = (HashMap::new(), HashMap::new());
        for (place, image) in (0..).zip(images.iter()) {
            let path = nfc(images.paths.get(place as usize));
            by_path.insert((image.part == RunPart::OpenSet, path), place);
            by_digest.entry(image.digest).or_insert(place);
        }
        Self {
            images,
            by_path,
            by_digest,
        }
    }

    fn at(&self, open_set: bool, path: &'a str) -> Option<RunImage<'a>> {
        let place = self.by_path.get(&(open_set, nfc(path)))?;
        Some(self.images.get(*place as usize))
    }

    fn of(&self, image: &RunImage<'a>) -> Option<RunImage<'a>> {
        self.at(image.part == RunPart::OpenSet, image.path)
    }

    /// The same file, if it has moved into or out of the open set.
    fn in_other_part(&self, image: &RunImage<'a>) -> Option<RunImage<'a>> {
        let other = self.at(image.part != RunPart::OpenSet, image.path)?;
        (other.digest == image.digest).then_some(other)
    }

    fn of_digest(&self, digest: Digest) -> Option<RunImage<'a>> {
        let place = self.by_digest.get(&digest)?;
        Some(self.images.get(*place as usize))
    }
}

/// Images that differ in one respect: their number and the first of them.
pub(crate) struct Difference {
    what: &'static str,
    pub(crate) count: usize,
    first: String,
}

impl Difference {
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            what,
            count: 0,
            first: String::new(),
        }
    }

    pub(crate) fn add(&mut self, name: impl FnOnce() -> String) {
        if self.count == 0 {
            self.first = name();
        }
        self.count += 1;
    }

    /// For example `2 new (first a/1.png)`; `None` if there are none.
    pub(crate) fn sentence(&self) -> Option<String> {
        let Self { what, count, first } = self;
        match count {
            0 => None,
            1 => Some(format!("1 {what} ({first})")),
            _ => Some(format!("{count} {what} (first {first})")),
        }
    }
}
