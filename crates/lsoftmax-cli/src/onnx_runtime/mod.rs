//! What runs an exported file, to compare it with its model: ONNX Runtime where a Python has it, and tract
//! (feature `tract`) where none has.

mod python;
#[cfg(feature = "tract")]
mod tract;

use lsoftmax_data::npy::Values;
pub(crate) use python::PYTHON;
use std::path::Path;

/// A runtime for ONNX files.
pub(crate) enum Runtime {
    OnnxRuntime(python::OnnxRuntime),
    #[cfg(feature = "tract")]
    Tract,
}

impl Runtime {
    /// Looks for ONNX Runtime in this Python, or else in that of the environment variable, or else in
    /// `python3`; a build with tract falls back on that unless a Python was named. The inner error says
    /// why there is none.
    ///
    /// # Errors
    /// No temporary folder can be made.
    pub(crate) fn find(python: Option<&Path>) -> anyhow::Result<Result<Self, String>> {
        match python::OnnxRuntime::find(python)? {
            Ok(runtime) => Ok(Ok(Self::OnnxRuntime(runtime))),
            #[cfg(feature = "tract")]
            Err(_) if python.is_none() => Ok(Ok(Self::Tract)),
            Err(reason) => Ok(Err(reason)),
        }
    }

    /// Name, and version where it is known.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::OnnxRuntime(runtime) => runtime.name(),
            #[cfg(feature = "tract")]
            Self::Tract => "tract".into(),
        }
    }

    /// Runs a file on images: for each output, the rows of all images in one batch and then the row of
    /// the first image alone.
    ///
    /// # Errors
    /// The runtime refuses the file, ends with an error, takes too long, or gives rows of another size.
    pub(crate) fn outputs(
        &self,
        model: &Path,
        images: (&[usize], &Values),
        outputs: &[(&str, usize)],
    ) -> anyhow::Result<Vec<Vec<f32>>> {
        match self {
            Self::OnnxRuntime(runtime) => runtime.outputs(model, images, outputs),
            #[cfg(feature = "tract")]
            Self::Tract => tract::outputs(model, images, outputs),
        }
    }
}
