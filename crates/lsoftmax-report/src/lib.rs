//! A run of **lsoftmax**, or several compared, as one self-contained HTML page.
//!
//! The page opens from disk with no network: inline pictures drawn here, inline styles, a
//! little inline script. It can be read in light and dark, on a phone and on a wide screen,
//! and every picture has a text alternative. Nothing here reads a run folder: the caller
//! fills in a [`Report`], plain data with serde, and gets text back.
//!
//! ```
//! use lsoftmax_report::{Report, RunSummary, page};
//!
//! let report = Report {
//!     title: "Softmax against L-Softmax".to_owned(),
//!     rows: vec![RunSummary {
//!         loss: "softmax".to_owned(),
//!         label: "Softmax".to_owned(),
//!         test_error_percent: 2.4,
//!         mean_target_angle_deg: 38.0,
//!         ..RunSummary::default()
//!     }],
//!     ..Report::default()
//! };
//! assert!(page(&report).contains("Softmax ends with 2.40 % test error"));
//! ```
//!
//! Each picture is also to be had as a file of its own: [`feature_svg`], [`histogram_svg`],
//! [`curve_svg`], [`confusion_svg`], [`margin_plot`], [`annealing_plot`], or all those of a
//! report by [`pictures`]. The same code draws for the page and for the files.
//!
//! Numbers that are not finite are shown as "–" or "not finite", never drawn; what was not
//! measured is left out, or the page says so.

mod boundary;
mod chart;
mod confusion;
mod curves;
mod doubt;
mod error;
mod escape;
mod feature;
mod group;
mod headline;
mod histogram;
mod json;
mod margin;
mod model;
mod number;
mod open_set;
mod page;
mod scale;
mod standalone;
mod svg;
mod theme;

pub use boundary::boundary_plot;
pub use curves::Quantity;
pub use doubt::doubts;
pub use error::ReportError;
pub use headline::headline;
pub use margin::{annealing_plot, margin_plot};
pub use model::{
    AnnealingCurve, Boundary, CurvePoint, FeatureFrame, FeaturePicture, Histogram, MarginCurve,
    Report, RunDetail, RunSummary,
};
pub use open_set::{
    ImageStrip, OpenSetRow, OpenSetSection, RocCurve, ScoreHistogram, StripRow, Thumbnail,
};
pub use page::{KIND_META, figure_page, kind_mark, page};
pub use standalone::{confusion_svg, curve_svg, feature_svg, histogram_svg, pictures};
