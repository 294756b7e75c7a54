//! What stands in a file, read back field by field.

mod reader;

use super::*;
use lsoftmax_record::{NetworkKind, OwnNetwork};
use lsoftmax_spec::network::{CONVS_OF_A_UNIT, NetworkSpec, NormLayer};
use lsoftmax_spec::random::Rng;
use lsoftmax_spec::{Annealing, Loss};
use reader::{ints, messages, texts};
use std::collections::BTreeSet;

/// The name, shape and values of a tensor.
type Named = (String, Vec<usize>, Vec<f32>);

fn info(network: NetworkSpec, image: [usize; 3]) -> ModelInfo {
    let names = ["a", "b", "c"].map(str::to_owned).to_vec();
    let preprocessing = serde_json::from_str(r#"{"mean": [100.0], "scale": 0.0078125}"#).unwrap();
    let loss = Loss::LSoftmax { m: 2 };
    ModelInfo::new(
        network,
        image,
        names,
        preprocessing,
        loss,
        Annealing::none(),
    )
}

/// Random tensors for a model's network.
fn tensors(info: &ModelInfo) -> Vec<Named> {
    let mut all: Vec<Named> = Vec::new();
    let mut add = |name: String, shape: &[usize]| {
        let mut rng = Rng::at(7, &[all.len() as u64]);
        let count = shape.iter().product();
        let values = (0..count).map(|_| rng.between(0.5, 1.5) as f32).collect();
        all.push((name, shape.to_vec(), values));
    };
    let row = info.network.row().unwrap();
    let is_batch = row.normalisation == NormLayer::Batch;
    let mut layer = |name: String, weight: &[usize], out: usize, has_bias: bool, slope: bool| {
        add(format!("{name}.weight"), weight);
        for part in ["gamma", "beta", "mean", "var"]
            .into_iter()
            .filter(|_| is_batch)
        {
            add(format!("{name}.{part}"), &[out]);
        }
        if has_bias && !is_batch {
            add(format!("{name}.bias"), &[out]);
        }
        if slope {
            add(format!("{name}.slope"), &[out]);
        }
    };
    let (mut block, mut channels) = (0, info.image[0]);
    for stage in &row.stages {
        for conv in 0..stage.convs + CONVS_OF_A_UNIT * stage.units {
            let shape = [stage.channels, channels, stage.kernel, stage.kernel];
            let name = format!("backbone.blocks.{block}");
            layer(name, &shape, stage.channels, conv < stage.convs, true);
            (block, channels) = (block + 1, stage.channels);
        }
    }
    let flat = row.check(info.image).unwrap().iter().product();
    let shape = [flat, row.feature];
    layer("backbone.feature".into(), &shape, row.feature, true, false);
    add("head.weight".into(), &[info.class_names.len(), row.feature]);
    all
}

fn exported(info: &ModelInfo, input: Input) -> Result<Vec<u8>, OnnxError> {
    to_onnx_of(info, tensors(info), input)
}

fn to_onnx_of(info: &ModelInfo, tensors: Vec<Named>, input: Input) -> Result<Vec<u8>, OnnxError> {
    let tensors = tensors.into_iter().collect();
    let trained = Trained {
        info,
        tensors: &tensors,
        digest: "d1",
        embedding_digest: "d2",
    };
    to_onnx(trained, input)
}

/// Few channels, and everything that a row may have.
fn small() -> NetworkSpec {
    serde_json::from_str(
        r#"{"name": "small", "feature": 3, "stages": [
            {"channels": 2, "convs": 1, "units": 1, "stride": 2, "pool": true},
            {"channels": 3, "convs": 2, "kernel": 5}
        ]}"#,
    )
    .unwrap()
}

fn graph(file: &[u8]) -> &[u8] {
    messages(file, 7)[0]
}

#[test]
fn every_value_is_made_once_and_before_it_is_used() {
    let layouts = [Layout::Nhwc, Layout::Nchw];
    let all_pixels = [Pixels::Bytes, Pixels::Preprocessed];
    let mut rows = vec![small()];
    let light = |name: &&str| !["cifar100", "lfw", "sphereface-20"].contains(name);
    let names = NetworkSpec::names().into_iter().filter(light);
    rows.extend(names.map(|name| NetworkSpec::named(name).unwrap()));
    for row in rows {
        for (layout, pixels) in layouts.iter().flat_map(|&l| all_pixels.map(|p| (l, p))) {
            for mirrored in [false, true] {
                let mut info = info(row.clone(), [1, 9, 8]);
                info.mirrored = mirrored;
                let file = exported(&info, Input { layout, pixels }).unwrap();
                check_graph(graph(&file), &info);
            }
        }
    }
}

