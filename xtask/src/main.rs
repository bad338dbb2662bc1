//! `cargo xtask`: the project's own chores.

mod prices;

use anyhow::{Result, bail};
use std::env::args;
use std::path::Path;

fn main() -> Result<()> {
    let arguments: Vec<String> = args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["prices", source, out] => prices::import(Path::new(source), Path::new(out)),
        _ => bail!("usage: cargo xtask prices PACKAGE OUT"),
    }
}
