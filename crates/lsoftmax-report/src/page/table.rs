//! The table of results.

use super::setting::{self, Setting};
use super::swatch;
use crate::column::{Better, COLUMNS, Column};
use crate::escape::{escape, put, unbroken};
use crate::group::{Group, groups, labels};
use crate::mean_std::MeanStd;
use crate::model::Report;
use crate::number::MISSING;

/// The columns of a table: settings in which the runs differ, and metrics that were measured.
struct Columns {
    settings: Vec<&'static Setting>,
    metrics: Vec<&'static Column>,
    with_seeds: bool,
}

impl Columns {
    fn new(report: &Report<'_>, groups: &[Group<'_>]) -> Self {
        let is_measured = |column: &&Column| {
            groups
                .iter()
                .any(|group| group.stat(column.number).is_some())
        };
        Self {
            settings: setting::varied(&report.runs),
            metrics: COLUMNS.iter().filter(is_measured).collect(),
            with_seeds: groups.iter().any(|group| group.runs.len() > 1),
        }
    }

    fn header(&self) -> String {
        let mut html = String::from("<th scope=\"col\">Loss</th>");
        for setting in &self.settings {
            put!(html, "<th scope=\"col\">{}</th>", setting.name);
        }
        for column in &self.metrics {
            put!(
                html,
                "<th scope=\"col\">{}<small>{}</small></th>",
                column.name,
                column.hint
            );
        }
        if self.with_seeds {
            html.push_str("<th scope=\"col\">Seeds</th>");
        }
        html
    }

    fn row(&self, group: &Group<'_>, groups: &[Group<'_>], labels: &[&str]) -> String {
        let mut html = row_heading(group, labels);
        for setting in &self.settings {
            put!(html, "<td>{}</td>", (setting.cell)(group.first()));
        }
        for column in &self.metrics {
            html.push_str(&cell(column, group, groups));
        }
        if self.with_seeds {
            put!(html, "<td>{}</td>", group.runs.len());
        }
        html
    }
}

pub(super) fn results(report: &Report<'_>) -> String {
    let groups = groups(&report.runs);
    if groups.is_empty() {
        // A model evaluated only on other classes.
        if report.open_set.is_some() {
            return String::new();
        }
        return "<p>There are no finished runs in this report.</p>\n".to_owned();
    }
    let labels = labels(report);
    let columns = Columns::new(report, &groups);
    let mut html = format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of results\">\
         <table class=\"results\"><thead><tr>{}</tr></thead><tbody>\n",
        columns.header()
    );
    for group in &groups {
        put!(html, "<tr>{}</tr>\n", columns.row(group, &groups, &labels));
    }
    html.push_str("</tbody></table></div>\n");
    html.push_str(&legend(groups.len() > 1, columns.with_seeds));
    html.push_str(&remarks(report));
    if columns.with_seeds {
        html.push_str(&every_run(report, &columns.metrics));
    }
    html
}

/// The heading of a row: mark, label, and number of diverged runs.
fn row_heading(group: &Group<'_>, labels: &[&str]) -> String {
    let index = labels.iter().position(|label| *label == group.label());
    let mut html = format!(
        "<th scope=\"row\">{}{}",
        swatch::series(index.unwrap_or(0)),
        unbroken(group.label())
    );
    if group.diverged() > 0 {
        let text = match (group.diverged(), group.runs.len()) {
            (_, 1) => "diverged".to_owned(),
            (dead, all) => format!("{dead} of {all} diverged"),
        };
        put!(html, " <span class=\"tag bad\">{text}</span>");
    }
    html.push_str("</th>");
    html
}

/// The lines under the table that explain it.
fn legend(is_comparison: bool, with_seeds: bool) -> String {
    let mut html = String::from("<p class=\"small\">");
    if is_comparison {
        html.push_str("<span class=\"tag best\">best</span> marks the best value of a column. ");
    }
    if with_seeds {
        html.push_str(
            "Mean ± standard deviation over the seeds; diverged runs are left out unless all \
             diverged. ",
        );
    }
    html.push_str("Test errors are computed from the logits without margin, λ and label.</p>\n");
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

fn written(column: &Column, stat: MeanStd) -> String {
    let mean = (column.write)(stat.mean);
    match stat.deviation {
        Some(deviation) if column.has_spread => {
            format!("{mean} <small>± {}</small>", (column.write)(deviation))
        }
        _ => mean,
    }
}

/// Whether no other group has a better displayed value. Equal ones are all best.
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

fn remarks(report: &Report<'_>) -> String {
    let mut html = String::new();
    for run in &report.runs {
        let remark = run.remark();
        if !remark.trim().is_empty() {
            put!(
                html,
                "<li><strong>{}</strong>, seed {}: {}</li>",
                escape(&run.label),
                run.seed,
                escape(remark.trim())
            );
        }
    }
    if html.is_empty() {
        html
    } else {
        format!("<ul class=\"remarks\">{html}</ul>\n")
    }
}

fn every_run(report: &Report<'_>, columns: &[&Column]) -> String {
    let mut html = String::from(
        "<details><summary>Every run</summary><div class=\"scroll\" tabindex=\"0\" \
         role=\"region\" aria-label=\"Table of every run\"><table><thead><tr>\
         <th scope=\"col\">Loss</th><th scope=\"col\">Seed</th>",
    );
    for column in columns {
        put!(html, "<th scope=\"col\">{}</th>", column.name);
    }
    html.push_str("</tr></thead><tbody>\n");
    for run in &report.runs {
        let tag = if run.diverged() {
            " <span class=\"tag bad\">diverged</span>"
        } else {
            ""
        };
        put!(
            html,
            "<tr><th scope=\"row\">{}{tag}</th><td>{}</td>",
            escape(&run.label),
            run.seed
        );
        for column in columns {
            put!(html, "<td>{}</td>", (column.write)((column.number)(run)));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div></details>\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Run;
    use crate::testing::tested;
    use lsoftmax_record::Divergence;

    fn table(runs: &[Run]) -> String {
        results(&Report {
            runs: runs.iter().collect(),
            ..Report::default()
        })
    }

    #[test]
    fn the_best_is_marked_in_words() {
        let mut runs = [tested("a", 2.0), tested("b", 1.0), tested("c", 0.1)];
        runs[2].outcome.divergence = Some(Divergence::Stuck);
        let html = table(&runs);
        assert_eq!(html.matches("<td class=\"best\">").count(), 1);
        assert!(html.contains("<strong>1.00</strong> <span class=\"tag best\">best</span>"));
        assert!(html.contains("diverged"));
    }

    #[test]
    fn equal_values_have_no_winner() {
        let html = table(&[tested("a", 1.0), tested("b", 1.001)]);
        assert!(!html.contains("td class=\"best\""));
    }

    #[test]
    fn seeds_have_a_spread() {
        let html = table(&[tested("a", 1.0), tested("a", 3.0), tested("<b>", f64::NAN)]);
        assert!(html.contains("2.00 <small>± 1.41</small>"));
        assert!(html.contains("<td>–</td>") && !html.contains("<b>") && !html.contains("NaN"));
    }
}
