use crate::augmentation::Augmentation;
use crate::dataset::{Batch, Dataset};
use crate::error::DataError;
use crate::preprocessing::{MemoryLayout, Preprocessing, View};
use crate::sampler::Order;
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

/// Values of a batch: 64 GiB of them.
const MOST_VALUES: usize = 1 << 34;
/// Batches made ahead.
const AHEAD: usize = 3;

/// What a loader is to do.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// The images.
    pub data: Dataset,
    /// What is done to each of them.
    pub preprocessing: Preprocessing,
    /// What is changed at random.
    pub augmentation: Augmentation,
    /// How the values lie in memory.
    pub layout: MemoryLayout,
    /// Images a batch, at least 1.
    pub batch: usize,
    /// So many images of each class in a batch ([`ClassSampler`](crate::ClassSampler)); else as they
    /// come ([`Sampler`](crate::Sampler)).
    pub images_per_class: Option<usize>,
    /// Seed of order and augmentation.
    pub seed: u64,
    /// The steps to make batches for.
    pub steps: Range<u64>,
}

/// What is drawn for a batch: which images, and what of each is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draw {
    /// The step of the training that it is for.
    pub step: u64,
    /// Where each image stands in its data set.
    pub indices: Vec<u32>,
    /// How each is seen.
    pub views: Vec<View>,
    /// A label an image.
    pub labels: Vec<u32>,
}

/// The draws of a training, one a step: what [`Loader`] makes batches of, for who has the images
/// already.
#[derive(Clone, Debug)]
pub struct Draws {
    plan: LoadPlan,
    order: Order,
    next: u64,
}

/// The batches of a training, made ahead by a thread in the background.
///
/// The batch of a step is a function of the plan and the step: threads and timing change
/// nothing. One thread makes some 200,000 images of 32x32x3 a second, far more than a
/// network takes. Dropping the loader ends the thread.
#[derive(Debug)]
pub struct Loader {
    batches: Option<Receiver<Batch>>,
    thread: Option<JoinHandle<()>>,
    left: u64,
}

impl LoadPlan {
    /// The batch of a draw.
    fn batch(&self, draw: Draw) -> Batch {
        let data = &self.data;
        let size = data.image(0).len();
        let mut pixels = vec![0.0; draw.indices.len() * size];
        let images = draw.indices.iter().zip(&draw.views);
        for (out, (&index, &view)) in pixels.chunks_exact_mut(size).zip(images) {
            let index = index as usize;
            self.preprocessing
                .apply(data, index, view, self.layout, out);
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
    /// The draws of a plan.
    ///
    /// # Errors
    /// Preprocessing or augmentation that does not suit the images, a batch of no images or
    /// too many for the memory of any machine, or one that cannot have so many images of each class.
    pub fn new(plan: LoadPlan) -> Result<Self, DataError> {
        let shape = [plan.data.channels, plan.data.height, plan.data.width];
        plan.preprocessing.check(shape)?;
        plan.augmentation.check(shape)?;
        let most = MOST_VALUES / plan.data.image(0).len();
        if !(1..=most).contains(&plan.batch) {
            return Err(DataError::number(
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
    /// Starts making batches.
    ///
    /// # Errors
    /// As [`Draws::new`], or the system gives no thread.
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
        let (sender, batches) = sync_channel(AHEAD);
        let left = steps.end.saturating_sub(steps.start);
        let work = move || {
            for step in steps {
                // The receiver is gone: nobody wants more.
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
        // First the channel, so that a thread waiting to send wakes up and ends.
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
                mirror: true,
            },
            layout: MemoryLayout::Nhwc,
            batch: 6,
            images_per_class: None,
            seed: 5,
            steps,
        }
    }

    #[test]
    fn a_stream_can_be_entered_anywhere() {
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
        // The same image looks different in another epoch.
        let first = |batch: &Batch, index| {
            let place = batch.indices.iter().position(|&i| i == index)?;
            Some(batch.pixels[place * 27..(place + 1) * 27].to_vec())
        };
        let looks: Vec<_> = all.iter().filter_map(|batch| first(batch, 0)).collect();
        assert!(looks.windows(2).any(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn draws_are_those_of_the_batches() {
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
    fn a_panic_in_the_background_comes_out_as_an_error() {
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
    fn a_plan_that_cannot_work_is_refused() {
        let refused = |change: fn(&mut LoadPlan)| {
            let mut plan = plan(0..1);
            change(&mut plan);
            Loader::start(plan).unwrap_err().to_string()
        };
        let means = refused(|plan| plan.preprocessing.mean.truncate(2));
        assert!(means.contains("must be 1, 3 or 27"), "{means}");
        let crop = refused(|plan| plan.augmentation.pad_crop = usize::MAX);
        assert!(crop.contains("pad_crop must be below 3"), "{crop}");
        assert!(refused(|plan| plan.batch = 0).contains("batch must be from 1"));
        assert!(refused(|plan| plan.batch = usize::MAX).contains("batch must be from 1"));
        let mut nothing = Loader::start(plan(3..3)).unwrap();
        assert!(nothing.next().is_none());
    }

    #[test]
    fn a_batch_larger_than_the_set_goes_round() {
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
