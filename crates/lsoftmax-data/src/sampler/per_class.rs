use crate::error::DataError;
use crate::random::permutation;
use std::collections::BTreeMap;

/// Batches of P classes with K images each, for losses on pairs and triplets. A random batch from
/// many classes rarely has two images of the same class.
///
/// An epoch is a random order of all classes, cut into batches of P. The C mod P classes at its end
/// are skipped, different ones in each epoch, so that no batch contains a class twice. Within a
/// class, K images are drawn without replacement. A class with fewer than K images repeats all of
/// them until there are K ([`small_classes`](Self::small_classes) counts such classes); empty
/// classes are ignored.
///
/// The batch of a step is a function of (seed, labels, P, K, step) alone.
#[derive(Clone, Debug)]
pub struct ClassSampler {
    seed: u64,
    /// The images of each non-empty class.
    classes: Vec<Vec<u32>>,
    classes_per_batch: usize,
    images_per_class: usize,
    /// The last requested epoch; a cache that does not affect results.
    epoch: Option<(u64, Vec<u32>)>,
}

/// Separate these random numbers from others of the same seed.
const CLASSES: u64 = 0x636c_6173;
const IMAGES: u64 = 0x696d_6167;

impl ClassSampler {
    /// Creates a sampler over images with these labels, for batches of `batch` images with
    /// `images_per_class` of each class.
    ///
    /// # Errors
    /// The number of images per class is below 1 or does not divide the batch, or there are fewer
    /// classes than a batch needs.
    pub fn new(
        seed: u64,
        labels: &[u32],
        batch: usize,
        images_per_class: usize,
    ) -> Result<Self, DataError> {
        if images_per_class == 0 || batch == 0 || !batch.is_multiple_of(images_per_class) {
            return Err(DataError::out_of_range(
                "images per class",
                format!("a divisor of the batch of {batch}"),
                images_per_class,
            ));
        }
        // Indexed by label, because labels may be arbitrary numbers.
        let mut classes: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (index, &label) in labels.iter().enumerate() {
            classes.entry(label).or_default().push(index as u32);
        }
        let classes: Vec<Vec<u32>> = classes.into_values().collect();
        let classes_per_batch = batch / images_per_class;
        if classes.len() < classes_per_batch {
            return Err(DataError::out_of_range(
                "classes with images",
                format!(
                    "at least {classes_per_batch} for batches of {batch} with {images_per_class} of each class"
                ),
                classes.len(),
            ));
        }
        Ok(Self {
            seed,
            classes,
            classes_per_batch,
            images_per_class,
            epoch: None,
        })
    }

    /// Number of classes that have images, but fewer than a batch takes of each.
    pub fn small_classes(&self) -> usize {
        let small = |images: &&Vec<u32>| images.len() < self.images_per_class;
        self.classes.iter().filter(small).count()
    }

    /// The images of a step, class by class, as (key, index). Each copy of an image has its own
    /// key, so that each is augmented differently.
    pub fn batch(&mut self, step: u64) -> Vec<(u64, u32)> {
        let (per_batch, per_class) = (self.classes_per_batch, self.images_per_class);
        let batches = (self.classes.len() / per_batch) as u64;
        let first = (step % batches) as usize * per_batch;
        let chosen = self.order(step / batches)[first..first + per_batch].to_vec();
        let mut batch = Vec::with_capacity(per_batch * per_class);
        for class in chosen {
            let images = &self.classes[class as usize];
            for round in 0..per_class.div_ceil(images.len()) {
                let key = step * per_class as u64 + round as u64;
                let place = [IMAGES, class.into(), key];
                let order = permutation(self.seed, &place, images.len());
                let left = per_class - round * images.len();
                let taken = order.iter().take(left);
                batch.extend(taken.map(|&at| (key, images[at as usize])));
            }
        }
        batch
    }

    fn order(&mut self, epoch: u64) -> &[u32] {
        let cached = self.epoch.take().filter(|(of, _)| *of == epoch);
        let order = cached.map_or_else(
            || permutation(self.seed, &[CLASSES, epoch], self.classes.len()),
            |(_, order)| order,
        );
        &self.epoch.insert((epoch, order)).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn a_batch_has_p_classes_and_k_images_of_each(
            seed in any::<u64>(),
            sizes in prop::collection::vec(0usize..9, 3..12),
            per_class in 1usize..6,
            share in 0.0..1.0f64,
            step in 0u64..1 << 40,
        ) {
            let labels: Vec<u32> = sizes
                .iter()
                .enumerate()
                .flat_map(|(class, &size)| std::iter::repeat_n(class as u32, size))
                .collect();
            let filled = sizes.iter().filter(|&&size| size > 0).count();
            prop_assume!(filled > 0);
            let classes = 1 + (share * (filled - 1) as f64) as usize;
            let sampler = || ClassSampler::new(seed, &labels, classes * per_class, per_class).unwrap();
            let small = sizes.iter().filter(|&&size| (1..per_class).contains(&size)).count();
            prop_assert_eq!(sampler().small_classes(), small);
            let batch = sampler().batch(step);
            let mut seen = BTreeMap::<u32, Vec<u32>>::new();
            for &(_, image) in &batch {
                seen.entry(labels[image as usize]).or_default().push(image);
            }
            prop_assert_eq!(seen.len(), classes);
            for (class, images) in seen {
                prop_assert_eq!(images.len(), per_class);
                // Each image as often as any other of its class, or once more.
                let size = sizes[class as usize];
                for &image in &images {
                    let times = images.iter().filter(|&&other| other == image).count();
                    prop_assert!((per_class / size..=per_class.div_ceil(size)).contains(&times));
                }
            }
            // Every copy of an image has its own augmentation.
            prop_assert_eq!(batch.iter().collect::<BTreeSet<_>>().len(), batch.len());
            let mut same = sampler();
            same.batch(step / 2);
            prop_assert_eq!(same.batch(step), batch);
        }
    }

    #[test]
    fn an_epoch_has_no_class_twice_and_no_class_is_always_left_out() {
        let labels: Vec<u32> = (0..70).map(|i| i % 7).collect();
        let mut sampler = ClassSampler::new(5, &labels, 6, 2).unwrap();
        let mut all = BTreeSet::new();
        for epoch in 0..10 {
            let classes: Vec<u32> = (2 * epoch..2 * epoch + 2)
                .flat_map(|step| sampler.batch(step))
                .map(|(_, image)| labels[image as usize])
                .collect();
            let different: BTreeSet<u32> = classes.iter().copied().collect();
            assert_eq!((classes.len(), different.len()), (12, 6));
            all.extend(different);
        }
        assert_eq!(all.len(), 7);
    }

    #[test]
    fn labels_may_be_any_numbers() {
        let labels = |first| [first, u32::MAX, first, u32::MAX];
        let batch = |first| ClassSampler::new(1, &labels(first), 4, 2).unwrap().batch(3);
        assert_eq!(batch(0), batch(u32::MAX - 1));
    }

    #[test]
    fn impossible_batches_are_rejected() {
        let error = |labels: &[u32], batch, images| {
            ClassSampler::new(0, labels, batch, images)
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error(&[0, 1], 8, 3),
            "images per class must be a divisor of the batch of 8, found 3"
        );
        assert!(error(&[0, 1], 8, 0).contains("divisor"));
        assert!(error(&[], 8, 2).contains("at least 4"));
        assert_eq!(
            error(&[0, 0, 9], 8, 2),
            "classes with images must be at least 4 for batches of 8 with 2 of each class, found 2"
        );
    }
}
