//! The part of the page: a table, pictures, images.

use super::{OpenSetRow, OpenSetSection, Rates, curve, scores, strip};
use crate::doubt::within_spread;
use crate::escape::{escape, put, unbroken};
use crate::group::{Stat, distinct};
use crate::model::Report;
use crate::number::{MISSING, fixed};
use crate::svg::Svg;

/// A column: its name, its hint, its digits, and its number in a row.
type Column = (&'static str, &'static str, usize, fn(&OpenSetRow) -> f64);

const COLUMNS: [Column; 10] = [
    ("Accuracy", "pairs, %", 2, |row| row.accuracy_percent),
    ("TAR at 1e-2", "of same pairs, %", 2, |row| {
        row.tar_at_1e2_percent
    }),
    ("TAR at 1e-3", "of same pairs, %", 2, |row| {
        row.tar_at_1e3_percent
    }),
    ("EER", "%", 2, |row| row.eer_percent),
    ("Recall@1", "nearest image, %", 2, |row| {
        row.recall_at_1_percent
    }),
    ("MAP@R", "all of a class, %", 2, |row| row.map_at_r_percent),
    ("Rank 1", "of the enrolled, %", 2, |row| row.rank_1_percent),
    ("TPIR at 1e-2", "and not a stranger, %", 2, |row| {
        row.tpir_at_1e2_percent
    }),
    ("NMI", "k-means, 0 to 1", 3, |row| row.nmi),
    ("AMI", "less chance", 3, |row| row.ami),
];

/// A number of the runs of a label, over the seeds.
fn stat(open_set: &OpenSetSection, label: &str, number: fn(&OpenSetRow) -> f64) -> Option<Stat> {
    let rows = open_set.rows.iter().filter(|row| row.label == label);
    Stat::of(rows.map(number))
}

fn written(stat: Option<Stat>, digits: usize) -> String {
    match stat {
        None => MISSING.to_owned(),
        Some(Stat {
            mean,
            deviation: None,
            ..
        }) => fixed(mean, digits),
        Some(Stat {
            mean,
            deviation: Some(deviation),
            ..
        }) => format!("{} ± {}", fixed(mean, digits), fixed(deviation, digits)),
    }
}

/// Which loss verifies best, in a sentence; nothing without rows.
pub(crate) fn headline(open_set: &OpenSetSection) -> String {
    let labels = distinct(open_set.rows.iter().map(|row| row.label.as_str()));
    let accuracy = |label: &str| stat(open_set, label, |row| row.accuracy_percent);
    let best = labels
        .iter()
        .filter_map(|label| Some((*label, accuracy(label)?)))
        .max_by(|a, b| a.1.mean.total_cmp(&b.1.mean));
    let Some((best, found)) = best else {
        return String::new();
    };
    let mut text = format!(
        "On classes never trained on, {best} verifies best: {} % of the pairs",
        written(Some(found), 2)
    );
    if let [_] = labels[..] {
        return format!(
            "On classes never trained on, {best} judges {} % of the pairs right.",
            written(Some(found), 2)
        );
    }
    let softmax = labels
        .iter()
        .find(|label| label.eq_ignore_ascii_case("softmax") && **label != best);
    let Some((softmax, theirs)) = softmax.and_then(|label| Some((label, accuracy(label)?))) else {
        text.push('.');
        return text;
    };
    put!(text, ", {softmax} {} %.", written(Some(theirs), 2));
    if within_spread(found, theirs) {
        text.push_str(" The difference is within the spread of the seeds.");
    } else if (found.count, theirs.count) == (1, 1) {
        let error = |label: &str| {
            let rows = open_set.rows.iter().filter(|row| row.label == label);
            rows.map(|row| row.standard_error_percent).next()
        };
        // A comparison with NaN is false: an error that is not known raises no doubt.
        if let (Some(a), Some(b)) = (error(best), error(softmax))
            && (found.mean - theirs.mean).abs() <= a.hypot(b)
        {
            text.push_str(
                " With one seed each, the difference is within the error over the folds.",
            );
        }
    }
    text
}

fn figure(svg: &Svg) -> String {
    format!("<figure class=\"card\">{}</figure>\n", svg.inline())
}

