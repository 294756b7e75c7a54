//! Downloads from local test servers with typical behaviour and defects.

use super::*;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const CONTENT: &[u8] = b"what was published, byte for byte";

fn published() -> Download {
    of_content(CONTENT)
}

fn of_content(content: &[u8]) -> Download {
    let files: &'static [Published] = Box::leak(Box::new([Published {
        name: "file.gz",
        bytes: content.len() as u64,
        sha256: Box::leak(hex(content).into_boxed_str()),
    }]));
    Download {
        name: "test",
        folder: "test",
        files,
        archive: false,
        mirrors: &[],
    }
}

fn hex(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// A server, its address, and the requested ranges.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<Option<usize>>>>,
}

/// `answer` receives the number of the request, the requested start, and the connection.
fn serve(answer: impl Fn(usize, Option<usize>, &mut TcpStream) + Send + Sync + 'static) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let answer = Arc::new(answer);
    let count = AtomicUsize::new(0);
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let number = count.fetch_add(1, Ordering::SeqCst);
            let (answer, seen) = (answer.clone(), seen.clone());
            std::thread::spawn(move || {
                let mut stream = stream;
                let mut range = None;
                let reader = BufReader::new(stream.try_clone().unwrap());
                for line in reader.lines().map_while(Result::ok) {
                    if line.is_empty() {
                        break;
                    }
                    let line = line.to_lowercase();
                    let from = line.strip_prefix("range: bytes=");
                    range = from
                        .and_then(|from| from.trim_end_matches('-').parse().ok())
                        .or(range);
                }
                seen.lock().unwrap().push(range);
                answer(number, range, &mut stream);
            });
        }
    });
    Server { address, asked }
}

fn send(stream: &mut TcpStream, status: &str, length: usize, body: &[u8]) {
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).ok();
    stream.write_all(body).ok();
    stream.flush().ok();
}

fn get(server: &Server, root: &Path) -> Result<PathBuf, DataError> {
    get_of(published(), server, root).map(|fetched| fetched.folder)
}

fn get_of(download: Download, server: &Server, root: &Path) -> Result<Fetched, DataError> {
    let fetch = Fetch {
        mirror: Some(server.address.clone()),
        timeout: Duration::from_millis(400),
    };
    download.get(root, &fetch, &mut |_, _| {})
}

