//! What `cubecl-cuda` names of `cubecl-llvm`, without LLVM.
//!
//! `cubecl-cuda` compiles both of its code generators in, CUDA C++ for NVRTC and LLVM for PTX. The
//! second needs an LLVM that its build script downloads. With the feature `cuda-cpp` of `cubecl`
//! only the first one runs, and this crate stands in for the second: it refuses every kernel.

use cubecl_core::Compiler;
use cubecl_core::ir::nvidia::SmArch;
use cubecl_core::prelude::KernelDefinition;
use cubecl_environment::backtrace::BackTrace;
use cubecl_runtime::compiler::CompilationError;
use cubecl_runtime::kernel::BufferIOAttr;

/// What to compile for.
#[derive(Clone, Copy, Debug)]
pub enum LlvmTarget {
    /// PTX.
    Nvptx,
}

/// The compiler that is not there.
#[derive(Clone, Debug)]
pub struct PlironCompiler {
    /// What to compile for.
    pub target: LlvmTarget,
}

/// Options of a compilation.
#[derive(Clone, Debug, Default)]
pub struct PlironOptions {
    /// Of AMD.
    pub arch: Option<()>,
    /// Of NVIDIA.
    pub sm_arch: Option<SmArch>,
    /// Version of PTX.
    pub ptx_version: Option<nvptx::ptx_version::PtxVersion>,
    /// Where scalars travel.
    pub grid_constants: bool,
    /// The others.
    pub others: (),
}

/// A compiled kernel.
#[derive(Clone, Debug)]
pub struct NvptxModule {
    /// PTX.
    pub ptx: Vec<core::ffi::c_char>,
    /// Its intermediate form.
    pub ir: String,
    /// In bytes.
    pub shared_memory_size: usize,
    /// How buffers are used.
    pub io: Vec<BufferIOAttr>,
}

/// What a compilation gives.
#[derive(Clone, Debug)]
pub enum PlironArtifact {
    /// For NVIDIA's cards.
    NvptxCode(NvptxModule),
    /// For others.
    Other,
}

impl Compiler for PlironCompiler {
    type Representation = PlironArtifact;
    type CompilationOptions = PlironOptions;

    fn buffer_io(_: &PlironArtifact) -> Option<Vec<BufferIOAttr>> {
        None
    }

    fn compile(
        &mut self,
        _: KernelDefinition,
        _: &PlironOptions,
    ) -> Result<PlironArtifact, CompilationError> {
        Err(CompilationError::Generic {
            reason: "this build has no LLVM: build with the feature cuda-cpp of cubecl".to_string(),
            backtrace: BackTrace::capture(),
        })
    }

    fn extension(&self) -> &'static str {
        "ll"
    }

    fn lang_tag(&self) -> &'static str {
        "ll"
    }
}

/// NVIDIA's cards.
pub mod nvptx {
    /// Versions of PTX.
    pub mod ptx_version {
        /// A version of PTX: 8.7 is 87.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct PtxVersion(u32);

        impl PtxVersion {
            /// None: nothing is compiled here.
            pub fn for_driver(_: i32) -> Option<Self> {
                None
            }
        }

        impl core::fmt::Display for PtxVersion {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "ptx{}", self.0)
            }
        }
    }
}

/// What the targets have in common.
pub mod shared {
    /// What a target can do.
    pub mod lowered_features {
        use cubecl_core::ir::DeviceProperties;

        /// A target.
        #[derive(Clone, Copy, Debug)]
        pub enum GpuTarget {
            /// PTX.
            Nvptx,
        }

        /// Does nothing: nothing is compiled here.
        pub fn restrict_features(_: &mut DeviceProperties, _: GpuTarget) {}
    }
}

impl core::fmt::Display for PlironArtifact {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("nothing")
    }
}
