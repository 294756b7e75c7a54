//! The curve as an event file for TensorBoard.
//!
//! The file is a sequence of records, each made up of a length, its checksum, an `Event` message,
//! and its checksum. The format is documented in `tensorflow/core/lib/io/record_writer.h` and
//! `tensorflow/core/util/event.proto`.

use lsoftmax_record::Progress;
use std::time::{SystemTime, UNIX_EPOCH};

/// The name of the event file. TensorBoard looks for `tfevents` in it.
pub const EVENTS_FILE: &str = "events.out.tfevents.0.lsoftmax";

/// The first record of a file.
pub(crate) fn opening() -> Vec<u8> {
    // file_version = 3
    record(&event(0, &field(3, b"brain.Event:2")))
}

/// The record of one interval of the curve.
pub(crate) fn scalars(progress: &Progress) -> Vec<u8> {
    let values = [
        ("loss/train", Some(progress.loss)),
        ("error_percent/train", progress.train_error_percent),
        ("error_percent/test", progress.test_error_percent),
        ("error_percent/held_out", progress.held_out_error_percent),
        ("annealing/lambda", progress.lambda),
        ("confidence/train", Some(progress.confidence)),
        ("annealing/m", Some(f64::from(progress.m))),
        ("optimiser/learning_rate", Some(progress.learning_rate)),
        ("angle/target_deg", Some(progress.mean_target_angle_deg)),
        ("norm/feature", Some(progress.feature_norm)),
        ("norm/class_weight", Some(progress.weight_norm)),
        ("speed/images_per_second", Some(progress.images_per_second)),
    ];
    let mut summary = Vec::new();
    for (tag, value) in values {
        if let Some(value) = value {
            // Value: tag = 1, simple_value = 2 (float); Summary: value = 1
            let mut entry = field(1, tag.as_bytes());
            entry.push(2 << 3 | 5);
            entry.extend((value as f32).to_le_bytes());
            summary.extend(field(1, &entry));
        }
    }
    // summary = 5
    record(&event(progress.step, &field(5, &summary)))
}

/// An event: `wall_time` = 1 (double), step = 2, and the encoded field `what`.
fn event(step: u64, what: &[u8]) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let mut bytes = vec![1 << 3 | 1];
    bytes.extend(now.map_or(0.0, |now| now.as_secs_f64()).to_le_bytes());
    bytes.push(2 << 3);
    bytes.extend(varint(step));
    bytes.extend(what);
    bytes
}

/// A length-delimited field.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    field.extend(varint(bytes.len() as u64));
    field.extend(bytes);
    field
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn record(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut bytes = length.to_vec();
    bytes.extend(checksum(&length).to_le_bytes());
    bytes.extend(data);
    bytes.extend(checksum(data).to_le_bytes());
    bytes
}

/// CRC-32C, masked so that the checksum of data that contain checksums stays meaningful.
fn checksum(data: &[u8]) -> u32 {
    crc32c::crc32c(data)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits a file into its records and verifies every checksum.
    fn records(mut file: &[u8]) -> Vec<Vec<u8>> {
        let mut records = Vec::new();
        while let Some((length, rest)) = file.split_first_chunk::<8>() {
            let count = u64::from_le_bytes(*length) as usize;
            let (sum, rest) = rest.split_first_chunk::<4>().unwrap();
            assert_eq!(u32::from_le_bytes(*sum), checksum(length));
            let (data, rest) = rest.split_at(count);
            let (sum, rest) = rest.split_first_chunk::<4>().unwrap();
            assert_eq!(u32::from_le_bytes(*sum), checksum(data));
            records.push(data.to_vec());
            file = rest;
        }
        records
    }

    #[test]
    fn a_file_is_records_of_events() {
        let progress = Progress {
            step: 300,
            loss: 0.5,
            ..Progress::default()
        };
        let file = [opening(), scalars(&progress)].concat();
        let records = records(&file);
        assert_eq!(records.len(), 2);
        // After nine bytes of time: the step and the field.
        assert_eq!(records[0][9..], *b"\x10\x00\x1a\x0dbrain.Event:2");
        assert_eq!(records[1][9..12], *b"\x10\xac\x02");
        let value = b"\x0a\x0aloss/train\x15\x00\x00\x00\x3f";
        assert!(
            records[1]
                .windows(value.len())
                .any(|window| window == value)
        );
        let has = |tag: &[u8]| records[1].windows(tag.len()).any(|window| window == tag);
        assert!(has(b"norm/feature") && !has(b"annealing/lambda"));
    }

    #[test]
    fn checksums_are_those_of_tensorflow() {
        // CRC-32C of 32 zeros is 0x8a9136aa (RFC 3720, B.4).
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(checksum(&[0; 32]), 0x0fd7_fffa);
    }
}
