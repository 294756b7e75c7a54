//! The layers of a network's row as nodes.

use crate::error::OnnxError;
use crate::graph::{Attribute, Graph, Type};
use crate::tensors::{Tensors, unit_rows};
use crate::{Input, Layout, Pixels, Scores};
use Attribute::{Int, Ints};
use lsoftmax_record::ModelInfo;
use lsoftmax_spec::network::{CONVS_OF_A_UNIT, NetworkSpec, NormLayer, Stage};

/// The names of the input and of the outputs.
pub(crate) const IMAGE: &str = "image";
pub(crate) const FEATURE: &str = "feature";
pub(crate) const EMBEDDING: &str = "embedding";

/// The graph of a model: image in; feature, embedding and scores out.
pub(crate) fn model(
    info: &ModelInfo,
    row: &NetworkSpec,
    tensors: &Tensors,
    input: Input,
) -> Result<Graph, OnnxError> {
    let mut graph = Graph::default();
    let feature = row.feature;
    let pixels = pixels(&mut graph, info, input)?;
    let features = if info.mirrored {
        "feature.views"
    } else {
        FEATURE
    };
    network(&mut graph, row, info.image, tensors, &pixels, features)?;
    if info.mirrored {
        // Images first, their mirror images after them.
        let views = [FEATURE, "feature.mirrored"];
        graph.node_of_several("Split", "views", &[features], &[Int("axis", 0)], &views);
        let both = graph.node("Concat", "feature.both", &views, &[Int("axis", 1)]);
        unit(&mut graph, &both, EMBEDDING)?;
    } else {
        unit(&mut graph, FEATURE, EMBEDDING)?;
    }
    let scores = class_scores(&mut graph, info, tensors)?;
    graph.output(
        FEATURE,
        feature,
        "the output of the network, before any normalisation",
    );
    let embedding = "the feature at length 1; of image and mirror image side by side where the model \
                     was trained so";
    graph.output(EMBEDDING, info.embedding_size(), embedding);
    graph.output(scores.name(), info.class_names.len(), scores.about());
    Ok(graph)
}

/// Adds the scores of the classes, behind the feature and the embedding.
fn class_scores(
    graph: &mut Graph,
    info: &ModelInfo,
    tensors: &Tensors,
) -> Result<Scores, OnnxError> {
    let (classes, feature) = (info.class_names.len(), info.network.feature());
    let weights = tensors.get("head.weight", &[classes, feature])?;
    let scores = Scores::of(info)?;
    let (weights, from) = match scores {
        Scores::Logits {
            unit_weights: false,
        } => (weights.to_vec(), FEATURE.to_owned()),
        Scores::Logits { unit_weights: true } => (unit_rows(weights, feature), FEATURE.to_owned()),
        Scores::Cosines { .. } => {
            let from = if info.mirrored {
                unit(graph, FEATURE, "feature.unit")?
            } else {
                EMBEDDING.to_owned()
            };
            (unit_rows(weights, feature), from)
        }
    };
    let weights = graph.floats("head.weight", &[classes, feature], &weights)?;
    // A product of a matrix and a transposed one.
    let transposed = [Int("transB", 1)];
    match scores {
        Scores::Logits { .. } => {
            graph.node("Gemm", scores.name(), &[&from, &weights], &transposed);
        }
        Scores::Cosines { .. } => {
            let product = graph.node("Gemm", "cosines.product", &[&from, &weights], &transposed);
            let least = graph.floats("cosines.least", &[], &[-1.0])?;
            let most = graph.floats("cosines.most", &[], &[1.0])?;
            graph.node("Clip", scores.name(), &[&product, &least, &most], &[]);
        }
    }
    Ok(scores)
}

/// The input, brought to preprocessed pixels `[batch, channel, height, width]`; those of the mirror
/// images behind them where a model wants both.
fn pixels(graph: &mut Graph, info: &ModelInfo, input: Input) -> Result<String, OnnxError> {
    let [channels, height, width] = info.image;
    let shape = match input.layout {
        Layout::Nhwc => [height, width, channels],
        Layout::Nchw => info.image,
    };
    let (kind, about) = match input.pixels {
        Pixels::Bytes => (Type::U8, "the bytes of images"),
        Pixels::Preprocessed => (Type::F32, "images after the model's preprocessing"),
    };
    graph.input(IMAGE, kind, &shape, about);
    let mut x = IMAGE.to_owned();
    if input.layout == Layout::Nhwc {
        let to_planes = [Ints("perm", &[0, 3, 1, 2])];
        x = graph.node("Transpose", "image.planes", &[&x], &to_planes);
    }
    match input.pixels {
        Pixels::Bytes => {
            if info.mirrored {
                let mirrored = mirror(graph, &x);
                x = views(graph, &x, &mirrored);
            }
            preprocess(graph, info, &x)
        }
        Pixels::Preprocessed if info.mirrored => {
            let mirrored = mirror_of_preprocessed(graph, info, &x)?;
            Ok(views(graph, &x, &mirrored))
        }
        Pixels::Preprocessed => Ok(x),
    }
}

