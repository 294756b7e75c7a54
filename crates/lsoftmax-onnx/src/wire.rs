//! The wire format of protocol buffers: what of it an ONNX file needs.

/// A message under construction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Message(Vec<u8>);

const VARINT: u32 = 0;
const DELIMITED: u32 = 2;

impl Message {
    /// Adds an integer.
    pub(crate) fn int(&mut self, field: u32, value: i64) {
        self.tag(field, VARINT);
        // Negative numbers take ten bytes, as the format has it for int64.
        self.varint(value as u64);
    }

    /// Adds text.
    pub(crate) fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// Adds bytes.
    pub(crate) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.tag(field, DELIMITED);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// Adds a message within this one.
    pub(crate) fn message(&mut self, field: u32, message: &Self) {
        self.bytes(field, &message.0);
    }

    /// Adds a message that has the fields of all of these, without a copy of it in between.
    pub(crate) fn message_of(&mut self, field: u32, parts: &[Self]) {
        let length = parts.iter().map(|part| part.0.len()).sum();
        self.tag(field, DELIMITED);
        self.varint(length as u64);
        self.0.reserve_exact(length);
        for part in parts {
            self.0.extend_from_slice(&part.0);
        }
    }

    /// Bytes that it has.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn tag(&mut self, field: u32, kind: u32) {
        self.varint(u64::from(field << 3 | kind));
    }

    /// Seven bits a byte, lowest first; the top bit says that more follow.
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the format's documentation (protobuf.dev, "Encoding"), and ONNX's integers.
    #[test]
    fn fields_are_encoded_as_documented() {
        let encoded = |fill: fn(&mut Message)| {
            let mut message = Message::default();
            fill(&mut message);
            message.into_bytes()
        };
        assert_eq!(encoded(|m| m.int(1, 150)), [0x08, 0x96, 0x01]);
        let testing = b"\x12\x07testing";
        assert_eq!(encoded(|m| m.text(2, "testing")), testing);
        let nested = encoded(|m| {
            let mut inner = Message::default();
            inner.int(1, 150);
            m.message(3, &inner);
        });
        assert_eq!(nested, [0x1a, 0x03, 0x08, 0x96, 0x01]);
        let of_two = encoded(|m| {
            let mut parts = [Message::default(), Message::default()];
            parts[0].int(1, 150);
            parts[1].int(2, 1);
            m.message_of(3, &parts);
        });
        assert_eq!(of_two, [0x1a, 0x05, 0x08, 0x96, 0x01, 0x10, 0x01]);
        let minus_two = b"\x08\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        assert_eq!(encoded(|m| m.int(1, -2)), minus_two);
        // A field above 15 has a tag of two bytes.
        assert_eq!(encoded(|m| m.int(20, 7)), [0xa0, 0x01, 0x07]);
        assert_eq!(encoded(|m| m.bytes(1, &[])), [0x0a, 0]);
        let long = encoded(|m| m.bytes(1, &[7; 300]));
        assert_eq!(long[..4], [0x0a, 0xac, 0x02, 7]);
        assert_eq!(long.len(), 303);
    }
}
