//! Runs an exported file, to compare it with its model: in ONNX Runtime through Python, or in tract (feature
//! `tract`) if no Python has ONNX Runtime.

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
    /// Looks for ONNX Runtime in the given Python, otherwise in that of the environment variable,
    /// otherwise in `python3`. Falls back on tract unless a Python was given. The inner error is the
    /// reason why no runtime was found.
    ///
    /// # Errors
    /// No temporary folder can be created.
    pub(crate) fn find(python: Option<&Path>) -> anyhow::Result<Result<Self, String>> {
        match python::OnnxRuntime::find(python)? {
            Ok(runtime) => Ok(Ok(Self::OnnxRuntime(runtime))),
            #[cfg(feature = "tract")]
            Err(_) if python.is_none() => Ok(Ok(Self::Tract)),
            Err(reason) => Ok(Err(reason)),
        }
    }

    /// Name, and version if known.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::OnnxRuntime(runtime) => runtime.name(),
            #[cfg(feature = "tract")]
            Self::Tract => "tract".into(),
        }
    }

    /// Runs a file on images. Returns, for each output, the rows of all images as one batch,
    /// followed by the row of the first image alone.
    ///
    /// # Errors
    /// The runtime refuses the file, fails, takes too long, or gives rows of another size.
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