fn good(stream: &mut TcpStream, range: Option<usize>) {
    let from = range.unwrap_or(0);
    let status = if range.is_some() {
        "206 Partial Content"
    } else {
        "200 OK"
    };
    send(stream, status, CONTENT.len() - from, &CONTENT[from..]);
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
    let mut names: Vec<String> = entries.map(|entry| name(entry).unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_good_server_is_asked_once() {
    let root = tempfile::tempdir().unwrap();
    let server = serve(|_, range, stream| good(stream, range));
    for _ in 0..2 {
        let folder = get(&server, root.path()).unwrap();
        assert_eq!(fs::read(folder.join("file.gz")).unwrap(), CONTENT);
        assert_eq!(names(&folder), ["file.gz"]);
    }
    assert_eq!(*server.asked.lock().unwrap(), [None]);
}

#[test]
fn a_stalled_or_interrupted_download_is_resumed() {
    for stalls in [true, false] {
        let root = tempfile::tempdir().unwrap();
        let server = serve(move |number, range, stream| {
            if number > 0 {
                return good(stream, range);
            }
            send(stream, "200 OK", CONTENT.len(), &CONTENT[..10]);
            if stalls {
                std::thread::sleep(Duration::from_secs(2));
            }
        });
        let folder = get(&server, root.path()).unwrap();
        assert_eq!(fs::read(folder.join("file.gz")).unwrap(), CONTENT);
        assert_eq!(*server.asked.lock().unwrap(), [None, Some(10)]);
    }
}

#[test]
fn a_server_without_ranges_starts_over() {
    let root = tempfile::tempdir().unwrap();
    let server = serve(|number, _, stream| match number {
        0 => send(stream, "200 OK", CONTENT.len(), &CONTENT[..10]),
        _ => good(stream, None),
    });
    let folder = get(&server, root.path()).unwrap();
    assert_eq!(fs::read(folder.join("file.gz")).unwrap(), CONTENT);
}

#[test]
fn wrong_length_or_content_is_rejected() {
    let short = serve(|_, range, stream| {
        let from = range.unwrap_or(0).min(20);
        let status = if from > 0 {
            "206 Partial Content"
        } else {
            "200 OK"
        };
        send(stream, status, 20 - from, &CONTENT[from..20]);
    });
    let long = serve(|_, _, stream| {
        let body = [CONTENT, &vec![b'x'; 1 << 20]].concat();
        send(stream, "200 OK", body.len(), &body);
    });
    let wrong = serve(|_, _, stream| send(stream, "200 OK", CONTENT.len(), &[b'x'; 33]));
    let missing = serve(|_, _, stream| send(stream, "404 Not Found", 0, b""));
    let silent = serve(|_, _, _| std::thread::sleep(Duration::from_secs(3)));
    for (server, expected) in [
        (short, "the download ended after 20 of 33 bytes"),
        (long, "34 bytes with SHA-256"),
        (wrong, "33 bytes with SHA-256"),
        (missing, "the server answered 404 Not Found"),
        (silent, "timeout"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let message = get(&server, root.path()).unwrap_err().to_string();
        assert!(message.contains(expected), "{message}");
        assert!(
            message.contains("put file.gz (33 bytes) into "),
            "{message}"
        );
        let left = names(&root.path().join("test"));
        assert!(left.iter().all(|name| name == ".file.gz.part"), "{left:?}");
    }
}

#[test]
fn a_wrong_part_is_downloaded_again() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("test");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(".file.gz.part"), b"nonsense").unwrap();
    let server = serve(|_, range, stream| good(stream, range));
    get(&server, root.path()).unwrap();
    assert_eq!(fs::read(folder.join("file.gz")).unwrap(), CONTENT);
    assert_eq!(*server.asked.lock().unwrap(), [Some(8), None]);
    // An existing file with other content is not overwritten.
    fs::write(folder.join("file.gz"), b"mine").unwrap();
    let message = get(&server, root.path()).unwrap_err().to_string();
    assert!(
        message.contains("remove the file to download it again"),
        "{message}"
    );
    assert_eq!(fs::read(folder.join("file.gz")).unwrap(), b"mine");
}

#[test]
fn without_a_network_the_error_explains_the_manual_download() {
    let root = tempfile::tempdir().unwrap();
    // A port without a listener.
    let free = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let fetch = Fetch {
        mirror: Some(format!("http://{free}")),
        timeout: Duration::from_secs(1),
    };
    let download = Download::named("cifar10").unwrap();
    let error = download
        .get(root.path(), &fetch, &mut |_, _| {})
        .unwrap_err();
    let message = error.to_string();
    let place = root.path().display().to_string();
    assert!(
        message.contains(&format!(
            "put cifar-10-binary.tar.gz (170052171 bytes) into {place} and run this again"
        )),
        "{message}"
    );
    assert!(message.contains(&format!("http://{free}/cifar-10-binary.tar.gz: ")));
    let unknown = Download::named("cifar-10").unwrap_err().to_string();
    assert!(unknown.contains("did you mean cifar10?"), "{unknown}");
}

#[test]
fn a_server_with_almost_no_progress_is_given_up() {
    let content = vec![7; 100_000];
    let whole = content.clone();
    // Starts over each time, and disconnects.
    let forgetful = serve(|number, _, stream| {
        let sent = [900, 500, 990][number % 3];
        send(stream, "200 OK", 100_000, &[7; 990][..sent]);
    });
    let byte_by_byte = serve(|_, range, stream| {
        let from = range.unwrap_or(0);
        let status = if range.is_some() {
            "206 Partial Content"
        } else {
            "200 OK"
        };
        send(stream, status, 100_000 - from, &[7]);
    });
    let drips = serve(|_, range, stream| {
        let from = range.unwrap_or(0);
        let status = if range.is_some() {
            "206 Partial Content"
        } else {
            "200 OK"
        };
        send(stream, status, 100_000 - from, &[]);
        while stream.write_all(&[7]).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    for (server, expected) in [
        (&forgetful, "file.gz: "),
        (&byte_by_byte, "file.gz: "),
        (&drips, "only"),
    ] {
        let root = tempfile::tempdir().unwrap();
        let message = get_of(of_content(&content), server, root.path())
            .unwrap_err()
            .to_string();
        assert!(message.contains(expected), "{message}");
        assert_eq!(server.asked.lock().unwrap().len(), ATTEMPTS);
    }
    // Two percent per request is slow, but finishes.
    let slow = serve(move |_, range, stream| {
        let from = range.unwrap_or(0);
        let until = (from + 2_000).min(100_000);
        let status = if range.is_some() {
            "206 Partial Content"
        } else {
            "200 OK"
        };
        send(stream, status, 100_000 - from, &whole[from..until]);
    });
    let root = tempfile::tempdir().unwrap();
    get_of(of_content(&content), &slow, root.path()).unwrap();
    assert_eq!(slow.asked.lock().unwrap().len(), 50);
}

#[cfg(unix)]
#[test]
fn a_link_instead_of_the_part_is_not_followed() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("test");
    fs::create_dir(&folder).unwrap();
    let victim = root.path().join("victim");
    fs::write(&victim, b"precious").unwrap();
    std::os::unix::fs::symlink(&victim, folder.join(".file.gz.part")).unwrap();
    let server = serve(|_, range, stream| good(stream, range));
    let message = get(&server, root.path()).unwrap_err().to_string();
    assert!(message.contains("it is not a file; remove it"), "{message}");
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
}

/// A `.tar.gz` of the folder `set` with one file.
fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(
        Vec::new(),
        flate2::Compression::fast(),
    ));
    let mut header = tar::Header::new_gnu();
    header.set_size(3);
    header.set_mode(0o644);
    tar.append_data(&mut header, "set/a.bin", &b"abc"[..])
        .unwrap();
    tar.into_inner().unwrap().finish().unwrap()
}

