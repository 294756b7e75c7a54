use super::*;
use crate::error::DataError;
use std::fs;
use std::io::Write as _;
use std::path::Path;

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder).unwrap().count()
}

#[test]
fn replaces_whole_files_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.bin");
    atomic_write(&path, b"one").unwrap();
    atomic_write(&path, b"two").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"two");
    assert_eq!(entries(dir.path()), 1);
    let nowhere = dir.path().join("missing/a.bin");
    let message = atomic_write(&nowhere, b"x").unwrap_err().to_string();
    assert!(
        message.starts_with("cannot write ") && message.contains("missing"),
        "{message}"
    );
    assert!(atomic_write(Path::new("/"), b"x").is_err());
}

#[test]
fn names_may_be_long_and_writers_many() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("n".repeat(255));
    std::thread::scope(|scope| {
        for byte in 0..8 {
            let path = &path;
            scope.spawn(move || atomic_write(path, &[byte; 1000]).unwrap());
        }
    });
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes, [bytes[0]; 1000]);
    assert_eq!(entries(dir.path()), 1);
}

#[test]
fn a_failed_write_keeps_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("taken");
    fs::create_dir(&path).unwrap();
    fs::write(path.join("inside"), b"x").unwrap();
    let message = atomic_write(&path, b"y").unwrap_err().to_string();
    assert!(message.ends_with("it is a folder, not a file"), "{message}");
    assert_eq!(fs::read(path.join("inside")).unwrap(), b"x");
    // Fails after half of the content.
    let path = dir.path().join("old");
    fs::write(&path, b"old").unwrap();
    let full = atomic_write_with(&path, |file| {
        file.write_all(b"half")?;
        Err(std::io::ErrorKind::StorageFull.into())
    });
    assert!(full.is_err());
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(entries(dir.path()), 2);
}

#[test]
fn a_folder_appears_with_its_content_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let fill = |aside: &Path| {
        fs::write(aside.join("inside"), b"x").unwrap();
        Ok::<_, DataError>(aside.to_owned())
    };
    atomic_folder(&path, fill).unwrap();
    assert_eq!(fs::read(path.join("inside")).unwrap(), b"x");
    // The folder already exists and is not empty.
    assert!(atomic_folder(&path, fill).is_err());
    let fails = |aside: &Path| {
        fill(aside)?;
        Err(DataError::format(aside, "a", "b"))
    };
    assert!(atomic_folder(&dir.path().join("other"), fails).is_err());
    assert_eq!(entries(dir.path()), 1);
}

#[test]
fn only_files_left_by_killed_processes_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let foreign = [
        ".backup.part",
        ".123-0.part",
        ".lsoftmax-short.part",
        ".lsoftmax-abcdefgh_-kl.part",
        "lsoftmax-abcdefghijkl.part",
        ".lsoftmax-abcdefghijkl.part~",
    ];
    for name in foreign {
        fs::write(root.join(name), b"mine").unwrap();
    }
    fs::write(root.join(".lsoftmax-abcdefghijkl.part"), b"half").unwrap();
    fs::create_dir(root.join(".lsoftmax-ABCDEFGHIJKL.part")).unwrap();
    fs::write(root.join(".lsoftmax-ABCDEFGHIJKL.part/inside"), b"half").unwrap();
    // A file that another process is still writing.
    let theirs = root.join(".lsoftmax-000000000000.part");
    let lock = fs::File::create(&theirs).unwrap();
    lock.lock().unwrap();
    remove_stale(root);
    assert!(theirs.exists());
    assert_eq!(entries(root), foreign.len() + 1);
    drop(lock);
    // The next write to the folder cleans up.
    atomic_write(&root.join("new"), b"new").unwrap();
    assert_eq!(entries(root), foreign.len() + 1);
    assert!(!theirs.exists());
}

