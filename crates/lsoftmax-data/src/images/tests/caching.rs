use super::*;
use std::path::PathBuf;

fn setting() -> (TempDir, ImageList, ImageOptions) {
    let dir = classes(&[3, 2]);
    put(dir.path(), "b/broken.png", b"");
    let list = ImageList::from_folder(dir.path()).unwrap();
    let options = ImageOptions {
        cache: Some(dir.path().join(".cache/deep")),
        ..small()
    };
    (dir, list, options)
}

fn cache_file(options: &ImageOptions) -> PathBuf {
    let mut files = fs::read_dir(options.cache.as_ref().unwrap()).unwrap();
    let file = files.next().unwrap().unwrap().path();
    assert!(files.next().is_none());
    file
}

fn same(a: &Decoded, b: &Decoded) -> bool {
    (&a.dataset, &a.paths, &a.entries, &a.skipped) == (&b.dataset, &b.paths, &b.entries, &b.skipped)
}

#[test]
fn a_second_start_decodes_nothing() {
    let (_dir, list, mut options) = setting();
    let first = list.decode(&options).unwrap();
    let file = cache_file(&options);
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    // An alignment with another name would decode again; one with the same name does not run.
    let second = list.decode(&options).unwrap();
    assert!(same(&first, &second));
    assert_eq!(first.remarks, second.remarks);
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written);
    options.broken = Broken::Refuse;
    says(list.decode(&options), &["1 broken of 6"]);
    // Other options use another file.
    options.broken = Broken::Skip;
    options.size = [5, 4];
    assert_eq!(list.decode(&options).unwrap().dataset.height, 5);
    assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 2);
}

#[test]
fn the_cache_is_used() {
    let (_dir, list, options) = setting();
    let counted = |name: &str| {
        let runs = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counter = Arc::clone(&runs);
        let alignment = Alignment::new(name, move |_, image| {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Ok(image)
        });
        let options = ImageOptions {
            channels: Channels::Grey,
            alignment: Some(alignment),
            ..options.clone()
        };
        list.decode(&options).unwrap();
        runs.load(std::sync::atomic::Ordering::Relaxed)
    };
    assert_eq!(counted("one"), 5);
    assert_eq!(counted("one"), 0);
    assert_eq!(counted("two"), 5);
}

#[test]
fn damage_and_truncation_are_detected_at_every_byte() {
    let (_dir, list, options) = setting();
    let first = list.decode(&options).unwrap();
    let file = cache_file(&options);
    let whole = fs::read(&file).unwrap();
    for place in (0..whole.len()).step_by(3) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x10;
        for bytes in [&damaged[..], &whole[..place]] {
            fs::write(&file, bytes).unwrap();
            let again = list.decode(&options).unwrap();
            assert!(same(&first, &again), "{place}");
            let remark = &again.remarks[0];
            assert!(
                remark.starts_with("decoded the images again because"),
                "{remark}"
            );
            assert_eq!(fs::read(&file).unwrap(), whole);
        }
    }
    fs::write(&file, [&whole[..], b"x"].concat()).unwrap();
    assert!(list.decode(&options).unwrap().remarks[0].ends_with("is damaged"));
}

#[test]
fn changed_images_are_decoded_again() {
    let (dir, list, options) = setting();
    list.decode(&options).unwrap();
    let path = dir.path().join("a/1.png");
    let bytes = png(99);
    fs::write(&path, &bytes).unwrap();
    // Same length, different modification time.
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(2);
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_modified(later)
        .unwrap();
    let decoded = list.decode(&options).unwrap();
    assert_eq!(decoded.dataset.image(1)[0], 99);
    assert!(
        decoded.remarks[0].ends_with("is for other images"),
        "{:?}",
        decoded.remarks
    );
    // One more image.
    put(dir.path(), "a/9.png", &png(1));
    let list = ImageList::from_folder(dir.path()).unwrap();
    assert_eq!(list.decode(&options).unwrap().dataset.len(), 6);
    assert_eq!(list.decode(&options).unwrap().remarks.len(), 1);
}

/// Sets the date of a file, as unpacking an archive does.
fn set_date(path: &Path) {
    let file = fs::File::options().write(true).open(path).unwrap();
    file.set_modified(std::time::UNIX_EPOCH).unwrap();
}

#[test]
fn images_of_equal_length_and_date_are_distinguished() {
    // Uncompressed, so that all files have the same length.
    let bmp = |value| {
        let bytes = [value; 64 * 3];
        encoded(&bytes, [8, 8], ExtendedColorType::Rgb8, ImageFormat::Bmp)
    };
    let dir = folder(&[
        ("a/1.bmp", bmp(10)),
        ("a/2.bmp", bmp(20)),
        ("b/1.bmp", bmp(30)),
    ]);
    let at = |name: &str| dir.path().join(name);
    let files = ["a/1.bmp", "a/2.bmp", "b/1.bmp"];
    let dated = || files.iter().for_each(|name| set_date(&at(name)));
    dated();
    let options = ImageOptions {
        cache: Some(at(".cache")),
        ..small()
    };
    let list = ImageList::from_folder(dir.path()).unwrap();
    let decoded = || {
        let data = list.decode(&options).unwrap().dataset;
        let digest = |i| data.origin(i).unwrap().digest;
        let file = |i: usize| Digest::of(&fs::read(at(files[i])).unwrap());
        (0..3).for_each(|i| assert_eq!(digest(i), file(i)));
        [0, 1, 2].map(|i| data.image(i)[0])
    };
    assert_eq!(decoded(), [10, 20, 30]);
    // Swapped between classes, and within one.
    for (one, other, expected) in [(0, 2, [30, 20, 10]), (0, 1, [20, 30, 10])] {
        fs::rename(at(files[one]), at("t")).unwrap();
        fs::rename(at(files[other]), at(files[one])).unwrap();
        fs::rename(at("t"), at(files[other])).unwrap();
        assert_eq!(decoded(), expected);
    }
    // Another image with an old name and date.
    fs::write(at(files[1]), bmp(40)).unwrap();
    dated();
    assert_eq!(decoded(), [20, 40, 10]);
    // A copy with its old date, other bytes and the same pixels.
    fs::write(at(files[1]), [bmp(40), vec![0]].concat()).unwrap();
    dated();
    assert_eq!(decoded(), [20, 40, 10]);
}

#[test]
fn a_cache_that_cannot_be_written_is_a_remark() {
    let (dir, list, mut options) = setting();
    put(dir.path(), "taken", b"a file");
    options.cache = Some(dir.path().join("taken"));
    let decoded = list.decode(&options).unwrap();
    assert_eq!(decoded.dataset.len(), 5);
    let said = decoded
        .remarks
        .iter()
        .any(|remark| remark.contains("were not cached: cannot make"));
    assert!(said, "{:?}", decoded.remarks);
}

#[test]
fn temporarily_missing_images_are_not_cached_as_broken() {
    let (dir, list, options) = setting();
    let path = dir.path().join("a/1.png");
    fs::rename(&path, dir.path().join("away")).unwrap();
    assert_eq!(list.decode(&options).unwrap().dataset.len(), 4);
    fs::rename(dir.path().join("away"), &path).unwrap();
    assert_eq!(list.decode(&options).unwrap().dataset.len(), 5);
}
