//! lsoftmax-cli
fn main() {}
