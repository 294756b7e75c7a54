//! The command line.

use clap::{Parser, Subcommand, ValueEnum};
use lsoftmax_data::SameNames;
use lsoftmax_record::{Comparison, ComparisonParts, RecordError, Settings, read_settings};
use lsoftmax_train::DeviceChoice;
use std::path::PathBuf;

/// Large-margin softmax: train, compare, evaluate, plot.
#[derive(Debug, Parser)]
#[command(name = "lsoftmax", version, max_term_width = 100)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Print one JSON object on stdout instead of a table
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Number of threads [default: all cores]
    #[arg(long, global = true, value_name = "N")]
    pub(crate) threads: Option<usize>,
    /// Where models compute: cpu, cuda, metal, vulkan, webgpu or auto; vulkan:1 is the second of
    /// several. All but cpu need a build with the feature of that name [default: cpu]
    #[arg(long, global = true, value_name = "DEVICE")]
    pub(crate) device: Option<DeviceChoice>,
    /// Show no progress on stderr
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Train one model with one loss
    Train(TrainOrResume),
    /// Train the same network with several losses, and write a table and a page
    Compare(Compare),
    /// Run experiments of the paper, or your own folder of experiments, and write their tables
    Reproduce(Reproduce),
    /// Write the page and the pictures of a run again
    Report(Report),
    /// List, download and check data sets
    #[command(subcommand)]
    Data(Data),
    /// Evaluate a trained run on its test set, or on classes it was not trained on
    Eval(Eval),
    /// Write embeddings of images as an array or a table
    Embed(Embed),
    /// Export a trained model as an ONNX file
    Export(Export),
    /// Decide whether two images show the same class, or measure that on many pairs
    Verify(Verify),
    /// Build a gallery of images to search
    Index(Index),
    /// Find the images of a gallery that are nearest to an image
    Search(Search),
    /// Draw the margin functions, or the schedules of λ
    #[command(subcommand)]
    Plot(Plot),
    /// Compute a loss and its gradients on arrays in .npy files
    Loss(Loss),
}

/// Parses a finite number. `nan` and `inf` would parse as floats.
fn finite(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if f64::is_finite(number) => Ok(number),
        _ => Err("expected a finite number".into()),
    }
}

/// Parses a cosine.
fn cosine(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(cosine) if (-1.0..=1.0).contains(&cosine) => Ok(cosine),
        _ => Err("expected a cosine, from -1 to 1".into()),
    }
}

/// The source of the settings and the destination of the results.
#[derive(Debug, clap::Args)]
pub(crate) struct Train {
    /// Experiment file; flags override it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Folder to create for the results [default: a folder below runs/]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Also write the curves for TensorBoard
    #[arg(long)]
    pub(crate) tensorboard: bool,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// One training, started or resumed.
#[derive(Debug, clap::Args)]
pub(crate) struct TrainOrResume {
    /// Continue a run that was stopped: its folder, or one of its checkpoints
    #[arg(long, value_name = "RUN", conflicts_with_all = ["config", "out"])]
    pub(crate) resume: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) train: Train,
}

impl Train {
    /// The settings of the experiment file, if one is given.
    pub(crate) fn file(&self) -> Result<Settings, RecordError> {
        self.config
            .as_deref()
            .map_or_else(|| Ok(Settings::default()), read_settings)
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct Compare {
    /// Losses, as NAME or NAME:M, with @RATE for a separate learning rate
    #[arg(
        long,
        value_name = "LOSS",
        value_delimiter = ',',
        default_value = Comparison::LOSSES
    )]
    pub(crate) losses: Vec<String>,
    /// Train each loss with each of these seeds
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "0")]
    pub(crate) seeds: Vec<u64>,
    /// Leave out the 2-D networks and their pictures
    #[arg(long)]
    pub(crate) no_pictures: bool,
    /// Leave out the full-sized networks and their table
    #[arg(long, conflicts_with = "no_pictures")]
    pub(crate) only_pictures: bool,
    #[command(flatten)]
    pub(crate) train: Train,
}

