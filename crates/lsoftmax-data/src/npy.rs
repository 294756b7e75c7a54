//! Arrays in numpy's `.npy` format.

use crate::error::DataError;
use crate::file::{Staged, open_file, read_at_most, read_rest};
use std::path::Path;

/// An array in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Length of each dimension; empty for a scalar.
    pub shape: Vec<usize>,
    /// The values, last dimension fastest.
    pub values: Values,
}

/// Values by type; integers of any width are widened.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// float32.
    F32(Vec<f32>),
    /// float64.
    F64(Vec<f64>),
    /// Integers that fit i64.
    Int(Vec<i64>),
}

const MAGIC: &[u8] = b"\x93NUMPY";
/// Far larger than the header of any plain array.
const MAX_HEADER_BYTES: usize = 1 << 16;

/// Reads a little-endian array of float32, float64 or integers, in C or Fortran order.
///
/// # Errors
/// The file cannot be read, is not a `.npy` file, is truncated or longer than its header specifies,
/// or holds values of another type.
pub fn read(path: &Path) -> Result<Array, DataError> {
    let mut file = open_file(path)?;
    // Checked before memory is allocated for the rest.
    let start = read_at_most(&mut file, MAGIC.len() as u64 - 1, path)?;
    if start != MAGIC {
        return Err(DataError::format(
            path,
            "a .npy file",
            "an unknown file signature",
        ));
    }
    parse(&read_rest(&mut file, start, path)?)
        .map_err(|(expected, found)| DataError::format(path, expected, found))
}

/// Writes an array in C order, atomically.
///
/// # Errors
/// The file cannot be written, or the shape does not match the values.
pub fn write(path: &Path, shape: &[usize], values: &Values) -> Result<(), DataError> {
    stage(path, shape, values)?.publish()
}

/// Writes an array to a temporary file, to be renamed together with others.
///
/// # Errors
/// As [`write`](fn@write).
pub fn stage(path: &Path, shape: &[usize], values: &Values) -> Result<Staged, DataError> {
    let (kind, data): (_, Vec<u8>) = match values {
        Values::F32(v) => ("<f4", v.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Values::F64(v) => ("<f8", v.iter().flat_map(|v| v.to_le_bytes()).collect()),
        Values::Int(v) => ("<i8", v.iter().flat_map(|v| v.to_le_bytes()).collect()),
    };
    let count = match values {
        Values::F32(v) => v.len(),
        Values::F64(v) => v.len(),
        Values::Int(v) => v.len(),
    };
    if shape.iter().try_fold(1usize, |n, &dim| n.checked_mul(dim)) != Some(count) {
        return Err(DataError::format(
            path,
            format!("values for the shape {shape:?}"),
            count.to_string(),
        ));
    }
    let dims: Vec<String> = shape.iter().map(usize::to_string).collect();
    // A one-element tuple needs its comma.
    let comma = if shape.len() == 1 { "," } else { "" };
    let dims = dims.join(", ") + comma;
    let mut header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({dims}), }}");
    // Magic, version and length take ten bytes; the data starts at a multiple of 64.
    let padding = 63 - (10 + header.len()) % 64;
    header.push_str(&" ".repeat(padding));
    header.push('\n');
    let Ok(length) = u16::try_from(header.len()) else {
        return Err(DataError::format(
            path,
            "a shape whose header takes at most 65535 bytes",
            format!("{} dimensions", shape.len()),
        ));
    };
    let mut bytes = [MAGIC, &[1, 0], &length.to_le_bytes()].concat();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    Staged::write(path, &bytes)
}

/// Reads only the header of an array.
///
/// # Errors
/// As [`read`], for the header.
pub fn header(path: &Path) -> Result<Header, DataError> {
    let bytes = read_at_most(open_file(path)?, 2 * MAX_HEADER_BYTES as u64, path)?;
    split(&bytes)
        .map(|(header, _)| header)
        .map_err(|(expected, found)| DataError::format(path, expected, found))
}

/// The expected and the actual content.
type ExpectedFound = (String, String);

fn parse(bytes: &[u8]) -> Result<Array, ExpectedFound> {
    let (header, data) = split(bytes)?;
    let Some(count) = header
        .shape
        .iter()
        .try_fold(1usize, |n, &dim| n.checked_mul(dim))
    else {
        return Err((
            "a plausible shape".to_owned(),
            format!("{:?}", header.shape),
        ));
    };
    let values = decode(&header.descr, data, count)?;
    if !header.fortran {
        return Ok(Array {
            shape: header.shape,
            values,
        });
    }
    let values = match values {
        Values::F32(v) => Values::F32(to_c_order(&v, &header.shape)),
        Values::F64(v) => Values::F64(to_c_order(&v, &header.shape)),
        Values::Int(v) => Values::Int(to_c_order(&v, &header.shape)),
    };
    Ok(Array {
        shape: header.shape,
        values,
    })
}

