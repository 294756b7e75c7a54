use crate::augmentation::{Augmentation, Mirror};
use crate::dataset::{Batch, Dataset};
use crate::dataset::{MemoryLayout, Preprocessing, View};
use crate::error::DataError;
use crate::sampler::Order;
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

/// Maximum number of values in a batch: 64 GiB.
const MAX_VALUES: usize = 1 << 34;
/// Number of batches prepared in advance.
const PREFETCHED: usize = 3;

/// The settings of a loader.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// The images.
    pub data: Dataset,
    /// Preprocessing of each image.
    pub preprocessing: Preprocessing,
    /// Random changes of the images.
    pub augmentation: Augmentation,
    /// Memory layout of the values.
    pub layout: MemoryLayout,
    /// Images per batch, at least 1.
    pub batch: usize,
    /// Images of each class per batch ([`ClassSampler`](crate::ClassSampler)); `None` for a random
    /// order of all images ([`Sampler`](crate::Sampler)).
    pub images_per_class: Option<usize>,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// The steps to prepare batches for.
    pub steps: Range<u64>,
}

/// The images drawn for a batch, with a view of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The training step of the batch.
    pub step: u64,
    /// The index of each image in its data set.
    pub indices: Vec<u32>,
    /// The epoch in which each image is drawn. Together with the index, it determines all random
    /// changes of the image.
    pub epochs: Vec<u64>,
    /// The view of each image.
    pub views: Vec<View>,
    /// The label of each image.
    pub labels: Vec<u32>,
}

/// The draws of a training, one per step: the batches of [`Loader`] for callers that already have
/// the images.
#[derive(Clone, Debug)]
pub struct Draws {
    plan: LoadPlan,
    order: Order,
    next: u64,
}

/// The batches of a training, prepared by a background thread.
///
/// The batch of a step is a function of the plan and the step, independent of threads and timing.
/// One thread prepares about 200,000 images of 32x32x3 per second, far more than a network
/// consumes. Dropping the loader ends the thread.
#[derive(Debug)]
pub struct Loader {
    batches: Option<Receiver<Batch>>,
    thread: Option<JoinHandle<()>>,
    left: u64,
}

impl LoadPlan {
    /// Prepares the batch of a draw.
    fn batch(&self, draw: Draw) -> Batch {
        let data = &self.data;
        let size = data.image(0).len();
        let shape = [data.channels, data.height, data.width];
        let mut pixels = vec![0.0; draw.indices.len() * size];
        let mean = self.preprocessing.mean_bytes(shape[0], shape[1] * shape[2]);
        let images = draw.indices.iter().zip(&draw.epochs).zip(&draw.views);
        for (out, ((&index, &epoch), &view)) in pixels.chunks_exact_mut(size).zip(images) {
            let change = self.augmentation.change(self.seed, epoch, index);
            let image = change.bytes(data.image(index as usize), shape, &mean);
            self.preprocessing
                .apply_to(&image, shape, view, self.layout, out);
            change.erase(out, shape, self.layout);
        }
        Batch {
            step: draw.step,
            shape: [draw.indices.len(), data.channels, data.height, data.width],
            pixels,
            labels: draw.labels,
            indices: draw.indices,
        }
    }
}

impl Draws {
    /// Creates the draws of a plan.
    ///
    /// # Errors
    /// The preprocessing or augmentation does not match the images, the batch is empty or too large
    /// for any machine's memory, or it cannot have that many images of each class.
    pub fn new(plan: LoadPlan) -> Result<Self, DataError> {
        let shape = [plan.data.channels, plan.data.height, plan.data.width];
        plan.preprocessing.check(shape)?;
        plan.augmentation.check(shape)?;
        if plan.augmentation.mirror == Mirror::Alternating && plan.images_per_class.is_some() {
            return Err(DataError::out_of_range(
                "augmentation",
                "mirror for batches with images of each class, which have no epochs",
                "alternating-mirror",
            ));
        }
        let most = MAX_VALUES / plan.data.image(0).len();
        if !(1..=most).contains(&plan.batch) {
            return Err(DataError::out_of_range(
                "batch",
                format!("from 1 to {most}"),
                plan.batch,
            ));
        }
        let labels = plan.data.labels();
        let order = Order::new(plan.seed, labels, plan.batch, plan.images_per_class)?;
        let next = plan.steps.start;
        Ok(Self { plan, order, next })
    }

