//! `data check` on a folder or a list of images.

use crate::output;
use crate::output_options::OutputOptions;
use anyhow::bail;
use lsoftmax_data::SourceOptions;
use lsoftmax_data::images::{self, ClassImages, DuplicateKind, Duplicates, ImageCheck};
use std::fmt::Write as _;
use std::path::Path;

/// Number of classes up to which the table lists all of them, not only the smallest and the
/// largest.
const MANY_CLASSES: usize = 24;
/// Maximum number of sizes, files and the like to name.
const NAMED: usize = 10;
/// The parts in display order.
const PARTS: [&str; 4] = ["train", "held-out", "test", "open-set"];

/// # Errors
/// A training would refuse the images, or the output is closed.
pub(super) fn check(
    path: &Path,
    options: &SourceOptions,
    output_options: OutputOptions,
) -> anyhow::Result<()> {
    let found = images::check(path, options);
    if output_options.json {
        output::line(&serde_json::to_string(&found)?)?;
    } else {
        for line in lines(&found) {
            output::line(&line)?;
        }
    }
    match &found.errors[..] {
        [] => Ok(()),
        [error] => bail!("{error}"),
        [error, more @ ..] => bail!("{error} (and {} more errors)", more.len()),
    }
}

fn lines(found: &ImageCheck) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(found.summary.clone());
    if !found.classes.is_empty() {
        lines.push(table(&found.classes));
    }
    if !found.sizes.is_empty() {
        lines.push(sizes(found));
        lines.push(format!("colour: {}, grey: {}", found.colour, found.grey));
    }
    let broken = found.broken.iter();
    let broken = broken.map(|image| format!("broken: {}: {}", image.path, image.reason));
    first(&mut lines, broken, "broken");
    for (kind, words) in [
        (DuplicateKind::AcrossLabels, "under several labels"),
        (DuplicateKind::AcrossParts, "in several parts"),
        (DuplicateKind::WithinClass, "several times in a class"),
    ] {
        let same = |group: &&Duplicates| group.kind == kind;
        let count = found.duplicates.iter().filter(same).count();
        if count > 0 {
            lines.push(format!("the same content {words}: {count}"));
            let groups = found.duplicates.iter().filter(same);
            let groups = groups.map(|group| format!("  {}", group.paths.join(" = ")));
            first(&mut lines, groups, "of them");
        }
    }
    lines.extend(found.left_aside.clone());
    let warnings = found.warnings.iter();
    lines.extend(warnings.map(|warning| format!("warning: {warning}")));
    lines
}

/// Adds the first lines, and the number of the remaining ones.
fn first(lines: &mut Vec<String>, mut all: impl Iterator<Item = String>, what: &str) {
    lines.extend(all.by_ref().take(NAMED));
    let more = all.count();
    if more > 0 {
        lines.push(format!("  and {more} more {what}"));
    }
}

/// The number of images of each class. With many classes, only the smallest and the largest.
fn table(classes: &[ClassImages]) -> String {
    let has = |part: &&&str| classes.iter().any(|class| class.parts.contains_key(**part));
    let parts: Vec<&str> = PARTS.iter().filter(has).copied().collect();
    let row = |class: &ClassImages| {
        let mut row = vec![class.name.clone(), class.images.to_string()];
        let count = |part: &&str| class.parts.get(*part).copied().unwrap_or(0).to_string();
        row.extend(parts.iter().map(count));
        row
    };
    let mut rows: Vec<Vec<String>> = if classes.len() <= MANY_CLASSES {
        classes.iter().map(row).collect()
    } else {
        let mut by_size: Vec<&ClassImages> = classes.iter().collect();
        by_size.sort_by_key(|class| class.images);
        let half = MANY_CLASSES / 2;
        let (small, large) = (&by_size[..half], &by_size[by_size.len() - half..]);
        let mut rows: Vec<Vec<String>> = small.iter().map(|class| row(class)).collect();
        rows.push(vec![format!("... {} more", classes.len() - 2 * half)]);
        rows.extend(large.iter().map(|class| row(class)));
        rows
    };
    let mut all = ClassImages {
        name: format!("all {} classes", classes.len()),
        images: 0,
        parts: std::collections::BTreeMap::new(),
    };
    for class in classes {
        all.images += class.images;
        for (part, images) in &class.parts {
            *all.parts.entry(part.clone()).or_default() += images;
        }
    }
    rows.push(row(&all));
    let header: Vec<&str> = ["class", "images"]
        .into_iter()
        .chain(parts.iter().copied())
        .collect();
    output::table(&header, &rows)
}

/// The sizes of the images: the most frequent ones, and the range of each side.
fn sizes(found: &ImageCheck) -> String {
    let sizes = &found.sizes;
    let some = sizes.iter().take(NAMED);
    let some = some.map(|size| format!("{}x{}: {}", size.height, size.width, size.images));
    let mut text = format!(
        "sizes (height x width): {}",
        some.collect::<Vec<_>>().join(", ")
    );
    if sizes.len() > NAMED {
        let side = |of: fn(&images::SizeImages) -> usize| {
            let sides = sizes.iter().map(of);
            (sides.clone().min().unwrap_or(0), sides.max().unwrap_or(0))
        };
        let (heights, widths) = (side(|size| size.height), side(|size| size.width));
        write!(
            text,
            " and {} more, from {} to {} high and from {} to {} wide",
            sizes.len() - NAMED,
            heights.0,
            heights.1,
            widths.0,
            widths.1
        )
        .ok();
    }
    text
}
