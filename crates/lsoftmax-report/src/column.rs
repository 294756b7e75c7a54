//! The metrics of a run: the columns of the table on the page and in a terminal, and the keys of
//! JSON. A new metric is one entry of [`COLUMNS`].

use crate::mean_std::MeanStd;
use crate::model::{OpenSetRow, Run};
use crate::number::{MISSING, fixed, grouped, significant};

/// Whether small or large values of a column are better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Better {
    Lower,
    Higher,
    Neither,
}

/// The format of a column in a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalColumn {
    /// The heading.
    pub heading: &'static str,
    /// Digits after the point.
    pub digits: usize,
    /// The unit after the number, with a leading space if needed.
    pub unit: &'static str,
}

/// A metric of a [`Run`].
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The key in JSON.
    pub key: &'static str,
    /// The value of a run; NaN if it was not measured.
    pub number: fn(&Run) -> f64,
    /// The column in a terminal; `None` if it is not shown there.
    pub terminal: Option<TerminalColumn>,
    /// The heading on the page.
    pub(crate) name: &'static str,
    /// The second line of the heading.
    pub(crate) hint: &'static str,
    pub(crate) better: Better,
    /// Whether the deviation over the seeds is shown.
    pub(crate) has_spread: bool,
    /// Formats a value for the page.
    pub(crate) write: fn(f64) -> String,
}

const fn terminal(heading: &'static str, digits: usize, unit: &'static str) -> TerminalColumn {
    TerminalColumn {
        heading,
        digits,
        unit,
    }
}

/// The metrics of a run, in the order of the tables.
pub const COLUMNS: [Column; 8] = [
    Column {
        key: "test_error_percent",
        number: |run| run.outcome.evaluation.error_percent,
        terminal: Some(terminal("test error", 2, " %")),
        name: "Test error",
        hint: "per cent, without margin",
        better: Better::Lower,
        has_spread: true,
        write: |value| fixed(value, 2),
    },
    Column {
        key: "train_error_percent",
        number: |run| run.outcome.train_evaluation.error_percent,
        terminal: None,
        name: "Train error",
        hint: "per cent",
        better: Better::Neither,
        has_spread: true,
        write: |value| fixed(value, 2),
    },
    Column {
        key: "mean_target_angle_deg",
        number: |run| run.outcome.evaluation.mean_target_angle_deg,
        terminal: Some(terminal("target angle", 1, "°")),
        name: "Target angle",
        hint: "mean, degrees",
        better: Better::Lower,
        has_spread: true,
        write: |value| fixed(value, 1),
    },
    Column {
        key: "min_class_angle_deg",
        number: |run| run.outcome.evaluation.min_class_angle_deg,
        terminal: Some(terminal("class angle", 1, "°")),
        name: "Class angle",
        hint: "smallest, degrees",
        better: Better::Higher,
        has_spread: true,
        write: |value| fixed(value, 1),
    },
    Column {
        key: "mean_feature_norm",
        number: |run| run.outcome.evaluation.mean_feature_norm,
        terminal: Some(terminal("feature norm", 2, "")),
        name: "Feature norm",
        hint: "mean",
        better: Better::Neither,
        has_spread: true,
        write: significant,
    },
    Column {
        key: "lambda",
        number: |run| run.lambda().unwrap_or(f64::NAN),
        terminal: Some(terminal("λ", 3, "")),
        name: "Final λ",
        hint: "0: full margin",
        better: Better::Neither,
        has_spread: false,
        write: significant,
    },
    Column {
        key: "seconds",
        number: |run| run.outcome.seconds,
        terminal: Some(terminal("seconds", 1, "")),
        name: "Time",
        hint: "training",
        better: Better::Neither,
        has_spread: false,
        write: duration,
    },
    Column {
        key: "images_per_second",
        number: |run| run.outcome.images_per_second,
        terminal: Some(terminal("images/s", 0, "")),
        name: "Images/s",
        hint: "training",
        better: Better::Neither,
        has_spread: false,
        write: rate,
    },
];

