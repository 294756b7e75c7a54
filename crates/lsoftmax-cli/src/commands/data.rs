mod images;

use super::class_folders_of;
use crate::args;
use crate::misuse::Misuse;
use crate::output::{self, Answer, Bytes};
use crate::output_options::OutputOptions;
use anyhow::bail;
use lsoftmax_data::download::{DOWNLOADS, Download, Fetch, Fetched, sha256};
use lsoftmax_data::images::holds_images;
use lsoftmax_data::{DataSource, Dataset, SourceOptions, data_root};
use serde::Serialize;
use std::path::{Path, PathBuf};

pub(super) fn run(args: &args::Data, output_options: OutputOptions) -> anyhow::Result<()> {
    match args {
        args::Data::List => list(output_options),
        args::Data::Get { names, out, mirror } => {
            get(names, out.clone(), mirror.clone(), output_options)
        }
        args::Data::Check {
            path,
            class_folders,
            exclude,
        } => {
            let options = SourceOptions {
                class_folders: class_folders_of(class_folders.as_deref()),
                exclude: exclude.clone(),
                ..SourceOptions::default()
            };
            check(path, &options, output_options)
        }
    }
}

struct Listed {
    name: String,
    folder: Option<PathBuf>,
    present: bool,
    download_bytes: Option<u64>,
}

impl Listed {
    fn answer(self) -> serde_json::Value {
        let answer = Answer::new(serde_json::json!({
            "name": self.name,
            "folder": null,
            "present": self.present,
            "download_bytes": self.download_bytes,
        }));
        match &self.folder {
            Some(folder) => answer.path("folder", folder),
            None => answer,
        }
        .value()
    }
}

fn list(output_options: OutputOptions) -> anyhow::Result<()> {
    let mut sets = Vec::new();
    for &name in DataSource::NAMES {
        let source = DataSource::parse(&name.replace('N', "40"))?;
        // Files of this format have no usual folder.
        let folder = source.folder().filter(|_| name != "idx");
        let folder = folder.map(|folder| data_root().join(folder));
        sets.push(Listed {
            present: source.is_generated() || folder.as_ref().is_some_and(|path| path.is_dir()),
            download_bytes: Download::named(name).ok().map(|download| download.bytes()),
            folder,
            name: name.to_owned(),
        });
    }
    if output_options.json {
        let sets: Vec<_> = sets.into_iter().map(Listed::answer).collect();
        return Answer::new(serde_json::json!({ "data": sets })).print();
    }
    let rows: Vec<Vec<String>> = sets
        .into_iter()
        .map(|set| {
            let place = match (&set.folder, set.present) {
                (Some(folder), true) => folder.display().to_string(),
                (Some(folder), false) => format!("not in {}", folder.display()),
                (None, true) => "drawn by the program".into(),
                (None, false) => "--data-dir DIR".into(),
            };
            let download = set.download_bytes.map_or("-".into(), |bytes| {
                format!("{:.0} MB", (bytes as f64 / 1e6).ceil())
            });
            vec![set.name, download, place]
        })
        .collect();
    output::line(&output::table(&["data", "download", "where"], &rows))
}

fn get(
    names: &[String],
    out: Option<PathBuf>,
    mirror: Option<String>,
    output_options: OutputOptions,
) -> anyhow::Result<()> {
    let downloads: Vec<Download> = names
        .iter()
        .map(|name| Download::named(name))
        .collect::<Result<_, _>>()?;
    let root = out.unwrap_or_else(data_root);
    let fetch = Fetch {
        mirror,
        ..Fetch::default()
    };
    let (mut folders, mut unverified) = (Vec::new(), Vec::new());
    for download in downloads {
        let mut bar = Bytes::new(output_options.quiet);
        let folder = download.get(&root, &fetch, &mut |file, done| {
            bar.show(file.name, done, file.bytes);
        });
        bar.finish();
        let Fetched { folder, verified } = folder?;
        if !verified {
            output::note(&format!(
                "{} already exists and is not verified, because no checksum is known: remove it to \
                 download it again",
                folder.display()
            ));
            unverified.push(folder.clone());
        }
        if !output_options.json {
            output::line(&format!("{}: {}", download.name, folder.display()))?;
        }
        folders.push(folder);
    }
    if output_options.json {
        Answer::new(serde_json::json!({ "unverified": unverified }))
            .paths("folders", &folders)
            .print()?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Checked {
    data: &'static str,
    train: Part,
    test: Part,
    files: Vec<Known>,
}

#[derive(Serialize)]
struct Part {
    images: usize,
    size: [usize; 3],
    classes: usize,
    smallest_class: usize,
    largest_class: usize,
}

#[derive(Serialize)]
struct Known {
    name: String,
    /// Whether its SHA-256 matches the published one.
    as_published: bool,
}

impl Part {
    fn new(data: &Dataset) -> Self {
        let counts = data.class_counts();
        Self {
            images: data.len(),
            size: [data.channels, data.height, data.width],
            classes: data.num_classes(),
            smallest_class: counts.iter().copied().min().unwrap_or(0),
            largest_class: counts.iter().copied().max().unwrap_or(0),
        }
    }

    fn row(&self, name: &str) -> Vec<String> {
        let [channels, height, width] = self.size;
        vec![
            name.to_owned(),
            self.images.to_string(),
            format!("{channels}x{height}x{width}"),
            self.classes.to_string(),
            format!("{} to {}", self.smallest_class, self.largest_class),
        ]
    }
}

fn check(dir: &Path, options: &SourceOptions, output_options: OutputOptions) -> anyhow::Result<()> {
    let has = |name: &str| dir.join(name).exists() || dir.join(format!("{name}.gz")).exists();
    let data = if has("data_batch_1.bin") {
        "cifar10"
    } else if has("train.bin") {
        "cifar100"
    } else if has("train-images-idx3-ubyte") {
        "idx"
    } else if dir.is_dir() && !holds_images(dir)? {
        bail!(Misuse(format!(
            "{} has none of train-images-idx3-ubyte[.gz] (MNIST and the like), data_batch_1.bin \
             (CIFAR-10) and train.bin (CIFAR-100), and no images",
            dir.display()
        )));
    } else {
        return images::check(dir, options, output_options);
    };
    let options = SourceOptions {
        dir: Some(dir.to_owned()),
        ..SourceOptions::default()
    };
    let split = DataSource::parse(data)?.load(&options)?;
    let mut files = Vec::new();
    let published = DOWNLOADS.iter().filter(|download| !download.archive);
    let mut names: Vec<&str> = published
        .flat_map(|d| d.files.iter().map(|f| f.name))
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names.into_iter().filter(|name| dir.join(name).exists()) {
        let found = sha256(&dir.join(name))?;
        let all = DOWNLOADS.iter().flat_map(|download| download.files);
        files.push(Known {
            name: name.to_owned(),
            as_published: all
                .filter(|file| file.name == name)
                .any(|file| file.sha256 == found),
        });
    }
    let checked = Checked {
        data,
        train: Part::new(&split.train),
        test: Part::new(&split.test),
        files,
    };
    if output_options.json {
        return output::json(&checked);
    }
    let rows = [checked.train.row("train"), checked.test.row("test")];
    let header = [data, "images", "size", "classes", "images a class"];
    output::line(&output::table(&header, &rows))?;
    for file in &checked.files {
        let verdict = if file.as_published {
            "as published"
        } else {
            "not the published file"
        };
        output::line(&format!("{}: {verdict}", file.name))?;
    }
    Ok(())
}