/// Splits a file into its header and the data.
fn split(bytes: &[u8]) -> Result<(Header, &[u8]), ExpectedFound> {
    let wrong = |expected: &str, found: String| Err((expected.to_owned(), found));
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return wrong("a .npy file", "an unknown file signature".into());
    };
    let (length, rest) = match *rest {
        [1, _, a, b, ref rest @ ..] => (u32::from_le_bytes([a, b, 0, 0]) as usize, rest),
        [2 | 3, _, a, b, c, d, ref rest @ ..] => (u32::from_le_bytes([a, b, c, d]) as usize, rest),
        [version, ..] => return wrong("version 1, 2 or 3 of .npy", version.to_string()),
        [] => return wrong("a .npy header", "the end of the file".into()),
    };
    if length > MAX_HEADER_BYTES || length > rest.len() {
        return wrong(
            "a whole .npy header",
            format!("{} of {length} bytes", rest.len()),
        );
    }
    let (header, data) = rest.split_at(length);
    let header = String::from_utf8_lossy(header);
    let header = Header::parse(&header).ok_or_else(|| {
        (
            "a header with descr, fortran_order and shape".into(),
            header.trim().to_owned(),
        )
    })?;
    Ok((header, data))
}

/// The header of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type of the values, such as `<f4`.
    pub descr: String,
    /// Whether the first dimension is the fastest.
    pub fortran: bool,
    /// Length of each dimension.
    pub shape: Vec<usize>,
}

impl Header {
    /// Parses the form of Python dictionary that numpy writes.
    fn parse(text: &str) -> Option<Self> {
        let value = |key: &str| {
            let (_, after) = text.split_once(&format!("'{key}'"))?;
            Some(after.trim_start().strip_prefix(':')?.trim_start())
        };
        let descr = value("descr")?
            .strip_prefix('\'')?
            .split_once('\'')?
            .0
            .to_owned();
        let fortran = match value("fortran_order")? {
            text if text.starts_with("True") => true,
            text if text.starts_with("False") => false,
            _ => return None,
        };
        let shape = value("shape")?.strip_prefix('(')?.split_once(')')?.0;
        let shape = shape
            .split(',')
            .map(str::trim)
            .filter(|dim| !dim.is_empty())
            .map(|dim| dim.parse().ok())
            .collect::<Option<_>>()?;
        Some(Self {
            descr,
            fortran,
            shape,
        })
    }
}

fn decode(descr: &str, data: &[u8], count: usize) -> Result<Values, ExpectedFound> {
    fn values<const N: usize, T>(
        data: &[u8],
        count: usize,
        from: fn([u8; N]) -> T,
    ) -> Result<Vec<T>, ExpectedFound> {
        if count.checked_mul(N) != Some(data.len()) {
            return Err((
                format!("{count} values of {N} bytes"),
                format!("{} bytes", data.len()),
            ));
        }
        Ok(data
            .as_chunks::<N>()
            .0
            .iter()
            .map(|&bytes| from(bytes))
            .collect())
    }
    Ok(match descr {
        "<f4" => Values::F32(values(data, count, f32::from_le_bytes)?),
        "<f8" => Values::F64(values(data, count, f64::from_le_bytes)?),
        "|u1" => Values::Int(values(data, count, |[b]| b.into())?),
        "|i1" => Values::Int(values(data, count, |b| i8::from_le_bytes(b).into())?),
        "<u2" => Values::Int(values(data, count, |b| u16::from_le_bytes(b).into())?),
        "<i2" => Values::Int(values(data, count, |b| i16::from_le_bytes(b).into())?),
        "<u4" => Values::Int(values(data, count, |b| u32::from_le_bytes(b).into())?),
        "<i4" => Values::Int(values(data, count, |b| i32::from_le_bytes(b).into())?),
        "<i8" => Values::Int(values(data, count, i64::from_le_bytes)?),
        "<u8" => {
            let wide = values(data, count, u64::from_le_bytes)?;
            let narrow = wide
                .iter()
                .map(|&v| i64::try_from(v))
                .collect::<Result<_, _>>();
            Values::Int(
                narrow.map_err(|_| ("integers below 2^63".into(), "a larger one".to_owned()))?,
            )
        }
        other => {
            return Err((
                "little-endian float32, float64 or integers (numpy: a.astype('<f4'))".into(),
                format!("dtype {other:?}"),
            ));
        }
    })
}

