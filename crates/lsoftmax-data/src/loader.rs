use crate::augmentation::Augmentation;
use crate::dataset::{Batch, Dataset};
use crate::error::DataError;
use crate::preprocessing::{MemoryLayout, Preprocessing};
use crate::sampler::Sampler;
use std::ops::Range;
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

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
    /// Seed of order and augmentation.
    pub seed: u64,
    /// The steps to make batches for.
    pub steps: Range<u64>,
}

/// The batches of a training, made ahead by a thread in the background.
///
/// The batch of a step is a function of the plan and the step: threads and timing change
/// nothing. Dropping the loader ends the thread.
#[derive(Debug)]
pub struct Loader {
    batches: Option<Receiver<Batch>>,
    thread: Option<JoinHandle<()>>,
    left: u64,
}

impl LoadPlan {
    /// The batch of one step.
    fn batch(&self, sampler: &mut Sampler, step: u64) -> Batch {
        let order = sampler.batch(step);
        let size = self.data.image(0).len();
        let mut pixels = vec![0.0; order.len() * size];
        for (out, &(epoch, index)) in pixels.chunks_exact_mut(size).zip(&order) {
            let key = (self.seed, epoch, index as usize);
            self.augmentation
                .apply(&self.data, key, &self.preprocessing, self.layout, out);
        }
        Batch {
            step,
            pixels,
            labels: order
                .iter()
                .map(|&(_, i)| self.data.labels()[i as usize])
                .collect(),
            indices: order.iter().map(|&(_, index)| index).collect(),
        }
    }
}

impl Loader {
    /// Starts making batches.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(plan: LoadPlan) -> Result<Self, DataError> {
        let (sender, batches) = sync_channel(AHEAD);
        let left = plan.steps.end.saturating_sub(plan.steps.start);
        let work = move || {
            let mut sampler = Sampler::new(plan.seed, plan.data.len(), plan.batch);
            for step in plan.steps.clone() {
                // The receiver is gone: nobody wants more.
                if sender.send(plan.batch(&mut sampler, step)).is_err() {
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
            Some(Err(DataError::Loader))
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
    fn dropping_it_early_does_not_hang() {
        let mut loader = Loader::start(plan(0..u64::MAX)).unwrap();
        assert_eq!(loader.next().unwrap().unwrap().step, 0);
        drop(loader);
    }
}
