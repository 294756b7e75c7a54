use super::*;
use crate::open_set::OpenSet;
use crate::source::{DataSource, SourceOptions};
use std::path::PathBuf;

fn real(folder: &str) -> Option<PathBuf> {
    let Some(data) = std::env::var_os("LSOFTMAX_DATA") else {
        eprintln!("skipped: LSOFTMAX_DATA is not set");
        return None;
    };
    let dir = PathBuf::from(data).join(folder);
    if !dir.is_dir() {
        eprintln!("skipped: there is no {}", dir.display());
        return None;
    }
    Some(dir)
}

#[test]
fn reads_omniglot() {
    let Some(dir) = real("omniglot") else { return };
    let split = DataSource::Images.load(&SourceOptions {
        dir: Some(dir.join("images_background")),
        open_set: Some(OpenSet::Folder(dir.join("images_evaluation"))),
        class_folders: ClassFolders::Each,
        images: ImageOptions {
            size: [28, 28],
            broken: Broken::Refuse,
            ..ImageOptions::default()
        },
        ..SourceOptions::default()
    });
    let split = split.unwrap();
    assert_eq!(split.train.class_counts(), [16; 964]);
    assert_eq!(split.test.class_counts(), [4; 964]);
    assert_eq!(
        split.train.class_names[0],
        "Alphabet_of_the_Magi/character01"
    );
    assert_eq!(split.train.channels, 1);
    let open_set = split.open_set.unwrap();
    assert_eq!(open_set.class_counts(), [20; 659]);
    // Black strokes on white.
    let mean = open_set.mean_image();
    assert!(mean.iter().sum::<f32>() / mean.len() as f32 > 200.0);
}

#[test]
fn reads_the_faces_of_orl() {
    let Some(dir) = real("orl-att-faces") else {
        return;
    };
    let list = ImageList::from_folder(&dir).unwrap();
    let decoded = list.decode(&ImageOptions {
        size: [112, 92],
        ..ImageOptions::default()
    });
    let data = decoded.unwrap().dataset;
    assert_eq!(data.class_counts(), [10; 40]);
    assert_eq!((data.channels, data.height, data.width), (1, 112, 92));
    // At the original size the bytes are those of the file.
    let file = fs::read(&list.entries[7].path).unwrap();
    assert_eq!(data.image(7), &file[file.len() - 112 * 92..]);
}
