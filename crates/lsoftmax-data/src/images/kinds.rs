//! Classifies files and folders by name: images, images of unsupported formats, system files, and
//! others.

use image::ImageFormat;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// Extensions of image files, in lower case.
pub(crate) const ENDINGS: [&str; 12] = [
    "jpg", "jpeg", "jpe", "jfif", "jif", "png", "webp", "bmp", "pgm", "ppm", "pbm", "pnm",
];

/// Extensions of unsupported image formats.
const NOT_READ: [&str; 34] = [
    "apng", "arw", "avif", "cr2", "cr3", "dcm", "dib", "dng", "exr", "gif", "hdr", "heic", "heif",
    "ico", "j2k", "jp2", "jpf", "jpx", "jxl", "nef", "orf", "pam", "pcx", "pfm", "psd", "raf",
    "raw", "rw2", "svg", "tga", "tif", "tiff", "xcf", "xpm",
];

/// System files and folders next to images, left by operating systems, network drives and tools, in
/// lower case. Names that start with a dot are handled separately.
const LEFT_BY_SYSTEMS: [&str; 24] = [
    // macOS and its archives
    "__macosx",
    "icon\r",
    "network trash folder",
    "temporary items",
    // Windows
    "thumbs.db",
    "thumbs.db:encryptable",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "$recycle.bin",
    "system volume information",
    // Synology, QNAP and other network drives
    "@eadir",
    "@tmp",
    "@sharebin",
    "@recycle",
    "@recently-snapshot",
    "@__thumb",
    "#recycle",
    "#snapshot",
    "lost+found",
    "lost.dir",
    // programs
    "picasa.ini",
    "zbthumbnail.info",
    "__pycache__",
];

/// Whether a search for images ignores a file or folder: it is hidden (its name starts with a dot,
/// such as `._1.jpg` and `.ipynb_checkpoints`) or a system file (`__MACOSX`, `@eaDir`, `Thumbs.db`,
/// `desktop.ini` and the like, in any case).
pub(crate) fn is_passed_over(name: &OsStr) -> bool {
    if name.as_encoded_bytes().starts_with(b".") {
        return true;
    }
    let lower = name.to_string_lossy().to_lowercase();
    // Files that Windows and Synology keep next to a file, as other systems show them.
    let ending = [":zone.identifier", "@synoeastream"];
    LEFT_BY_SYSTEMS.contains(&&*lower) || ending.iter().any(|ending| lower.ends_with(ending))
}

/// The extension of a file in lower case, without the dot; empty if there is none.
pub(super) fn ending(file: &Path) -> String {
    let ending = file.extension().unwrap_or_default();
    ending.to_string_lossy().to_lowercase()
}

/// Whether a file has an image extension.
pub(crate) fn is_image(file: &Path) -> bool {
    ENDINGS.contains(&&*ending(file))
}

/// The image content of a file without an image extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Content {
    /// An image of an unsupported format.
    NotRead,
    /// An image of this supported format with the wrong extension.
    Misnamed(&'static str),
}

/// Detects the content from the first bytes of a file. Never opens a pipe or device.
fn sniff(path: &Path) -> Option<Content> {
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    File::open(path)
        .ok()?
        .take(64)
        .read_to_end(&mut bytes)
        .ok()?;
    let misnamed = |format: ImageFormat| match format {
        ImageFormat::Jpeg => Some("JPEG"),
        ImageFormat::Png => Some("PNG"),
        ImageFormat::WebP => Some("WebP"),
        ImageFormat::Bmp if bytes.get(6..10) == Some(&[0; 4]) => Some("BMP"),
        ImageFormat::Pnm if bytes.get(2).is_some_and(u8::is_ascii_whitespace) => Some("PNM"),
        _ => None,
    };
    match image::guess_format(&bytes) {
        Ok(ImageFormat::Gif | ImageFormat::Tiff | ImageFormat::Avif | ImageFormat::Ico) => {
            Some(Content::NotRead)
        }
        Ok(format) => misnamed(format).map(Content::Misnamed),
        Err(_) => {
            let brands = [&b"heic"[..], b"heix", b"mif1", b"msf1", b"hevc"];
            let heif = bytes.get(4..8) == Some(b"ftyp")
                && bytes
                    .get(8..12)
                    .is_some_and(|brand| brands.contains(&brand));
            heif.then_some(Content::NotRead)
        }
    }
}

