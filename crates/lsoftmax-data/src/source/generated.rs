//! Generated data sets.

use super::{DataSource, OpenSet, SourceOptions};
use crate::dataset::Dataset;
use crate::error::DataError;
use crate::glyphs::{self, Difficulty, Generated, SIDE, Stream};
use crate::splits::Split;
use std::ops::Range;

/// Default numbers of generated images.
const TRAIN_SAMPLES: usize = 20_000;
const TEST_SAMPLES: usize = 4_000;
/// Maximum number of characters in an alphabet.
pub(super) const MAX_CLASSES: u32 = 100_000;
/// Images per open-set character, as in Omniglot.
const OPEN_SET_SAMPLES: usize = 20;

impl DataSource {
    /// Generates digits or invented characters, with further characters as the open set.
    pub(super) fn generate(self, options: &SourceOptions) -> Result<Split, DataError> {
        if let Self::Alphabet { classes } = self
            && !(2..=MAX_CLASSES).contains(&classes)
        {
            return Err(DataError::out_of_range(
                "the number of characters",
                format!("from 2 to {MAX_CLASSES}"),
                classes,
            ));
        }
        let difficulty = Difficulty::default();
        let data_set = |Generated { images, labels }, classes: Range<u32>| {
            let names = classes.map(|class| class.to_string()).collect();
            Dataset::new(images, labels, [1, SIDE, SIDE], names)
        };
        let characters = |stream, range: Range<u32>, each| {
            let set = glyphs::alphabet(options.seed, stream, range.clone(), each, &difficulty);
            data_set(set, range)
        };
        let part = |stream, samples: usize| match self {
            Self::Alphabet { classes } => {
                characters(stream, 0..classes, samples.div_ceil(classes as usize))
            }
            _ => data_set(
                glyphs::digits(options.seed, stream, samples, &difficulty),
                0..10,
            ),
        };
        let mut split = Split::new(
            part(
                Stream::Train,
                options.train_samples.unwrap_or(TRAIN_SAMPLES),
            )?,
            part(Stream::Test, options.test_samples.unwrap_or(TEST_SAMPLES))?,
        );
        if let Some(OpenSet::Classes(count)) = options.open_set {
            let Self::Alphabet { classes } = self else {
                return Err(DataError::out_of_range(
                    "open-set",
                    "left out for --data glyphs, which has only ten digits (--data alphabet:N \
                     has as many characters as you like)",
                    count,
                ));
            };
            let more = u32::try_from(count)
                .ok()
                .filter(|more| (1..=MAX_CLASSES).contains(more))
                .ok_or_else(|| {
                    DataError::out_of_range("open-set", format!("from 1 to {MAX_CLASSES}"), count)
                })?;
            let range = classes..classes + more;
            split.open_set = Some(characters(Stream::Test, range, OPEN_SET_SAMPLES)?);
        }
        Ok(split)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_sets_have_the_requested_sizes() {
        let options = SourceOptions {
            train_samples: Some(50),
            test_samples: Some(7),
            ..SourceOptions::default()
        };
        let split = DataSource::Glyphs.load(&options).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (50, 7));
        let split = DataSource::Alphabet { classes: 30 }.load(&options).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (60, 30));
        assert_eq!(split.test.class_counts(), [1; 30]);
    }

    #[test]
    fn the_number_of_characters_is_limited() {
        for classes in [0, 1, MAX_CLASSES + 1, u32::MAX] {
            let alphabet = DataSource::Alphabet { classes };
            let message = alphabet.load(&SourceOptions::default()).unwrap_err();
            let expected = format!("must be from 2 to 100000, found {classes}");
            assert!(message.to_string().contains(&expected), "{message}");
        }
    }

    #[test]
    fn an_alphabet_has_open_set_characters() {
        let options = |classes| SourceOptions {
            train_samples: Some(60),
            test_samples: Some(30),
            open_set: Some(OpenSet::Classes(classes)),
            ..SourceOptions::default()
        };
        let alphabet = DataSource::Alphabet { classes: 30 };
        let split = alphabet.load(&options(5)).unwrap();
        let open_set = split.open_set.unwrap();
        assert_eq!(open_set.class_counts(), [20; 5]);
        assert_eq!(open_set.class_names[0], "30");
        assert_eq!((split.train.len(), split.train.num_classes()), (60, 30));
        // They start with the same characters for any number.
        let more = alphabet.load(&options(6)).unwrap().open_set.unwrap();
        assert_eq!(more.image(7), open_set.image(6));
        let message = alphabet.load(&options(0)).unwrap_err().to_string();
        assert!(message.contains("open-set must be from 1"), "{message}");
        let message = DataSource::Glyphs.load(&options(2)).unwrap_err();
        assert!(message.to_string().contains("alphabet:N"), "{message}");
    }
}
