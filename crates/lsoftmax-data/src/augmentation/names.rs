//! The text form of augmentations.

use super::{Augmentation, ColourJitter, Mirror, RandAugment};
use crate::error::DataError;
use lsoftmax_spec::names::nearest;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// The forms of list entries: names, some with numbers.
const FORMS: [(&str, &str); 7] = [
    ("crop", "crop:N"),
    ("mirror", "mirror"),
    ("alternating-mirror", "alternating-mirror"),
    ("rand-augment", "rand-augment:OPERATIONS:MAGNITUDE"),
    (
        "colour-jitter",
        "colour-jitter:BRIGHTNESS:CONTRAST:SATURATION",
    ),
    ("cutout", "cutout:N"),
    ("random-erasing", "random-erasing:PROBABILITY"),
];
/// Range of the pixels of a crop or a cutout, before the size of the images is known.
const PIXELS: RangeInclusive<usize> = 1..=65_536;

fn wrong(expected: impl Into<String>, found: &str) -> DataError {
    DataError::out_of_range("augmentation", expected, format!("{found:?}"))
}

/// Parses a number in an entry.
fn number<T: FromStr + PartialOrd + std::fmt::Display>(
    entry: &str,
    what: &str,
    text: &str,
    range: RangeInclusive<T>,
) -> Result<T, DataError> {
    let number = text
        .trim()
        .parse()
        .ok()
        .filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let (least, most) = (range.start(), range.end());
        wrong(format!("{what} from {least} to {most}"), entry)
    })
}

impl Augmentation {
    /// Reads a list such as `crop:4`, `mirror`. The order in the list does not matter.
    /// # Errors
    /// An entry is unknown, out of range, or occurs twice.
    pub fn parse(entries: &[impl AsRef<str>]) -> Result<Self, DataError> {
        let mut augmentation = Self::none();
        for entry in entries {
            let before = augmentation;
            let entry = entry.as_ref().trim();
            augmentation.add(entry)?;
            let name = entry.split(':').next().unwrap_or_default();
            if before.has(name) {
                return Err(wrong(format!("a list with one {name}"), entry));
            }
        }
        Ok(augmentation)
    }

    /// Whether an entry with this name is already set, or is excluded by another one.
    fn has(&self, name: &str) -> bool {
        match name {
            "crop" => self.pad_crop > 0,
            "mirror" | "alternating-mirror" => self.mirror != Mirror::Never,
            "rand-augment" => self.rand_augment.is_some(),
            "colour-jitter" => self.colour_jitter.is_some(),
            "cutout" => self.cutout > 0,
            _ => self.random_erasing > 0.0,
        }
    }

    fn add(&mut self, entry: &str) -> Result<(), DataError> {
        let words: Vec<&str> = entry.split(':').map(str::trim).collect();
        match words[..] {
            ["crop", pad] | ["crop", pad, "reflect"] => {
                self.pad_crop = number(entry, "crop:N with N", pad, PIXELS)?;
                self.reflect = words.len() == 3;
            }
            ["mirror"] => self.mirror = Mirror::Random,
            ["alternating-mirror"] => self.mirror = Mirror::Alternating,
            ["cutout", side] => self.cutout = number(entry, "cutout:N with N", side, PIXELS)?,
            ["random-erasing", probability] => {
                let what = "random-erasing:P with a probability P";
                self.random_erasing = number(entry, what, probability, 1e-6..=1.0)?;
            }
            ["colour-jitter", brightness, contrast, saturation] => {
                let share =
                    |text| number(entry, "colour-jitter:B:C:S with numbers", text, 0.0..=1.0);
                self.colour_jitter = Some(ColourJitter {
                    brightness: share(brightness)?,
                    contrast: share(contrast)?,
                    saturation: share(saturation)?,
                });
            }
            ["rand-augment", operations, magnitude] => {
                let [count, strength] = ["N operations, N", "a magnitude"]
                    .map(|what| format!("rand-augment:N:M with {what}"));
                self.rand_augment = Some(RandAugment {
                    operations: number(entry, &count, operations, 1..=10)?,
                    magnitude: number(entry, &strength, magnitude, 0.0..=10.0)?,
                });
            }
            _ => return Err(unknown(words[0], entry)),
        }
        Ok(())
    }

