use super::*;
use image::codecs::jpeg::JpegEncoder;
use image::{ImageEncoder as _, codecs::png::PngEncoder};
use proptest::prelude::*;
use std::time::{Duration, Instant};

fn decode(bytes: &[u8], options: &ImageOptions) -> Result<Vec<u8>, DataError> {
    let dir = folder(&[("image", bytes.to_vec())]);
    decode_image(&dir.path().join("image"), options)
}

fn exactly(size: [usize; 2], channels: Channels) -> ImageOptions {
    ImageOptions {
        size,
        channels,
        ..ImageOptions::default()
    }
}

/// The first bytes of a PNG with this size in its header.
fn claiming_png(side: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(side.to_be_bytes());
    header.extend(side.to_be_bytes());
    header.extend([8, 6, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0d".to_vec();
    file.extend(&header);
    file.extend(crc32(&header).to_be_bytes());
    file.extend(b"\x00\x00\x00\x00IDAT");
    file.extend(crc32(b"IDAT").to_be_bytes());
    file
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 }
        })
    })
}

fn claiming_bmp(side: u32) -> Vec<u8> {
    let mut file = b"BM\x00\x00\x00\x00\x00\x00\x00\x00\x36\x00\x00\x00\x28\x00\x00\x00".to_vec();
    file.extend(side.to_le_bytes());
    file.extend(side.to_le_bytes());
    file.extend([1, 0, 24, 0]);
    file.extend([0; 24]);
    file
}

/// Pixels that a program has decoded give the bytes of their file.
#[test]
fn a_decoded_image_is_prepared_like_its_file() {
    for (colour, depth) in [(ExtendedColorType::L8, 1), (ExtendedColorType::Rgb8, 3)] {
        let bytes: Vec<u8> = (0..20 * 30 * depth).map(|i| (i * i % 251) as u8).collect();
        let file = encoded(&bytes, [20, 30], colour, ImageFormat::Png);
        for fit in [Fit::Crop, Fit::Stretch, Fit::Pad] {
            for channels in [Channels::Grey, Channels::Colour, Channels::Auto] {
                let options = ImageOptions {
                    fit,
                    ..exactly([9, 14], channels)
                };
                let expected = decode(&file, &options).unwrap();
                let image = || DecodedImage::new(bytes.clone(), [20, 30, depth]).unwrap();
                let mut found = vec![0; expected.len()];
                prepare_image(image(), &options, &mut found).unwrap();
                assert_eq!(found, expected, "{depth} {options:?}");
                let short = prepare_image(image(), &options, &mut found[1..]);
                says(short, &["the number of bytes must be that of"]);
            }
        }
    }
}

#[test]
fn image_bombs_are_rejected_by_their_headers() {
    let pgm = b"P5 60000 60000 255\n".to_vec();
    // A start of frame with 60,000 lines of as many samples, and no data.
    let mut jpg = b"\xFF\xD8\xFF\xC0\x00\x0B\x08\xEA\x60\xEA\x60\x01\x01\x11\x00".to_vec();
    jpg.extend(b"\xFF\xDA\x00\x08\x01\x01\x00\x00\x3F\x00\xFF\xD9");
    for bomb in [claiming_png(60_000), claiming_bmp(60_000), pgm, jpg] {
        let dir = folder(&[("bomb.png", bomb)]);
        let path = dir.path().join("bomb.png");
        let start = Instant::now();
        let result = decode_image(&path, &small());
        assert!(start.elapsed() < Duration::from_secs(1));
        says(result, &["bomb.png", "60000x60000", "16384x16384"]);
    }
    // Within the maximum sides, but 1 GiB at four bytes per pixel.
    says(
        decode(&claiming_png(16_384), &small()),
        &["16384x16384", "512 MiB"],
    );
}

#[test]
fn files_that_are_not_images_are_reported() {
    says(decode(b"", &small()), &["an empty file"]);
    says(
        decode(b"just a text\n", &small()),
        &["expected a JPEG, PNG, WebP, BMP or PNM image, found an unknown file signature"],
    );
    says(
        decode(b"GIF89a\x01\x00\x01\x00", &small()),
        &["an unknown file signature"],
    );
    let dir = folder(&[]);
    says(decode_image(dir.path(), &small()), &["found a folder"]);
    says(
        decode_image(&dir.path().join("x"), &small()),
        &["No such file"],
    );
    for size in [[0, 4], [4, 0], [4097, 4], [usize::MAX, usize::MAX]] {
        let options = exactly(size, Channels::Auto);
        says(decode(&png(0), &options), &["image-size must be from 1x1"]);
    }
}

