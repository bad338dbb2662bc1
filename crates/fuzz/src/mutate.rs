//! Changes bytes as mistakes and attacks do.

use env::Env;

/// Pieces that parsers stumble over.
const PIECES: [&[u8]; 28] = [
    b"\0",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"\"",
    b"\\u0000",
    b"\\ud800",
    b"[[[[[[[[",
    b"{\"a\":",
    b"}",
    b"]",
    b",",
    b":",
    b"-0",
    b"1e999",
    b"99999999999999999999",
    b"-1",
    b"\n",
    b"\r\n\r\n",
    b"=",
    b"/",
    b"..",
    b"%00",
    b"@",
    b"0x7f.1",
    b"[::1]",
    "\u{202e}".as_bytes(),
    b"null",
    "\u{2014} ".as_bytes(),
];
/// The longest input, in bytes.
const LONGEST: usize = 1 << 16;

/// Gives inputs near those that it is given, the same ones from the same randomness.
pub struct Mutator(Env);

impl Mutator {
    /// From this randomness.
    pub fn new(env: Env) -> Self {
        Self(env)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&self, bound: usize) -> usize {
        usize::try_from(u64::from_le_bytes(self.0.random()) % bound.max(1) as u64).unwrap_or(0)
    }

    /// A few changes of one input, with parts of another.
    pub fn near(&self, input: &[u8], other: &[u8]) -> Vec<u8> {
        let mut bytes = input.to_vec();
        for _ in 0..=self.below(5) {
            self.change(&mut bytes, other);
        }
        bytes.truncate(LONGEST);
        bytes
    }

    fn range(&self, length: usize) -> std::ops::Range<usize> {
        let start = self.below(length + 1);
        start..start + self.below(length - start + 1)
    }

    fn change(&self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len() + 1);
        match self.below(7) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << self.below(8);
                }
            }
            1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = u8::try_from(self.below(256)).unwrap_or(0);
                }
            }
            2 => drop(bytes.drain(self.range(bytes.len()))),
            3 => {
                let piece = PIECES[self.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            4 => {
                // The same again and again: depth, length and repeated members.
                let part = bytes[self.range(bytes.len())].to_vec();
                let times = 1 + self.below(if part.len() < 16 { 2000 } else { 3 });
                bytes.splice(at..at, part.repeat(times));
            }
            5 => {
                let part = other[self.range(other.len())].to_vec();
                bytes.splice(at..at, part);
            }
            _ => bytes.truncate(at),
        }
    }
}