    /// The list of entries from which this augmentation can be parsed.
    pub fn names(&self) -> Vec<String> {
        let crop = (self.pad_crop > 0).then(|| {
            let fill = if self.reflect { ":reflect" } else { "" };
            format!("crop:{}{fill}", self.pad_crop)
        });
        let mirror = match self.mirror {
            Mirror::Never => None,
            Mirror::Random => Some("mirror".to_owned()),
            Mirror::Alternating => Some("alternating-mirror".to_owned()),
        };
        let rand_augment = (self.rand_augment)
            .map(|it| format!("rand-augment:{}:{}", it.operations, it.magnitude));
        let jitter = self.colour_jitter.map(|it| {
            let (brightness, contrast) = (it.brightness, it.contrast);
            format!("colour-jitter:{brightness}:{contrast}:{}", it.saturation)
        });
        let cutout = (self.cutout > 0).then(|| format!("cutout:{}", self.cutout));
        let erasing = self.random_erasing;
        let erasing = (erasing > 0.0).then(|| format!("random-erasing:{erasing}"));
        let all = [crop, mirror, rand_augment, jitter, cutout, erasing];
        all.into_iter().flatten().collect()
    }
}

/// The error for an entry of an unknown form, with the nearest known form or all of them.
fn unknown(name: &str, entry: &str) -> DataError {
    if let Some((_, form)) = FORMS.iter().find(|(known, _)| *known == name) {
        let form = form.replace("crop:N", "crop:N or crop:N:reflect");
        return wrong(format!("of the form {form}"), entry);
    }
    let names = FORMS.map(|(name, _)| name);
    let hint =
        nearest(name, &names).map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
    let forms = FORMS.map(|(_, form)| form).join(", ");
    wrong(format!("a list of {forms}{hint}"), entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_back_from_its_names() {
        let lists: [&[&str]; 6] = [
            &[],
            &["crop:4", "mirror"],
            &["crop:2:reflect", "alternating-mirror", "cutout:8"],
            &["rand-augment:2:9", "random-erasing:0.25"],
            &["colour-jitter:0.4:0.4:0.2"],
            &[
                "crop:1",
                "mirror",
                "rand-augment:1:4.5",
                "colour-jitter:0:1:0.1",
                "cutout:3",
                "random-erasing:1",
            ],
        ];
        for list in lists {
            let read = Augmentation::parse(list).unwrap();
            assert_eq!(read.names(), list);
            let mut other: Vec<_> = list.to_vec();
            other.reverse();
            assert_eq!(Augmentation::parse(&other).unwrap(), read);
        }
        let plus = Augmentation::parse(lists[1]).unwrap();
        assert_eq!(plus, Augmentation::cifar_plus());
    }

    #[test]
    fn entries_that_cannot_be_are_refused_by_name() {
        for (list, expected) in [
            (
                &["crop"][..],
                "of the form crop:N or crop:N:reflect, found \"crop\"",
            ),
            (&["crop:0"], "crop:N with N from 1 to"),
            (&["crop:4:edge"], "of the form crop:N"),
            (&["crop:-1"], "crop:N with N from 1"),
            (&["mirrored"], "did you mean mirror?"),
            (&[""], "a list of crop:N"),
            (&["mirror", "alternating-mirror"], "one alternating-mirror"),
            (&["cutout:2", "cutout:2"], "one cutout"),
            (&["random-erasing:0"], "probability P from"),
            (&["random-erasing:NaN"], "probability P from"),
            (&["colour-jitter:0.1:0.1"], "of the form colour-jitter:"),
            (&["colour-jitter:0.1:0.1:1.5"], "numbers from 0 to 1"),
            (&["rand-augment:0:3"], "N operations, N from 1 to 10"),
            (&["rand-augment:2:inf"], "a magnitude from 0 to 10"),
        ] {
            let message = Augmentation::parse(list).unwrap_err().to_string();
            assert!(message.contains(expected), "{list:?}: {message}");
        }
    }
}
