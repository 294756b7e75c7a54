//! Training batches on their device.

use crate::error::TrainError;
use burn::tensor::{DType, Device, Int, Tensor, TensorData};
use lsoftmax_data::{LoadPlan, Loader};

#[cfg(feature = "_gpu")]
pub(crate) use resident::Resident;

/// A batch on its device.
#[derive(Clone, Debug)]
pub struct TrainBatch {
    /// Index of the training step, counted from 0.
    pub step: u64,
    /// Preprocessed images, `[batch, channel, height, width]`.
    pub images: Tensor<4>,
    /// Class labels, `[batch]`.
    pub labels: Tensor<1, Int>,
    /// The same labels in host memory, so that reading them does not wait for the device.
    pub host_labels: Vec<u32>,
}

impl TrainBatch {
    /// Moves a batch to a device.
    ///
    /// # Shapes
    /// - pixels: `[batch, height, width, channel]`, preprocessed
    /// - labels: `[batch]`
    /// - image: channels, height, width
    pub fn upload(
        pixels: Vec<f32>,
        labels: Vec<u32>,
        image: [usize; 3],
        step: u64,
        device: &Device,
    ) -> Self {
        Self {
            step,
            images: images(pixels, labels.len(), image, device),
            labels: label_tensor(&labels, device),
            host_labels: labels,
        }
    }
}

/// Uploads a batch of images as a logical `[batch, channel, height, width]` tensor whose values are
/// stored channels-last.
pub(crate) fn images(
    pixels: Vec<f32>,
    count: usize,
    [channels, height, width]: [usize; 3],
    device: &Device,
) -> Tensor<4> {
    let data = TensorData::new(pixels, [count, height, width, channels]);
    Tensor::<4>::from_data(data, device).permute([0, 3, 1, 2])
}

/// Uploads integers with the type that the kernels read.
fn numbers(values: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let count = values.len();
    Tensor::from_data(TensorData::new(values, [count]), (device, DType::I32))
}

fn label_tensor(labels: &[u32], device: &Device) -> Tensor<1, Int> {
    numbers(labels.iter().map(|&label| label as i32).collect(), device)
}

/// The batches of a load plan, in order.
pub(crate) enum Batches {
    /// Prepared on the host and uploaded one by one.
    Uploaded {
        loader: Loader,
        image: [usize; 3],
        device: Device,
    },
    /// Cut from images that are kept on the device.
    #[cfg(feature = "_gpu")]
    Resident(Box<resident::Stream>),
}

impl Batches {
    /// Starts preparing batches.
    ///
    /// # Errors
    /// The same as for [`Loader::start`].
    pub(crate) fn start(plan: LoadPlan, device: &Device) -> Result<Self, TrainError> {
        let data = &plan.data;
        let image = [data.channels, data.height, data.width];
        Ok(Self::Uploaded {
            loader: Loader::start(plan)?,
            image,
            device: device.clone(),
        })
    }
}

impl Iterator for Batches {
    type Item = Result<TrainBatch, TrainError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::Uploaded {
                loader,
                image,
                device,
            } => loader.next().map(|batch| {
                let batch = batch?;
                let (pixels, labels) = (batch.pixels, batch.labels);
                Ok(TrainBatch::upload(
                    pixels, labels, *image, batch.step, device,
                ))
            }),
            #[cfg(feature = "_gpu")]
            Self::Resident(stream) => stream.next().map(Ok),
        }
    }
}

#[cfg(feature = "_gpu")]
mod resident {
    use super::{Batches, TrainBatch, label_tensor, numbers};
    use crate::error::TrainError;
    use burn::backend::DispatchDevice;
    use burn::tensor::{Device, Int, Tensor, TensorData};
    use lsoftmax_data::{Dataset, Draw, Draws, LoadPlan, Preprocessing};
    use lsoftmax_networks::{DRAW, RenderBatch, render};

    /// Number of steps whose random draws are uploaded together.
    const AHEAD: usize = 64;

    /// All images of a data set as bytes on a device.
    #[derive(Clone, Debug)]
    pub(crate) struct Resident {
        bytes: Tensor<1, Int>,
        device: Device,
    }

    impl Resident {
        /// Uploads the images if the device has a kernel that can read them there, and if they fit
        /// in one buffer and in a quarter of the device memory.
        pub(crate) fn new(data: &Dataset, device: &Device) -> Option<Self> {
            let inner = device.clone().without_autodiff();
            let DispatchDevice::Cube(cube) = inner.as_dispatch() else {
                return None;
            };
            let client = cube.client();
            let memory = &client.properties().memory;
            let share = memory.max_memory().map_or(u64::MAX, |all| all / 4);
            // The kernels index bytes with 32 bits.
            let most = memory.max_page_size.min(share).min(i32::MAX as u64);
            let bytes = data.bytes();
            if bytes.len() as u64 > most {
                return None;
            }
            let words: Vec<i32> = bytes
                .chunks(4)
                .map(|bytes| {
                    let mut word = [0; 4];
                    word[..bytes.len()].copy_from_slice(bytes);
                    i32::from_le_bytes(word)
                })
                .collect();
            Some(Self {
                bytes: numbers(words, device),
                device: device.clone(),
            })
        }

