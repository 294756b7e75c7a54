/// Why a model has no ONNX file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum OnnxError {
    /// A tensor that the network's row asks for.
    #[error("the model has no tensor {name}, of shape {shape:?}, which its network's row asks for")]
    Missing {
        /// Its name in the model file.
        name: String,
        /// Its shape by the row.
        shape: Vec<usize>,
    },
    /// A tensor of another shape.
    #[error("the model's tensor {name} must have the shape {expected:?}, found {found:?}")]
    Shape {
        /// Its name in the model file.
        name: String,
        /// The shape by the network's row.
        expected: Vec<usize>,
        /// The shape it has.
        found: Vec<usize>,
    },
    /// A number that no device computes with.
    #[error(
        "each number of {name} in the ONNX file must be finite, found {found} at place {place}"
    )]
    NotFinite {
        /// The tensor in the ONNX file.
        name: String,
        /// Where in it.
        place: usize,
        /// The number.
        found: f32,
    },
    /// A file beyond what protocol buffers can hold.
    #[error(
        "the ONNX file would have {bytes} bytes, and the format has room for {most}: export a smaller \
         network"
    )]
    TooLarge {
        /// Bytes of the file, or of its tensors alone.
        bytes: u64,
        /// Most bytes.
        most: u64,
    },
    /// The means of the preprocessing do not suit the images.
    #[error(
        "the model's preprocessing must have 1, {channels} or {values} means for images of \
         {channels} channels and {values} values, found {found}"
    )]
    Means {
        /// Channels of an image.
        channels: usize,
        /// Values of an image.
        values: usize,
        /// Means there are.
        found: usize,
    },
    /// A network that does not suit its images.
    #[error(transparent)]
    Network(#[from] lsoftmax_spec::SpecError),
    /// A network that is a program's own module.
    #[error(
        "the network {0:?} is a module of the program that trained it; only the networks of lsoftmax \
         can be exported"
    )]
    OwnNetwork(String),
    /// A loss out of range.
    #[error(transparent)]
    Loss(#[from] lsoftmax_spec::MarginError),
}
