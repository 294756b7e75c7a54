//! Whether a JPEG file is all there. Decoders fill what is missing with grey, as a browser should
//! and a training must not.

const START: u8 = 0xD8;
const END: u8 = 0xD9;
/// The markers without a length: TEM and the restarts.
const ALONE: [u8; 9] = [0x01, 0xD0, 0xD1, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7];

/// Whether the end-of-image marker of the first image is there, found by walking from segment to
/// segment (ITU T.81, B.1.1): a preview within the file has an end of its own.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    let mut at = 0;
    loop {
        // Up to the next marker: nothing after a segment, coded data after the start of a scan.
        let Some(step) = bytes[at..].iter().position(|&byte| byte == 0xFF) else {
            return false;
        };
        at += step + 1;
        match bytes.get(at) {
            None => return false,
            Some(&END) => return true,
            // A byte 0xFF of coded data, or one that fills up.
            Some(0x00 | 0xFF) => {}
            Some(&START) => at += 1,
            Some(marker) if ALONE.contains(marker) => at += 1,
            Some(_) => {
                let &[_, high, low, ..] = &bytes[at..] else {
                    return false;
                };
                at += 1 + usize::from(u16::from_be_bytes([high, low]));
                if at > bytes.len() {
                    return false;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_end_of_the_image_itself_counts() {
        // A segment with an end marker within, a scan with a stuffed byte and a restart.
        let file = b"\xFF\xD8\xFF\xE1\x00\x06\xFF\xD9\x00\x00\
            \xFF\xDA\x00\x02\x12\xFF\x00\x34\xFF\xD0\x56\xFF\xFF\xD9";
        assert!(is_whole(file));
        assert!(is_whole(&[&file[..], b"after the end"].concat()));
        for cut in 0..file.len() {
            assert!(!is_whole(&file[..cut]), "{cut}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(
            prop_oneof![Just(0xFF), Just(0u8), any::<u8>()], 0..200)
        ) {
            is_whole(&bytes);
        }
    }
}
