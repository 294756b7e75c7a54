//! A run of **lsoftmax**, or several compared, as one self-contained HTML page.
//!
//! The page opens from disk with no network: inline pictures drawn here, inline styles, a
//! little inline script. It can be read in light and dark, on a phone and on a wide screen,
//! and every picture has a text alternative.
//!
//! Nothing here reads a run folder. A [`Run`] is an experiment with its recorded
//! [`Outcome`](lsoftmax_record::Outcome); a [`Report`] borrows the runs of a page.
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
//! [`curve_svg`], [`confusion_svg`], [`margin_plot`], [`annealing_plot`], or all those of a
//! report by [`pictures`]. The same code draws for the page and for the files.
//!
//! The metrics of a run are the list [`COLUMNS`], those on unseen classes [`OPEN_SET_COLUMNS`]: a
//! new one is a recorded field and an entry there. The figures of a training curve are the list
//! [`Quantity::ALL`].
//!
//! Numbers that are not finite are shown as "–" or "not finite", never drawn. A part that was not
//! measured is left out, or the page says so.

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
