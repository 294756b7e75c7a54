//! Unpacking of pages, to a size that is known and no more.

use super::{Wrong, damaged};
use parquet::basic::Compression;
use std::io::Read;

/// Appends what `packed` unpacks to, which has to be `size` bytes.
pub(super) fn unpack(
    compression: Compression,
    packed: &[u8],
    size: usize,
    out: &mut Vec<u8>,
) -> Result<(), Wrong> {
    let start = out.len();
    match compression {
        Compression::UNCOMPRESSED => out.extend_from_slice(packed),
        Compression::SNAPPY => {
            // Asked before there is memory for it.
            if snap::raw::decompress_len(packed).ok() != Some(size) {
                return Err(damaged("Snappy data of another size"));
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
                    &mut rest,
                    LARGEST_WINDOW,
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
        Err(damaged("a page of another size than its header says"))
    }
}

/// The largest window of zstd: that of its highest ordinary level.
const LARGEST_WINDOW: u64 = 8 << 20;

/// One byte more than `size` at most, which tells that there is too much.
fn stream(reader: impl Read, size: usize, out: &mut Vec<u8>) -> Result<(), Wrong> {
    reader
        .take(size as u64 + 1)
        .read_to_end(out)
        .map_err(|error| damaged(error.to_string()))?;
    Ok(())
}
