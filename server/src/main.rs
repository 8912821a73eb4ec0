//! The binary `tandem`.

fn main() {}
