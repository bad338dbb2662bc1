//! What the tenants leave in the server's log and data folder: their canaries and secrets, searched for while
//! they live and after they were deleted.

use crate::pattern::{NotOffered, Outcome, Pattern, Verdict};
use crate::side::Side;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Clocks of files are coarse.
const SLACK: Duration = Duration::from_secs(2);
const PIECE_BYTES: usize = 1 << 20;
/// How much of the end of what is searched can be looked at.
const END_BYTES: usize = 4096;

/// When the search is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    WhileTheyLive,
    DuringDeletion,
    AfterDeletion,
}

/// Where traces are looked for, as far as the caller gave it.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The server's log.
    pub log: Option<PathBuf>,
    /// The server's data folder.
    pub data: Option<PathBuf>,
}

/// What may stand in no log and no file.
pub(crate) struct Needles {
    bytes: Vec<(&'static str, Vec<u8>)>,
    since: SystemTime,
}

impl Needles {
    /// Of these sides, in files that were written since then (milliseconds since 1970).
    pub(crate) fn new(sides: &[&Side], since_millis: i64) -> Self {
        let mut bytes = Vec::new();
        for side in sides {
            let hex = hex::encode(&side.mark);
            let key: Vec<u8> = side.key.expose().bytes().rev().take(40).collect();
            bytes.push(("a canary", side.mark.clone().into_bytes()));
            bytes.push(("a canary in hexadecimal", hex.into_bytes()));
            bytes.push(("the secret of an API key", key.into_iter().rev().collect()));
            bytes.push(("a webhook's secret", side.hook_secret.expose().as_bytes().to_vec()));
        }
        let since = Duration::from_millis(u64::try_from(since_millis).unwrap_or_default());
        Self { bytes, since: UNIX_EPOCH + since.saturating_sub(SLACK) }
    }

    /// The first of them that stands in the file.
    fn within(&self, path: &Path) -> io::Result<Option<&'static str>> {
        let (mut file, mut piece) = (File::open(path)?, vec![0; PIECE_BYTES]);
        let mut search = self.search();
        while search.found.is_none() {
            let read = file.read(&mut piece)?;
            if read == 0 {
                break;
            }
            search.take(&piece[..read]);
        }
        Ok(search.found)
    }

    /// Begins to look for them in what comes piece by piece.
    pub(crate) fn search(&self) -> Search<'_> {
        let longest = self.bytes.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(1);
        Search { needles: self, kept: longest.max(END_BYTES), held: Vec::new(), found: None }
    }
}

/// A search of what comes piece by piece, and is not kept.
pub(crate) struct Search<'n> {
    needles: &'n Needles,
    /// How much of the end stays: what begins in one piece may end in the next.
    kept: usize,
    held: Vec<u8>,
    /// The first that was found.
    pub(crate) found: Option<&'static str>,
}

impl Search<'_> {
    /// Looks at the next piece.
    pub(crate) fn take(&mut self, piece: &[u8]) {
        self.held.extend_from_slice(piece);
        let found = self.needles.bytes.iter().find(|(_, bytes)| contains(&self.held, bytes));
        self.found = self.found.or(found.map(|(name, _)| *name));
        self.held.drain(..self.held.len().saturating_sub(self.kept));
    }

    /// The last [`END_BYTES`] of what came.
    pub(crate) fn end(&self) -> &[u8] {
        &self.held
    }
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    let Some(first) = wanted.first() else { return false };
    let mut from = 0;
    while let Some(at) = text[from..].iter().position(|byte| byte == first) {
        if text[from + at..].starts_with(wanted) {
            return true;
        }
        from += at + 1;
    }
    false
}

/// What is not searched, because nobody said where it is.
pub(crate) fn not_offered(places: &Places) -> Vec<NotOffered> {
    let all = [
        (&places.log, "the server's log, searched for canaries", "`--log FILE`"),
        (&places.data, "the data folder and the journal, searched for canaries", "`--data DIR`"),
    ];
    let missing = all.into_iter().filter(|(place, _, _)| place.is_none());
    missing.map(|(_, cell, give)| NotOffered { cell: cell.to_owned(), give: give.to_owned() }).collect()
}