#[test]
fn an_archive_becomes_its_folder() {
    let root = tempfile::tempdir().unwrap();
    let bytes = archive();
    let path = root.path().join("set.tar.gz");
    fs::write(&path, &bytes).unwrap();
    let folder = root.path().join("set");
    archive::unpack(&path, &folder).unwrap();
    assert_eq!(fs::read(folder.join("a.bin")).unwrap(), b"abc");
    assert_eq!(names(&folder), ["SHA256SUMS", "a.bin"]);
    assert_eq!(names(root.path()), ["set", "set.tar.gz"]);
    fs::remove_dir_all(&folder).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let message = archive::unpack(&path, &folder).unwrap_err().to_string();
    assert!(message.starts_with("cannot unpack "), "{message}");
    assert_eq!(names(root.path()), ["set.tar.gz"]);
}

#[test]
fn an_existing_folder_is_compared_with_its_checksums() {
    let bytes = archive();
    let download = Download {
        folder: "set",
        archive: true,
        ..of_content(&bytes)
    };
    let server = serve(move |_, _, stream| send(stream, "200 OK", bytes.len(), &bytes));
    let root = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let fetched = get_of(download, &server, root.path()).unwrap();
        assert!(fetched.verified);
    }
    assert_eq!(server.asked.lock().unwrap().len(), 1);
    let file = root.path().join("set/a.bin");
    fs::write(&file, b"abd").unwrap();
    let message = get_of(download, &server, root.path()).unwrap_err();
    let message = message.to_string();
    assert!(
        message.contains("a.bin: expected SHA-256 ba7816bf") && message.contains("remove "),
        "{message}"
    );
    fs::remove_file(&file).unwrap();
    assert!(get_of(download, &server, root.path()).is_err());
    // Another source, without checksums.
    fs::remove_file(root.path().join("set/SHA256SUMS")).unwrap();
    assert!(!get_of(download, &server, root.path()).unwrap().verified);
    assert_eq!(server.asked.lock().unwrap().len(), 1);
}
