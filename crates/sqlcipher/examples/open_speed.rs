//! How long a tenant's file takes to open: `cargo run --release -p sqlcipher --example open_speed`.

use secret::SecretBytes;
use sqlcipher::{Durability, OpenOptions, open};
use std::error::Error;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const FILES: u32 = 500;
const ROUNDS: u32 = 4;

#[expect(clippy::disallowed_methods, reason = "this program measures time")]
fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = work();
    (start.elapsed(), result)
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut made = Vec::new();
    for number in 0..FILES {
        let options = OpenOptions { create: true, ..OpenOptions::default() };
        let (took, database) = timed(|| open(&path(folder.path(), number), &key(number), &options));
        database?.execute_batch(
            "CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT NOT NULL);
             CREATE INDEX notes_by_body ON notes (body);
             INSERT INTO notes (body) VALUES ('one'), ('two'), ('three');",
        )?;
        made.push(took);
    }
    report("create, key, settings", made)?;
    for exclusive in [false, true] {
        let (mut opened, mut closed) = (Vec::new(), Vec::new());
        for turn in 0..FILES * ROUNDS {
            // Coprime to the number of files, so that each round visits all, far from each other.
            let number = (turn * 211) % FILES;
            let options = OpenOptions { exclusive, durability: Durability::Normal, ..OpenOptions::default() };
            let (took, database) = timed(|| open(&path(folder.path(), number), &key(number), &options));
            opened.push(took);
            let database = database?;
            closed.push(timed(|| database.close()).0);
        }
        let how = if exclusive { "exclusive" } else { "shared" };
        report(&format!("open, key, settings, {how}"), opened)?;
        report(&format!("close, {how}"), closed)?;
    }
    Ok(())
}

fn path(folder: &Path, number: u32) -> std::path::PathBuf {
    folder.join(format!("{number}.db"))
}

fn key(number: u32) -> SecretBytes<32> {
    SecretBytes::fill_with(|bytes| bytes[..4].copy_from_slice(&(number + 1).to_le_bytes()))
}

fn report(what: &str, mut times: Vec<Duration>) -> io::Result<()> {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_micros();
    writeln!(io::stdout(), "{what}: p50 {} us, p99 {} us", at(50), at(99))
}
