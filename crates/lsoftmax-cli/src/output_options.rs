use lsoftmax_train::DeviceChoice;

/// The output options that all commands share.
#[derive(Clone, Copy)]
pub(crate) struct OutputOptions {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) device: DeviceChoice,
}