fn duration(seconds: f64) -> String {
    if !(0.0..1e9).contains(&seconds) {
        return MISSING.to_owned();
    }
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{} s", fixed(seconds, 1)),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

fn rate(value: f64) -> String {
    if (1000.0..1e15).contains(&value) {
        grouped(value.round() as u64)
    } else {
        significant(value)
    }
}

/// A metric on classes that were not trained on.
#[derive(Clone, Copy, Debug)]
pub struct OpenSetColumn {
    /// The heading.
    pub name: &'static str,
    /// The value of a row; `None` if it was not measured.
    pub number: fn(&OpenSetRow<'_>) -> Option<f64>,
    /// The column in a terminal; `None` if it is not shown there.
    pub terminal: Option<TerminalColumn>,
    /// The second line of the heading on the page, and the number of digits; `None` if the column
    /// is not on the page.
    pub(crate) page: Option<(&'static str, usize)>,
}

impl OpenSetColumn {
    /// Mean and deviation of the measured values; `None` without any.
    pub fn stat(&self, rows: &[&OpenSetRow<'_>]) -> Option<MeanStd> {
        MeanStd::of(rows.iter().filter_map(|row| (self.number)(row)))
    }

    /// Formats a value for the page.
    pub(crate) fn written(&self, stat: Option<MeanStd>) -> String {
        let digits = self.page.map_or(2, |(_, digits)| digits);
        match stat {
            None => MISSING.to_owned(),
            Some(stat) => match stat.deviation {
                None => fixed(stat.mean, digits),
                Some(deviation) => {
                    format!(
                        "{} ± {}",
                        fixed(stat.mean, digits),
                        fixed(deviation, digits)
                    )
                }
            },
        }
    }
}

/// A column in per cent, in the terminal and on the page.
const fn percent(
    name: &'static str,
    hint: &'static str,
    number: fn(&OpenSetRow<'_>) -> Option<f64>,
) -> OpenSetColumn {
    OpenSetColumn {
        name,
        number,
        terminal: Some(terminal(name, 2, " %")),
        page: Some((hint, 2)),
    }
}

/// The column that the headline compares.
pub(crate) const ACCURACY: OpenSetColumn = percent("Accuracy", "pairs, %", |row| {
    Some(row.verification.accuracy_percent)
});

/// The metrics on classes that were not trained on, in the order of the tables.
pub const OPEN_SET_COLUMNS: [OpenSetColumn; 11] = [
    OpenSetColumn {
        terminal: Some(terminal("accuracy", 2, " %")),
        ..ACCURACY
    },
    percent("TAR at 1e-2", "of same pairs, %", |row| {
        row.verification.tar_percent(1e-2)
    }),
    percent("TAR at 1e-3", "of same pairs, %", |row| {
        row.verification.tar_percent(1e-3)
    }),
    percent("EER", "%", |row| Some(row.verification.eer_percent)),
    OpenSetColumn {
        name: "AUC",
        number: |row| Some(row.verification.auc),
        terminal: Some(terminal("AUC", 4, "")),
        page: None,
    },
    percent("Recall@1", "nearest image, %", |row| {
        row.classes?.recall_at_1_percent()
    }),
    percent("MAP@R", "all of a class, %", |row| {
        Some(100.0 * row.classes?.retrieval.map_at_r)
    }),
    OpenSetColumn {
        terminal: None,
        ..percent("Rank 1", "enrolled classes, %", |row| {
            row.classes?.identification.as_ref()?.rank_1_percent()
        })
    },
    OpenSetColumn {
        terminal: None,
        ..percent("TPIR at 1e-2", "of mated probes, %", |row| {
            row.classes?.identification.as_ref()?.tpir_percent(1e-2)
        })
    },
    OpenSetColumn {
        name: "NMI",
        number: |row| row.classes?.nmi,
        terminal: Some(terminal("NMI", 4, "")),
        page: Some(("k-means, 0 to 1", 3)),
    },
    OpenSetColumn {
        name: "AMI",
        number: |row| row.classes?.ami,
        terminal: None,
        page: Some(("less chance", 3)),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_well() {
        assert_eq!(duration(12.34), "12.3 s");
        assert_eq!(duration(75.0), "1 min 15 s");
        assert_eq!(duration(7_300.0), "2 h 01 min");
        assert_eq!(duration(f64::NAN), "–");
        assert_eq!(duration(-1.0), "–");
    }
}
