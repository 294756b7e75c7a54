//! Selection of devices by name.

use burn::tensor::{Device, Tensor};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;

/// The reason why a device cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// The name is not that of a device.
    #[error(
        "device must be cpu, auto, cuda, metal, vulkan or webgpu, the last four with :N for another \
         than the first, found {0:?}"
    )]
    Unknown(String),
    /// The program was built without support for this kind of device.
    #[error(
        "this build has no {name}: build one that has it with `cargo build --release -p lsoftmax-cli \
         --features {name}`"
    )]
    NotBuilt {
        /// The kind of device, which is also the name of the Cargo feature.
        name: &'static str,
    },
    /// The machine does not have this device.
    #[error("there is no device {device}; this machine has {found}")]
    Missing {
        /// The requested device.
        device: String,
        /// The devices of its kind on this machine.
        found: String,
    },
    /// The device does not work.
    #[error("the device {device} does not work: {message}")]
    Broken {
        /// The device.
        device: String,
        /// The message of its driver.
        message: String,
    },
}

/// A device by name: `cpu`, `vulkan`, `cuda:1`, or `auto`.
///
/// Like the number of threads, the device is not a setting of an experiment: both affect how a
/// model is trained, not which model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceChoice {
    kind: Kind,
    /// The index among several devices of the kind.
    index: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Auto,
    Cpu,
    Cuda,
    Metal,
    Vulkan,
    WebGpu,
}

impl Kind {
    const ALL: [Self; 6] = [
        Self::Auto,
        Self::Cpu,
        Self::Cuda,
        Self::Metal,
        Self::Vulkan,
        Self::WebGpu,
    ];
    /// The kinds that `auto` looks for, in order of preference.
    const PROCESSORS: [Self; 4] = [Self::Cuda, Self::Metal, Self::Vulkan, Self::WebGpu];

    /// The name of the kind, which is also the name of the Cargo feature.
    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
            Self::Metal => "metal",
            Self::Vulkan => "vulkan",
            Self::WebGpu => "webgpu",
        }
    }

    /// The devices of this kind on this machine, or `None` if the program was built without it.
    fn devices(self) -> Option<Vec<Device>> {
        #[cfg(feature = "_gpu")]
        use burn::tensor::DeviceType;
        match self {
            Self::Auto | Self::Cpu => Some(vec![Device::flex()]),
            #[cfg(feature = "cuda")]
            Self::Cuda => Some(Device::enumerate(DeviceType::Cuda).into_vec()),
            #[cfg(feature = "metal")]
            Self::Metal => Some(Device::enumerate(DeviceType::Metal).into_vec()),
            #[cfg(feature = "vulkan")]
            Self::Vulkan => Some(Device::enumerate(DeviceType::Vulkan).into_vec()),
            #[cfg(feature = "webgpu")]
            Self::WebGpu => Some(Device::enumerate(DeviceType::Wgpu).into_vec()),
            // Kinds that are not part of this build.
            #[allow(unreachable_patterns)]
            _ => None,
        }
    }
}

impl DeviceChoice {
    /// The CPU, which every build has.
    pub const CPU: Self = Self {
        kind: Kind::Cpu,
        index: 0,
    };

    /// Whether the device is chosen by [`resolve`](Self::resolve).
    pub fn is_auto(self) -> bool {
        self.kind == Kind::Auto
    }

    /// Replaces `auto` with the first working graphics processor, or with the CPU. Other choices
    /// are returned unchanged. Graphics drivers that compute on the CPU are skipped, because the
    /// CPU kernels are faster.
    #[must_use]
    pub fn resolve(self) -> Self {
        if !self.is_auto() {
            return self;
        }
        let found = Kind::PROCESSORS.into_iter().find_map(|kind| {
            let devices = kind.devices()?;
            let answers = |device: &Device| !is_software(device) && probe(device).is_ok();
            let index = devices.iter().position(answers)?;
            Some(Self { kind, index })
        });
        found.unwrap_or(Self::CPU)
    }

    /// Opens the device and tests it.
    ///
    /// # Errors
    /// The program was built without this kind of device, the device does not exist, or it does not
    /// work.
    pub fn open(self) -> Result<Device, DeviceError> {
        let choice = self.resolve();
        let name = choice.kind.name();
        let devices = choice
            .kind
            .devices()
            .ok_or(DeviceError::NotBuilt { name })?;
        let count = devices.len();
        let missing = || DeviceError::Missing {
            device: choice.to_string(),
            found: match count {
                0 => format!("no {name} device"),
                1 => format!("{name}:0"),
                _ => format!("{name}:0 to {name}:{}", count - 1),
            },
        };
        let device = devices.into_iter().nth(choice.index).ok_or_else(missing)?;
        probe(&device).map_err(|message| DeviceError::Broken {
            device: choice.to_string(),
            message,
        })?;
        Ok(device)
    }
}

/// Whether the device is a graphics processor, or a driver for one.
#[cfg(feature = "_gpu")]
pub fn is_graphics(device: &Device) -> bool {
    use burn::backend::DispatchDevice;
    let inner = device.clone().without_autodiff();
    matches!(inner.as_dispatch(), DispatchDevice::Cube(_))
}

