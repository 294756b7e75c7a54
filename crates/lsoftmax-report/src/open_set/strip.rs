//! Rows of images within the page.

use crate::escape::{escape, put};
use crate::model::{ImageStrip, Thumbnail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Larger images are no longer thumbnails, and would make the page too large.
const LARGEST_SIDE: usize = 256;

pub(super) fn strip(strip: &ImageStrip) -> String {
    let mut html = format!(
        "<h3>{}</h3>\n<p class=\"small\">{}</p>\n<div class=\"strips\">\n",
        escape(&strip.title),
        escape(&strip.about)
    );
    for row in &strip.rows {
        put!(html, "<div class=\"strip\"><p>{}</p>", escape(&row.caption));
        for image in &row.images {
            html.push_str(&thumbnail(image));
        }
        html.push_str("</div>\n");
    }
    html.push_str("</div>\n");
    html
}

fn thumbnail(image: &Thumbnail) -> String {
    let (class, mark) = match image.right {
        None => ("", ""),
        Some(true) => (" class=\"right\"", "✓ "),
        Some(false) => (" class=\"wrong\"", "✗ "),
    };
    let caption = escape(&image.caption);
    let picture = match png(image) {
        Some(bytes) => format!(
            "<img alt=\"{caption}\" width=\"56\" src=\"data:image/png;base64,{}\"/>",
            STANDARD.encode(bytes)
        ),
        None => "<span class=\"missing\">no picture</span>".to_owned(),
    };
    format!("<figure{class}>{picture}<figcaption>{mark}{caption}</figcaption></figure>")
}

/// The image as a PNG file, or `None` if its bytes do not match its size.
fn png(image: &Thumbnail) -> Option<Vec<u8>> {
    let &Thumbnail {
        width,
        height,
        channels,
        ..
    } = image;
    let area = width.checked_mul(height)?;
    let sides = 1..=LARGEST_SIDE;
    let fits = sides.contains(&width) && sides.contains(&height) && matches!(channels, 1 | 3);
    if !fits || image.bytes.len() != area * channels {
        return None;
    }
    let color = if channels == 1 {
        png::ColorType::Grayscale
    } else {
        png::ColorType::Rgb
    };
    let pixels: Vec<u8> = (0..area)
        .flat_map(|at| (0..channels).map(move |channel| image.bytes[channel * area + at]))
        .collect();
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, width as u32, height as u32);
    encoder.set_color(color);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(&pixels).ok()?;
    writer.finish().ok()?;
    Some(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_comes_back_from_its_png() {
        let image = Thumbnail {
            width: 3,
            height: 2,
            channels: 3,
            bytes: (0..18).collect(),
            ..Thumbnail::default()
        };
        let file = png(&image).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(file))
            .read_info()
            .unwrap();
        let mut pixels = vec![0; 18];
        reader.next_frame(&mut pixels).unwrap();
        assert_eq!(pixels[..6], [0, 6, 12, 1, 7, 13]);
    }

    #[test]
    fn bytes_that_do_not_fit_are_no_picture() {
        for (width, height, channels, bytes) in [
            (2, 2, 1, 5),
            (0, 2, 1, 0),
            (2, 2, 2, 8),
            (257, 1, 1, 257),
            (usize::MAX, 2, 1, 2),
        ] {
            let image = Thumbnail {
                width,
                height,
                channels,
                bytes: vec![0; bytes],
                caption: "<b>".into(),
                right: Some(false),
            };
            let html = thumbnail(&image);
            assert!(
                html.contains("no picture") && html.contains("✗ &lt;b&gt;"),
                "{html}"
            );
        }
    }
}
