//! A custom network in the training loop.

#[path = "../examples/own_network/network.rs"]
mod network;

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};
use lsoftmax_networks::Backbone;
use lsoftmax_train::record::{NetworkKind, Progress};
use lsoftmax_train::{
    Checkpoint, Experiment, Learner, Model, Network, Observer, RunFolder, Settings, TrainBatch,
    TrainError, Trained, embeddings, evaluate, load_data, resume_network, train, train_network,
};
use network::{SmallResNet, SmallResNetConfig};

fn config() -> SmallResNetConfig {
    SmallResNetConfig {
        widths: vec![8, 16],
        feature: 12,
        dropout: 0.2,
    }
}

fn settings<N: Network>(config: &N::Config) -> Settings {
    Settings {
        network: Some(N::kind(config).unwrap().into()),
        loss: Some("l-softmax".into()),
        train_samples: Some(600),
        test_samples: Some(200),
        iterations: Some(60),
        batch: Some(32),
        learning_rate: Some(0.1),
        evaluations: Some(2),
        checkpoint_every: Some(10),
        ..Settings::default()
    }
}

fn experiment<N: Network>(config: &N::Config) -> Experiment {
    Experiment::resolve(settings::<N>(config), Settings::default()).unwrap()
}

fn run<N: Network>(config: &N::Config) -> Result<Trained<N>, TrainError> {
    let experiment = experiment::<N>(config);
    let split = load_data(&experiment).unwrap();
    train_network(&experiment, &split, &Device::flex(), &mut ())
}

fn complaint<N: Network>(config: &N::Config) -> String {
    run::<N>(config).unwrap_err().to_string()
}

fn bytes<N: Network>(trained: &Trained<N>) -> Vec<u8> {
    trained.model.to_bytes(&trained.info).unwrap()
}

/// A run folder that stops its training after a step.
struct Stopping(RunFolder, u64, u64);

impl Observer for Stopping {
    fn step(&mut self, step: u64, _rate: f64) {
        self.2 = step;
    }

    fn progress(&mut self, progress: &Progress) -> Result<(), TrainError> {
        self.0.progress(progress)
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), TrainError> {
        self.0.checkpoint(checkpoint)
    }

    fn stops(&self) -> bool {
        self.2 >= self.1
    }
}

#[test]
fn it_learns_and_its_file_holds_all_of_it() {
    let trained = run::<SmallResNet>(&config()).unwrap();
    let outcome = &trained.outcome;
    assert!(
        outcome.evaluation.error_percent < 60.0,
        "{:?}",
        outcome.evaluation
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("model.safetensors");
    trained.model.save(&trained.info, &path).unwrap();
    let (model, info) = Model::<SmallResNet>::load_network(&path, &Device::flex()).unwrap();
    assert_eq!(info, trained.info);
    assert_eq!(SmallResNet::config(&info.network).unwrap(), config());
    assert!(model.to_bytes(&info).unwrap() == bytes(&trained));
    let split = load_data(&experiment::<SmallResNet>(&config())).unwrap();
    assert_eq!(
        embeddings(&model, &info, &split.test).unwrap(),
        embeddings(&trained.model, &info, &split.test).unwrap()
    );
    let found = evaluate(&model, &info, &split.test).unwrap();
    assert_eq!(found.error_percent, outcome.evaluation.error_percent);

    // A program without the module reports that it lacks it.
    let message = Model::load(&path, &Device::flex()).unwrap_err().to_string();
    assert!(
        message.contains("\"small-resnet\" is a module of the program that trained it"),
        "{message}"
    );
}

#[test]
fn a_stopped_training_goes_on_to_the_same_bits() {
    let experiment = experiment::<SmallResNet>(&config());
    let split = load_data(&experiment).unwrap();
    let device = Device::flex();
    let whole = run::<SmallResNet>(&config()).unwrap();

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    // Stop between two checkpoints.
    let folder = RunFolder::create(&path, &experiment, &split).unwrap();
    let mut stopping = Stopping(folder, 23, 0);
    let stopped = train_network::<SmallResNet>(&experiment, &split, &device, &mut stopping);
    assert!(matches!(
        stopped,
        Err(TrainError::Interrupted { step: 23, .. })
    ));
    drop(stopping);
    let (mut folder, read, saved) = RunFolder::open(&path, None, None).unwrap();
    assert_eq!(read, experiment);
    let saved = saved.unwrap();
    assert_eq!(saved.last.step(), 23);
    let resumed =
        resume_network::<SmallResNet>(&read, &split, &device, saved, &mut folder).unwrap();
    assert!(bytes(&resumed) == bytes(&whole));
    folder.finish(&resumed).unwrap();
    let (_, outcome) = RunFolder::outcome(&path).unwrap();
    assert_eq!(
        outcome.evaluation.error_percent,
        whole.outcome.evaluation.error_percent
    );
}

#[test]
fn fresh_weights_are_a_function_of_the_seed_on_any_thread() {
    let trained = run::<SmallResNet>(&config()).unwrap();
    let info = trained.info;
    let fresh = || {
        let model = Model::<SmallResNet>::init(&info, 7, &Device::flex()).unwrap();
        model.to_bytes(&info).unwrap()
    };
    let expected = fresh();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..10 {
                    assert!(fresh() == expected);
                }
            });
        }
    });
}