/// Images, and mirror images behind them.
fn views(graph: &mut Graph, images: &str, mirrored: &str) -> String {
    let by_batch = [Int("axis", 0)];
    graph.node("Concat", "image.views", &[images, mirrored], &by_batch)
}

/// `(byte - mean) * scale`.
fn preprocess(graph: &mut Graph, info: &ModelInfo, bytes: &str) -> Result<String, OnnxError> {
    let to_float = [Int("to", Type::F32 as i64)];
    let x = graph.node("Cast", "image.number", &[bytes], &to_float);
    let means = &info.preprocessing.mean;
    let mean = graph.floats("image.mean", &shape_of_means(info)?, means)?;
    let centred = graph.node("Sub", "image.centred", &[&x, &mean], &[]);
    let scale = graph.floats("image.scale", &[1], &[info.preprocessing.scale])?;
    Ok(graph.node("Mul", "image.scaled", &[&centred, &scale], &[]))
}

/// The shape in which the means stand beside `[batch, channel, height, width]`.
fn shape_of_means(info: &ModelInfo) -> Result<Vec<usize>, OnnxError> {
    let channels = info.image[0];
    let values: usize = info.image.iter().product();
    match info.preprocessing.mean.len() {
        1 => Ok(vec![1]),
        count if count == channels => Ok(vec![channels, 1, 1]),
        count if count == values => Ok(info.image.to_vec()),
        found => Err(OnnxError::Means {
            channels,
            values,
            found,
        }),
    }
}

/// The mirror images of preprocessed images, as if bytes had been mirrored and then preprocessed.
fn mirror_of_preprocessed(
    graph: &mut Graph,
    info: &ModelInfo,
    x: &str,
) -> Result<String, OnnxError> {
    let mirrored = mirror(graph, x);
    let shape = shape_of_means(info)?;
    let width = info.image[2];
    if shape[..] != info.image || width == 1 {
        return Ok(mirrored);
    }
    // A mean for each pixel, which was mirrored with the image: what the two differ by comes back.
    let rows = info.preprocessing.mean.chunks_exact(width);
    let difference: Vec<f32> = rows
        .flat_map(|row| row.iter().rev().zip(row).map(|(right, left)| right - left))
        .map(|difference| difference * info.preprocessing.scale)
        .collect();
    let difference = graph.floats("image.mean.mirrored", &shape, &difference)?;
    let name = "image.mirrored.centred";
    Ok(graph.node("Add", name, &[&mirrored, &difference], &[]))
}

/// Images `[batch, channel, height, width]` mirrored left to right.
fn mirror(graph: &mut Graph, x: &str) -> String {
    let columns = graph.ints("mirror.axis", &[3]);
    let last = graph.ints("mirror.from", &[-1]);
    let before_first = graph.ints("mirror.to", &[i64::MIN]);
    let backwards = graph.ints("mirror.step", &[-1]);
    let inputs = [x, &last, &before_first, &columns, &backwards];
    graph.node("Slice", "image.mirrored", &inputs, &[])
}

/// The blocks and the feature layer of a network.
fn network(
    graph: &mut Graph,
    network: &NetworkSpec,
    image: [usize; 3],
    tensors: &Tensors,
    pixels: &str,
    output: &str,
) -> Result<(), OnnxError> {
    let flat: usize = network.check(image)?.iter().product();
    let mut x = pixels.to_owned();
    let (mut block, mut channels) = (0, image[0]);
    for stage in &network.stages {
        let mut unit_input = String::new();
        for conv in 0..stage.all_convs() {
            // Where in a residual unit.
            let unit = conv.checked_sub(stage.convs).map(|at| at % CONVS_OF_A_UNIT);
            if unit == Some(0) {
                unit_input.clone_from(&x);
            }
            let layer = Block {
                number: block,
                channels,
                stride: if conv == 0 { stage.stride } else { 1 },
                has_bias: unit.is_none(),
            };
            x = layer.lower(graph, network.normalisation, stage, tensors, &x)?;
            if unit == Some(CONVS_OF_A_UNIT - 1) {
                let name = format!("blocks.{block}.sum");
                x = graph.node("Add", &name, &[&x, &unit_input], &[]);
            }
            (block, channels) = (block + 1, stage.channels);
        }
        if stage.pool {
            let name = format!("blocks.{}.pool", block - 1);
            let by_two = [
                Ints("kernel_shape", &[2, 2]),
                Ints("strides", &[2, 2]),
                Int("ceil_mode", 1),
            ];
            x = graph.node("MaxPool", &name, &[&x], &by_two);
        }
    }
    let x = graph.node("Flatten", "flat", &[&x], &[Int("axis", 1)]);
    feature_layer(graph, network, flat, tensors, &x, output)
}