/// Searches what was given.
pub(crate) fn search(places: &Places, needles: &Needles, moment: Moment) -> Vec<Outcome> {
    let mut outcomes = Vec::new();
    for (operation, place) in [("log", &places.log), ("data folder", &places.data)] {
        let Some(path) = place else { continue };
        let start = Instant::now();
        let verdict = looked(path, needles).unwrap_or_else(|error| {
            Verdict::Unattacked(format!("{} cannot be searched: {error}", path.display()))
        });
        let attack = match moment {
            Moment::WhileTheyLive => "canaries and secrets while the tenants live",
            Moment::DuringDeletion => "canaries and secrets while the tenants are being deleted",
            Moment::AfterDeletion => "canaries and secrets after the tenants were deleted",
        };
        let (surface, place) = ("traces".to_owned(), "files".to_owned());
        let pattern = Pattern { surface, operation: operation.to_owned(), place, attack };
        let millis = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        outcomes.push(Outcome { pattern, verdict, millis });
    }
    outcomes
}

/// The positive control is that the server wrote there during the run.
fn looked(path: &Path, needles: &Needles) -> io::Result<Verdict> {
    let mut written = 0;
    let mut folders = vec![path.to_owned()];
    while let Some(next) = folders.pop() {
        let about = match std::fs::metadata(&next) {
            Ok(about) => about,
            // A server's files come and go.
            Err(error) if error.kind() == io::ErrorKind::NotFound && next != path => continue,
            Err(error) => return Err(error),
        };
        if about.is_dir() {
            for entry in std::fs::read_dir(&next)? {
                folders.push(entry?.path());
            }
        } else if about.is_file() && about.modified()? >= needles.since {
            written += 1;
            match needles.within(&next) {
                Ok(Some(found)) => return Ok(Verdict::Leak(format!("{} shows {found}", next.display()))),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
    }
    if written == 0 {
        let reason = format!("nothing in {} was written during the run", path.display());
        return Ok(Verdict::Unattacked(reason));
    }
    Ok(Verdict::Held)
}

#[cfg(test)]
mod tests {
    use super::{Moment, Needles, Places, search};
    use crate::pattern::Verdict;
    use crate::side::Side;
    use client::MadeTenant;
    use secret::SecretText;

    fn side() -> Side {
        let key = SecretText::new("s".repeat(60));
        let made = MadeTenant { id: "ten_1".to_owned(), key_id: "key_1".to_owned(), key };
        Side::new(made, "abcdefgh2345".to_owned(), SecretText::new("whsec_secret".to_owned()))
    }

    #[test]
    fn a_canary_is_found_across_pieces_and_a_place_that_nobody_writes_to_is_unattacked() {
        let folder = tempfile::tempdir().unwrap();
        let below = folder.path().join("below");
        std::fs::create_dir(&below).unwrap();
        let needles = Needles::new(&[&side()], 0);
        let places = Places { log: None, data: Some(folder.path().to_owned()) };
        let verdict = |needles: &Needles| {
            let found = search(&places, needles, Moment::AfterDeletion);
            found.into_iter().next().unwrap().verdict
        };
        assert!(matches!(verdict(&needles), Verdict::Unattacked(_)));
        let mut text = vec![b'a'; (1 << 20) - 5];
        std::fs::write(below.join("journal"), &text).unwrap();
        assert_eq!(verdict(&needles), Verdict::Held);
        text.extend(b"abcdefgh2345 and more");
        std::fs::write(below.join("journal"), &text).unwrap();
        assert!(matches!(verdict(&needles), Verdict::Leak(told) if told.contains("journal")));
        let far_ahead = Needles::new(&[&side()], i64::MAX);
        assert!(matches!(verdict(&far_ahead), Verdict::Unattacked(_)));
    }
}