#[test]
fn a_checkpoint_of_another_configuration_is_refused() {
    let experiment = experiment::<SmallResNet>(&config());
    let split = load_data(&experiment).unwrap();
    let device = Device::flex();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let folder = RunFolder::create(&path, &experiment, &split).unwrap();
    let mut stopping = Stopping(folder, 10, 0);
    let stopped = train_network::<SmallResNet>(&experiment, &split, &device, &mut stopping);
    assert!(stopped.is_err());
    drop(stopping);
    let (_, _, saved) = RunFolder::open(&path, None, None).unwrap();
    let wider = SmallResNetConfig {
        widths: vec![8, 24],
        ..config()
    };
    let wider = self::experiment::<SmallResNet>(&wider);
    let message = resume_network::<SmallResNet>(&wider, &split, &device, saved.unwrap(), &mut ())
        .unwrap_err()
        .to_string();
    assert!(message.contains("another network"), "{message}");
}

#[test]
fn the_experiment_file_names_the_module_and_its_configuration() {
    let experiment = experiment::<SmallResNet>(&config());
    let toml = experiment.to_toml().unwrap();
    assert!(toml.contains("module = \"small-resnet\""), "{toml}");
    let settings: Settings = toml::from_str(&toml).unwrap();
    let read = Experiment::resolve(Settings::default(), settings).unwrap();
    assert_eq!(read, experiment);

    // The built-in networks refuse it.
    let split = load_data(&experiment).unwrap();
    let message = train(&experiment, &split, &Device::flex(), &mut ())
        .unwrap_err()
        .to_string();
    assert!(message.contains("\"small-resnet\""), "{message}");
    let other = NetworkKind::Row(lsoftmax_networks::NetworkSpec::named("compact").unwrap());
    let message = SmallResNet::config(&other).unwrap_err().to_string();
    assert!(
        message.contains("is \"compact\", and this program expects \"small-resnet\""),
        "{message}"
    );
}

#[test]
fn a_configuration_that_cannot_be_built_says_why() {
    let empty = SmallResNetConfig {
        widths: Vec::new(),
        ..config()
    };
    assert_eq!(
        complaint::<SmallResNet>(&empty),
        "the network \"small-resnet\": widths must not be empty"
    );
    let long = SmallResNetConfig {
        feature: 0,
        ..config()
    };
    let message = SmallResNet::kind(&long).unwrap_err().to_string();
    assert!(
        message.contains("feature must be from 1 to 65536"),
        "{message}"
    );
    let with_feature = Settings {
        feature: Some(5),
        ..settings::<SmallResNet>(&config())
    };
    let message = Experiment::resolve(with_feature, Settings::default())
        .unwrap_err()
        .to_string();
    assert!(message.contains("a feature of 12, found 5"), "{message}");
}

