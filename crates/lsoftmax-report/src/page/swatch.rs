//! Coloured marks in HTML, matching the legends of the pictures.

use crate::svg::shape;
use crate::theme;

/// The mark of a run.
pub(super) fn series(index: usize) -> String {
    swatch(&theme::series(index), &shape(index, (6.0, 6.0), 4.4))
}

/// The mark of a class.
pub(super) fn class(label: usize) -> String {
    let shape = shape(label / theme::CLASSES, (6.0, 6.0), 4.6);
    swatch(&theme::class(label), &shape)
}

fn swatch(colour: &str, shape: &str) -> String {
    format!(
        "<svg class=\"lsr swatch {colour}\" viewBox=\"0 0 12 12\" aria-hidden=\"true\">\
         <path class=\"mark\" d=\"{shape}\"/></svg>"
    )
}