    /// The draw of a step.
    fn at(&mut self, step: u64) -> Draw {
        let plan = &self.plan;
        let order = self.order.batch(step);
        let indices = order.iter().map(|&(_, index)| index);
        Draw {
            step,
            epochs: order.iter().map(|&(epoch, _)| epoch).collect(),
            views: (order.iter())
                .map(|&(epoch, index)| plan.augmentation.view(plan.seed, epoch, index))
                .collect(),
            labels: indices
                .clone()
                .map(|index| plan.data.label(index as usize))
                .collect(),
            indices: indices.collect(),
        }
    }
}

impl Iterator for Draws {
    type Item = Draw;

    fn next(&mut self) -> Option<Draw> {
        let step = self.next;
        (step < self.plan.steps.end).then(|| {
            self.next = step + 1;
            self.at(step)
        })
    }
}

impl Loader {
    /// Starts preparing batches.
    ///
    /// # Errors
    /// As [`Draws::new`], or the system cannot start a thread.
    pub fn start(plan: LoadPlan) -> Result<Self, DataError> {
        let mut draws = Draws::new(plan)?;
        Self::spawn(draws.plan.steps.clone(), move |step| {
            let draw = draws.at(step);
            draws.plan.batch(draw)
        })
    }

    fn spawn(
        steps: Range<u64>,
        mut batch: impl FnMut(u64) -> Batch + Send + 'static,
    ) -> Result<Self, DataError> {
        let (sender, batches) = sync_channel(PREFETCHED);
        let left = steps.end.saturating_sub(steps.start);
        let work = move || {
            for step in steps {
                // The receiver is gone, so no more batches are needed.
                if sender.send(batch(step)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new()
            .name("loader".into())
            .spawn(work)
            .map_err(|source| DataError::file("start a thread for", "the loader", source))?;
        Ok(Self {
            batches: Some(batches),
            thread: Some(thread),
            left,
        })
    }
}

impl Iterator for Loader {
    type Item = Result<Batch, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        if let Some(Ok(batch)) = self.batches.as_ref().map(Receiver::recv) {
            self.left -= 1;
            Some(Ok(batch))
        } else {
            self.left = 0;
            let panic = self.thread.take().and_then(|thread| thread.join().err());
            let message = panic.and_then(|panic| {
                let text = panic.downcast_ref::<&str>().map(ToString::to_string);
                text.or_else(|| panic.downcast_ref::<String>().cloned())
            });
            let message = message.unwrap_or_else(|| "its thread ended early".into());
            Some(Err(DataError::Loader { message }))
        }
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // Close the channel first, so that a thread waiting to send wakes up and ends.
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(steps: Range<u64>) -> LoadPlan {
        let images = (0..20 * 27).map(|i| (i * 7 % 256) as u8).collect();
        let labels = (0..20).map(|i| i % 4).collect();
        let names = (0..4).map(|i| i.to_string()).collect();
        let data = Dataset::new(images, labels, [3, 3, 3], names).unwrap();
        LoadPlan {
            preprocessing: data.preprocessing(),
            data,
            augmentation: Augmentation {
                pad_crop: 1,
                mirror: Mirror::Random,
                ..Augmentation::none()
            },
            layout: MemoryLayout::Nhwc,
            batch: 6,
            images_per_class: None,
            seed: 5,
            steps,
        }
    }

    #[test]
    fn a_stream_can_start_at_any_step() {
        let all: Vec<Batch> = Loader::start(plan(0..12))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        let late: Vec<Batch> = Loader::start(plan(7..12))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(all.len(), 12);
        assert_eq!(all[7..], late);
        // The same image is augmented differently in another epoch.
        let first = |batch: &Batch, index| {
            let place = batch.indices.iter().position(|&i| i == index)?;
            Some(batch.pixels[place * 27..(place + 1) * 27].to_vec())
        };
        let looks: Vec<_> = all.iter().filter_map(|batch| first(batch, 0)).collect();
        assert!(looks.windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn draws_match_the_batches() {
        let draws: Vec<Draw> = Draws::new(plan(3..9)).unwrap().collect();
        assert_eq!(draws.len(), 6);
        let plan = plan(3..9);
        for (draw, batch) in draws.iter().zip(Loader::start(plan.clone()).unwrap()) {
            let batch = batch.unwrap();
            assert_eq!((draw.step, &draw.labels), (batch.step, &batch.labels));
            assert_eq!(draw.indices, batch.indices);
            assert_eq!(plan.batch(draw.clone()), batch);
        }
        assert!(draws.iter().any(|draw| draw.views.iter().any(|v| v.mirror)));
    }

    #[test]
    fn dropping_it_early_does_not_hang() {
        let mut loader = Loader::start(plan(0..u64::MAX)).unwrap();
        assert_eq!(loader.next().unwrap().unwrap().step, 0);
        drop(loader);
    }

    #[test]
    fn a_panic_in_the_background_becomes_an_error() {
        let mut draws = Draws::new(plan(0..4)).unwrap();
        let mut loader = Loader::spawn(0..4, move |step| {
            assert!(step < 2, "no step {step}");
            let draw = draws.at(step);
            draws.plan.batch(draw)
        })
        .unwrap();
        assert!(loader.next().unwrap().is_ok());
        assert!(loader.next().unwrap().is_ok());
        let message = loader.next().unwrap().unwrap_err().to_string();
        assert_eq!(message, "the loader stopped: no step 2");
        assert!(loader.next().is_none());
    }

    #[test]
    fn an_invalid_plan_is_rejected() {
        let refused = |change: fn(&mut LoadPlan)| {
            let mut plan = plan(0..1);
            change(&mut plan);
            Loader::start(plan).unwrap_err().to_string()
        };
        let means = refused(|plan| plan.preprocessing.mean.truncate(2));
        assert!(means.contains("must be 1, 3 or 27"), "{means}");
        let crop = refused(|plan| plan.augmentation.pad_crop = usize::MAX);
        assert!(
            crop.contains("crop of the augmentation must be below 3"),
            "{crop}"
        );
        let cutout = refused(|plan| plan.augmentation.cutout = 4);
        assert!(
            cutout.contains("cutout of the augmentation must be at most 3"),
            "{cutout}"
        );
        let alternating = refused(|plan| {
            plan.augmentation.mirror = Mirror::Alternating;
            plan.images_per_class = Some(2);
        });
        assert!(
            alternating.contains("found alternating-mirror"),
            "{alternating}"
        );
        assert!(refused(|plan| plan.batch = 0).contains("batch must be from 1"));
        assert!(refused(|plan| plan.batch = usize::MAX).contains("batch must be from 1"));
        let mut nothing = Loader::start(plan(3..3)).unwrap();
        assert!(nothing.next().is_none());
    }

    #[test]
    fn a_batch_larger_than_the_set_repeats_images() {
        let plan = LoadPlan {
            batch: 50,
            ..plan(0..1)
        };
        let batch = Loader::start(plan).unwrap().next().unwrap().unwrap();
        assert_eq!(batch.shape, [50, 3, 3, 3]);
        assert_eq!(batch.pixels.len(), 50 * 27);
        for index in 0..20 {
            let times = batch.indices.iter().filter(|&&i| i == index).count();
            assert!((2..=3).contains(&times));
        }
    }
}
