//! Facial landmarks found by a detector.

use super::FivePoints;
use crate::error::DataError;
use crate::file::read_text;
use crate::names::{nfc, text};
use crate::table::{MAX_FILE_BYTES, Table};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

/// Names of the columns of each point, without `_x` and `_y`.
const NAMES: [&[&str]; 5] = [
    &["left_eye"],
    &["right_eye"],
    &["nose", "nose_tip"],
    &["left_mouth", "mouth_left"],
    &["right_mouth", "mouth_right"],
];

/// Five landmarks for each of many images.
///
/// Read from a CSV file with a header. The columns may be in any order, and other columns are
/// ignored:
///
/// | column | content |
/// |---|---|
/// | `path` | the image, relative to the folder of images |
/// | `left_eye_x`, `left_eye_y` or `x1`, `y1` | pixels |
/// | `right_eye_x`, `right_eye_y` or `x2`, `y2` | |
/// | `nose_x`, `nose_y` or `nose_tip_x`, `nose_tip_y` or `x3`, `y3` | |
/// | `left_mouth_x`, `left_mouth_y` or `mouth_left_x`, `mouth_left_y` or `x4`, `y4` | |
/// | `right_mouth_x`, `right_mouth_y` or `mouth_right_x`, `mouth_right_y` or `x5`, `y5` | |
///
/// An image without a detected face has no row. Paths are compared in Unicode normalisation form C
/// ([`nfc`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Landmarks {
    images: BTreeMap<String, FivePoints>,
}

/// The path of an image in the file, relative to the root folder.
pub(super) fn key(image: &Path, root: &Path) -> String {
    let within = image.strip_prefix(root).unwrap_or(image);
    nfc(&text(within.as_os_str())).replace('\\', "/")
}