impl Compare {
    /// The networks to train.
    pub(crate) fn parts(&self) -> ComparisonParts {
        match (self.no_pictures, self.only_pictures) {
            (true, _) => ComparisonParts::Table,
            (false, true) => ComparisonParts::Pictures,
            (false, false) => ComparisonParts::All,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    /// List the data sets that --data knows, and where they are looked for
    List,
    /// Download data sets and verify them against the published checksums
    Get {
        /// mnist, fashion-mnist, cifar10, cifar100
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Folder to download to [default: `$LSOFTMAX_DATA`, or data]
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
        /// Address to use instead of the published ones; file names are appended to it
        #[arg(long, value_name = "URL")]
        mirror: Option<String>,
    },
    /// Read a data set and print what it contains
    Check {
        /// Folder with the files of a data set, folder of images, or list of images
        #[arg(value_name = "DIR|FILE")]
        path: PathBuf,
        /// Which folders of a folder of images are classes: top (those directly in it, with
        /// everything below them), each (every folder that contains images) or auto
        #[arg(long, value_name = "WHICH", value_parser = ["auto", "top", "each"])]
        class_folders: Option<String>,
        /// For images: a text file with the names of classes to leave out
        #[arg(long, value_name = "FILE")]
        exclude: Option<PathBuf>,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Reproduce {
    /// Tables by name, `all`, or folders of experiment files; without any, the names are listed
    #[arg(value_name = "TABLE")]
    pub(crate) tables: Vec<String>,
    /// Run each row with each of these seeds
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "0,1,2")]
    pub(crate) seeds: Vec<u64>,
    /// Number of steps instead of that in the files; milestones and annealing are rescaled
    #[arg(long, value_name = "N")]
    pub(crate) iterations: Option<u64>,
    /// Folder for the runs and the tables; finished runs in it are not repeated
    #[arg(long, value_name = "DIR", default_value = "runs/reproduce")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) overwrite: Overwrite,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Report {
    /// Run folder
    pub(crate) run: PathBuf,
    /// Folder of the data set, if it has moved; the pictures of unseen classes are read from it
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) overwrite: Overwrite,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Eval {
    /// Run folder
    pub(crate) run: PathBuf,
    /// Another model than the run's last one, such as RUN/checkpoints/best.safetensors
    #[arg(long, value_name = "FILE")]
    pub(crate) model: Option<PathBuf>,
    /// Data set [default: that of the run]
    #[arg(long, value_name = "NAME")]
    pub(crate) data: Option<String>,
    /// Other images of the model's classes, a folder or a list: all are evaluated, or only its test
    /// part. If it is the run's own data, moved or extended, the run's own test images are
    /// evaluated
    #[arg(long, value_name = "DIR|FILE")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Evaluate on these images of classes that were not trained on: a folder or a list
    #[arg(long, value_name = "DIR|FILE", conflicts_with_all = ["data", "data_dir"])]
    pub(crate) open_set: Option<PathBuf>,
    /// Which folders of a folder of images are classes: top (those directly in it, with everything
    /// below them), each (every folder that contains images) or auto
    #[arg(long, value_name = "WHICH", value_parser = ["auto", "top", "each"])]
    pub(crate) class_folders: Option<String>,
    /// If a class of the open set has the name of a trained class: refuse it, or treat the two as
    /// different classes: refuse, different [default: refuse]
    #[arg(long, value_name = "WHAT", requires = "open_set")]
    pub(crate) open_set_same_names: Option<SameNames>,
    /// CSV file with five landmarks per image, for models trained on aligned faces
    #[arg(long, value_name = "FILE")]
    pub(crate) landmarks: Option<PathBuf>,
    /// Folder for a page with the curves, the worst mistakes and some neighbours
    #[arg(long, value_name = "DIR", requires = "open_set")]
    pub(crate) out: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) overwrite: Overwrite,
}

/// A trained model and the inputs it needs to read images.
#[derive(Debug, clap::Args)]
pub(crate) struct Trained {
    /// Run folder, or a model file
    pub(crate) run: PathBuf,
    /// CSV file with five landmarks per image, for models trained on aligned faces
    #[arg(long, value_name = "FILE")]
    pub(crate) landmarks: Option<PathBuf>,
    /// Stop at an image that cannot be read, instead of skipping it
    #[arg(long)]
    pub(crate) refuse_broken: bool,
}

/// Whether existing files are replaced.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Overwrite {
    /// Replace files that this command did not write; never its own inputs
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Embed {
    #[command(flatten)]
    pub(crate) trained: Trained,
    /// Images, folders of images, or lists of images (.csv, .parquet)
    #[arg(required = true, value_name = "IMAGES")]
    pub(crate) images: Vec<PathBuf>,
    /// File to write: .npy (with paths and labels in a .csv next to it), or .parquet with all three
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) overwrite: Overwrite,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// Run folder, or a model file
    pub(crate) run: PathBuf,
    /// ONNX file to write
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Memory layout of a batch of images: nhwc (batch, height, width, channel; as in numpy and
    /// Pillow) or nchw (batch, channel, height, width; as in PyTorch)
    #[arg(long, value_name = "ORDER", value_enum, default_value_t = Layout::Nhwc, hide_possible_values = true)]
    pub(crate) layout: Layout,
    /// Export a model that takes float32 images after preprocessing, instead of bytes
    #[arg(long)]
    pub(crate) preprocessed: bool,
    /// Write nothing unless the file can be checked
    #[arg(long, conflicts_with = "no_check")]
    pub(crate) check: bool,
    /// Do not compare the file with the model
    #[arg(long)]
    pub(crate) no_check: bool,
    /// Python whose onnxruntime package checks the file [default: `$LSOFTMAX_PYTHON`, or python3]
    #[arg(long, value_name = "PROGRAM", conflicts_with = "no_check")]
    pub(crate) python: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) overwrite: Overwrite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Layout {
    Nhwc,
    Nchw,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) trained: Trained,
    /// Two images
    #[arg(num_args = 0..=2, value_name = "IMAGE", conflicts_with = "pairs")]
    pub(crate) images: Vec<PathBuf>,
    /// Many pairs: a pairs.txt as for LFW, or a .csv with the columns left, right, same and,
    /// optionally, fold
    #[arg(long, value_name = "FILE")]
    pub(crate) pairs: Option<PathBuf>,
    /// Folder that contains the images of the pairs [default: that of the pairs file]
    #[arg(long, value_name = "DIR", requires = "pairs")]
    pub(crate) root: Option<PathBuf>,
    /// Subtract the mean embedding of the other folds first, as SphereFace does
    #[arg(long, requires = "pairs")]
    pub(crate) centred: bool,
    /// Folder for a page with the curves and the worst mistakes
    #[arg(long, value_name = "DIR", requires = "pairs")]
    pub(crate) out: Option<PathBuf>,
    /// Decide at this false accept rate [default: where most validation pairs are decided
    /// correctly]
    #[arg(long, value_name = "RATE", value_parser = finite, conflicts_with_all = ["threshold", "pairs"])]
    pub(crate) far: Option<f64>,
    /// Decide at this cosine, from -1 to 1
    #[arg(
        long,
        value_name = "COSINE",
        value_parser = cosine,
        allow_negative_numbers = true,
        conflicts_with = "pairs"
    )]
    pub(crate) threshold: Option<f32>,
    #[command(flatten)]
    pub(crate) overwrite: Overwrite,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Index {
    #[command(flatten)]
    pub(crate) trained: Trained,
    /// Images, folders of images, or lists of images (.csv, .parquet)
    #[arg(required = true, value_name = "IMAGES")]
    pub(crate) images: Vec<PathBuf>,
    /// File to write
    #[arg(long, short, value_name = "GALLERY")]
    pub(crate) out: PathBuf,
    /// Also build an approximate index; auto: from 100000 images on, if built with the feature
    /// usearch
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = Approximate::Auto)]
    pub(crate) approximate: Approximate,
    #[command(flatten)]
    pub(crate) overwrite: Overwrite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Approximate {
    Auto,
    Always,
    Never,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Search {
    /// Gallery written by `index`
    pub(crate) gallery: PathBuf,
    /// Images to search for
    #[arg(required = true, value_name = "IMAGE")]
    pub(crate) images: Vec<PathBuf>,
    /// Number of images to find for each
    #[arg(short, value_name = "N", default_value_t = 5)]
    pub(crate) k: usize,
    /// Compare with all images, even if the gallery has an approximate index
    #[arg(long)]
    pub(crate) exact: bool,
    /// The model's run folder or file, if it has moved
    #[arg(long, value_name = "RUN")]
    pub(crate) run: Option<PathBuf>,
    /// CSV file with five landmarks per image, for models trained on aligned faces
    #[arg(long, value_name = "FILE")]
    pub(crate) landmarks: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Plot {
    /// Draw ψ with annealing, and its slope, over the angle
    Margin {
        /// Angular multipliers
        #[arg(
            long,
            visible_alias = "m",
            value_delimiter = ',',
            default_value = "1,2,3,4"
        )]
        margin: Vec<u32>,
        /// Values of λ
        #[arg(long, value_delimiter = ',', default_value = "0", value_parser = finite)]
        lambda: Vec<f64>,
        /// File to write: .svg, or .html
        #[arg(long, value_name = "FILE", default_value = "margin.svg")]
        out: PathBuf,
        #[command(flatten)]
        overwrite: Overwrite,
    },
    /// Draw the decision boundaries of two classes with a margin, in their plane
    Boundary {
        /// Angular multipliers
        #[arg(
            long,
            visible_alias = "m",
            value_delimiter = ',',
            default_value = "1,2,3,4"
        )]
        margin: Vec<u32>,
        /// File to write: .svg, or .html
        #[arg(long, value_name = "FILE", default_value = "boundary.svg")]
        out: PathBuf,
        #[command(flatten)]
        overwrite: Overwrite,
    },
    /// Draw λ over the training steps
    Annealing {
        /// Schedules of λ
        #[arg(
            long,
            value_name = "NAME",
            help = format!(
                "Schedules of λ [possible values: {}]",
                lsoftmax_spec::Lambda::NAMES.join(", ")
            ),
            value_delimiter = ',',
            default_value = "auto,power-law,geometric"
        )]
        annealing: Vec<String>,
        /// Number of training steps
        #[arg(long, default_value_t = 18_000)]
        iterations: u64,
        /// Angular multiplier
        #[arg(long, visible_alias = "m", default_value_t = 4)]
        margin: u32,
        /// File to write: .svg, or .html
        #[arg(long, value_name = "FILE", default_value = "annealing.svg")]
        out: PathBuf,
        #[command(flatten)]
        overwrite: Overwrite,
    },
}

