use lsoftmax_train::DeviceChoice;

/// The options that all verbs share.
#[derive(Clone, Copy)]
pub(crate) struct OutputOptions {
    pub(crate) json: bool,
    pub(crate) quiet: bool,
    pub(crate) device: DeviceChoice,
}
