//! The binary: hands over to [`ferry::cli`].

fn main() {}