#[test]
fn an_image_cut_anywhere_is_broken() {
    let grey = |format| encoded(&[77; 64 * 64], [64, 64], ExtendedColorType::L8, format);
    let colour = |format| {
        let bytes: Vec<u8> = (0..64 * 64 * 3).map(|i| (i % 253) as u8).collect();
        encoded(&bytes, [64, 64], ExtendedColorType::Rgb8, format)
    };
    let mut progressive_like = jpeg();
    progressive_like.extend(b"something after the end");
    assert!(decode(&progressive_like, &small()).is_ok());
    // The last bytes that matter: a PNG ends with an empty chunk of 12 bytes, and its data ends
    // with a checksum.
    for (file, end) in [
        (jpeg(), 0),
        (grey(ImageFormat::Jpeg), 0),
        (colour(ImageFormat::Png), 16),
        (colour(ImageFormat::Bmp), 0),
        (colour(ImageFormat::WebP), 1),
        (grey(ImageFormat::Pnm), 0),
    ] {
        decode(&file, &small()).unwrap();
        let last = file.len() - end;
        for cut in (0..last).step_by(61).chain([last / 2, last - 1]) {
            let result = decode(&file[..cut], &small());
            assert!(result.is_err(), "{} of {} bytes", cut, file.len());
        }
    }
    let half = jpeg();
    says(
        decode(&half[..half.len() / 2], &small()),
        &["a whole JPEG", "truncated"],
    );
}

#[test]
fn orientation_is_honoured() {
    // Left half black, right half white.
    let row = [[0u8; 32], [255; 32]].concat();
    let bytes = row.repeat(64);
    let mut exif = b"MM\x00\x2a\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01".to_vec();
    // 6: rotate by 90 degrees clockwise, so that the left side becomes the top.
    exif.extend(b"\x00\x06\x00\x00\x00\x00\x00\x00");
    let mut file = Vec::new();
    let mut encoder = JpegEncoder::new_with_quality(&mut file, 95);
    encoder.set_exif_metadata(exif).unwrap();
    encoder
        .write_image(&bytes, 64, 64, ExtendedColorType::L8)
        .unwrap();
    let out = decode(&file, &exactly([2, 2], Channels::Grey)).unwrap();
    assert!(
        out[0] < 40 && out[1] < 40 && out[2] > 215 && out[3] > 215,
        "{out:?}"
    );
}

#[test]
fn every_kind_of_pixel_becomes_bytes() {
    let exact = |channels| exactly([1, 2], channels);
    let png = |bytes: &[u8], colour| encoded(bytes, [1, 2], colour, ImageFormat::Png);
    // 16 bits, native byte order in the encoder's input.
    let deep: Vec<u8> = [0x8080u16, 0xFFFF]
        .iter()
        .flat_map(|v| v.to_ne_bytes())
        .collect();
    let deep = png(&deep, ExtendedColorType::L16);
    assert_eq!(decode(&deep, &exact(Channels::Grey)).unwrap(), [128, 255]);
    // On white: opaque black, fully transparent.
    let alpha = png(&[0, 0, 0, 255, 9, 9, 9, 0], ExtendedColorType::Rgba8);
    assert_eq!(
        decode(&alpha, &exact(Channels::Colour)).unwrap(),
        [0, 255, 0, 255, 0, 255]
    );
    assert_eq!(decode(&alpha, &exact(Channels::Auto)).unwrap(), [0, 255]);
    let half = png(&[100, 128, 100, 255], ExtendedColorType::La8);
    assert_eq!(decode(&half, &exact(Channels::Grey)).unwrap(), [177, 100]);
    let red = png(&[255, 0, 0, 0, 0, 255], ExtendedColorType::Rgb8);
    assert_eq!(decode(&red, &exact(Channels::Grey)).unwrap(), [54, 18]);
    assert_eq!(
        decode(&red, &exact(Channels::Auto)).unwrap(),
        [255, 0, 0, 0, 0, 255]
    );
    let grey = png(&[3, 200], ExtendedColorType::L8);
    assert_eq!(
        decode(&grey, &exact(Channels::Colour)).unwrap(),
        [3, 200, 3, 200, 3, 200]
    );
    assert_eq!(decode(&grey, &exact(Channels::Auto)).unwrap(), [3, 200]);
    // One bit per pixel.
    let bits = b"P4 2 1 \x40".to_vec();
    assert_eq!(decode(&bits, &exact(Channels::Auto)).unwrap(), [255, 0]);
}

#[test]
fn a_palette_is_looked_up() {
    // Two pixels, palette red and green, written chunk by chunk.
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |name: &[u8; 4], data: &[u8]| {
        file.extend((data.len() as u32).to_be_bytes());
        let content = [&name[..], data].concat();
        file.extend(&content);
        file.extend(crc32(&content).to_be_bytes());
    };
    chunk(b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 1, 1, 3, 0, 0, 0]);
    chunk(b"PLTE", &[255, 0, 0, 0, 255, 0]);
    let mut data = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut data, &[0, 0b0100_0000]).unwrap();
    chunk(b"IDAT", &data.finish().unwrap());
    chunk(b"IEND", &[]);
    let out = decode(&file, &exactly([1, 2], Channels::Auto)).unwrap();
    assert_eq!(out, [255, 0, 0, 255, 0, 0]);
}

