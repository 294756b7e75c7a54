//! Parses the segments of a JPEG (ITU-T T.81, annex B) and checks that the data matches them.

use super::super::ExpectedFound;
use super::huffman::{Fault, Table};
use super::scan::{Band, End, Part, walk};

/// Scans are small to write but slow to decode; encoders write about a dozen.
const MAX_SCANS: usize = 100;

const SOI: u8 = 0xD8;
const EOI: u8 = 0xD9;
const SOS: u8 = 0xDA;
const DHT: u8 = 0xC4;
const DQT: u8 = 0xDB;
const DRI: u8 = 0xDD;
const APP0: u8 = 0xE0;
const APP14: u8 = 0xEE;

/// The colour model of the components, by libjpeg's rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    Grey,
    Rgb,
    YCbCr,
    Cmyk,
    Ycck,
}

/// A JPEG with all of its blocks present.
#[derive(Debug)]
pub(super) struct Layout {
    /// Columns and rows.
    pub(super) size: [u32; 2],
    pub(super) colours: Colours,
}

struct Component {
    id: u8,
    /// Sampling factors, horizontal and vertical, each from 1 to 4.
    sampling: [usize; 2],
    quantisation: usize,
    /// Progressive images only: the non-zero coefficients of each block.
    present: Vec<u64>,
    /// For each coefficient, the lowest bit received so far; `None` before its first scan.
    known: [Option<u8>; 64],
}

struct Frame {
    progressive: bool,
    size: [usize; 2],
    /// The largest sampling factors.
    largest: [usize; 2],
    components: Vec<Component>,
}

impl Frame {
    /// MCUs of a scan with several components, horizontal and vertical.
    fn mcus(&self) -> [usize; 2] {
        [0, 1].map(|axis| self.size[axis].div_ceil(8 * self.largest[axis]))
    }

    /// Blocks with samples of a component, horizontal and vertical.
    fn blocks(&self, component: &Component) -> [usize; 2] {
        [0, 1].map(|axis| {
            (self.size[axis] * component.sampling[axis])
                .div_ceil(self.largest[axis])
                .div_ceil(8)
        })
    }
}

/// The current tables.
#[derive(Default)]
struct Tables {
    dc: [Option<Table>; 4],
    ac: [Option<Table>; 4],
    quantisation: [bool; 4],
    interval: usize,
}

fn damaged(found: impl Into<String>) -> ExpectedFound {
    ("an undamaged JPG".to_owned(), found.into())
}

fn truncated() -> ExpectedFound {
    (
        "a whole JPEG".to_owned(),
        "one without an end marker: the file is truncated".to_owned(),
    )
}

fn unsupported(found: impl Into<String>) -> ExpectedFound {
    (
        "a JPEG with Huffman codes and 8 bits per sample (save it again as an ordinary JPEG)"
            .to_owned(),
        found.into(),
    )
}

