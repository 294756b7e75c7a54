//! The tables of the paper, with our results next to the published ones.

use crate::output;
use lsoftmax_record::Published;
use lsoftmax_report::{MeanStd, Run};
use lsoftmax_train::Experiment;
use serde::Serialize;

/// One training of a row.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Cell {
    test_error_percent: f64,
    mean_target_angle_deg: f64,
    iterations: u64,
    diverged: bool,
}

/// One row of a table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Line {
    loss: String,
    published: Published,
    iterations: u64,
    batch: usize,
    runs: Vec<Cell>,
    /// Mean and standard deviation of the error over the seeds.
    error_percent: (f64, f64),
    mean_target_angle_deg: f64,
}

impl Cell {
    pub(crate) fn new(run: &Run) -> Self {
        Self {
            test_error_percent: run.outcome.evaluation.error_percent,
            mean_target_angle_deg: run.outcome.evaluation.mean_target_angle_deg,
            iterations: run.outcome.steps(),
            diverged: run.diverged(),
        }
    }
}

impl Line {
    pub(crate) fn new(experiment: &Experiment, published: Published, runs: Vec<Cell>) -> Self {
        // Diverged runs lack these figures, so they are not part of a mean.
        let errors = MeanStd::of(runs.iter().map(|run| run.test_error_percent));
        let angles = MeanStd::of(runs.iter().map(|run| run.mean_target_angle_deg));
        Self {
            loss: experiment.loss_label(),
            published,
            iterations: experiment.iterations,
            batch: experiment.batch,
            error_percent: errors.map_or((f64::NAN, 0.0), |errors| {
                (errors.mean, errors.deviation.unwrap_or(0.0))
            }),
            mean_target_angle_deg: angles.map_or(f64::NAN, |angles| angles.mean),
            runs,
        }
    }

    fn cells(&self) -> Vec<String> {
        let percent = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.2}"));
        let (mean, deviation) = self.error_percent;
        let died = self.runs.iter().filter(|run| run.diverged).count();
        let ours = match (self.runs.len(), died) {
            (runs, died) if !mean.is_finite() => match (runs, died) {
                (0, _) => "-".to_owned(),
                (1, 1) => "diverged".to_owned(),
                _ => format!("-, {died} of {runs} diverged"),
            },
            (1, 0) => format!("{mean:.2}"),
            (1, _) => format!("{mean:.2}, diverged"),
            (_, 0) => format!("{mean:.2} ± {deviation:.2}"),
            (runs, died) => format!("{mean:.2} ± {deviation:.2}, {died} of {runs} diverged"),
        };
        let against = self.published.article.or(self.published.paper);
        let spent = self
            .runs
            .iter()
            .map(|run| run.iterations)
            .max()
            .unwrap_or(0);
        let iterations = match self.published.iterations {
            Some(paper) if paper != spent => format!("{spent} of {paper}"),
            _ => spent.to_string(),
        };
        vec![
            self.loss.clone(),
            percent(self.published.article),
            percent(self.published.paper),
            ours,
            against
                .filter(|_| mean.is_finite())
                .map_or("-".into(), |other| format!("{:+.2}", mean - other)),
            output::number(self.mean_target_angle_deg, 1, "°"),
            self.runs.len().to_string(),
            iterations,
            self.batch.to_string(),
        ]
    }
}

const HEADER: [&str; 9] = [
    "loss",
    "article %",
    "paper %",
    "ours %",
    "difference",
    "target angle",
    "seeds",
    "iterations",
    "batch",
];

/// A table for the terminal.
pub(crate) fn text(lines: &[Line]) -> String {
    let rows: Vec<_> = lines.iter().map(Line::cells).collect();
    output::table(&HEADER, &rows)
}

/// A table, and the pictures below it as pairs of file and title.
pub(crate) struct Section {
    pub(crate) name: String,
    pub(crate) lines: Vec<Line>,
    pub(crate) figures: Vec<(String, String)>,
}

/// All tables as a Markdown page.
pub(crate) fn markdown(command: &str, sections: &[Section]) -> String {
    let mut page = vec![
        "# Results".to_owned(),
        format!("Written by `{command}`."),
        "Errors are of the test set, in per cent, after the last step: nothing was chosen on the \
         test set. Ours are means ± standard deviations over the seeds. The difference is to the \
         article's figure, or to the paper's where the article has none. Where the iterations are \
         \"150 of 18000\", ours had 150, and the paper's 18,000 of 256 images."
            .to_owned(),
    ];
    for Section {
        name,
        lines,
        figures,
    } in sections
    {
        let mut table = vec![
            format!("| {} |", HEADER.join(" | ")),
            format!("|---{}|", "|---:".repeat(HEADER.len() - 1)),
        ];
        table.extend(
            lines
                .iter()
                .map(|line| format!("| {} |", line.cells().join(" | "))),
        );
        page.push(format!("## {name}"));
        page.push(table.join("\n"));
        for (file, title) in figures {
            page.push(format!("![{name}: {title}]({file})"));
        }
    }
    page.join("\n\n") + "\n"
}