// The field is named after the flag `--loss`.
#[allow(clippy::struct_field_names)]
#[derive(Debug, clap::Args)]
pub(crate) struct Loss {
    /// Features, [batch, feature], float32 or float64
    #[arg(long, value_name = "X.npy")]
    pub(crate) features: PathBuf,
    /// Class weights, [class, feature]
    #[arg(long, value_name = "W.npy")]
    pub(crate) weights: PathBuf,
    /// Labels, [batch], integers
    #[arg(long, value_name = "y.npy")]
    pub(crate) labels: PathBuf,
    /// Loss
    #[arg(
        long,
        value_name = "NAME",
        default_value = Settings::DEFAULT_LOSS,
        help = format!("Loss [possible values: {}]", lsoftmax_spec::Loss::NAMES.join(", "))
    )]
    pub(crate) loss: String,
    /// m [default: 4, or as published]
    #[arg(long, visible_alias = "m", value_name = "M", value_parser = finite)]
    pub(crate) margin: Option<f64>,
    /// Scale s [default: as published]
    #[arg(long, value_name = "S", value_parser = finite)]
    pub(crate) scale: Option<f64>,
    /// m1 m2 m3 of the combined loss
    #[arg(long, value_name = "M", num_args = 3, value_parser = finite)]
    pub(crate) margins: Option<Vec<f64>>,
    /// λ, for l-softmax and a-softmax
    #[arg(long, value_name = "L", default_value_t = 0.0, value_parser = finite)]
    pub(crate) lambda: f64,
    /// Folder for the loss, the logits and the two gradients, as .npy files
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) overwrite: Overwrite,
}
