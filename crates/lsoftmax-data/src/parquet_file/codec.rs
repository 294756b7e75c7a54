//! Decompresses pages to a known maximum size.

use super::{ExpectedFound, damaged};
use parquet::basic::Compression;
use std::io::Read;

/// Appends the decompressed content of `packed`, which must be `size` bytes.
pub(super) fn unpack(
    compression: Compression,
    packed: &[u8],
    size: usize,
    out: &mut Vec<u8>,
) -> Result<(), ExpectedFound> {
    let start = out.len();
    match compression {
        Compression::UNCOMPRESSED => out.extend_from_slice(packed),
        Compression::SNAPPY => {
            // Checked before memory is allocated.
            if snap::raw::decompress_len(packed).ok() != Some(size) {
                return Err(damaged("Snappy data of the wrong size"));
            }
            out.resize(start + size, 0);
            snap::raw::Decoder::new()
                .decompress(packed, &mut out[start..])
                .map_err(|error| damaged(error.to_string()))?;
        }
        Compression::LZ4_RAW => {
            out.resize(start + size, 0);
            let length = lz4_flex::block::decompress_into(packed, &mut out[start..])
                .map_err(|error| damaged(error.to_string()))?;
            out.truncate(start + length);
        }
        Compression::GZIP(_) => stream(flate2::read::MultiGzDecoder::new(packed), size, out)?,
        Compression::ZSTD(_) => {
            let mut rest = packed;
            // A page may have several frames.
            while !rest.is_empty() && out.len() - start < size {
                let frame = ruzstd::decoding::StreamingDecoder::new_with_max_window_size(
                    &mut rest, MAX_WINDOW,
                )
                .map_err(|error| damaged(error.to_string()))?;
                let left = size - (out.len() - start);
                stream(frame, left, out)?;
            }
        }
        other => {
            let name = format!("{other:?}");
            let name = name.split('(').next().unwrap_or_default();
            return Err((
                "a Parquet file without compression, or with Snappy, gzip, zstd or LZ4_RAW (write \
                 it again with one of these)"
                    .to_owned(),
                format!("one with {name}"),
            ));
        }
    }
    if out.len() - start == size {
        Ok(())
    } else {
        Err(damaged("a page whose size differs from its header"))
    }
}

/// The largest window of zstd, that of its highest regular level.
const MAX_WINDOW: u64 = 8 << 20;

/// Reads at most one byte more than `size`, which reveals excess data.
fn stream(reader: impl Read, size: usize, out: &mut Vec<u8>) -> Result<(), ExpectedFound> {
    reader
        .take(size as u64 + 1)
        .read_to_end(out)
        .map_err(|error| damaged(error.to_string()))?;
    Ok(())
}