/// Whether the device is a graphics processor: never, in a build without graphics backends.
#[cfg(not(feature = "_gpu"))]
pub fn is_graphics(_device: &Device) -> bool {
    false
}

/// Whether the device is an NVIDIA card used through CUDA.
#[cfg(feature = "cuda")]
pub(crate) fn is_cuda(device: &Device) -> bool {
    use burn::backend::{CubeDevice, DispatchDevice};
    let inner = device.clone().without_autodiff();
    matches!(
        inner.as_dispatch(),
        DispatchDevice::Cube(CubeDevice::Cuda(_))
    )
}

#[cfg(not(feature = "cuda"))]
pub(crate) fn is_cuda(_device: &Device) -> bool {
    false
}

/// Whether the device is a graphics driver that computes on the CPU.
#[cfg(any(feature = "metal", feature = "vulkan", feature = "webgpu"))]
fn is_software(device: &Device) -> bool {
    use burn::backend::{CubeDevice, DispatchDevice, WgpuDeviceKind};
    let DispatchDevice::Cube(CubeDevice::Wgpu(device)) = device.as_dispatch() else {
        return false;
    };
    device.kind == WgpuDeviceKind::Cpu
}

#[cfg(not(any(feature = "metal", feature = "vulkan", feature = "webgpu")))]
fn is_software(_device: &Device) -> bool {
    false
}

/// Checks Burn's default device. Burn loads the state of an optimiser on that device, which is a
/// graphics processor in a build that supports them, and moves it to the model's device at the next
/// step.
///
/// # Errors
/// The device does not work.
pub fn check_default_device() -> Result<(), DeviceError> {
    if !cfg!(feature = "_gpu") {
        return Ok(());
    }
    let default = || Tensor::<1>::ones([2], &Device::default());
    answer(default).map_err(|message| DeviceError::Broken {
        device: "on which Burn reads the optimiser's state".into(),
        message: format!("{message}; set BURN_DEVICE=flex in the environment"),
    })
}

/// Tests a device by adding two numbers.
fn probe(device: &Device) -> Result<(), String> {
    answer(|| Tensor::<1>::ones([2], device))
}

/// The sum of two ones, as a test. Broken drivers fail at the first call, and Burn panics then.
fn answer(ones: impl FnOnce() -> Tensor<1>) -> Result<(), String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let answer = catch_unwind(AssertUnwindSafe(|| {
        let sum = ones().sum().into_data();
        sum.iter::<f32>().next()
    }));
    std::panic::set_hook(hook);
    match answer {
        Ok(Some(2.0)) => Ok(()),
        Ok(other) => Err(format!("1 + 1 gave {other:?}")),
        Err(panic) => Err(panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .and_then(|message| message.lines().next())
            .unwrap_or("it does not answer")
            .to_owned()),
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Auto | Kind::Cpu => f.write_str(self.kind.name()),
            kind => write!(f, "{}:{}", kind.name(), self.index),
        }
    }
}

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || DeviceError::Unknown(text.to_owned());
        let (name, index) = match text.split_once(':') {
            Some((name, index)) => (name, Some(index.parse().map_err(|_| wrong())?)),
            None => (text, None),
        };
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == name);
        match (kind, index) {
            (None, _) | (Some(Kind::Auto | Kind::Cpu), Some(_)) => Err(wrong()),
            (Some(kind), index) => Ok(Self {
                kind,
                index: index.unwrap_or(0),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written() {
        for (text, written) in [
            ("cpu", "cpu"),
            ("auto", "auto"),
            ("cuda", "cuda:0"),
            ("vulkan:3", "vulkan:3"),
        ] {
            let choice: DeviceChoice = text.parse().unwrap();
            assert_eq!(choice.to_string(), written);
        }
        for wrong in [
            "", "gpu", "cpu:1", "auto:0", "cuda:", "cuda:-1", "cuda:x", "CUDA",
        ] {
            let error = wrong.parse::<DeviceChoice>().unwrap_err().to_string();
            assert!(error.contains(&format!("{wrong:?}")), "{error}");
        }
    }

    #[test]
    fn the_cpu_is_always_there() {
        assert_eq!(DeviceChoice::CPU.open().unwrap(), Device::flex());
    }

    #[test]
    fn a_device_that_is_not_there_is_no_panic() {
        for name in ["cuda:99", "metal:99", "vulkan:99", "webgpu:99"] {
            let choice: DeviceChoice = name.parse().unwrap();
            let error = choice.open().unwrap_err();
            let message = error.to_string();
            let feature = name.trim_end_matches(":99");
            match error {
                DeviceError::NotBuilt { .. } => {
                    assert!(
                        message.contains(&format!("--features {feature}")),
                        "{message}"
                    );
                }
                DeviceError::Missing { .. } => assert!(message.contains(name), "{message}"),
                _ => panic!("{message}"),
            }
        }
    }

    #[test]
    fn auto_finds_something() {
        let auto: DeviceChoice = "auto".parse().unwrap();
        let found = auto.resolve();
        assert!(!found.is_auto());
        assert!(!is_software(&found.open().unwrap()));
    }
}