fn check_graph(graph: &[u8], info: &ModelInfo) {
    let mut known = BTreeSet::from(["image".to_owned()]);
    for tensor in messages(graph, 5) {
        let [name] = &texts(tensor, 8)[..] else {
            panic!("one name")
        };
        assert!(known.insert(name.clone()), "{name} twice");
        let size = match ints(tensor, 2)[..] {
            [1] => 4,
            [7] => 8,
            ref other => panic!("{name} has the type {other:?}"),
        };
        let count: u64 = ints(tensor, 1).iter().product();
        assert_eq!(messages(tensor, 9)[0].len() as u64, size * count, "{name}");
    }
    let constants = known.len() - 1;
    let mut used = BTreeSet::new();
    let mut nodes = BTreeSet::new();
    for node in messages(graph, 1) {
        for input in texts(node, 1) {
            assert!(known.contains(&input), "{input} is used before it is made");
            used.insert(input);
        }
        for output in texts(node, 2) {
            assert!(known.insert(output.clone()), "{output} twice");
        }
        assert!(nodes.insert(texts(node, 3)), "two nodes of one name");
        assert_eq!(texts(node, 4).len(), 1);
    }
    let outputs: Vec<String> = messages(graph, 12)
        .into_iter()
        .flat_map(|o| texts(o, 1))
        .collect();
    assert_eq!(outputs, ["feature", "embedding", "logits"]);
    assert!(outputs.iter().all(|output| known.contains(output)));
    let idle: Vec<_> = known
        .difference(&used)
        .filter(|name| !outputs.contains(name))
        .collect();
    assert!(idle.is_empty(), "{idle:?} of {constants} constants");
    let inputs: Vec<String> = messages(graph, 11)
        .into_iter()
        .flat_map(|i| texts(i, 1))
        .collect();
    assert_eq!(inputs, ["image"]);
    let embedding = messages(graph, 12)[1];
    assert_eq!(shape(embedding), [0, info.embedding_size() as u64]);
}

/// The sizes of an input or output, 0 for the free one, which is called `batch`.
fn shape(value: &[u8]) -> Vec<u64> {
    let tensor = messages(messages(value, 2)[0], 1)[0];
    let dimensions = messages(messages(tensor, 2)[0], 1).into_iter();
    dimensions
        .map(|dimension| {
            if let [size] = ints(dimension, 1)[..] {
                return size;
            }
            assert_eq!(texts(dimension, 2), ["batch"]);
            0
        })
        .collect()
}

#[test]
fn the_file_says_what_it_is() {
    let info = info(small(), [3, 9, 8]);
    let input = Input::default();
    let file = exported(&info, input).unwrap();
    assert_eq!(file, exported(&info, input).unwrap());
    assert_eq!(ints(&file, 1), [8]);
    assert_eq!(texts(&file, 2), ["lsoftmax"]);
    let operators = messages(&file, 8);
    assert_eq!(
        (texts(operators[0], 1), ints(operators[0], 2)),
        (vec![String::new()], vec![17])
    );
    assert!(is_own(&file[..64]));
    assert!(!is_own(b"\x08\x08\x12\x07pytorch"));
    assert!(!is_own(b""));
    let image = messages(graph(&file), 11)[0];
    assert_eq!(shape(image), [0, 9, 8, 3]);
    assert_eq!(ints(messages(messages(image, 2)[0], 1)[0], 1), [2]);
    let nchw = Input {
        layout: Layout::Nchw,
        pixels: Pixels::Preprocessed,
    };
    let file = exported(&info, nchw).unwrap();
    let image = messages(graph(&file), 11)[0];
    assert_eq!(shape(image), [0, 3, 9, 8]);
    assert_eq!(ints(messages(messages(image, 2)[0], 1)[0], 1), [1]);
}

/// The entries of the metadata by name.
fn entries(file: &[u8]) -> Vec<(String, String)> {
    let all = messages(file, 14).into_iter();
    all.map(|entry| (texts(entry, 1).remove(0), texts(entry, 2).remove(0)))
        .collect()
}

#[test]
fn the_metadata_have_what_the_model_knows() {
    let mut info = info(small(), [1, 9, 8]);
    info.class_names[1] = "größe \"b\"".into();
    let get = |info: &ModelInfo, key: &str| {
        let file = exported(info, Input::default()).unwrap();
        let all = entries(&file);
        all.into_iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    };
    let names: Vec<String> = serde_json::from_str(&get(&info, "class_names").unwrap()).unwrap();
    assert_eq!(names, info.class_names);
    assert_eq!(get(&info, "threshold"), None);
    assert_eq!(get(&info, "model_sha256").as_deref(), Some("d1"));
    assert_eq!(get(&info, "embedding_sha256").as_deref(), Some("d2"));
    assert_eq!(get(&info, "cosine_scale"), None);
    let decision = r#"{"best": {"threshold": 0.25, "tar": 0.75, "far": 0.001}, "same_pairs": 40,
        "different_pairs": 2000, "unseen_classes": true, "points": []}"#;
    info.decision = Some(serde_json::from_str(decision).unwrap());
    info.loss = Loss::ARC_FACE;
    assert_eq!(get(&info, "threshold").as_deref(), Some("0.25"));
    assert_eq!(get(&info, "false_accept_rate").as_deref(), Some("0.001"));
    assert_eq!(
        get(&info, "validation_different_pairs").as_deref(),
        Some("2000")
    );
    assert_eq!(get(&info, "cosine_scale").as_deref(), Some("64"));
    let file = exported(&info, Input::default()).unwrap();
    assert_eq!(texts(messages(graph(&file), 12)[2], 1), ["cosines"]);
}

