//! Networks as rows of data.

use lsoftmax_spec::network::{Bytes, pooled_size};
use lsoftmax_spec::{NetworkSpec, NormLayer};

#[test]
fn the_rows_of_table_1_flatten_as_in_caffe() {
    let flat = |name, image: [usize; 3]| -> Vec<usize> {
        NetworkSpec::named(name)
            .unwrap()
            .check(image)
            .unwrap()
            .to_vec()
    };
    // 28 -> 14 -> 7 -> 4: Caffe's pools round up.
    assert_eq!([28, 14, 7].map(pooled_size), [14, 7, 4]);
    assert_eq!(flat("mnist-2d", [1, 28, 28]), [128, 4, 4]);
    assert_eq!(flat("mnist", [1, 28, 28]), [64, 4, 4]);
    assert_eq!(flat("cifar10", [3, 32, 32]), [128, 4, 4]);
    assert_eq!(flat("cifar100", [3, 32, 32]), [384, 4, 4]);
    assert_eq!(flat("lfw", [3, 112, 96]), [256, 4, 3]);
    assert_eq!(flat("lfw", [3, 112, 112]), [256, 4, 4]);
    assert_eq!(flat("sphereface-20", [3, 112, 96]), [512, 7, 6]);
    assert_eq!(flat("sphereface-20", [3, 112, 112]), [512, 7, 7]);
}

#[test]
fn rows_that_cannot_be_are_refused() {
    let good = NetworkSpec::named("compact").unwrap();
    let with = |change: fn(&mut NetworkSpec)| {
        let mut spec = good.clone();
        change(&mut spec);
        spec.check([1, 28, 28]).unwrap_err().to_string()
    };
    assert!(with(|s| s.feature = 0).contains("feature must be from 1 to 65536, found 0"));
    assert!(with(|s| s.stages.clear()).contains("the number of stages"));
    assert!(with(|s| s.stages[0].kernel = 4).contains("kernel must be odd"));
    assert!(with(|s| s.stages[1].stride = 3).contains("stride must be 1 or 2"));
    assert!(with(|s| s.stages[1].channels = usize::MAX).contains("channels"));
    let units = with(|s| s.stages[2].units = usize::MAX);
    assert!(units.contains("units must be at most 64, found"), "{units}");
    assert!(
        NetworkSpec::named("mnits")
            .unwrap_err()
            .to_string()
            .contains("mnist-2d")
    );
}

#[test]
fn bytes_are_shown_in_large_units() {
    for (bytes, shown) in [
        (17, "17 bytes"),
        (1536, "1.5 KiB"),
        (64 << 30, "64 GiB"),
        ((64 << 30) - 1, "64 GiB"),
        (u64::MAX, "16 EiB"),
    ] {
        assert_eq!(Bytes(bytes).to_string(), shown);
    }
}

#[test]
fn a_row_reads_back_from_toml() {
    for name in NetworkSpec::names() {
        let spec = NetworkSpec::named(name).unwrap();
        let text = toml::to_string(&spec).unwrap();
        assert_eq!(toml::from_str::<NetworkSpec>(&text).unwrap(), spec);
    }
}

#[test]
fn rows_without_the_newer_keys_are_what_they_were() {
    let text = r#"
        name = "own"
        feature = 8
        stages = [{ channels = 4, convs = 2, pool = true }]
    "#;
    let spec: NetworkSpec = toml::from_str(text).unwrap();
    assert_eq!(spec.normalisation, NormLayer::Batch);
    assert_eq!(spec.stages[0].units, 0);
    // And they are written as they were.
    let written = toml::to_string(&spec).unwrap();
    assert!(
        !written.contains("units") && !written.contains("normalisation"),
        "{written}"
    );
}

#[test]
fn a_residual_row_reads_from_toml_and_misspelt_ones_are_refused() {
    let text = r#"
        name = "own"
        feature = 8
        normalisation = "none"
        stages = [{ channels = 4, convs = 1, stride = 2, units = 2 }]
    "#;
    let spec: NetworkSpec = toml::from_str(text).unwrap();
    assert_eq!(spec.normalisation, NormLayer::None);
    assert_eq!(spec.stages[0].units, 2);
    let refused = |from: &str, to: &str| {
        let error = toml::from_str::<NetworkSpec>(&text.replace(from, to)).unwrap_err();
        error.to_string()
    };
    assert!(refused("\"none\"", "\"layer\"").contains("expected `batch` or `none`"));
    assert!(refused("units = 2", "units = -1").contains("units"));
    assert!(refused("units = 2", "unit = 2").contains("unknown field `unit`"));
}
