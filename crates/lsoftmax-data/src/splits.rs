//! Splits of a data set: subsets, held-out images, held-out classes.

use crate::dataset::Dataset;
use crate::error::DataError;
use crate::random::{Rng, permutation};

/// Training and test data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// The training images.
    pub train: Dataset,
    /// The test images, of the same classes.
    pub test: Dataset,
    /// The images for model selection, of the same classes, if the source defines them.
    pub held_out: Option<Dataset>,
    /// Images of classes that are neither trained nor tested on, for verification and
    /// identification.
    pub open_set: Option<Dataset>,
    /// Number of open-set classes that have the name of a trained class and are declared different
    /// ([`SameNames::Different`](crate::SameNames)).
    pub same_names: usize,
    /// For images: the parts and classes in one line.
    pub summary: Option<String>,
    /// How the data was interpreted and what was ignored, one sentence each.
    pub remarks: Vec<String>,
    /// Problems that may invalidate the results, one sentence each.
    pub warnings: Vec<String>,
}

impl Split {
    /// A split with only these two parts.
    pub fn new(train: Dataset, test: Dataset) -> Self {
        Self {
            train,
            test,
            held_out: None,
            open_set: None,
            same_names: 0,
            summary: None,
            remarks: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Moves `count` classes, drawn by `seed`, out of both parts. Their images, first those of the
    /// training part, become the open set.
    ///
    /// # Errors
    /// As [`Dataset::split_classes`]; or no test image remains.
    pub(crate) fn keep_classes_out(&mut self, count: usize, seed: u64) -> Result<(), DataError> {
        let unseen = self.train.draw_classes(count, seed)?;
        let seen: Vec<bool> = unseen.iter().map(|&unseen| !unseen).collect();
        let parts = [Some(&self.train), Some(&self.test), self.held_out.as_ref()];
        let parts = parts.into_iter().flatten();
        let open_set = parts
            .filter_map(|part| part.classes(&unseen))
            .reduce(|all, part| all.followed_by(&part));
        let (Some(train), Some(test)) = (self.train.classes(&seen), self.test.classes(&seen))
        else {
            return Err(DataError::out_of_range(
                "open-set",
                "small enough to keep classes with test images",
                count,
            ));
        };
        self.held_out = self.held_out.take().and_then(|part| part.classes(&seen));
        (self.train, self.test, self.open_set) = (train, test, open_set);
        Ok(())
    }
}

/// Keys that separate the random numbers of different uses of a seed.
const HELD_OUT: u64 = 0x6865_6c64;
const SHARE: u64 = 0x7368_6172;
const CLASSES: u64 = 0x636c_6173;

impl Dataset {
    /// The first images of each class, `count` in all (at least 1), in their original order, with
    /// equally many of each class as far as available. Everything if `count` is not below the size.
    #[must_use]
    pub fn subset(&self, count: usize) -> Self {
        let count = count.max(1);
        if count >= self.len() {
            return self.clone();
        }
        let mut take = self.shares(count);
        self.select(|index| {
            let take = &mut take[self.label(index) as usize];
            let wanted = *take > 0;
            *take -= usize::from(wanted);
            wanted
        })
    }

    /// Splits off `count` images, drawn by `seed`, with equally many of each class as far as
    /// available. Returns the other images and the drawn ones.
    ///
    /// # Errors
    /// A part would be empty.
    pub fn hold_out(&self, count: usize, seed: u64) -> Result<(Self, Self), DataError> {
        Ok(self.parted(&self.draw_held_out(count, seed)?))
    }

    /// Marks the images that [`hold_out`](Self::hold_out) draws.
    ///
    /// # Errors
    /// As [`hold_out`](Self::hold_out).
    pub fn draw_held_out(&self, count: usize, seed: u64) -> Result<Vec<bool>, DataError> {
        if !(1..self.len()).contains(&count) {
            return Err(DataError::out_of_range(
                "held-out",
                format!(
                    "0, or from 1 to {} of {} images",
                    self.len() - 1,
                    self.len()
                ),
                count,
            ));
        }
        let mut take = self.shares(count);
        let mut held = vec![false; self.len()];
        for index in permutation(seed, &[HELD_OUT], self.len()) {
            let take = &mut take[self.label(index as usize) as usize];
            if *take > 0 {
                *take -= 1;
                held[index as usize] = true;
            }
        }
        Ok(held)
    }

    /// Closed-set split: draws a share of the images of each class by `seed`. Returns the other
    /// images and the drawn ones.
    ///
    /// Of `n` images in a class, `round(share n)` are drawn, at least 1 and at most `n - 1`. Every
    /// class therefore stays in the first part, and a class with one image is only there.
    ///
    /// # Errors
    /// The share is not above 0 and below 1, or no class has two images.
    pub fn split_share(&self, share: f64, seed: u64) -> Result<(Self, Self), DataError> {
        if !(share > 0.0 && share < 1.0) {
            return Err(DataError::out_of_range(
                "test-share",
                "above 0 and below 1",
                share,
            ));
        }
        let mut take: Vec<usize> = self
            .class_counts()
            .into_iter()
            .map(|count| match count {
                0 | 1 => 0,
                _ => ((share * count as f64).round() as usize).clamp(1, count - 1),
            })
            .collect();
        if take.iter().all(|&take| take == 0) {
            return Err(DataError::out_of_range(
                "the number of images per class",
                "at least 2 in some class, so that one can be trained and one tested on (or give \
                 the test images separately)",
                1,
            ));
        }
        let mut taken = vec![false; self.len()];
        for index in permutation(seed, &[SHARE], self.len()) {
            let take = &mut take[self.label(index as usize) as usize];
            if *take > 0 {
                *take -= 1;
                taken[index as usize] = true;
            }
        }
        Ok(self.parted(&taken))
    }

    /// Open-set split: draws `count` classes with images by `seed`. Returns the other classes and
    /// the drawn ones.
    ///
    /// Labels are renumbered from 0 in each part. The order of classes and images and the names
    /// stay the same.
    ///
    /// # Errors
    /// `count` is 0, or fewer than two classes with images would remain.
    pub fn split_classes(&self, count: usize, seed: u64) -> Result<(Self, Self), DataError> {
        let unseen = self.draw_classes(count, seed)?;
        let seen: Vec<bool> = unseen.iter().map(|&unseen| !unseen).collect();
        match (self.classes(&seen), self.classes(&unseen)) {
            (Some(seen), Some(unseen)) => Ok((seen, unseen)),
            _ => Err(DataError::out_of_range(
                "open-set",
                "classes with images",
                count,
            )),
        }
    }

    /// Marks the `count` classes drawn by `seed`.
    fn draw_classes(&self, count: usize, seed: u64) -> Result<Vec<bool>, DataError> {
        let counts = self.class_counts();
        let mut there: Vec<usize> = (0..counts.len()).filter(|&c| counts[c] > 0).collect();
        if count == 0 || count.saturating_add(2) > there.len() {
            let expected = if there.len() < 3 {
                format!(
                    "left out: of {} classes none can be kept out of the training",
                    there.len()
                )
            } else {
                format!(
                    "from 1 to {} of {} classes, so that two are left to train on",
                    there.len() - 2,
                    there.len()
                )
            };
            return Err(DataError::out_of_range("open-set", expected, count));
        }
        let mut drawn = vec![false; counts.len()];
        let mut rng = Rng::at(seed, &[CLASSES]);
        for _ in 0..count {
            let place = rng.below(there.len() as u64) as usize;
            drawn[there.swap_remove(place)] = true;
        }
        Ok(drawn)
    }

    /// The images of the kept classes, with renumbered labels; `None` if there are none.
    pub(crate) fn classes(&self, keep: &[bool]) -> Option<Self> {
        let mut numbers = vec![None; keep.len()];
        let mut names = Vec::new();
        for (class, _) in keep.iter().enumerate().filter(|&(_, &keep)| keep) {
            numbers[class] = Some(names.len() as u32);
            names.push(self.class_names[class].clone());
        }
        let number = |index: usize| numbers[self.label(index) as usize];
        (0..self.len())
            .any(|index| number(index).is_some())
            .then(|| self.select_as(names, number))
    }

    /// The unmarked and the marked images; there must be some of both.
    fn parted(&self, marked: &[bool]) -> (Self, Self) {
        let part = |wanted: bool| self.select(|index| marked[index] == wanted);
        (part(false), part(true))
    }

    /// The number of images of each class that make up `count` images, at most all of them.
    fn shares(&self, count: usize) -> Vec<usize> {
        let available = self.class_counts();
        let mut take = vec![0; available.len()];
        let mut left = count;
        while left > 0 {
            for (take, &available) in take.iter_mut().zip(&available) {
                if left > 0 && *take < available {
                    *take += 1;
                    left -= 1;
                }
            }
        }
        take
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Images of one byte, which is their own index.
    fn numbered(labels: &[u32], classes: usize) -> Dataset {
        let bytes = (0..labels.len()).map(|i| i as u8).collect();
        let names = (0..classes).map(|class| format!("class {class}")).collect();
        Dataset::new(bytes, labels.to_vec(), [1, 1, 1], names).unwrap()
    }

    fn bytes(part: &Dataset) -> Vec<u8> {
        (0..part.len()).map(|i| part.image(i)[0]).collect()
    }

    #[test]
    fn subsets_are_balanced_and_keep_the_order() {
        let set = numbered(&[0, 0, 0, 1, 1, 0], 3);
        assert_eq!(set.subset(4).labels(), [0, 0, 1, 1]);
        assert_eq!(bytes(&set.subset(4)), [0, 1, 3, 4]);
        assert_eq!(set.subset(4).class_counts(), [2, 2, 0]);
        assert_eq!(set.subset(5).labels(), [0, 0, 0, 1, 1]);
        assert_eq!(set.subset(99), set);
        assert_eq!(set.subset(0).len(), 1);
    }

    #[test]
    fn held_out_images_are_balanced_and_not_trained_on() {
        let labels: Vec<u32> = (0..100).map(|i| u32::from(i >= 90)).collect();
        let data = numbered(&labels, 2);
        let (train, held) = data.hold_out(8, 3).unwrap();
        assert_eq!((train.len(), held.class_counts()), (92, vec![4, 4]));
        let mut all = [bytes(&train), bytes(&held)].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<u8>>());
        assert_eq!(data.hold_out(8, 3).unwrap().1, held);
        assert_ne!(data.hold_out(8, 4).unwrap().1, held);
        // More than the small class has.
        assert_eq!(data.hold_out(40, 3).unwrap().1.class_counts(), [30, 10]);
        for count in [0, 100, 101] {
            let message = data.hold_out(count, 3).unwrap_err().to_string();
            assert!(
                message.contains("held-out must be 0, or from 1 to 99"),
                "{message}"
            );
        }
    }

    #[test]
    fn a_share_of_each_class_is_tested_on() {
        let labels: Vec<u32> = [vec![0; 20], vec![1; 7], vec![2; 2], vec![3]].concat();
        let data = numbered(&labels, 5);
        let (train, test) = data.split_share(0.2, 9).unwrap();
        assert_eq!(test.class_counts(), [4, 1, 1, 0, 0]);
        assert_eq!(train.class_counts(), [16, 6, 1, 1, 0]);
        assert_eq!(test.class_names, data.class_names);
        assert_eq!(
            data.split_share(0.99, 9).unwrap().0.class_counts(),
            [1, 1, 1, 1, 0]
        );
        for share in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY] {
            let message = data.split_share(share, 9).unwrap_err().to_string();
            assert!(message.contains("test-share must be above 0"), "{message}");
        }
        let single = numbered(&[0, 1, 2], 3);
        let message = single.split_share(0.5, 9).unwrap_err().to_string();
        assert!(message.contains("at least 2 in some class"), "{message}");
    }

    #[test]
    fn unseen_classes_are_renumbered() {
        let data = numbered(&[0, 1, 2, 3, 4, 0, 1, 2, 3, 4], 6);
        let (rest, unseen) = data.split_classes(2, 1).unwrap();
        assert_eq!((rest.num_classes(), unseen.num_classes()), (4, 2));
        for part in [&rest, &unseen] {
            for index in 0..part.len() {
                let class = part.image(index)[0] % 5;
                let name = &part.class_names[part.label(index) as usize];
                assert_eq!(*name, format!("class {class}"));
            }
        }
        assert_eq!(data.split_classes(2, 1).unwrap().1, unseen);
        assert!((0..9).any(|seed| data.split_classes(2, seed).unwrap().1 != unseen));
        for count in [0, 4, 5, usize::MAX] {
            let message = data.split_classes(count, 1).unwrap_err().to_string();
            assert!(message.contains("from 1 to 3 of 5 classes"), "{message}");
        }
        let two = numbered(&[0, 1], 2);
        let message = two.split_classes(1, 1).unwrap_err().to_string();
        assert!(
            message.contains("of 2 classes none can be kept"),
            "{message}"
        );
    }

    #[test]
    fn unseen_classes_leave_both_parts() {
        let labels: Vec<u32> = (0..40).map(|i| i % 8).collect();
        let (train, test) = numbered(&labels, 8).split_share(0.4, 0).unwrap();
        let mut split = Split::new(train, test);
        split.keep_classes_out(3, 5).unwrap();
        let open_set = split.open_set.unwrap();
        assert_eq!(open_set.class_counts(), [5; 3]);
        assert_eq!(split.train.class_counts(), [3; 5]);
        assert_eq!(split.test.class_counts(), [2; 5]);
        assert_eq!(split.train.class_names, split.test.class_names);
        assert!(
            open_set
                .class_names
                .iter()
                .all(|name| !split.train.class_names.contains(name))
        );
    }

    proptest! {
        #[test]
        fn parts_make_up_the_whole(
            labels in prop::collection::vec(0u32..6, 1..120),
            share in 0.01f64..0.99,
            count in 0usize..7,
            seed in any::<u64>(),
        ) {
            let data = numbered(&labels, 6);
            let both = [data.split_share(share, seed), data.split_classes(count, seed)];
            for (a, b) in both.into_iter().flatten() {
                let mut all = [bytes(&a), bytes(&b)].concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..labels.len() as u8).collect::<Vec<_>>());
            }
        }
    }
}