fn to_c_order<T: Copy>(values: &[T], shape: &[usize]) -> Vec<T> {
    // The stride of each dimension in the file, where the first is fastest.
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for &dim in shape {
        strides.push(stride);
        stride *= dim;
    }
    (0..values.len())
        .map(|mut place| {
            let mut from = 0;
            for (&dim, &stride) in shape.iter().zip(&strides).rev() {
                from += place % dim * stride;
                place /= dim;
            }
            values[from]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = [MAGIC, &[1, 0], &(header.len() as u16).to_le_bytes()].concat();
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn arrays_survive_a_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.npy");
        for (shape, values) in [
            (
                vec![2, 3],
                Values::F32(vec![1.0, -2.5, 3.0, f32::MIN_POSITIVE, 0.0, 1e30]),
            ),
            (vec![4], Values::F64(vec![0.1, 0.2, 0.3, f64::INFINITY])),
            (vec![], Values::F64(vec![7.25])),
            (vec![1], Values::Int(vec![-9])),
        ] {
            write(&path, &shape, &values).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let data = bytes.iter().position(|&b| b == b'\n').unwrap() + 1;
            assert_eq!(data % 64, 0);
            assert_eq!(read(&path).unwrap(), Array { shape, values });
        }
        assert!(write(&path, &[3], &Values::F32(vec![1.0])).is_err());
    }

    // python3 -c "import numpy as np, sys; np.save(sys.stdout.buffer, np.asfortranarray(
    //     np.arange(6, dtype=np.int16).reshape(2, 3)))" | xxd
    #[test]
    fn fortran_order_is_converted() {
        let header = "{'descr': '<i2', 'fortran_order': True, 'shape': (2, 3), }\n";
        let data: Vec<u8> = [0i16, 3, 1, 4, 2, 5]
            .iter()
            .flat_map(|v| v.to_le_bytes())
            .collect();
        let array = parse(&file(header, &data)).unwrap();
        assert_eq!(
            array,
            Array {
                shape: vec![2, 3],
                values: Values::Int((0..6).collect())
            }
        );
    }

    #[test]
    fn unreadable_files_are_reported() {
        let message = |header: &str, data: &[u8]| {
            let (expected, found) = parse(&file(header, data)).unwrap_err();
            format!("{expected} / {found}")
        };
        let header = |descr: &str, shape: &str| {
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}")
        };
        assert!(message(&header(">f4", "1,"), &[0; 4]).contains("dtype \">f4\""));
        assert!(message(&header("|O", "1,"), &[0; 8]).contains("dtype \"|O\""));
        assert!(message(&header("<f4", "2,"), &[0; 4]).contains("2 values of 4 bytes / 4 bytes"));
        let lie = header("<f8", "4294967296, 4294967296");
        assert!(message(&lie, &[]).contains("a plausible shape"));
        assert!(message(&header("<f8", "4294967296, 65536"), &[]).contains("/ 0 bytes"));
        assert!(message("{}", &[]).contains("descr"));
        assert!(parse(b"PK\x03\x04").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            parse(&bytes).ok();
            parse(&[MAGIC, &bytes[..]].concat()).ok();
        }

        #[test]
        fn floats_survive_a_round_trip_bit_by_bit(
            bits in prop::collection::vec(any::<u32>(), 1..40),
            outer in 1usize..4,
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("a.npy");
            let inner = bits.len().div_ceil(outer);
            let written: Vec<f32> = (0..outer * inner)
                .map(|i| f32::from_bits(bits[i % bits.len()]))
                .collect();
            write(&path, &[outer, inner], &Values::F32(written.clone())).unwrap();
            let array = read(&path).unwrap();
            prop_assert_eq!(array.shape, [outer, inner]);
            let Values::F32(found) = array.values else {
                return Err(TestCaseError::fail("another kind of values"));
            };
            let same = found.iter().zip(&written).all(|(a, b)| a.to_bits() == b.to_bits());
            prop_assert!(same && found.len() == written.len());
        }

        #[test]
        fn damage_never_panics(place in 0usize..90, byte in any::<u8>()) {
            let header = "{'descr': '<f8', 'fortran_order': True, 'shape': (2, 1), }\n";
            let mut bytes = file(header, &[1; 16]);
            let place = place % bytes.len();
            bytes[place] = byte;
            parse(&bytes).ok();
        }

        #[test]
        fn every_truncation_is_an_error(cut in 0usize..90) {
            let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (5,), }\n";
            let bytes = file(header, &[1; 20]);
            prop_assume!(cut < bytes.len());
            prop_assert!(parse(&bytes).is_ok());
            prop_assert!(parse(&bytes[..cut]).is_err());
        }
    }
}