/// A network whose configuration gives another feature size than its output has.
#[derive(Module, Debug)]
struct Liar {
    weight: Param<Tensor<2>>,
}

impl Network for Liar {
    type Config = usize;
    const NAME: &'static str = "liar";

    fn init(_: &usize, image: [usize; 3], _: u64, device: &Device) -> Result<Self, TrainError> {
        let flat = image.iter().product();
        let weight = Param::from_tensor(Tensor::ones([flat, 3], device));
        Ok(Self { weight })
    }

    fn feature_size(size: &usize) -> usize {
        *size
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        images.flatten::<2>(1, 3).matmul(self.weight.val())
    }
}

#[test]
fn features_of_another_size_are_refused_before_the_first_step() {
    assert_eq!(
        complaint::<Liar>(&5),
        "the network \"liar\" gives features [1, 3] for one image, and its feature size is 5: [1, 5] \
         expected"
    );
}

/// A network with a parameter that model files cannot store.
#[derive(Module, Debug)]
struct Counting {
    weight: Param<Tensor<2>>,
    counts: Param<Tensor<1, Int>>,
}

impl Network for Counting {
    type Config = ();
    const NAME: &'static str = "counting";

    fn init((): &(), image: [usize; 3], _: u64, device: &Device) -> Result<Self, TrainError> {
        let flat = image.iter().product();
        Ok(Self {
            weight: Param::from_tensor(Tensor::ones([flat, 3], device)),
            counts: Param::initialized(burn::module::ParamId::new(), Tensor::zeros([2], device)),
        })
    }

    fn feature_size((): &()) -> usize {
        3
    }

    fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        images.flatten::<2>(1, 3).matmul(self.weight.val())
    }
}

#[test]
fn parameters_that_are_not_numbers_of_f32_are_refused_by_name() {
    let message = complaint::<Counting>(&());
    assert!(
        message.contains("backbone.counts is a parameter of integers"),
        "{message}"
    );
}

#[test]
fn the_built_in_networks_are_networks_of_this_kind() {
    let row = lsoftmax_networks::NetworkSpec::named("compact").unwrap();
    let general = run::<Backbone>(&row).unwrap();
    let experiment = experiment::<Backbone>(&row);
    let split = load_data(&experiment).unwrap();
    let built_in = train(&experiment, &split, &Device::flex(), &mut ()).unwrap();
    assert!(bytes(&general) == bytes(&built_in));
}

/// Frozen parameters do not change, and a checkpoint without their momentum is complete.
#[test]
fn frozen_parameters_stay_frozen() {
    // The forward pass below is outside the loop, and its draws would interfere with the other
    // tests.
    let without_dropout = SmallResNetConfig {
        dropout: 0.0,
        ..config()
    };
    let mut trained = run::<SmallResNet>(&without_dropout).unwrap();
    let device = Device::flex().autodiff();
    let info = trained.info.clone();
    trained.model.backbone = trained.model.backbone.no_grad();
    let before = trained.model.tensors(&info).unwrap();
    let learner = Learner::new(trained.model, lsoftmax_train::Optimiser::sgd(0.9, 0.0));
    let [channels, height, width] = info.image;
    let pixels = vec![0.5; 4 * channels * height * width];
    let batch = TrainBatch::upload(pixels, vec![0, 1, 2, 3], info.image, 0, &device);
    let forward = learner.forward(batch).unwrap();
    let learner = learner.update(forward, 0.1).unwrap();
    let after = learner.model().tensors(&info).unwrap();
    for ((name, _, before), (_, _, after)) in before.iter().zip(&after) {
        let is_statistic = name.contains("running_");
        let changed = before != after;
        assert_eq!(changed, name == "head.weight" || is_statistic, "{name}");
    }
}
