//! Evaluation of a model on a data set: error from the logits without margin, angles, norms.

use crate::batches::images;
use crate::error::TrainError;
use crate::model::Model;
use crate::network::Network;
use crate::stop::Stop;
use burn::tensor::Tensor;
use lsoftmax_data::{Dataset, MemoryLayout};
use lsoftmax_metrics::{AngleStatistics, Centre, ClosedSet, Histogram, Matrix, unit_rows};
use lsoftmax_record::{Evaluation, ModelInfo, NetworkKind};
use std::f64::consts::PI;

/// Images per batch, unless they are large.
const BATCH: usize = 256;
/// Upper bound on activation values per batch: 2 GiB, which is 256 images of 128 x 128 with 64
/// channels.
const MOST_VALUES: usize = 1 << 29;
/// Number of histogram bins, of two degrees each.
const BINS: usize = 90;

/// Number of images per evaluation batch.
fn batch_of(info: &ModelInfo) -> Result<usize, TrainError> {
    match &info.network {
        NetworkKind::Row(row) => {
            let image = row.sizes(info.image)?.largest;
            Ok((MOST_VALUES / image).clamp(1, BATCH))
        }
        // The memory use of a custom network is unknown.
        NetworkKind::Own(_) => Ok(BATCH),
    }
}

/// The features of all images, `[sample, feature]`.
pub(crate) fn features<N: Network>(
    model: &Model<N>,
    info: &ModelInfo,
    data: &Dataset,
    stop: Stop,
) -> Result<Vec<f32>, TrainError> {
    info.preprocessing
        .check([data.channels, data.height, data.width])?;
    let model = burn::module::Module::valid(model);
    let device = model.head.weight.val().device();
    let mut all = Vec::new();
    for batch in data.batches(batch_of(info)?, &info.preprocessing, MemoryLayout::Nhwc) {
        stop.check()?;
        let x = images(batch.pixels, batch.labels.len(), info.image, &device);
        all.extend(host(model.backbone.forward(x)));
    }
    Ok(all)
}

/// The embeddings of all images: features scaled to length 1, `[image, feature]`. With
/// [`ModelInfo::mirrored`], the features of the image and its mirror image are concatenated to
/// `[image, 2 feature]` and scaled to length 1 together. A zero feature stays zero.
///
/// # Errors
/// The images do not have the model's size, or a feature is not finite.
pub fn embeddings<N: Network>(
    model: &Model<N>,
    info: &ModelInfo,
    data: &Dataset,
) -> Result<Vec<f32>, TrainError> {
    embeddings_until(model, info, data, Stop::NEVER)
}

/// [`embeddings`] with a way to stop it.
pub(crate) fn embeddings_until<N: Network>(
    model: &Model<N>,
    info: &ModelInfo,
    data: &Dataset,
    stop: Stop,
) -> Result<Vec<f32>, TrainError> {
    check_size(info, data)?;
    let size = info.network.feature();
    let mut rows = features(model, info, data, stop)?;
    if info.mirrored {
        let mirrored = features(model, info, &data.mirrored(), stop)?;
        rows = rows
            .chunks_exact(size)
            .zip(mirrored.chunks_exact(size))
            .flat_map(|(plain, mirrored)| [plain, mirrored].concat())
            .collect();
    }
    let rows = Matrix::new(&rows, data.len(), info.embedding_size())?;
    Ok(unit_rows(rows)?)
}

fn check_size(info: &ModelInfo, data: &Dataset) -> Result<(), TrainError> {
    let found = [data.channels, data.height, data.width];
    if found == info.image {
        return Ok(());
    }
    Err(TrainError::setting(
        "image size",
        format!("{:?}", info.image),
        format!("{found:?}"),
    ))
}

/// Copies the rows of a matrix to host memory.
pub(crate) fn host(tensor: Tensor<2>) -> Vec<f32> {
    tensor
        .into_data()
        .convert::<f32>()
        .try_into_vec()
        .expect("converted to f32")
}

/// Evaluates a model on a data set.
///
/// # Errors
/// The images or classes are not those of the model.
pub fn evaluate<N: Network>(
    model: &Model<N>,
    info: &ModelInfo,
    data: &Dataset,
) -> Result<Evaluation, TrainError> {
    evaluate_until(model, info, data, Stop::NEVER)
}

/// [`evaluate`] with a way to stop it.
pub(crate) fn evaluate_until<N: Network>(
    model: &Model<N>,
    info: &ModelInfo,
    data: &Dataset,
    stop: Stop,
) -> Result<Evaluation, TrainError> {
    check_size(info, data)?;
    info.preprocessing.check(info.image)?;
    let classes = info.class_names.len();
    let model = burn::module::Module::valid(model);
    let device = model.head.weight.val().device();
    let feature = info.network.feature();
    let weights = host(model.head.weight.val());
    let weights = Matrix::new(&weights, classes, feature)?;
    let mut closed = ClosedSet::new(classes, &[1])?;
    let mut angles = AngleStatistics::new(classes, feature, Centre::MeanFeature)
        .with_class_weights(weights)?
        .with_target_histogram_rad(Histogram::uniform(0.0, PI, BINS)?);
    for batch in data.batches(batch_of(info)?, &info.preprocessing, MemoryLayout::Nhwc) {
        stop.check()?;
        let labels: Vec<usize> = batch.labels.iter().map(|&label| label as usize).collect();
        let x = images(batch.pixels, labels.len(), info.image, &device);
        let features = model.backbone.forward(x);
        let logits = host(model.head.logits(features.clone()));
        let features = host(features);
        closed.push(Matrix::new(&logits, labels.len(), classes)?, &labels)?;
        angles.push(Matrix::new(&features, labels.len(), feature)?, &labels)?;
    }
    let report = closed.report()?;
    let angles = angles.finish();
    let degrees = |radians: Option<f64>| radians.map_or(f64::NAN, f64::to_degrees);
    let target = angles.target_angle_rad.as_ref();
    let histogram = angles.target_angle_histogram_rad.as_ref();
    Ok(Evaluation {
        samples: report.samples as usize,
        error_percent: report.top1_error_percent,
        mean_target_angle_deg: degrees(target.map(|t| t.mean)),
        median_target_angle_deg: degrees(target.map(|t| t.median)),
        min_class_angle_deg: degrees(angles.centre_angles.smallest_rad),
        mean_feature_norm: match angles.non_finite_features {
            0 => angles.mean_feature_norm.unwrap_or(f64::NAN),
            _ => f64::NAN,
        },
        target_angle_edges_deg: histogram
            .map(|h| h.edges().iter().map(|e| e.to_degrees()).collect())
            .unwrap_or_default(),
        target_angle_counts: histogram.map(|h| h.counts().to_vec()).unwrap_or_default(),
        confusion: (classes <= 100).then(|| {
            let count = |label, answer| report.confusion.count(label, answer);
            (0..classes)
                .map(|label| (0..classes).map(|a| count(label, a)).collect())
                .collect()
        }),
    })
}
