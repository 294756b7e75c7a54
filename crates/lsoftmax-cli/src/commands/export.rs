use crate::args;
use crate::onnx_runtime::{PYTHON, Runtime};
use crate::output;
use crate::output_options::OutputOptions;
use crate::outputs::{Inputs, Outputs, own};
use anyhow::{Context as _, bail};
use lsoftmax_data::npy::Values;
use lsoftmax_data::{Dataset, MemoryLayout, Staged};
use lsoftmax_metrics::argmax;
use lsoftmax_onnx::{Input, Layout, Pixels, Scores, Trained, to_onnx};
use lsoftmax_spec::network::Bytes;
use lsoftmax_spec::random::Rng;
use lsoftmax_train::{
    Answers, MODEL_FILE, Model, ModelInfo, OtherImages, model_file, recorded_settings, run_beside,
    test_images,
};
use serde_json::{Value, json};
use std::path::Path;

/// Number of images to check a file with.
const IMAGES: usize = 64;
/// The largest difference that counts as rounding: absolute for values up to 1, otherwise relative
/// to the largest value.
const TOLERANCE: f32 = 1e-4;

pub(super) fn run(args: &args::Export, output_options: OutputOptions) -> anyhow::Result<()> {
    let inputs = Inputs::default().run(&args.run);
    let outputs = Outputs::new(&inputs, args.overwrite.force);
    outputs.files(&[&args.out], || own::is_onnx(&args.out))?;
    let file = model_file(&args.run);
    if args.run.is_dir() && !file.exists() {
        bail!(
            "the run {} has no model: {MODEL_FILE} expected, not found; a training that diverged or is \
             not finished has none",
            args.run.display()
        );
    }
    let (model, info) = Model::load(&file, &output_options.device.open()?)?;
    let input = Input {
        layout: match args.layout {
            args::Layout::Nhwc => Layout::Nhwc,
            args::Layout::Nchw => Layout::Nchw,
        },
        pixels: if args.preprocessed {
            Pixels::Preprocessed
        } else {
            Pixels::Bytes
        },
    };
    let cannot = || format!("cannot export {}", file.display());
    let tensors = model.tensors(&info)?.into_iter().collect();
    let trained = Trained {
        info: &info,
        tensors: &tensors,
        digest: &model.digest(&info)?,
        embedding_digest: &model.embedding_digest(&info)?,
    };
    let bytes = to_onnx(trained, input).with_context(cannot)?;
    drop(tensors);
    let signature = Signature::new(&info, input)?;
    let size = bytes.len() as u64;
    let staged = Staged::write(&args.out, &bytes)?;
    drop(bytes);
    let check = match check(args, &file, &model, &info, input, &signature, &staged)? {
        Ok(check) => Ok(check),
        Err(reason) if args.check => bail!(
            "{} was not written, since --check asks for a check and there is no ONNX Runtime: {reason}",
            args.out.display()
        ),
        Err(reason) => Err(reason),
    };
    staged.publish()?;
    tell(args, &signature, size, &check, output_options)
}