impl Layout {
    /// Parses a file without decoding it. `allowed` is called with the size and the bytes needed
    /// for decoding before memory is allocated.
    pub(super) fn of(
        bytes: &[u8],
        allowed: impl Fn([u32; 2], u64) -> Result<(), ExpectedFound>,
    ) -> Result<Self, ExpectedFound> {
        let mut at = 2;
        let mut tables = Tables::default();
        let mut frame: Option<Frame> = None;
        let (mut jfif, mut adobe) = (false, None);
        let mut scans = 0;
        loop {
            let marker;
            (marker, at) = next_marker(bytes, at).ok_or_else(truncated)?;
            match marker {
                EOI => break,
                SOI => return Err(damaged("a second image within it")),
                // Markers without a segment: TEM and the restarts.
                0x01 | 0xD0..=0xD7 => continue,
                _ => {}
            }
            let segment = segment(bytes, at).ok_or_else(truncated)?;
            at += 2 + segment.len();
            match marker {
                DHT => huffman_tables(segment, &mut tables)
                    .ok_or_else(|| damaged("an invalid Huffman table"))?,
                DQT => quantisation_tables(segment, &mut tables)
                    .ok_or_else(|| damaged("an invalid quantisation table"))?,
                DRI => {
                    let &[high, low] = segment else {
                        return Err(damaged("a restart interval of the wrong length"));
                    };
                    tables.interval = usize::from(u16::from_be_bytes([high, low]));
                }
                APP0 if segment.starts_with(b"JFIF\0") => jfif = true,
                APP14 if segment.starts_with(b"Adobe") && segment.len() >= 12 => {
                    adobe = Some(segment[11]);
                }
                0xC0..=0xCF if marker != 0xC8 && marker != 0xCC => {
                    if frame.is_some() {
                        return Err(unsupported("one of several frames (hierarchical)"));
                    }
                    frame = Some(start_of_frame(marker, segment, &allowed)?);
                }
                SOS => {
                    let frame = frame
                        .as_mut()
                        .ok_or_else(|| damaged("a scan before the size of the image"))?;
                    scans += 1;
                    if scans > MAX_SCANS {
                        return Err(damaged(format!("more than {MAX_SCANS} scans")));
                    }
                    at = scan(bytes, at, segment, frame, &tables, scans)?;
                }
                _ => {}
            }
        }
        let frame = frame.ok_or_else(|| damaged("one without an image"))?;
        if frame.components.iter().any(Component::incomplete) {
            return Err((
                "a whole JPEG".to_owned(),
                format!("one with scans missing after the first {scans}"),
            ));
        }
        Ok(Self {
            size: frame.size.map(|side| side as u32),
            colours: colours(&frame.components, jfif, adobe),
        })
    }
}

impl Component {
    /// Whether a coefficient was not received down to its last bit, or nothing was received.
    fn incomplete(&self) -> bool {
        self.known[0].is_none() || self.known.iter().flatten().any(|&bit| bit != 0)
    }
}

/// The next marker at or after a position, and the start of its segment. Bytes between segments are
/// skipped, as in libjpeg.
fn next_marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += 1 + bytes.get(at..)?.iter().position(|&byte| byte == 0xFF)?;
        match *bytes.get(at)? {
            0x00 | 0xFF => {}
            marker => return Some((marker, at + 1)),
        }
    }
}

/// The content of the segment whose length field is at `at`.
fn segment(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let length = usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    bytes.get(at + 2..at + length.max(2))
}

fn huffman_tables(mut segment: &[u8], tables: &mut Tables) -> Option<()> {
    while let Some((&[kind, ref counts @ ..], rest)) = segment.split_first_chunk::<17>() {
        let symbols: usize = counts.iter().map(|&count| usize::from(count)).sum();
        let (symbols, rest) = rest.split_at_checked(symbols).filter(|_| symbols <= 256)?;
        let table = Table::new(counts, symbols)?;
        let place = match kind >> 4 {
            0 => &mut tables.dc,
            1 => &mut tables.ac,
            _ => return None,
        };
        *place.get_mut(usize::from(kind & 15))? = Some(table);
        segment = rest;
    }
    segment.is_empty().then_some(())
}

fn quantisation_tables(mut segment: &[u8], tables: &mut Tables) -> Option<()> {
    while let Some((&kind, rest)) = segment.split_first() {
        let bytes = match kind >> 4 {
            0 => 64,
            1 => 128,
            _ => return None,
        };
        segment = rest.get(bytes..)?;
        *tables.quantisation.get_mut(usize::from(kind & 15))? = true;
    }
    Some(())
}

