//! The experiment files of the paper's tables, which are built into the program.

use anyhow::{Context as _, bail};
use lsoftmax_record::{parse_settings, read_settings};
use lsoftmax_spec::names::nearest;
use lsoftmax_train::Settings;
use std::path::Path;

/// A table: its name, and one file per row.
pub(crate) struct Table {
    pub(crate) name: String,
    pub(crate) rows: Vec<(String, Settings)>,
}

type File = (&'static str, &'static str);

macro_rules! table {
    ($table:literal: $($row:literal),*) => {
        ($table, &[$((
            $row,
            include_str!(concat!("../experiments/", $table, "/", $row, ".toml")),
        )),*])
    };
}

const TABLES: &[(&str, &[File])] = &[
    table!("mnist": "softmax", "m2", "m3", "m4"),
    table!("mnist-2d": "softmax", "m2", "m3", "m4"),
    table!("cifar10": "softmax", "m2", "m3", "m4"),
    table!("cifar10-plus": "softmax", "m2", "m3", "m4"),
    table!("cifar100": "softmax", "m2", "m3", "m4"),
    table!("mnist-small": "softmax", "m2", "m3", "m4"),
    table!("mnist-2d-small": "softmax", "m2", "m3", "m4"),
    table!("cifar10-small": "softmax", "m2", "m3", "m4"),
    table!("mnist-fast": "softmax", "m2", "m3", "m4"),
    table!("cifar10-fast": "softmax", "m2", "m3", "m4"),
    table!("cifar10-plus-fast": "softmax", "m2", "m3", "m4"),
    table!("glyphs": "softmax", "m2", "m3", "m4"),
    table!("authors-mnist": "m4"),
    table!("authors-cifar10": "m2"),
    table!("authors-cifar10-plus": "m2"),
];

/// The names of the built-in tables.
pub(crate) fn names() -> Vec<&'static str> {
    TABLES.iter().map(|(name, _)| *name).collect()
}

/// The requested tables. A name may also be a folder of experiment files; `all` stands for all
/// built-in tables.
pub(crate) fn tables(asked: &[String]) -> anyhow::Result<Vec<Table>> {
    let names = names();
    let mut tables: Vec<Table> = Vec::new();
    for name in asked {
        let found = if name == "all" {
            names
                .iter()
                .map(|name| own(name))
                .collect::<Result<_, _>>()?
        } else if names.contains(&name.as_str()) {
            vec![own(name)?]
        } else if Path::new(name).is_dir() {
            vec![folder(Path::new(name))?]
        } else {
            let hint = nearest(name, &names)
                .map_or_else(String::new, |near| format!(" (did you mean {near}?)"));
            bail!(crate::misuse::Misuse(format!(
                "there is no table or folder {name:?}{hint}; the tables are {}",
                names.join(", ")
            )));
        };
        for table in found {
            if tables.iter().all(|other| other.name != table.name) {
                tables.push(table);
            }
        }
    }
    Ok(tables)
}

fn own(name: &str) -> anyhow::Result<Table> {
    let rows = TABLES.iter().filter(|(own, _)| *own == name);
    let rows = rows.flat_map(|(_, rows)| rows.iter()).map(|(row, text)| {
        let path = format!("{name}/{row}.toml");
        Ok((row.to_string(), parse_settings(text, path.as_ref())?))
    });
    Ok(Table {
        name: name.to_owned(),
        rows: rows.collect::<anyhow::Result<_>>()?,
    })
}

fn folder(path: &Path) -> anyhow::Result<Table> {
    let reading = || format!("cannot read the folder {}", path.display());
    let mut files: Vec<_> = std::fs::read_dir(path)
        .with_context(reading)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .with_context(reading)?;
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "toml")
    });
    // Softmax is the baseline and comes first.
    files.sort_by_key(|file| {
        (
            file.file_stem().is_none_or(|stem| stem != "softmax"),
            file.clone(),
        )
    });
    if files.is_empty() {
        bail!(crate::misuse::Misuse(format!(
            "{} has no experiment files (.toml)",
            path.display()
        )));
    }
    let stem = |path: &Path| {
        path.file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let absolute = path.canonicalize().with_context(reading)?;
    let rows = files
        .iter()
        .map(|file| Ok((stem(file), read_settings(file)?)))
        .collect::<anyhow::Result<_>>()?;
    Ok(Table {
        name: stem(&absolute),
        rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use lsoftmax_train::Experiment;

    #[test]
    fn every_file_is_an_experiment_and_every_file_is_carried() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments");
        let all = tables(&["all".to_owned()]).unwrap();
        let mut carried = 0;
        for table in &all {
            for (row, settings) in &table.rows {
                let experiment = Experiment::resolve(Settings::default(), settings.clone());
                let experiment = experiment.unwrap_or_else(|e| panic!("{}/{row}: {e}", table.name));
                assert_eq!(row == "softmax", experiment.loss.multiplier() == 1);
                carried += 1;
            }
        }
        let files = std::fs::read_dir(root).unwrap();
        let on_disk: usize = files
            .map(|table| std::fs::read_dir(table.unwrap().path()).unwrap().count())
            .sum();
        assert_eq!(carried, on_disk);
    }
}