#[test]
fn text_is_bounded_utf8_without_mark() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.txt");
    fs::write(&path, "\u{feff}name").unwrap();
    assert_eq!(read_text(&path, 7).unwrap(), "name");
    let message = read_text(&path, 6).unwrap_err().to_string();
    assert!(message.contains("at most 6 bytes"), "{message}");
    assert!(read_file(&path, 6).is_err());
    fs::write(&path, b"one\ntw\xff").unwrap();
    let message = read_text(&path, 100).unwrap_err().to_string();
    assert!(message.contains("found other bytes in line 2"), "{message}");
    let message = read_text(dir.path(), 9).unwrap_err().to_string();
    assert!(
        message.contains("expected a file, found a folder"),
        "{message}"
    );
    let message = read_text(&dir.path().join("none"), 9)
        .unwrap_err()
        .to_string();
    assert!(message.starts_with("cannot open "), "{message}");
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::os::unix::net::UnixListener;
    use std::process::{Command, Stdio};

    fn fifo(path: &Path) {
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
    }

    #[test]
    fn special_files_are_rejected_immediately() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        fifo(&pipe);
        let socket = dir.path().join("socket");
        let _listener = UnixListener::bind(&socket).unwrap();
        let link = dir.path().join("link");
        symlink("/dev/zero", &link).unwrap();
        for (path, kind) in [
            (&*pipe, "a pipe"),
            (&socket, "a socket"),
            (&link, "a device"),
            (Path::new("/dev/zero"), "a device"),
            (dir.path(), "a folder"),
        ] {
            let expected = format!("{}: expected a file, found {kind}", path.display());
            assert_eq!(open_file(path).unwrap_err().to_string(), expected);
            assert_eq!(read_file(path, 100).unwrap_err().to_string(), expected);
            let text = read_text(path, 100).unwrap_err().to_string();
            assert_eq!(text == expected, kind != "a pipe", "{text}");
            let written = atomic_write(path, b"x").unwrap_err().to_string();
            assert!(written.contains(&format!("it is {kind}")), "{written}");
        }
    }

    #[test]
    fn text_is_read_from_pipes_with_a_time_limit() {
        let dir = tempfile::tempdir().unwrap();
        let pipe = dir.path().join("pipe");
        fifo(&pipe);
        let message = read_text(&pipe, 100).unwrap_err().to_string();
        assert!(
            message.contains("found a pipe without a writer"),
            "{message}"
        );
        // A pipe as /dev/fd/N, as a shell passes it.
        let printer = |script: &str| {
            let mut child = Command::new("sh")
                .args(["-c", script])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            (child.stdout.take().unwrap(), child)
        };
        for (script, expected) in [
            ("printf 'a = 1'", Ok("a = 1")),
            ("printf 'a = '; sleep 0.1; printf 1", Ok("a = 1")),
            ("cat /dev/zero", Err("at most 100 bytes")),
            ("sleep 8", Err("without data")),
        ] {
            let (out, mut child) = printer(script);
            let number = std::os::fd::AsRawFd::as_raw_fd(&out);
            let found = read_text(Path::new(&format!("/dev/fd/{number}")), 100);
            match expected {
                Ok(text) => assert_eq!(found.unwrap(), text),
                Err(part) => {
                    let message = found.unwrap_err().to_string();
                    assert!(message.contains(part), "{message}");
                }
            }
            drop(out);
            child.kill().ok();
            child.wait().unwrap();
        }
    }

    #[test]
    fn planted_links_are_not_followed_and_permissions_are_the_usual_ones() {
        let dir = tempfile::tempdir().unwrap();
        let victim = dir.path().join("victim");
        fs::write(&victim, b"precious").unwrap();
        let folder = dir.path().join("shared");
        fs::create_dir(&folder).unwrap();
        symlink("../victim", folder.join(".lsoftmax-abcdefghijkl.part")).unwrap();
        symlink("../victim", folder.join("out")).unwrap();
        atomic_write(&folder.join("out"), b"new").unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
        assert_eq!(fs::read(folder.join("out")).unwrap(), b"new");
        fs::write(folder.join("plain"), b"").unwrap();
        let mode = |name: &str| {
            let found = fs::metadata(folder.join(name)).unwrap();
            found.permissions().mode()
        };
        assert_eq!(mode("out"), mode("plain"));
    }
}