        /// Starts making batches from these images, which must be those of the plan.
        ///
        /// # Errors
        /// The same as for [`Draws::new`].
        pub(crate) fn start(&self, plan: LoadPlan) -> Result<Batches, TrainError> {
            let data = &plan.data;
            let image = [data.channels, data.height, data.width];
            let Preprocessing { mean, scale } = plan.preprocessing.clone();
            let count = mean.len();
            Ok(Batches::Resident(Box::new(Stream {
                images: self.clone(),
                mean: Tensor::from_data(TensorData::new(mean, [count]), &self.device),
                scale,
                image,
                draws: Draws::new(plan)?,
                chunk: None,
            })))
        }
    }

    /// Batches made on the device.
    pub(crate) struct Stream {
        images: Resident,
        mean: Tensor<1>,
        scale: f32,
        image: [usize; 3],
        draws: Draws,
        chunk: Option<Chunk>,
    }

    /// Uploaded draws, with the steps that still have to use them.
    struct Chunk {
        numbers: Tensor<1, Int>,
        labels: Tensor<1, Int>,
        left: std::vec::IntoIter<Draw>,
        first: usize,
    }

    impl Chunk {
        fn new(draws: Vec<Draw>, device: &Device) -> Self {
            let mut all = Vec::new();
            for draw in &draws {
                for (&index, view) in draw.indices.iter().zip(&draw.views) {
                    let (top, left) = (view.top as i32, view.left as i32);
                    all.extend([index as i32, top, left, i32::from(view.mirror)]);
                }
            }
            let labels: Vec<u32> = draws.iter().flat_map(|draw| draw.labels.clone()).collect();
            Self {
                numbers: numbers(all, device),
                labels: label_tensor(&labels, device),
                left: draws.into_iter(),
                first: 0,
            }
        }
    }

    impl Iterator for Stream {
        type Item = TrainBatch;

        fn next(&mut self) -> Option<TrainBatch> {
            let left = self.chunk.as_ref().map_or(0, |chunk| chunk.left.len());
            if left == 0 {
                let draws: Vec<Draw> = self.draws.by_ref().take(AHEAD).collect();
                self.chunk = (!draws.is_empty()).then(|| Chunk::new(draws, &self.images.device));
            }
            let chunk = self.chunk.as_mut()?;
            let draw = chunk.left.next()?;
            let count = draw.labels.len();
            let first = chunk.first;
            chunk.first += count;
            debug_assert!(chunk.first * DRAW <= chunk.numbers.dims()[0]);
            let frame = RenderBatch {
                first,
                count,
                image: self.image,
                scale: self.scale,
            };
            Some(TrainBatch {
                step: draw.step,
                images: render(
                    self.images.bytes.clone(),
                    chunk.numbers.clone(),
                    self.mean.clone(),
                    frame,
                ),
                labels: chunk.labels.clone().narrow(0, first, count),
                host_labels: draw.labels,
            })
        }
    }
}

/// These tests run on the device named by `LSOFTMAX_GPU_TESTS`.
#[cfg(all(test, feature = "_gpu"))]
mod tests {
    // Skipped tests print a note.
    #![allow(clippy::print_stderr)]

    use super::*;
    use crate::DeviceChoice;
    use lsoftmax_data::{Augmentation, Dataset, MemoryLayout};

    #[test]
    fn resident_images_are_seen_on_the_device_as_the_loader_sees_them() {
        let Ok(name) = std::env::var("LSOFTMAX_GPU_TESTS") else {
            eprintln!("skipped: LSOFTMAX_GPU_TESTS is not set");
            return;
        };
        let device = name.parse::<DeviceChoice>().unwrap().open().unwrap();
        let device = device.autodiff();
        // 7 images of 75 bytes: not a multiple of the word size.
        let bytes = (0..7 * 75).map(|i| (i * 37 % 256) as u8).collect();
        let names = ["a", "b"].map(String::from).to_vec();
        let data = Dataset::new(bytes, vec![0, 1, 0, 1, 1, 0, 1], [3, 5, 5], names).unwrap();
        let by_channel = data.preprocessing();
        let by_value = by_channel.clone().with_mean_image(&data);
        let mut one = by_channel.clone();
        one.mean.truncate(1);
        let augmentations = [Augmentation::none(), Augmentation::cifar_plus()];
        for preprocessing in [by_channel, by_value, one] {
            for augmentation in augmentations {
                let plan = LoadPlan {
                    data: data.clone(),
                    preprocessing: preprocessing.clone(),
                    augmentation,
                    layout: MemoryLayout::Nhwc,
                    batch: 4,
                    images_per_class: None,
                    seed: 3,
                    // More steps than one upload of draws covers.
                    steps: 2..90,
                };
                let resident = Resident::new(&plan.data, &device).unwrap();
                let found = resident.start(plan.clone()).unwrap();
                let expected = Batches::start(plan, &device).unwrap();
                let mut steps = 0;
                for (found, expected) in found.zip(expected) {
                    let (found, expected) = (found.unwrap(), expected.unwrap());
                    assert_eq!(found.step, expected.step);
                    assert_eq!(found.host_labels, expected.host_labels);
                    assert!(found.images.device().is_autodiff());
                    let (labels, expected_labels) = (found.labels, expected.labels);
                    labels
                        .into_data()
                        .assert_eq(&expected_labels.into_data(), true);
                    let (images, expected) = (found.images, expected.images);
                    images.into_data().assert_eq(&expected.into_data(), true);
                    steps += 1;
                }
                assert_eq!(steps, 88);
            }
        }
    }

    #[test]
    fn the_cpu_keeps_no_resident_images_on_a_device() {
        let names = vec!["a".into()];
        let data = Dataset::new(vec![0; 4], vec![0], [1, 2, 2], names).unwrap();
        assert!(Resident::new(&data, &Device::flex()).is_none());
    }
}
