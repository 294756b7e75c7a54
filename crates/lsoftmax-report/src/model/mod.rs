//! The contents of a page. Results are borrowed from the recorded types.

mod images;
mod open_set;
mod plots;
mod run;

pub use images::{ImageStrip, StripRow, Thumbnail};
pub use open_set::{OpenSetRow, OpenSetSection, by_label};
pub use plots::{AnnealingCurve, Boundary, MarginCurve};
pub use run::Run;

/// One run, or several compared.
///
/// Runs with the same [label](Run::label) belong together and have the same colour everywhere on
/// the page, in the order of first appearance. Every part may be empty; the page then says so or
/// omits the part.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report<'a> {
    /// The heading, such as "Softmax against L-Softmax on glyphs".
    pub title: String,
    /// The kind of the page for programs, such as "run" or "compare"; may be empty.
    pub kind: String,
    /// The command that made this report.
    pub command: String,
    /// The data in words, such as "glyphs, 20,000 training and 4,000 test images, 28x28".
    pub data: String,
    /// The time and the program that made the report, as displayed.
    pub created: String,
    /// The class names by label. A class without a name is shown as its number.
    pub class_names: Vec<String>,
    /// The runs of tables, curves, histograms and confusion matrices.
    pub runs: Vec<&'a Run>,
    /// The runs whose [frames](lsoftmax_record::Outcome::frames) are drawn. A run without frames is
    /// skipped.
    pub pictures: Vec<&'a Run>,
    /// Two class weights in their plane, one panel each.
    pub boundaries: Vec<Boundary>,
    /// Results on classes that were not trained on.
    pub open_set: Option<OpenSetSection<'a>>,
    /// Remarks, one paragraph each.
    pub notes: Vec<String>,
}