/// Files without an image extension, counted by extension.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct OtherFiles {
    by_ending: BTreeMap<String, Others>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
struct Others {
    files: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<Content>,
}

/// Number of files per extension and folder whose content is inspected.
const MAX_INSPECTED: usize = 4;

impl OtherFiles {
    /// Counts a file and inspects its content, unless the extension is known or enough files were
    /// inspected.
    pub(super) fn add(&mut self, path: &Path) {
        let ending = ending(path);
        let not_read = NOT_READ.contains(&&*ending);
        let others = self.by_ending.entry(ending).or_default();
        others.files += 1;
        if not_read {
            others.image = Some(Content::NotRead);
        } else if others.image.is_none() && others.files <= MAX_INSPECTED {
            others.image = sniff(path);
        }
    }

    /// Adds the counts of another folder.
    pub(super) fn extend(&mut self, other: &Self) {
        for (ending, others) in &other.by_ending {
            let own = self.by_ending.entry(ending.clone()).or_default();
            own.files += others.files;
            own.image = own.image.or(others.image);
        }
    }

    /// Number of files.
    pub fn count(&self) -> usize {
        self.by_ending.values().map(|others| others.files).sum()
    }

    /// Whether no files were counted.
    pub fn is_empty(&self) -> bool {
        self.by_ending.is_empty()
    }

    /// The files that contain images.
    pub(super) fn images(&self) -> Self {
        let images = self.by_ending.iter();
        let images = images.filter(|(_, others)| others.image.is_some());
        Self {
            by_ending: images.map(|(a, b)| (a.clone(), b.clone())).collect(),
        }
    }
}

/// `4 .tif, 2 without extension (JPEG by content; name them .jpg)`, or `no files`.
impl fmt::Display for OtherFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no files");
        }
        for (place, (ending, others)) in self.by_ending.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}{} ", others.files)?;
            match &**ending {
                "" => f.write_str("without extension")?,
                ending => write!(f, ".{ending}")?,
            }
            if let Some(Content::Misnamed(format)) = others.image {
                let named = format.to_lowercase().replace("jpeg", "jpg");
                write!(f, " ({format} by content: name them .{named})")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_system_files_are_ignored() {
        for name in [
            ".DS_Store",
            "._1.jpg",
            ".git",
            ".ipynb_checkpoints",
            "__MACOSX",
            "@eaDir",
            "Thumbs.db",
            "THUMBS.DB",
            "desktop.ini",
            "Desktop.ini",
            "$RECYCLE.BIN",
            "#recycle",
            "@Recycle",
            "System Volume Information",
            "lost+found",
            "Icon\r",
            "1.jpg:Zone.Identifier",
        ] {
            assert!(is_passed_over(OsStr::new(name)), "{name}");
        }
        for name in [
            "cat", "_cat", "1.jpg", "thumbs", "macosx", "a.b", "#1", "@home", "~1.jpg",
        ] {
            assert!(!is_passed_over(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn other_files_are_counted_by_extension_and_inspected() {
        let dir = tempfile::tempdir().unwrap();
        let mut others = OtherFiles::default();
        assert_eq!(others.to_string(), "no files");
        for (name, bytes) in [
            ("1.tif", &b"II*\0"[..]),
            ("2.TIF", b""),
            ("photo", b"\xFF\xD8\xFF\xE0"),
            ("a.dat", b"\x89PNG\r\n\x1a\n"),
            ("b.bin", b"\0\0\0\x18ftypheic"),
            ("c.txt", b"hello"),
            ("d.img", b"GIF89a"),
        ] {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            others.add(&path);
        }
        assert_eq!(
            others.to_string(),
            "1 without extension (JPEG by content: name them .jpg), 1 .bin, \
             1 .dat (PNG by content: name them .png), 1 .img, 2 .tif, 1 .txt"
        );
        assert_eq!((others.count(), others.images().count()), (7, 6));
        assert!(ENDINGS.iter().all(|ending| !NOT_READ.contains(ending)));
    }
}