/// The input and the outputs of a file.
struct Signature {
    input: Input,
    image: [usize; 3],
    scores: Scores,
    outputs: [(&'static str, usize); 3],
}

impl Signature {
    fn new(info: &ModelInfo, input: Input) -> anyhow::Result<Self> {
        let [channels, height, width] = info.image;
        let scores = Scores::of(info)?;
        Ok(Self {
            input,
            image: match input.layout {
                Layout::Nhwc => [height, width, channels],
                Layout::Nchw => info.image,
            },
            scores,
            outputs: [
                ("feature", info.network.feature()),
                ("embedding", info.embedding_size()),
                (scores.name(), info.class_names.len()),
            ],
        })
    }

    fn pixel(&self) -> &'static str {
        match self.input.pixels {
            Pixels::Bytes => "uint8",
            Pixels::Preprocessed => "float32",
        }
    }
}

/// The result of a comparison with a runtime.
struct Check {
    runtime: String,
    images: usize,
    /// The reason why random images were used, if they were.
    generated: Option<String>,
    /// The largest difference of each output.
    differences: Vec<(&'static str, f32)>,
    /// Number of images that are given the same class.
    same_answers: usize,
}

/// Compares the file with the model if a runtime is available. Otherwise returns the reason.
fn check(
    args: &args::Export,
    file: &Path,
    model: &Model,
    info: &ModelInfo,
    input: Input,
    signature: &Signature,
    staged: &Staged,
) -> anyhow::Result<Result<Check, String>> {
    if args.no_check {
        return Ok(Err("--no-check".into()));
    }
    let runtime = match Runtime::find(args.python.as_deref())? {
        Ok(runtime) => runtime,
        Err(reason) => {
            return Ok(Err(format!(
                "{reason}; install it with `pip install onnxruntime`, or name a Python that has it with \
                 --python or {PYTHON}"
            )));
        }
    };
    let (images, generated) = match sample(file, info) {
        Ok(images) => (images, None),
        Err(error) => (random(info)?, Some(output::causes(&error))),
    };
    let answers = Answers::of(model, info, &images)?;
    let scores = match signature.scores {
        Scores::Logits { .. } => answers.logits,
        Scores::Cosines { .. } => answers.cosines,
    };
    let [height, width, channels] = signature.image;
    let shape = [images.len(), height, width, channels];
    let pixels = pixels(&images, info, input);
    let found = runtime.outputs(staged.aside(), (&shape, &pixels), &signature.outputs)?;
    let expected = [&answers.features, &answers.embeddings, &scores];
    let differences: Vec<(&str, f32)> = (signature.outputs.iter().zip(expected).zip(&found))
        .map(|((&(name, size), expected), found)| (name, difference(expected, found, size)))
        .collect();
    let classes = info.class_names.len();
    let same = |(ours, theirs): &(&[f32], &[f32])| argmax(ours) == argmax(theirs);
    let both = scores
        .chunks_exact(classes)
        .zip(found[2].chunks_exact(classes));
    let check = Check {
        runtime: runtime.name(),
        images: images.len(),
        generated,
        same_answers: both.filter(same).count(),
        differences,
    };
    if let Some((name, difference)) = check.worst().filter(|worst| worst.1 > TOLERANCE) {
        bail!(
            "{} was not written: in {} its output {name} differs by {difference:.1e} from the \
             model's, more than the {TOLERANCE:.0e} that rounding explains",
            args.out.display(),
            check.runtime
        );
    }
    Ok(Ok(check))
}

impl Check {
    fn worst(&self) -> Option<(&'static str, f32)> {
        let all = self.differences.iter().copied();
        all.max_by(|a, b| a.1.total_cmp(&b.1))
    }

    fn json(&self) -> Value {
        json!({
            "runtime": self.runtime,
            "images": self.images,
            "random_images": self.generated,
            "largest_difference": self.worst().map(|worst| worst.1),
            "differences": object(&self.differences, |difference| json!(difference)),
            "same_answers": self.same_answers,
        })
    }