fn start_of_frame(
    marker: u8,
    segment: &[u8],
    allowed: &impl Fn([u32; 2], u64) -> Result<(), ExpectedFound>,
) -> Result<Frame, ExpectedFound> {
    match marker {
        0xC0..=0xC2 => {}
        0xC3 => return Err(unsupported("a lossless one")),
        0xC5..=0xC7 => return Err(unsupported("a hierarchical one")),
        _ => return Err(unsupported("one with arithmetic coding")),
    }
    let &[precision, a, b, c, d, count, ref parts @ ..] = segment else {
        return Err(damaged("a frame without its size"));
    };
    if precision != 8 {
        return Err(unsupported(format!("one with {precision} bits per sample")));
    }
    let [height, width] = [[a, b], [c, d]].map(|side| usize::from(u16::from_be_bytes(side)));
    if height == 0 || width == 0 {
        return Err(unsupported(format!("one of {width}x{height} pixels")));
    }
    let (parts, []) = parts.as_chunks::<3>() else {
        return Err(damaged("a frame of the wrong length"));
    };
    if ![1, 3, 4].contains(&parts.len()) || parts.len() != usize::from(count) {
        return Err(unsupported(format!("one with {count} components")));
    }
    let mut components: Vec<Component> = Vec::with_capacity(parts.len());
    for &[id, sampling, quantisation] in parts {
        let sampling = [usize::from(sampling >> 4), usize::from(sampling & 15)];
        let valid = sampling.iter().all(|factor| (1..=4).contains(factor));
        if !valid || quantisation > 3 || components.iter().any(|known| known.id == id) {
            return Err(damaged("an invalid component"));
        }
        components.push(Component {
            id,
            sampling,
            quantisation: usize::from(quantisation),
            present: Vec::new(),
            known: [None; 64],
        });
    }
    let largest = [0, 1].map(|axis| {
        let factors = components.iter().map(|component| component.sampling[axis]);
        factors.max().unwrap_or(1)
    });
    let mut frame = Frame {
        progressive: marker == 0xC2,
        size: [width, height],
        largest,
        components,
    };
    let mcus = frame.mcus();
    let all =
        |component: &Component| mcus[0] * component.sampling[0] * mcus[1] * component.sampling[1];
    let samples = 64 * frame.components.iter().map(all).sum::<usize>() as u64;
    let pixels = (width * height * frame.components.len()) as u64;
    // The coefficients of a progressive image are kept to the end, two bytes each.
    let kept = if frame.progressive { 2 * samples } else { 0 };
    allowed([width as u32, height as u32], pixels.max(kept))?;
    if frame.progressive {
        for component in &mut frame.components {
            component.present = vec![0; all(component)];
        }
    }
    Ok(frame)
}

/// Parses a scan and returns the position of the next marker.
fn scan(
    bytes: &[u8],
    at: usize,
    header: &[u8],
    frame: &mut Frame,
    tables: &Tables,
    number: usize,
) -> Result<usize, ExpectedFound> {
    let header = ScanHeader::of(header, frame)
        .ok_or_else(|| damaged(format!("scan {number}, which does not fit the image")))?;
    let alone = header.parts.len() == 1;
    // jpeg-decoder misplaces the blocks of a component with an intermediate size in its own scan.
    let middle = |&(index, ..): &(usize, usize, usize)| {
        let sampling = frame.components[index].sampling;
        (0..2).any(|axis| 1 < sampling[axis] && sampling[axis] < frame.largest[axis])
    };
    if alone && header.parts.iter().any(middle) {
        return Err((
            "a JPEG with ordinary sampling (save it again)".to_owned(),
            "one with reducible sampling factors and a scan for each component".to_owned(),
        ));
    }
    let ready = header.parts.iter().all(|&(index, dc, ac)| {
        let needs_dc = header.band.from == 0 && !header.band.refines;
        let needs_ac = header.band.to > 0;
        tables.quantisation[frame.components[index].quantisation]
            && (!needs_dc || tables.dc[dc].is_some())
            && (!needs_ac || tables.ac[ac].is_some())
    });
    if !ready {
        return Err(damaged(format!("scan {number} without its tables")));
    }
    let mcus = if alone {
        frame.blocks(&frame.components[header.parts[0].0])
    } else {
        frame.mcus()
    };
    let across = frame.mcus()[0];
    let mut parts = Vec::with_capacity(header.parts.len());
    for (index, component) in frame.components.iter_mut().enumerate() {
        let Some(&(_, dc, ac)) = header.parts.iter().find(|part| part.0 == index) else {
            continue;
        };
        parts.push(Part {
            blocks: if alone { [1, 1] } else { component.sampling },
            dc: tables.dc[dc].as_ref(),
            ac: tables.ac[ac].as_ref(),
            present: &mut component.present,
            stride: across * component.sampling[0],
        });
    }
    let of = |mcu: usize| {
        format!(
            "after {mcu} of {} blocks of scan {number}",
            mcus[0] * mcus[1]
        )
    };
    let hole = |found: String| Err(("a whole JPEG".to_owned(), found));
    match walk(bytes, at, mcus, tables.interval, header.band, &mut parts) {
        End::Whole(next) => Ok(next),
        End::Fault { .. } | End::NoRestart { .. } if !ends(&bytes[at..]) => Err(truncated()),
        End::Fault {
            after,
            fault: Fault::Ended,
        } => hole(format!("one whose data ends {}", of(after))),
        End::Fault {
            after,
            fault: Fault::Invalid,
        } => Err(damaged(format!("invalid data {}", of(after)))),
        End::LeftOver { after } => hole(format!("extra bytes {}", of(after))),
        End::NoRestart { after } => hole(format!("no restart marker, or another, {}", of(after))),
    }
}