/// A convolution, what normalises it, and its PReLU.
struct Block {
    number: usize,
    /// Channels that come in.
    channels: usize,
    stride: usize,
    /// Whether it has a bias in a network without normalisation.
    has_bias: bool,
}

impl Block {
    fn lower(
        &self,
        graph: &mut Graph,
        normalisation: NormLayer,
        stage: &Stage,
        tensors: &Tensors,
        x: &str,
    ) -> Result<String, OnnxError> {
        let (out, kernel) = (stage.channels, stage.kernel);
        let source = format!("backbone.blocks.{}", self.number);
        let name = |part: &str| format!("blocks.{}.{part}", self.number);
        let shape = [out, self.channels, kernel, kernel];
        let weight = tensors.get(&format!("{source}.weight"), &shape)?;
        let (weight, bias) = match normalisation {
            NormLayer::Batch => {
                let affine = tensors.affine(&source, out)?;
                let rows = weight.chunks_exact(self.channels * kernel * kernel);
                let folded = rows.zip(&affine.factors).flat_map(|(row, factor)| {
                    row.iter().map(move |&w| (f64::from(w) * factor) as f32)
                });
                (folded.collect(), Some(affine.offsets))
            }
            NormLayer::None if self.has_bias => {
                let bias = tensors.get(&format!("{source}.bias"), &[out])?;
                (weight.to_vec(), Some(bias.to_vec()))
            }
            NormLayer::None => (weight.to_vec(), None),
        };
        let mut inputs = vec![x.to_owned()];
        inputs.push(graph.floats(&name("weight"), &shape, &weight)?);
        if let Some(bias) = bias {
            inputs.push(graph.floats(&name("bias"), &[out], &bias)?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let padding = kernel / 2;
        let attributes = [
            Ints("kernel_shape", &[kernel, kernel]),
            Ints("pads", &[padding; 4]),
            Ints("strides", &[self.stride, self.stride]),
        ];
        let z = graph.node("Conv", &name("conv"), &inputs, &attributes);
        let slope = tensors.get(&format!("{source}.slope"), &[out])?;
        let slope = graph.floats(&name("slope"), &[out, 1, 1], slope)?;
        Ok(graph.node("PRelu", &name("prelu"), &[&z, &slope], &[]))
    }
}

/// The fully connected layer with its normalisation or bias.
fn feature_layer(
    graph: &mut Graph,
    network: &NetworkSpec,
    flat: usize,
    tensors: &Tensors,
    x: &str,
    output: &str,
) -> Result<(), OnnxError> {
    let out = network.feature;
    let weight = tensors.get("backbone.feature.weight", &[flat, out])?;
    let (weight, bias) = match network.normalisation {
        NormLayer::Batch => {
            let affine = tensors.affine("backbone.feature", out)?;
            let folded = weight.chunks_exact(out).flat_map(|row| {
                let row = row.iter().zip(&affine.factors);
                row.map(|(&w, factor)| (f64::from(w) * factor) as f32)
            });
            (folded.collect(), affine.offsets)
        }
        NormLayer::None => {
            let bias = tensors.get("backbone.feature.bias", &[out])?;
            (weight.to_vec(), bias.to_vec())
        }
    };
    let weight = graph.floats("feature.weight", &[flat, out], &weight)?;
    let bias = graph.floats("feature.bias", &[out], &bias)?;
    graph.node("Gemm", output, &[x, &weight, &bias], &[]);
    Ok(())
}

/// Rows at length 1; a row of zeros stays one. The largest entry is taken out first: squares of
/// large and small features leave f32.
fn unit(graph: &mut Graph, x: &str, output: &str) -> Result<String, OnnxError> {
    let name = |part: &str| format!("{output}.{part}");
    let rows = [Ints("axes", &[1]), Int("keepdims", 1)];
    let least = graph.floats(&name("least"), &[1], &[f32::MIN_POSITIVE])?;
    let size = graph.node("Abs", &name("absolute"), &[x], &[]);
    let largest = graph.node("ReduceMax", &name("largest"), &[&size], &rows);
    let largest = graph.node("Max", &name("factor"), &[&largest, &least], &[]);
    let scaled = graph.node("Div", &name("scaled"), &[x, &largest], &[]);
    let norm = graph.node("ReduceL2", &name("norm"), &[&scaled], &rows);
    let norm = graph.node("Max", &name("divisor"), &[&norm, &least], &[]);
    Ok(graph.node("Div", output, &[&scaled, &norm], &[]))
}