/// The numbers of a constant.
fn constant(file: &[u8], name: &str) -> Vec<f32> {
    let all = messages(graph(file), 5).into_iter();
    let tensor = all
        .into_iter()
        .find(|tensor| texts(tensor, 8) == [name])
        .unwrap();
    let bytes = messages(tensor, 9)[0].as_chunks::<4>().0;
    bytes
        .iter()
        .map(|&bytes| f32::from_le_bytes(bytes))
        .collect()
}

#[test]
fn normalisation_is_folded_into_weights_and_bias() {
    let info = info(small(), [1, 9, 8]);
    let file = exported(&info, Input::default()).unwrap();
    let all = tensors(&info);
    let of = |name: &str| {
        let found = all.iter().find(|tensor| tensor.0 == name);
        found.unwrap().2.clone()
    };
    for (source, target) in [
        ("backbone.blocks.0", "blocks.0"),
        ("backbone.feature", "feature"),
    ] {
        let part = |part: &str| of(&format!("{source}.{part}"));
        let [weight, gamma, beta] = ["weight", "gamma", "beta"].map(part);
        let [mean, var] = ["mean", "var"].map(part);
        let found = constant(&file, &format!("{target}.weight"));
        let bias = constant(&file, &format!("{target}.bias"));
        let outputs = gamma.len();
        let per_output = weight.len() / outputs;
        for out in 0..outputs {
            let factor = gamma[out] / (var[out] + 1e-5).sqrt();
            for at in 0..per_output {
                // A kernel is `[out, ...]`, the feature layer `[in, out]`.
                let place = if target == "feature" {
                    at * outputs + out
                } else {
                    out * per_output + at
                };
                assert!((found[place] - weight[place] * factor).abs() < 1e-6);
            }
            assert!((bias[out] - (beta[out] - mean[out] * factor)).abs() < 1e-6);
        }
    }
}

#[test]
fn class_weights_have_length_1_where_the_loss_compares_angles() {
    let mut info = info(small(), [1, 9, 8]);
    let length = |info: &ModelInfo| {
        let file = exported(info, Input::default()).unwrap();
        let row = constant(&file, "head.weight")[..3].to_vec();
        row.iter().map(|value| value * value).sum::<f32>().sqrt()
    };
    assert!(length(&info) > 1.1);
    for loss in [Loss::ASoftmax { m: 4 }, Loss::ARC_FACE] {
        info.loss = loss;
        assert!((length(&info) - 1.0).abs() < 1e-6, "{loss}");
    }
}

#[test]
fn models_that_cannot_be_exported_are_refused() {
    let info = info(small(), [1, 9, 8]);
    let message = |info: &ModelInfo, change: fn(&mut Vec<Named>)| {
        let mut all = tensors(info);
        change(&mut all);
        to_onnx_of(info, all, Input::default())
            .unwrap_err()
            .to_string()
    };
    let missing = message(&info, |all| {
        all.retain(|tensor| tensor.0 != "backbone.blocks.1.slope");
    });
    assert!(
        missing.contains("no tensor backbone.blocks.1.slope, of shape [2]"),
        "{missing}"
    );
    let wrong = message(&info, |all| all[0].1 = vec![2, 1, 9, 1]);
    assert!(
        wrong.contains("[2, 1, 3, 3], found [2, 1, 9, 1]"),
        "{wrong}"
    );
    let short = message(&info, |all| {
        all[0].2.pop();
    });
    assert!(
        short.contains("backbone.blocks.0.weight must have"),
        "{short}"
    );
    let broken = message(&info, |all| all[0].2[4] = f32::NAN);
    assert!(
        broken.contains("blocks.0.weight in the ONNX file must be finite, found NaN at place 4")
    );
    // A variance below zero has no root.
    let negative = message(&info, |all| all[4].2[0] = -1.0);
    assert!(negative.contains("must be finite"), "{negative}");
    let mut means = info.clone();
    means.preprocessing.mean = vec![1.0; 5];
    let means = message(&means, |_| ());
    assert!(means.contains("1, 1 or 72 means"), "{means}");
    let mut large = info;
    let mut row = large.network.row().unwrap().clone();
    row.stages[1].channels = 1 << 14;
    row.stages[1].convs = 1;
    row.feature = 6_000;
    large.network = row.into();
    let error = to_onnx_of(&large, Vec::new(), Input::default()).unwrap_err();
    assert!(error.to_string().contains("2147483647"), "{error}");
}

#[test]
fn a_network_of_another_program_cannot_be_exported() {
    let mut own = info(small(), [1, 8, 9]);
    own.network = NetworkKind::Own(OwnNetwork {
        module: "small-resnet".into(),
        feature: 3,
        config: "{}".into(),
    });
    let error = to_onnx_of(&own, Vec::new(), Input::default()).unwrap_err();
    assert!(error.to_string().contains("\"small-resnet\""), "{error}");
}
