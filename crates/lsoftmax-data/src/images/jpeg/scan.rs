//! Parses the coefficients of a scan (ITU-T T.81, F.2.2 and G.2) without storing them, to check
//! that all blocks are present.

use super::huffman::{Bits, Fault, Table};

/// Some cameras write an extra empty byte at the end.
const PADDING: usize = 2;

/// A component in a scan.
pub(super) struct Part<'a> {
    /// Blocks per MCU, horizontal and vertical; 1x1 in a scan of one component.
    pub(super) blocks: [usize; 2],
    pub(super) dc: Option<&'a Table>,
    pub(super) ac: Option<&'a Table>,
    /// Progressive images only: the non-zero coefficients of each block, in lines of `stride`.
    pub(super) present: &'a mut [u64],
    pub(super) stride: usize,
}

/// The coefficients covered by a scan.
#[derive(Clone, Copy)]
pub(super) struct Band {
    pub(super) progressive: bool,
    /// The first and the last coefficient.
    pub(super) from: u32,
    pub(super) to: u32,
    /// Whether the scan refines an earlier one.
    pub(super) refines: bool,
}

/// The end of a scan.
pub(super) enum End {
    /// All blocks are present; the position of the next marker.
    Whole(usize),
    /// Too early, after this many MCUs.
    Fault { after: usize, fault: Fault },
    /// Extra data remains after this many MCUs.
    LeftOver { after: usize },
    /// A wrong marker or restart number after this many MCUs.
    NoRestart { after: usize },
}

/// Parses all MCUs, `[across, down]`, with a restart after every `interval` of them (0: none).
pub(super) fn walk(
    bytes: &[u8],
    start: usize,
    mcus: [usize; 2],
    interval: usize,
    band: Band,
    parts: &mut [Part<'_>],
) -> End {
    let mut bits = Bits::new(bytes, start);
    // Number of following blocks without further coefficients in this band.
    let mut empty = 0u32;
    for mcu in 0..mcus[0] * mcus[1] {
        if interval > 0 && mcu > 0 && mcu.is_multiple_of(interval) {
            let Some(at) = bits.end(0) else {
                return End::LeftOver { after: mcu };
            };
            let number = (mcu / interval - 1) % 8;
            let Some(next) = restart(bytes, at, number as u8) else {
                return End::NoRestart { after: mcu };
            };
            bits = Bits::new(bytes, next);
            empty = 0;
        }
        let place = [mcu % mcus[0], mcu / mcus[0]];
        if let Err(fault) = mcu_at(&mut bits, place, band, parts, &mut empty) {
            return End::Fault { after: mcu, fault };
        }
    }
    let after = mcus[0] * mcus[1];
    bits.end(PADDING)
        .map_or(End::LeftOver { after }, End::Whole)
}

/// The position of the data after the restart with this number.
fn restart(bytes: &[u8], mut at: usize, number: u8) -> Option<usize> {
    while bytes.get(at + 1) == Some(&0xFF) {
        at += 1;
    }
    (bytes.get(at + 1) == Some(&(0xD0 + number))).then_some(at + 2)
}

fn mcu_at(
    bits: &mut Bits<'_>,
    place: [usize; 2],
    band: Band,
    parts: &mut [Part<'_>],
    empty: &mut u32,
) -> Result<(), Fault> {
    for part in parts {
        let Part {
            blocks,
            stride,
            dc,
            ac,
            ..
        } = *part;
        for down in 0..blocks[1] {
            for across in 0..blocks[0] {
                if !band.progressive {
                    sequential(bits, dc.ok_or(Fault::Invalid)?, ac.ok_or(Fault::Invalid)?)?;
                    continue;
                }
                if band.from == 0 {
                    if band.refines {
                        bits.skip(1)?;
                    } else {
                        let size = bits.symbol(dc.ok_or(Fault::Invalid)?)?;
                        skip_value(bits, size)?;
                    }
                    continue;
                }
                let block = (place[1] * blocks[1] + down) * stride + place[0] * blocks[0] + across;
                let present = part.present.get_mut(block).ok_or(Fault::Invalid)?;
                let ac = ac.ok_or(Fault::Invalid)?;
                if band.refines {
                    refine(bits, ac, band, present, empty)?;
                } else {
                    first(bits, ac, band, present, empty)?;
                }
            }
        }
    }
    Ok(())
}

fn skip_value(bits: &mut Bits<'_>, size: u8) -> Result<(), Fault> {
    if size > 15 {
        return Err(Fault::Invalid);
    }
    bits.skip(u32::from(size))
}

fn sequential(bits: &mut Bits<'_>, dc: &Table, ac: &Table) -> Result<(), Fault> {
    let size = bits.symbol(dc)?;
    skip_value(bits, size)?;
    let mut k = 1;
    while k < 64 {
        let symbol = bits.symbol(ac)?;
        let (run, size) = (symbol >> 4, symbol & 15);
        if size == 0 && run != 15 {
            break;
        }
        bits.skip(u32::from(size))?;
        k += u32::from(run) + 1;
        if k > 64 {
            return Err(Fault::Invalid);
        }
    }
    Ok(())
}

/// The number of consecutive empty blocks, including this one.
fn empty_blocks(bits: &mut Bits<'_>, run: u8) -> Result<u32, Fault> {
    Ok((1 << run) + bits.take(u32::from(run))?)
}

fn first(
    bits: &mut Bits<'_>,
    ac: &Table,
    band: Band,
    present: &mut u64,
    empty: &mut u32,
) -> Result<(), Fault> {
    if *empty > 0 {
        *empty -= 1;
        return Ok(());
    }
    let mut k = band.from;
    while k <= band.to {
        let symbol = bits.symbol(ac)?;
        let (run, size) = (symbol >> 4, symbol & 15);
        match (size, run) {
            (0, 15) => k += 16,
            (0, _) => {
                *empty = empty_blocks(bits, run)? - 1;
                break;
            }
            _ => {
                k += u32::from(run);
                if k > band.to {
                    return Err(Fault::Invalid);
                }
                *present |= 1 << k;
                bits.skip(u32::from(size))?;
                k += 1;
            }
        }
    }
    Ok(())
}

fn refine(
    bits: &mut Bits<'_>,
    ac: &Table,
    band: Band,
    present: &mut u64,
    empty: &mut u32,
) -> Result<(), Fault> {
    let mut k = band.from;
    while *empty == 0 && k <= band.to {
        let symbol = bits.symbol(ac)?;
        let (mut run, size) = (symbol >> 4, symbol & 15);
        match size {
            0 if run != 15 => {
                *empty = empty_blocks(bits, run)?;
                break;
            }
            0 => {}
            // The sign of a new coefficient.
            1 => bits.skip(1)?,
            _ => return Err(Fault::Invalid),
        }
        while k <= band.to {
            if *present >> k & 1 == 1 {
                bits.skip(1)?;
            } else if run == 0 {
                break;
            } else {
                run -= 1;
            }
            k += 1;
        }
        if size == 1 {
            if k > band.to {
                return Err(Fault::Invalid);
            }
            *present |= 1 << k;
        }
        k += 1;
    }
    if *empty > 0 {
        // One bit for each coefficient that is already present.
        if k <= band.to {
            let known = *present & (u64::MAX << k) & (u64::MAX >> (63 - band.to));
            bits.skip_many(known.count_ones())?;
        }
        *empty -= 1;
    }
    Ok(())
}