pub(crate) fn section(report: &Report, labels: &[&str]) -> String {
    let Some(open_set) = &report.open_set else {
        return String::new();
    };
    let mut html = format!("<p>{}</p>\n", escape(&open_set.about));
    html.push_str(&table(open_set));
    if !open_set.curves.is_empty() {
        html.push_str(
            "<p class=\"small\">Two images count as one class where the cosine of their embeddings \
             reaches a threshold. Each threshold accepts a share of the different pairs (false \
             accept rate, FAR) and of the same pairs (true accept rate, TAR): the ROC shows all of \
             them. The DET curve shows the same errors on axes that spread small rates; FRR is what \
             is missing in TAR. One line a loss, of its first seed.</p>\n<div class=\"grid two\">\n",
        );
        for rates in Rates::ALL {
            html.push_str(&figure(&curve::draw(rates, &open_set.curves, labels, true)));
        }
        html.push_str("</div>\n");
    }
    let first: Vec<_> = labels
        .iter()
        .filter_map(|label| open_set.scores.iter().find(|scores| scores.label == *label))
        .collect();
    if !first.is_empty() {
        html.push_str("<h3>Cosines of pairs</h3>\n<div class=\"grid three\">\n");
        for scores in first {
            html.push_str(&figure(&scores::draw(scores)));
        }
        html.push_str("</div>\n");
    }
    for images in &open_set.strips {
        html.push_str(&strip::strip(images));
    }
    html
}

fn table(open_set: &OpenSetSection) -> String {
    let labels = distinct(open_set.rows.iter().map(|row| row.label.as_str()));
    if labels.is_empty() {
        return String::new();
    }
    let mut html = String::from(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Table of the open set\">\
         <table class=\"results\"><thead><tr><th scope=\"col\">Loss</th>",
    );
    for (name, hint, ..) in COLUMNS {
        put!(html, "<th scope=\"col\">{name}<small>{hint}</small></th>");
    }
    html.push_str("</tr></thead><tbody>\n");
    for label in &labels {
        put!(html, "<tr><th scope=\"row\">{}</th>", unbroken(label));
        for (_, _, digits, number) in COLUMNS {
            let stat = stat(open_set, label, number);
            put!(html, "<td>{}</td>", written(stat, digits));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    fn say(rows: &[(&str, f64, f64)]) -> String {
        let row =
            |&(label, accuracy_percent, standard_error_percent): &(&str, f64, f64)| OpenSetRow {
                label: label.to_owned(),
                accuracy_percent,
                standard_error_percent,
                ..OpenSetRow::default()
            };
        headline(&OpenSetSection {
            rows: rows.iter().map(row).collect(),
            ..OpenSetSection::default()
        })
    }

    #[test]
    fn the_best_is_named_with_its_doubt() {
        assert_eq!(say(&[]), "");
        assert_eq!(
            say(&[("L", 93.0, 0.4)]),
            "On classes never trained on, L judges 93.00 % of the pairs right."
        );
        let clear = say(&[("Softmax", 92.0, 0.3), ("L", 93.0, 0.4)]);
        assert!(
            clear.ends_with("L verifies best: 93.00 % of the pairs, Softmax 92.00 %."),
            "{clear}"
        );
        let folds = say(&[("Softmax", 92.6, 0.3), ("L", 93.0, 0.4)]);
        assert!(
            folds.ends_with("within the error over the folds."),
            "{folds}"
        );
        // An error that nobody measured raises no doubt.
        let unknown = say(&[("Softmax", 92.6, f64::NAN), ("L", 93.0, 0.4)]);
        assert!(unknown.ends_with("92.60 %."), "{unknown}");
        let seeds = [
            ("Softmax", 92.0, 0.3),
            ("Softmax", 92.8, 0.3),
            ("L", 92.4, 0.1),
            ("L", 92.9, 0.1),
        ];
        assert!(
            say(&seeds).ends_with("within the spread of the seeds."),
            "{}",
            say(&seeds)
        );
        let softmax = say(&[("Softmax", 92.0, 0.3), ("L", 91.0, 0.4)]);
        assert!(
            softmax.ends_with("Softmax verifies best: 92.00 % of the pairs."),
            "{softmax}"
        );
    }
}
