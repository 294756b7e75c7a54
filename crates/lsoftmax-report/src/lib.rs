//! A run of **lsoftmax**, or several compared, as one self-contained HTML page.
//!
//! The page opens from disk and needs no network: pictures, styles and a short script are inline.
//! It is readable in light and dark mode, on phones and on wide screens, and every picture has a
//! text alternative.
//!
//! This crate does not read run folders. A [`Run`] is an experiment with its recorded
//! [`Outcome`](lsoftmax_record::Outcome), and a [`Report`] borrows the runs of a page.
//!
//! ```
//! use lsoftmax_record::{Evaluation, Experiment, Outcome, Settings};
//! use lsoftmax_report::{Report, Run, page};
//!
//! let settings = Settings { loss: Some("softmax".into()), ..Settings::default() };
//! let experiment = Experiment::resolve(settings, Settings::default())?;
//! let outcome = Outcome {
//!     evaluation: Evaluation { error_percent: 2.4, ..Evaluation::default() },
//!     ..Outcome::default()
//! };
//! let run = Run::new(&experiment, outcome);
//! let report = Report {
//!     title: "Softmax against L-Softmax".to_owned(),
//!     runs: vec![&run],
//!     ..Report::default()
//! };
//! assert!(page(&report).contains("softmax ends with 2.40 % test error"));
//! # Ok::<(), lsoftmax_record::RecordError>(())
//! ```
//!
//! Each picture is also available as a standalone SVG: [`feature_svg`], [`histogram_svg`],
//! [`curve_svg`], [`confusion_svg`], [`margin_plot`] and [`annealing_plot`], or with [`pictures`]
//! all those of a report. Pages and files are drawn by the same code.
//!
//! The metrics of a run are listed in [`COLUMNS`], those on unseen classes in [`OPEN_SET_COLUMNS`].
//! A new metric is a recorded field and an entry there. The figures of a training curve are listed
//! in [`Quantity::ALL`].
//!
//! Numbers that are not finite are shown as "–" or "not finite" and never drawn. Parts without
//! measurements are left out, or the page says that they are missing.

mod boundaries;
mod boundary;
mod chart;
mod class_name;
mod column;
mod compose;
mod confusion;
mod curves;
mod distinct;
mod doubt;
mod escape;
mod feature;
mod group;
mod headline;
mod histogram;
mod margin;
mod mean_std;
mod model;
mod number;
mod open_set;
mod page;
mod row;
mod scale;
mod slug;
mod standalone;
mod svg;
#[cfg(test)]
mod testing;
mod theme;

pub use boundaries::boundaries;
pub use boundary::boundary_plot;
pub use column::{COLUMNS, Column, OPEN_SET_COLUMNS, OpenSetColumn, TerminalColumn};
pub use compose::{COMPARISON, FIGURES, RUN, open_set_rows};
pub use curves::Quantity;
pub use doubt::doubts;
pub use headline::headline;
pub use histogram::AngleHistogram;
pub use margin::{annealing_plot, margin_plot};
pub use mean_std::MeanStd;
pub use model::{
    AnnealingCurve, Boundary, ImageStrip, MarginCurve, OpenSetRow, OpenSetSection, Report, Run,
    StripRow, Thumbnail, by_label,
};
pub use open_set::{open_set_about, open_set_caveats, same_names_clause};
pub use page::{KIND_META, figure_page, kind_mark, page};
pub use row::Row;
pub use slug::slug;
pub use standalone::{confusion_svg, curve_svg, feature_svg, histogram_svg, pictures};
