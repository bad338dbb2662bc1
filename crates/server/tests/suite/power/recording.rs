//! A recording of what happened to the files of a folder, and what a disk may hold of it after a loss of power.
//!
//! What is on the disk for certain is what a sync covered: of a file its content, of a folder its names. Of
//! what came after, a file keeps any part, in units of a sector, and a folder the first so many changes of its
//! names. So a name may be lost whose file was synced, and a rename may come before the content of what it
//! renames. Not modelled: a disk that acknowledges a sync and lies, a sector that is torn inside or goes bad,
//! and changes of mode and owner.

use crate::chaos::Dice;
use std::collections::BTreeMap;
use std::path::Path;

const SECTOR: usize = 512;
/// The size of an entry without what follows it.
const HEAD: usize = 32;

/// What happened once.
struct Entry {
    number: u64,
    /// Where the recording stands after it.
    end: u64,
    kind: u8,
    file: u64,
    value: u64,
    data: Vec<u8>,
}

/// All that happened, in order.
pub(super) struct Recording(Vec<Entry>);

impl Recording {
    pub(super) fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap());
        let (mut entries, mut at) = (Vec::<Entry>::new(), 0);
        // Each process counts from one.
        let mut earlier = 0;
        while at < bytes.len() {
            if number(at + 8) == 1 {
                earlier = entries.last().map_or(0, |entry| entry.number);
            }
            let sync = matches!(bytes[at], b'S' | b'D');
            let length = u32::from_le_bytes(bytes[at + 4..at + 8].try_into().unwrap()) as usize;
            let end = at + HEAD + length;
            entries.push(Entry {
                number: earlier + number(at + 8),
                end: end as u64,
                kind: bytes[at],
                file: number(at + 16),
                value: number(at + 24) + if sync { earlier } else { 0 },
                data: bytes[at + HEAD..end].to_vec(),
            });
            at = end;
        }
        Self(entries)
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// How far the recording is after so many entries, as whoever noted its length at that time has it.
    pub(super) fn position(&self, entries: usize) -> u64 {
        self.0[..entries].last().map_or(0, |entry| entry.end)
    }

    /// How many syncs there are among the first entries.
    pub(super) fn syncs(&self, entries: usize) -> usize {
        self.0[..entries].iter().filter(|entry| matches!(entry.kind, b'S' | b'D')).count()
    }

    /// Some number of entries: any, or one where a sync or a change of names has just been, or is next.
    pub(super) fn some_instant(&self, dice: &Dice) -> usize {
        let below = |bound: usize| usize::try_from(dice.below(bound as u64)).unwrap();
        if dice.below(2) == 0 {
            return below(self.len() + 1);
        }
        let kinds: &[u8] = if dice.below(2) == 0 { b"SD" } else { b"RUCMD" };
        let places: Vec<_> = (0..self.len()).filter(|at| kinds.contains(&self.0[*at].kind)).collect();
        places[below(places.len())] + below(2)
    }

    /// Writes into `target` what the disk may hold of `source` when the power goes after so many entries.
    pub(super) fn replay(&self, entries: usize, source: &Path, target: &Path, dice: &Dice) {
        let mut disk = Disk::default();
        for entry in &self.0[..entries] {
            disk.take(entry);
        }
        disk.write(source.to_str().unwrap(), target, dice);
    }
}

/// A change of a file's content.
enum Change {
    Write(u64, Vec<u8>),
    Size(u64),
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write(at, data) => put(content, usize::try_from(*at).unwrap(), data),
            Self::Size(size) => content.resize(usize::try_from(*size).unwrap(), 0),
        }
    }

    /// A part of it: every sector by itself may be there or not.
    fn apply_in_part(&self, content: &mut Vec<u8>, dice: &Dice) {
        let Self::Write(at, data) = self else { return self.apply(content) };
        let mut at = usize::try_from(*at).unwrap();
        let mut rest = data.as_slice();
        while !rest.is_empty() {
            let length = (SECTOR - at % SECTOR).min(rest.len());
            if dice.below(2) == 0 {
                put(content, at, &rest[..length]);
            }
            (at, rest) = (at + length, &rest[length..]);
        }
    }
}

fn put(content: &mut Vec<u8>, at: usize, data: &[u8]) {
    if content.len() < at + data.len() {
        content.resize(at + data.len(), 0);
    }
    content[at..at + data.len()].copy_from_slice(data);
}

#[derive(Default)]
struct File {
    synced: Vec<u8>,
    since: Vec<(u64, Change)>,
}

impl File {
    fn sync(&mut self, covers: u64) {
        let end = self.since.partition_point(|(number, _)| *number <= covers);
        for (_, change) in self.since.drain(..end) {
            change.apply(&mut self.synced);
        }
    }

