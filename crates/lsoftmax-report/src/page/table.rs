//! The table of results.

use super::head::common;
use crate::escape::{escape, put, unbroken};
use crate::group::{Group, Stat, groups, labels};
use crate::model::{Report, RunSummary};
use crate::number::{MISSING, fixed, grouped, significant};
use crate::svg::shape;
use crate::theme;

/// Which end of a column is the better one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Better {
    Lower,
    Higher,
    Neither,
}

struct Column {
    name: &'static str,
    hint: &'static str,
    better: Better,
    /// Whether its spread over the seeds says anything.
    has_spread: bool,
    number: fn(&RunSummary) -> f64,
    write: fn(f64) -> String,
}

const COLUMNS: [Column; 8] = [
    Column {
        name: "Test error",
        hint: "per cent, without margin",
        better: Better::Lower,
        has_spread: true,
        number: |row| row.test_error_percent,
        write: |value| fixed(value, 2),
    },
    Column {
        name: "Train error",
        hint: "per cent",
        better: Better::Neither,
        has_spread: true,
        number: |row| row.train_error_percent.unwrap_or(f64::NAN),
        write: |value| fixed(value, 2),
    },
    Column {
        name: "Target angle",
        hint: "mean, degrees",
        better: Better::Lower,
        has_spread: true,
        number: |row| row.mean_target_angle_deg,
        write: |value| fixed(value, 1),
    },
    Column {
        name: "Class angle",
        hint: "smallest, degrees",
        better: Better::Higher,
        has_spread: true,
        number: |row| row.min_class_angle_deg,
        write: |value| fixed(value, 1),
    },
    Column {
        name: "Feature norm",
        hint: "mean",
        better: Better::Neither,
        has_spread: true,
        number: |row| row.mean_feature_norm,
        write: significant,
    },
    Column {
        name: "Final λ",
        hint: "0: all margin",
        better: Better::Neither,
        has_spread: false,
        number: |row| row.final_lambda.unwrap_or(f64::NAN),
        write: significant,
    },
    Column {
        name: "Time",
        hint: "training",
        better: Better::Neither,
        has_spread: false,
        number: |row| row.seconds,
        write: duration,
    },
    Column {
        name: "Images/s",
        hint: "training",
        better: Better::Neither,
        has_spread: false,
        number: |row| row.images_per_second,
        write: |value| {
            if (1000.0..1e15).contains(&value) {
                grouped(value.round() as u64)
            } else {
                significant(value)
            }
        },
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

/// The mark of a series before its name, as in the legends.
pub(super) fn series_mark(index: usize) -> String {
    format!(
        "<svg class=\"lsr swatch {}\" viewBox=\"0 0 12 12\" aria-hidden=\"true\">\
         <path class=\"mark\" d=\"{}\"/></svg>",
        theme::series(index),
        shape(index, (6.0, 6.0), 4.4)
    )
}

pub(super) fn results(report: &Report) -> String {
    let groups = groups(&report.rows);
    if groups.is_empty() {
        // A model by itself, on other classes.
        if report.open_set.is_some() {
            return String::new();
        }
        return "<p>There are no finished runs in this report.</p>\n".to_owned();
    }
    let labels = labels(report);
    let said = common(&report.rows);
    let varies = |name: &str| !said.iter().any(|(common, _)| *common == name);
    let columns: Vec<&Column> = COLUMNS
        .iter()
        .filter(|column| {
            groups
                .iter()
                .any(|group| group.stat(column.number).is_some())
        })
        .collect();
    let with = [
        (
            "Network",
            varies("Network") && report.rows.iter().any(|row| !row.network.is_empty()),
        ),
        (
            "Feature",
            varies("Feature") && report.rows.iter().any(|row| row.feature > 0),
        ),
        (
            "Iterations",
            varies("Iterations") && report.rows.iter().any(|row| row.iterations > 0),
        ),
        ("Seeds", groups.iter().any(|group| group.rows.len() > 1)),
    ];

    let mut html = String::from(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of results\">\
         <table class=\"results\"><thead><tr><th scope=\"col\">Loss</th>",
    );
    for (name, _) in with[..3].iter().filter(|(_, shown)| *shown) {
        put!(html, "<th scope=\"col\">{name}</th>");
    }
    for column in &columns {
        put!(
            html,
            "<th scope=\"col\">{}<small>{}</small></th>",
            column.name,
            column.hint
        );
    }
    if with[3].1 {
        html.push_str("<th scope=\"col\">Seeds</th>");
    }
    html.push_str("</tr></thead><tbody>\n");
    for group in &groups {
        let first = group.first();
        let index = labels
            .iter()
            .position(|label| *label == group.label())
            .unwrap_or(0);
        put!(
            html,
            "<tr><th scope=\"row\">{}{}",
            series_mark(index),
            unbroken(group.label())
        );
        if group.diverged() > 0 {
            let text = match (group.diverged(), group.rows.len()) {
                (_, 1) => "diverged".to_owned(),
                (dead, all) => format!("{dead} of {all} diverged"),
            };
            put!(html, " <span class=\"tag bad\">{text}</span>");
        }
        html.push_str("</th>");
        let settings = [
            escape(&first.network),
            first.feature.to_string(),
            grouped(first.iterations as u64),
        ];
        for (value, _) in settings.iter().zip(&with).filter(|(_, (_, shown))| *shown) {
            put!(html, "<td>{value}</td>");
        }
        for column in &columns {
            html.push_str(&cell(column, group, &groups));
        }
        if with[3].1 {
            put!(html, "<td>{}</td>", group.rows.len());
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    if groups.len() > 1 {
        html.push_str(
            "<p class=\"small\"><span class=\"tag best\">best</span> marks the best value of a \
             column. ",
        );
    } else {
        html.push_str("<p class=\"small\">");
    }
    if with[3].1 {
        html.push_str(
            "Mean ± standard deviation over the seeds; runs that diverged are left out where \
             others did not. ",
        );
    }
    html.push_str("Test error is that of the logits without margin, λ and label.</p>\n");
    html.push_str(&remarks(report));
    if with[3].1 {
        html.push_str(&every_run(report, &columns));
    }
    html
}

fn cell(column: &Column, group: &Group<'_>, groups: &[Group<'_>]) -> String {
    let Some(stat) = group.stat(column.number) else {
        return format!("<td>{MISSING}</td>");
    };
    let text = written(column, stat);
    if is_best(column, group, groups) {
        format!(
            "<td class=\"best\"><strong>{text}</strong> <span class=\"tag best\">best</span></td>"
        )
    } else {
        format!("<td>{text}</td>")
    }
}

fn written(column: &Column, stat: Stat) -> String {
    let mean = (column.write)(stat.mean);
    match stat.deviation {
        Some(deviation) if column.has_spread => {
            format!("{mean} <small>± {}</small>", (column.write)(deviation))
        }
        _ => mean,
    }
}

/// Whether no other group is better, as written; equal ones are all best.
fn is_best(column: &Column, group: &Group<'_>, groups: &[Group<'_>]) -> bool {
    let value = |group: &Group<'_>| {
        let counts = column.better != Better::Neither && !group.all_diverged();
        counts
            .then(|| group.stat(column.number))
            .flatten()
            .map(|stat| stat.mean)
    };
    let values: Vec<f64> = groups.iter().filter_map(value).collect();
    let best = match column.better {
        Better::Lower => values.iter().copied().min_by(f64::total_cmp),
        Better::Higher => values.iter().copied().max_by(f64::total_cmp),
        Better::Neither => None,
    };
    let write = column.write;
    values.len() > 1
        && best
            .zip(value(group))
            .is_some_and(|(best, own)| write(best) == write(own))
        && values
            .iter()
            .any(|other| write(*other) != write(best.unwrap_or(*other)))
}

fn remarks(report: &Report) -> String {
    let mut html = String::new();
    for row in report
        .rows
        .iter()
        .filter(|row| !row.remark.trim().is_empty())
    {
        put!(
            html,
            "<li><strong>{}</strong>, seed {}: {}</li>",
            escape(&row.label),
            row.seed,
            escape(row.remark.trim())
        );
    }
    if html.is_empty() {
        html
    } else {
        format!("<ul class=\"remarks\">{html}</ul>\n")
    }
}

fn every_run(report: &Report, columns: &[&Column]) -> String {
    let mut html = String::from(
        "<details><summary>Every run</summary><div class=\"scroll\" tabindex=\"0\" \
         role=\"region\" aria-label=\"Table of every run\"><table><thead><tr>\
         <th scope=\"col\">Loss</th><th scope=\"col\">Seed</th>",
    );
    for column in columns {
        put!(html, "<th scope=\"col\">{}</th>", column.name);
    }
    html.push_str("</tr></thead><tbody>\n");
    for row in &report.rows {
        let tag = if row.diverged {
            " <span class=\"tag bad\">diverged</span>"
        } else {
            ""
        };
        put!(
            html,
            "<tr><th scope=\"row\">{}{tag}</th><td>{}</td>",
            escape(&row.label),
            row.seed
        );
        for column in columns {
            put!(html, "<td>{}</td>", (column.write)((column.number)(row)));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div></details>\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: &str, error: f64) -> RunSummary {
        RunSummary {
            label: label.to_owned(),
            test_error_percent: error,
            ..RunSummary::default()
        }
    }

    #[test]
    fn the_best_is_marked_in_words() {
        let mut rows = vec![row("a", 2.0), row("b", 1.0), row("c", 0.1)];
        rows[2].diverged = true;
        let html = results(&Report {
            rows,
            ..Report::default()
        });
        assert_eq!(html.matches("<td class=\"best\">").count(), 1);
        assert!(html.contains("<strong>1.00</strong> <span class=\"tag best\">best</span>"));
        assert!(html.contains("diverged"));
    }

    #[test]
    fn equal_values_have_no_winner() {
        let rows = vec![row("a", 1.0), row("b", 1.001)];
        assert!(
            !results(&Report {
                rows,
                ..Report::default()
            })
            .contains("td class=\"best\"")
        );
    }

    #[test]
    fn seeds_have_a_spread() {
        let rows = vec![row("a", 1.0), row("a", 3.0), row("<b>", f64::NAN)];
        let html = results(&Report {
            rows,
            ..Report::default()
        });
        assert!(html.contains("2.00 <small>± 1.41</small>"));
        assert!(html.contains("<td>–</td>") && !html.contains("<b>") && !html.contains("NaN"));
    }

    #[test]
    fn times_read_well() {
        assert_eq!(duration(12.34), "12.3 s");
        assert_eq!(duration(75.0), "1 min 15 s");
        assert_eq!(duration(7_300.0), "2 h 01 min");
        assert_eq!(duration(f64::NAN), "–");
        assert_eq!(duration(-1.0), "–");
    }
}
