//! All that can be read of a process: its memory, its environment, its arguments, its open files. As root, who may.

use memchr::memmem::Finder;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// As much as is read at once.
const PIECE: usize = 4 << 20;

/// Something that is looked for, under a name that may be shown.
pub(super) struct Needle {
    name: String,
    bytes: Vec<u8>,
}

impl Needle {
    pub(super) fn text(name: impl Into<String>, text: &str) -> Self {
        Self { name: name.into(), bytes: text.as_bytes().to_vec() }
    }

    /// A key, as it is and as hexadecimal characters.
    pub(super) fn key(name: &str, key: &[u8]) -> [Self; 2] {
        assert_eq!(key.len(), 32, "{name}");
        [
            Self { name: format!("{name}, its bytes"), bytes: key.to_vec() },
            Self { name: format!("{name}, in hexadecimal"), bytes: hex::encode(key).into_bytes() },
        ]
    }
}

/// A process that was taken over.
pub(super) struct Taken(pub(super) u32);

impl Taken {
    fn file(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0))
    }

    pub(super) fn environment(&self) -> Vec<u8> {
        fs::read(self.file("environ")).unwrap()
    }

    pub(super) fn arguments(&self) -> Vec<String> {
        let line = fs::read(self.file("cmdline")).unwrap();
        let words = line.split(|byte| *byte == 0).filter(|word| !word.is_empty());
        words.map(|word| String::from_utf8(word.to_vec()).unwrap()).collect()
    }

    /// What its open files are.
    pub(super) fn open_files(&self) -> Vec<String> {
        let all = fs::read_dir(self.file("fd")).unwrap();
        // One that was closed meanwhile is none.
        all.filter_map(|entry| Some(fs::read_link(entry.ok()?.path()).ok()?.display().to_string())).collect()
    }

    /// Which of these stand anywhere in its memory.
    pub(super) fn holds(&self, needles: &[Needle]) -> BTreeSet<String> {
        let finders: Vec<_> =
            needles.iter().map(|needle| (&needle.name, Finder::new(&needle.bytes))).collect();
        let longest = needles.iter().map(|needle| needle.bytes.len()).max().unwrap();
        let memory = File::open(self.file("mem")).expect("another's memory is read as root alone");
        let (mut found, mut piece, mut read_in_all) = (BTreeSet::new(), vec![0; PIECE + longest], 0);
        let untouched = piece.clone();
        for (start, end) in self.readable() {
            let mut at = start;
            while at < end {
                // Pieces overlap, so that nothing is cut in two.
                let length = piece.len().min(usize::try_from(end - at).unwrap());
                let read = memory.read_at(&mut piece[..length], at).unwrap_or(0);
                read_in_all += read;
                let text = &piece[..read];
                if text != &untouched[..read] {
                    let here = finders.iter().filter(|(_, finder)| finder.find(text).is_some());
                    found.extend(here.map(|(name, _)| (*name).clone()));
                }
                at += u64::try_from(PIECE.min(length)).unwrap();
            }
        }
        assert!(read_in_all > 1 << 20, "only {read_in_all} bytes of its memory were read");
        found
    }

    /// Where its memory can be read.
    fn readable(&self) -> Vec<(u64, u64)> {
        let maps = fs::read_to_string(self.file("maps")).unwrap();
        let range = |line: &str| {
            let mut words = line.split_whitespace();
            let (range, rights) = (words.next()?, words.next()?);
            let (start, end) = range.split_once('-')?;
            // What the kernel shows of its own is no memory of the process.
            let own = rights.starts_with('r') && !line.contains("[v");
            own.then(|| (u64::from_str_radix(start, 16).unwrap(), u64::from_str_radix(end, 16).unwrap()))
        };
        maps.lines().filter_map(range).collect()
    }
}