impl Landmarks {
    /// Reads a file.
    ///
    /// # Errors
    /// The file cannot be read, is not such a table, or is larger than 1 GiB; a column is missing
    /// or occurs twice; a row has an invalid or non-finite number, a path that is absolute or leads
    /// upwards, or an image that already has a row. The error names line and column.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        Self::parse(path, &read_text(path, MAX_FILE_BYTES)?)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, DataError> {
        let table = Table::parse(path, text)?;
        let image = table.column(&["path"])?;
        let mut columns = Vec::with_capacity(10);
        for (point, names) in NAMES.iter().enumerate() {
            for axis in ["x", "y"] {
                let long = names.iter().map(|name| format!("{name}_{axis}"));
                let names: Vec<String> = long.chain([format!("{axis}{}", point + 1)]).collect();
                columns.push((table.column(&names)?, names));
            }
        }
        let mut images = BTreeMap::new();
        for row in table.rows() {
            let row = row?;
            let mut points = [[0.0; 2]; 5];
            for (value, (place, names)) in points.iter_mut().flatten().zip(&columns) {
                let text = row.get(*place);
                *value = match text.parse::<f64>() {
                    Ok(number) if number.is_finite() => number,
                    _ => return Err(row.wrong(&names[0], "a finite number", text)),
                };
            }
            let path = row.relative_path(image, "path")?;
            match images.entry(nfc(&path).into_owned()) {
                Entry::Vacant(entry) => entry.insert(points),
                Entry::Occupied(entry) => {
                    return Err(row.wrong("path", "an image without an earlier row", entry.key()));
                }
            };
        }
        Ok(Self { images })
    }

    /// The landmarks of an image, by its path relative to the image folder, with slashes.
    pub fn get(&self, path: &str) -> Option<&FivePoints> {
        self.images.get(&*nfc(path))
    }

    /// Finds the folder that the paths are relative to, given an image with landmarks: the highest
    /// folder for which the image's relative path is in the file.
    pub fn root_of(&self, image: &Path) -> Option<PathBuf> {
        let above: Vec<&Path> = image.ancestors().skip(1).collect();
        let mut roots = above.into_iter().rev();
        let root = roots.find(|root| self.get(&key(image, root)).is_some())?;
        Some(root.to_owned())
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.images.len()
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.images.is_empty()
    }

    /// All images by path, in byte order of the paths.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &FivePoints)> {
        self.images.iter().map(|(path, points)| (&**path, points))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LONG: &str = "path,left_eye_x,left_eye_y,right_eye_x,right_eye_y,nose_x,nose_y,\
                        left_mouth_x,left_mouth_y,right_mouth_x,right_mouth_y";
    const SHORT: &str = "path,x1,y1,x2,y2,x3,y3,x4,y4,x5,y5";
    const POINTS: FivePoints = [[1.5, 2.0], [3.0, 4.0], [5.0, -6.0], [7.0, 8.0], [9.0, 1e1]];
    const ROW: &str = "1.5,2,3,4,5,-6,7,8,9,1e1";

    fn parse(text: &str) -> Result<Landmarks, String> {
        Landmarks::parse(Path::new("l.csv"), text).map_err(|error| error.to_string())
    }

    #[test]
    fn both_headers_are_read() {
        for header in [LONG, SHORT] {
            let text = format!("{header}\r\nb/1.jpg,{ROW}\r\n\r\n./a\\2.jpg, {ROW}\r\n\r\n");
            let landmarks = parse(&text).unwrap();
            assert_eq!(landmarks.len(), 2);
            assert_eq!(landmarks.get("b/1.jpg"), Some(&POINTS));
            assert_eq!(landmarks.get("c/1.jpg"), None);
            let paths: Vec<_> = landmarks.iter().map(|(path, _)| path).collect();
            assert_eq!(paths, ["a/2.jpg", "b/1.jpg"]);
        }
        assert!(parse(SHORT).unwrap().is_empty());
    }

    #[test]
    fn names_are_found_in_either_normal_form() {
        let landmarks = parse(&format!("{SHORT}\njose\u{301}/1.jpg,{ROW}\n")).unwrap();
        assert!(landmarks.get("jos\u{e9}/1.jpg").is_some());
        let image = key(Path::new("d/jose\u{301}/1.jpg"), Path::new("d"));
        assert!(landmarks.get(&image).is_some());
        let twice = format!("{SHORT}\njose\u{301},{ROW}\njos\u{e9},{ROW}\n");
        assert!(parse(&twice).unwrap_err().contains("line 3"));
    }

    #[test]
    fn columns_may_be_in_any_order_among_others() {
        let text = "score,Left_Eye_Y,left_eye_x,x2,y2,nose_tip_x,nose_tip_y,mouth_left_x,\
                    mouth_left_y,mouth_right_x,mouth_right_y,path\n\
                    0.9,2,1.5,3,4,5,-6,7,8,9,10,\"a, b.jpg\"\n";
        assert_eq!(parse(text).unwrap().get("a, b.jpg"), Some(&POINTS));
    }

    #[test]
    fn errors_name_line_and_column() {
        for (text, expected, found) in [
            ("", "a column path in the header", "\"\""),
            (
                "path,x1,y1\n",
                "a column right_eye_x or x2 in the header",
                "\"path,x1,y1\"",
            ),
            (
                &format!("{SHORT},X3"),
                "one column nose_x or nose_tip_x or x3",
                "more than one",
            ),
            (
                &format!("{SHORT},left_eye_x"),
                "one column left_eye_x or x1",
                "more than one",
            ),
            (
                &format!("{SHORT}\na,1,2"),
                "11 comma-separated fields in line 2",
                "found 3",
            ),
            (
                &format!("{SHORT}\na,{ROW}\n\nb,1,NaN,3,4,5,6,7,8,9,0"),
                "a finite number in line 4, column left_eye_y",
                "\"NaN\"",
            ),
            (
                &format!("{SHORT}\na,1,2,3,4,5,6,7,8,9,1e999"),
                "a finite number in line 2, column right_mouth_y",
                "\"1e999\"",
            ),
            (
                &format!("{SHORT}\na,1,2,,4,5,6,7,8,9,0"),
                "line 2, column right_eye_x",
                "\"\"",
            ),
            (
                &format!("{SHORT}\n/a,{ROW}"),
                "a path relative to",
                "\"/a\"",
            ),
            (
                &format!("{SHORT}\na/../../b,{ROW}"),
                "in line 2, column path",
                "\"a/../../b\"",
            ),
            (
                &format!("{SHORT}\na,{ROW}\nb,{ROW}\n./a,{ROW}"),
                "an image without an earlier row in line 4, column path",
                "\"a\"",
            ),
        ] {
            let message = parse(text).unwrap_err();
            assert!(message.starts_with("l.csv: expected "), "{message}");
            assert!(
                message.contains(expected) && message.contains(found),
                "{message}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "\\PC*", rows in "[a,.0-9\"\n\r-]*") {
            parse(&text).ok();
            parse(&format!("{SHORT}\n{rows}")).ok();
        }
    }
}