/// Whether the file has an end marker.
fn ends(bytes: &[u8]) -> bool {
    bytes.windows(2).any(|pair| pair == [0xFF, EOI])
}

struct ScanHeader {
    /// The index of each component and of its tables.
    parts: Vec<(usize, usize, usize)>,
    band: Band,
}

impl ScanHeader {
    /// Parses the header of a scan and records the coefficients that it provides. `None` if it is
    /// invalid or does not follow the preceding scans.
    fn of(segment: &[u8], frame: &mut Frame) -> Option<Self> {
        let (&count, rest) = segment.split_first()?;
        let (parts, rest) = rest.split_at_checked(2 * usize::from(count))?;
        let &[from, to, bits] = rest else {
            return None;
        };
        let (high, low) = (bits >> 4, bits & 15);
        let band = if frame.progressive {
            let dc = from == 0 && to == 0;
            if !dc && (from == 0 || to < from || to > 63 || count != 1) || low > 13 {
                return None;
            }
            Band {
                progressive: true,
                from: u32::from(from),
                to: u32::from(to),
                refines: high > 0,
            }
        } else {
            // Encoders write different values here, and decoders ignore them.
            Band {
                progressive: false,
                from: 0,
                to: 63,
                refines: false,
            }
        };
        let mut found: Vec<(usize, usize, usize)> = Vec::with_capacity(parts.len() / 2);
        for &[id, tables] in parts.as_chunks::<2>().0 {
            let index = frame.components.iter().position(|known| known.id == id)?;
            // In the order of the frame, each once.
            if found.last().is_some_and(|last| last.0 >= index)
                || tables >> 4 > 3
                || tables & 15 > 3
            {
                return None;
            }
            found.push((index, usize::from(tables >> 4), usize::from(tables & 15)));
            for known in &mut frame.components[index].known[band.from as usize..=band.to as usize] {
                *known = match *known {
                    _ if !band.progressive && known.is_some() => return None,
                    _ if !band.progressive => Some(0),
                    None if high == 0 => Some(low),
                    Some(bit) if band.refines && bit == high && low + 1 == high => Some(low),
                    _ => return None,
                };
            }
        }
        let blocks = |&(index, ..): &(usize, usize, usize)| {
            frame.components[index].sampling.iter().product::<usize>()
        };
        let fits = found.len() == 1 || found.iter().map(blocks).sum::<usize>() <= 10;
        (!found.is_empty() && fits).then_some(Self { parts: found, band })
    }
}

/// The colour model that libjpeg assumes for the components.
fn colours(components: &[Component], jfif: bool, adobe: Option<u8>) -> Colours {
    let rgb = match (components, adobe) {
        _ if jfif => false,
        (_, Some(transform)) => transform == 0,
        ([a, b, c], None) => [a.id, b.id, c.id] == *b"RGB",
        _ => false,
    };
    match components.len() {
        1 => Colours::Grey,
        3 if rgb => Colours::Rgb,
        3 => Colours::YCbCr,
        _ if adobe.is_none_or(|transform| transform == 0) => Colours::Cmyk,
        _ => Colours::Ycck,
    }
}
