//! Writes the first generated images as one PGM: `contact_sheet glyphs|alphabet FILE.pgm`.

use lsoftmax_data::glyphs::{Difficulty, SIDE, Stream, alphabet, digits};
use std::error::Error;

/// Images per row and per column of the sheet.
const COLUMNS: usize = 30;
const ROWS: usize = 15;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, file] = &arguments[..] else {
        return Err("usage: contact_sheet glyphs|alphabet FILE.pgm".into());
    };
    let difficulty = Difficulty::default();
    let set = match kind.as_str() {
        "alphabet" => alphabet(0, Stream::Train, 0..COLUMNS as u32, ROWS, &difficulty),
        _ => digits(0, Stream::Train, COLUMNS * ROWS, &difficulty),
    };
    let mut bytes = format!("P5 {} {} 255\n", COLUMNS * SIDE, ROWS * SIDE).into_bytes();
    for y in 0..ROWS * SIDE {
        for x in 0..COLUMNS * SIDE {
            let image = y / SIDE * COLUMNS + x / SIDE;
            bytes.push(set.images[image * SIDE * SIDE + y % SIDE * SIDE + x % SIDE]);
        }
    }
    Ok(std::fs::write(file, bytes)?)
}