    /// What the disk may hold of it: nothing since the last sync, all up to some change with that one torn,
    /// or any sectors of all of it.
    fn left(&self, dice: &Dice) -> Vec<u8> {
        let mut content = self.synced.clone();
        match dice.below(3) {
            0 => {}
            1 => {
                let whole = usize::try_from(dice.below(self.since.len() as u64 + 1)).unwrap();
                self.since[..whole].iter().for_each(|(_, change)| change.apply(&mut content));
                if let Some((_, torn)) = self.since.get(whole) {
                    torn.apply_in_part(&mut content, dice);
                }
            }
            _ => self.since.iter().for_each(|(_, change)| change.apply_in_part(&mut content, dice)),
        }
        content
    }
}

/// What a name stands for.
#[derive(Clone)]
enum Named {
    /// The file's place among all that ever were.
    File(usize),
    Folder,
}

/// A change of a folder's names.
#[derive(Clone)]
struct Naming {
    gone: Option<String>,
    now: Option<(String, Named)>,
}

#[derive(Default)]
struct Folder {
    synced: BTreeMap<String, Named>,
    /// As the running system sees it.
    present: BTreeMap<String, Named>,
    since: Vec<(u64, Naming)>,
}

fn apply(names: &mut BTreeMap<String, Named>, naming: &Naming) {
    if let Some(gone) = &naming.gone {
        names.remove(gone);
    }
    if let Some((name, what)) = &naming.now {
        names.insert(name.clone(), what.clone());
    }
}

#[derive(Default)]
struct Disk {
    files: Vec<File>,
    /// The files by their inodes, which are given out again.
    by_inode: BTreeMap<u64, usize>,
    folders: BTreeMap<String, Folder>,
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap()
}

impl Disk {
    fn take(&mut self, entry: &Entry) {
        let text = || std::str::from_utf8(&entry.data).unwrap();
        match entry.kind {
            b'C' => {
                self.files.push(File::default());
                let file = self.files.len() - 1;
                self.by_inode.insert(entry.file, file);
                let (folder, name) = split(text());
                let naming = Naming { gone: None, now: Some((name.to_owned(), Named::File(file))) };
                self.name(folder, entry.number, naming);
            }
            b'W' => self.change(entry, Change::Write(entry.value, entry.data.clone())),
            b'T' => self.change(entry, Change::Size(entry.value)),
            b'S' => {
                if let Some(file) = self.by_inode.get(&entry.file) {
                    self.files[*file].sync(entry.value);
                }
            }
            b'D' => {
                let folder = self.folders.entry(text().to_owned()).or_default();
                let end = folder.since.partition_point(|(number, _)| *number <= entry.value);
                for (_, naming) in folder.since.drain(..end) {
                    apply(&mut folder.synced, &naming);
                }
            }
            b'R' => {
                let (from, to) = text().split_once('\0').unwrap();
                let ((folder, gone), (other, name)) = (split(from), split(to));
                assert_eq!(folder, other, "a rename between folders is not modelled");
                let what = self.folders[folder].present[gone].clone();
                let naming = Naming { gone: Some(gone.to_owned()), now: Some((name.to_owned(), what)) };
                self.name(folder, entry.number, naming);
            }
            b'U' | b'X' => {
                let (folder, gone) = split(text());
                self.name(folder, entry.number, Naming { gone: Some(gone.to_owned()), now: None });
            }
            b'M' => {
                // A folder of that name may have been there before, and is empty now.
                self.folders.insert(text().to_owned(), Folder::default());
                let (folder, name) = split(text());
                let naming = Naming { gone: None, now: Some((name.to_owned(), Named::Folder)) };
                self.name(folder, entry.number, naming);
            }
            kind => panic!("{kind}"),
        }
    }

    fn name(&mut self, folder: &str, number: u64, naming: Naming) {
        let folder = self.folders.entry(folder.to_owned()).or_default();
        apply(&mut folder.present, &naming);
        folder.since.push((number, naming));
    }

    fn change(&mut self, entry: &Entry, change: Change) {
        // What was there before the recording began is not among the files, and is not written.
        let file = self.by_inode[&entry.file];
        self.files[file].since.push((entry.number, change));
    }

    fn write(&self, source: &str, target: &Path, dice: &Dice) {
        let Some(folder) = self.folders.get(source) else { return };
        let mut names = folder.synced.clone();
        let kept = usize::try_from(dice.below(folder.since.len() as u64 + 1)).unwrap();
        folder.since[..kept].iter().for_each(|(_, naming)| apply(&mut names, naming));
        for (name, what) in &names {
            let path = target.join(name);
            match what {
                Named::Folder => {
                    std::fs::create_dir(&path).unwrap();
                    self.write(&format!("{source}/{name}"), &path, dice);
                }
                Named::File(file) => {
                    std::fs::write(&path, self.files[*file].left(dice)).unwrap();
                    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                    std::fs::set_permissions(&path, private).unwrap();
                }
            }
        }
    }
}