#[test]
fn one_file_and_a_data_set_give_the_same_bytes_on_any_number_of_threads() {
    let files: Vec<(String, Vec<u8>)> = (0..24)
        .map(|i| (format!("{}/{i}.jpg", i % 3), jpeg()))
        .collect();
    let files: Vec<_> = files.iter().map(|(n, b)| (&**n, b.clone())).collect();
    let dir = folder(&files);
    let list = ImageList::from_folder(dir.path()).unwrap();
    let options = exactly([17, 23], Channels::Auto);
    let with_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap()
            .install(|| list.decode(&options).unwrap().dataset)
    };
    let data = with_threads(1);
    assert_eq!(data, with_threads(4));
    assert_eq!((data.channels, data.height, data.width), (3, 17, 23));
    let single = decode_image(&list.entries[5].path, &options).unwrap();
    assert_eq!(data.image(5), single);
}

#[test]
fn an_alignment_comes_before_the_size() {
    let options = ImageOptions {
        alignment: Some(Alignment::new("inverted", |path, image| {
            if path.ends_with("bad.png") {
                return Err(DataError::format(path, "a face", "none"));
            }
            let bytes = image.bytes().iter().map(|byte| 255 - byte).collect();
            DecodedImage::new(bytes, [image.height(), image.width(), image.channels()])
        })),
        ..small()
    };
    let dir = folder(&[
        ("a/1.png", png(5)),
        ("a/bad.png", png(0)),
        ("b/1.png", png(6)),
    ]);
    let decoded = ImageList::from_folder(dir.path()).unwrap().decode(&options);
    let decoded = decoded.unwrap();
    assert_eq!(
        (decoded.dataset.image(0)[0], decoded.dataset.len()),
        (250, 2)
    );
    assert_eq!(decoded.skipped[0].1, "expected a face, found none");
    assert_ne!(options, small());
    assert_eq!(options, options.clone());
}

#[test]
fn broken_images_are_skipped_or_rejected() {
    let mut cut = jpeg();
    cut.truncate(cut.len() / 2);
    let dir = folder(&[
        ("a/1.png", png(1)),
        ("a/2.jpg", cut),
        ("a/3.png", Vec::new()),
        ("a/4.png", png(4)),
        ("b/text.png", b"hello".to_vec()),
        ("b/5.png", png(5)),
    ]);
    let list = ImageList::from_folder(dir.path()).unwrap();
    let decoded = list.decode(&small()).unwrap();
    assert_eq!(decoded.dataset.labels(), [0, 0, 1]);
    assert_eq!(decoded.dataset.image(1), [4; 16]);
    assert_eq!(decoded.entries, [0, 3, 4]);
    assert!(decoded.paths[2].ends_with("b/5.png"));
    let names: Vec<_> = decoded.skipped.iter().map(|(path, _)| path).collect();
    assert!(names[0].ends_with("a/2.jpg") && names[2].ends_with("b/text.png"));
    assert_eq!(
        decoded.remarks,
        [format!(
            "3 broken images skipped: a{0}2.jpg (expected a whole JPEG, found one without an end \
             marker: the file is truncated), a{0}3.png (expected a JPEG, PNG, WebP, BMP or PNM \
             image, found an empty file), b{0}text.png (expected a JPEG, PNG, WebP, BMP or PNM image, found \
             an unknown file signature)",
            std::path::MAIN_SEPARATOR
        )]
    );
    let refuse = ImageOptions {
        broken: Broken::Refuse,
        ..small()
    };
    says(list.decode(&refuse), &["3 broken of 6", "2.jpg"]);
    // No readable image in one class, and in all.
    fs::write(dir.path().join("b/5.png"), b"").unwrap();
    says(list.decode(&small()), &["class \"b\"", "2 broken"]);
    let dir = folder(&[("a/1.png", Vec::new()), ("b/1.png", Vec::new())]);
    let list = ImageList::from_folder(dir.path()).unwrap();
    says(list.decode(&small()), &["2 broken of 2"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Damage may go undetected, but is never worse than an error.
    #[test]
    fn damage_never_panics(
        which in 0usize..5,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let format = [
            ImageFormat::Jpeg,
            ImageFormat::Png,
            ImageFormat::Bmp,
            ImageFormat::WebP,
            ImageFormat::Pnm,
        ][which];
        let pixels: Vec<u8> = (0..24 * 24 * 3).map(|i| (i * i % 256) as u8).collect();
        let mut file = encoded(&pixels, [24, 24], ExtendedColorType::Rgb8, format);
        for (place, byte) in damage {
            let place = place.index(file.len());
            file[place] = byte;
        }
        if let Ok(out) = decode(&file, &exactly([5, 5], Channels::Colour)) {
            prop_assert_eq!(out.len(), 75);
        }
    }
}

#[test]
fn a_png_of_the_default_encoder_is_read() {
    let mut file = Vec::new();
    PngEncoder::new(&mut file)
        .write_image(&[9; 12], 2, 2, ExtendedColorType::Rgb8)
        .unwrap();
    assert_eq!(
        decode(&file, &exactly([2, 2], Channels::Grey)).unwrap(),
        [9; 4]
    );
}