    fn sentence(&self) -> String {
        let kind = if self.generated.is_some() {
            "random"
        } else {
            "test"
        };
        let (name, difference) = self.worst().unwrap_or(("feature", 0.0));
        format!(
            "checked with {} on {} {kind} images: the largest difference is \
             {difference:.1e} ({name}), and {} answers of {} are the same",
            self.runtime, self.images, self.same_answers, self.images
        )
    }
}

/// The largest difference, relative to the largest value if that is above 1. `found` has one
/// additional row: the result for the first image alone.
fn difference(expected: &[f32], found: &[f32], size: usize) -> f32 {
    let first = expected.iter().take(size);
    let size = expected
        .iter()
        .fold(1.0_f32, |most, value| most.max(value.abs()));
    let pairs = expected.iter().chain(first).zip(found);
    let distances = pairs.map(|(expected, found)| (expected - found).abs());
    // NaN counts as an infinite difference.
    let most = distances.fold(0.0_f32, |most, distance| {
        if distance.is_nan() {
            f32::INFINITY
        } else {
            most.max(distance)
        }
    });
    most / size
}

/// Test images of the model's run, evenly spaced.
fn sample(file: &Path, info: &ModelInfo) -> anyhow::Result<Dataset> {
    let run = run_beside(file).context("the model does not belong to a run")?;
    let settings = recorded_settings(run)?;
    let data = test_images(run, settings, info, &OtherImages::default())?.data;
    let found = [data.channels, data.height, data.width];
    if found != info.image {
        bail!(
            "the test images of {} are {found:?}, and the model's {:?}",
            run.display(),
            info.image
        );
    }
    let count = data.len().min(IMAGES);
    let taken = (0..count).map(|at| at * data.len() / count);
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for index in taken {
        images.extend_from_slice(data.image(index));
        labels.push(data.label(index));
    }
    Ok(Dataset::new(
        images,
        labels,
        info.image,
        data.class_names.clone(),
    )?)
}

/// Random images.
fn random(info: &ModelInfo) -> anyhow::Result<Dataset> {
    let values: usize = info.image.iter().product();
    let mut rng = Rng::at(0, &[]);
    let images = (0..IMAGES * values).map(|_| rng.below(256) as u8).collect();
    let names = info.class_names.clone();
    Ok(Dataset::new(images, vec![0; IMAGES], info.image, names)?)
}

/// The images in the input format of the file.
fn pixels(data: &Dataset, info: &ModelInfo, input: Input) -> Values {
    let layout = match input.layout {
        Layout::Nhwc => MemoryLayout::Nhwc,
        Layout::Nchw => MemoryLayout::Nchw,
    };
    match input.pixels {
        Pixels::Preprocessed => {
            let batches = data.batches(data.len(), &info.preprocessing, layout);
            Values::F32(batches.flat_map(|batch| batch.pixels).collect())
        }
        Pixels::Bytes if input.layout == Layout::Nchw => {
            Values::Int(data.bytes().iter().map(|&byte| byte.into()).collect())
        }
        Pixels::Bytes => {
            let area = data.height * data.width;
            let values = (0..data.len()).flat_map(|index| {
                let image = data.image(index);
                let pixel = move |at| (0..data.channels).map(move |c| image[c * area + at]);
                (0..area).flat_map(pixel)
            });
            Values::Int(values.map(i64::from).collect())
        }
    }
}

/// Prints the exported file and the result of the check.
fn tell(
    args: &args::Export,
    signature: &Signature,
    size: u64,
    check: &Result<Check, String>,
    output_options: OutputOptions,
) -> anyhow::Result<()> {
    if output_options.json {
        let answer = json!({
            "bytes": size,
            "image": { "type": signature.pixel(), "shape": with_batch(&signature.image) },
            "outputs": object(&signature.outputs, |&size| with_batch(&[size])),
            "check": check.as_ref().ok().map(Check::json),
            "not_checked": check.as_ref().err(),
        });
        return output::Answer::new(answer).path("file", &args.out).print();
    }
    let outputs = signature.outputs.iter();
    let outputs: Vec<String> = outputs
        .map(|(name, size)| format!("{name} [batch, {size}]"))
        .collect();
    let [first, second, third] = signature.image;
    output::line(&format!(
        "{} ({}): image {} [batch, {first}, {second}, {third}] -> {}",
        args.out.display(),
        Bytes(size),
        signature.pixel(),
        outputs.join(", ")
    ))?;
    match check {
        Ok(check) => {
            output::line(&check.sentence())?;
            if let Some(reason) = &check.generated
                && !output_options.quiet
            {
                output::note(&format!("checked on random images: {reason}"));
            }
            Ok(())
        }
        Err(_) if args.no_check => Ok(()),
        Err(reason) => output::line(&format!("not checked with ONNX Runtime: {reason}")),
    }
}

/// A shape with its free batch dimension.
fn with_batch(sizes: &[usize]) -> Value {
    let sizes = sizes.iter().map(|&size| json!(size));
    std::iter::once(json!("batch")).chain(sizes).collect()
}

/// A JSON object of named values.
fn object<T>(entries: &[(&str, T)], value: impl Fn(&T) -> Value) -> Value {
    let entries = entries.iter();
    let entries = entries.map(|(name, entry)| ((*name).to_owned(), value(entry)));
    Value::Object(entries.collect())
}
