//! Messages in the wire format of protocol buffers, field by field.

/// A field of a message: its number, and an integer or bytes.
#[derive(Debug)]
enum Field<'a> {
    Int(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let (mut value, mut shift) = (0, 0);
    loop {
        let (first, rest) = bytes.split_first().unwrap();
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        shift += 7;
        if first & 0x80 == 0 {
            return value;
        }
    }
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes);
        let field = match tag & 7 {
            0 => Field::Int(varint(&mut bytes)),
            2 => {
                let length = varint(&mut bytes) as usize;
                let (inside, rest) = bytes.split_at(length);
                bytes = rest;
                Field::Bytes(inside)
            }
            kind => panic!("wire type {kind}"),
        };
        found.push((tag >> 3, field));
    }
    found
}

pub(super) fn messages(bytes: &[u8], number: u64) -> Vec<&[u8]> {
    let all = fields(bytes).into_iter();
    all.filter_map(|(field, content)| match content {
        Field::Bytes(inside) if field == number => Some(inside),
        _ => None,
    })
    .collect()
}

pub(super) fn ints(bytes: &[u8], number: u64) -> Vec<u64> {
    let all = fields(bytes).into_iter();
    all.filter_map(|(field, content)| match content {
        Field::Int(value) if field == number => Some(value),
        _ => None,
    })
    .collect()
}

pub(super) fn texts(bytes: &[u8], number: u64) -> Vec<String> {
    let all = messages(bytes, number).into_iter();
    all.map(|text| String::from_utf8(text.to_vec()).unwrap())
        .collect()
}
