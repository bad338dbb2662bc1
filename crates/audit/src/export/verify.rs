//! Verifying an export, a line at a time.

use super::chain::Chain;
use super::{CHECKPOINT_PREFIX, Fault, Report};
use crate::merkle::Hash;
use crate::note::{Checkpoint, CheckpointError, Origin, SignedCheckpoint, VerifierKey, WitnessVerifierKey};
use serde::Deserialize;
use std::io::{BufRead, Read};

/// The longest line that is read: the longest note, and room for its escapes.
const MAX_LINE_BYTES: u64 = 1024 * 1024;

/// What a verifier has from elsewhere than the export.
#[derive(Clone, Copy, Debug)]
pub struct Trust<'a> {
    key: &'a VerifierKey,
    earlier: Option<&'a str>,
    witnesses: &'a [WitnessVerifierKey],
}

impl<'a> Trust<'a> {
    /// The log's key alone. It shows that the log's holder signed these events, and cannot show that the
    /// holder never signed others in their place.
    pub fn new(key: &'a VerifierKey) -> Self {
        Self { key, earlier: None, witnesses: &[] }
    }

    /// Also a checkpoint that was kept from before, as its signed note's text.
    #[must_use]
    pub fn earlier(self, checkpoint: &'a str) -> Self {
        Self { earlier: Some(checkpoint), ..self }
    }

    /// Also the keys of witnesses.
    #[must_use]
    pub fn witnesses(self, keys: &'a [WitnessVerifierKey]) -> Self {
        Self { witnesses: keys, ..self }
    }
}

/// Checks a whole export: that its events are exactly those that the log signed, in order, and that the
/// log grew from the earlier checkpoint, if there is one. Reads each line once; memory does not grow
/// with their number, only with that of the intents under way, and that is bounded.
pub fn verify_export(mut reader: impl BufRead, trust: &Trust<'_>) -> Result<Report, Fault> {
    let log = log_of(trust.key)?;
    let earlier = match trust.earlier {
        Some(text) => Some(SignedCheckpoint::open(text, trust.key).map_err(Fault::EarlierCheckpoint)?),
        None => None,
    };
    let earlier_witnesses = match &earlier {
        Some(signed) => signed.cosignatures(trust.witnesses),
        None => Ok(Vec::new()),
    };
    let earlier_witnesses =
        earlier_witnesses.map_err(|error| Fault::EarlierCheckpoint(CheckpointError::Note(error)))?;
    let mut earlier = earlier.map(|signed| Earlier::new(signed.checkpoint().clone()));
    let mut chain = Chain::new(&log);
    let mut lines = Lines { reader: &mut reader, buffer: Vec::new(), number: 0 };
    loop {
        if let Some(earlier) = &mut earlier {
            earlier.look(&chain);
        }
        if !lines.advance()? {
            return Err(Fault::NoCheckpoint { line: lines.number });
        }
        if lines.buffer.starts_with(CHECKPOINT_PREFIX) {
            break;
        }
        chain.take(&lines.buffer, lines.number)?;
    }
    let signed = open_checkpoint(&lines.buffer, lines.number, trust.key)?;
    let line = lines.number;
    if lines.advance()? {
        return Err(Fault::AfterCheckpoint { line: lines.number });
    }
    check_covers(signed.checkpoint(), &chain)?;
    let earlier = earlier.map(|earlier| earlier.judge(&chain)).transpose()?;
    let cosignatures = signed.cosignatures(trust.witnesses);
    let witnesses = cosignatures.map_err(|source| Fault::Cosignature { line, source })?;
    Ok(Report {
        log,
        events: chain.size(),
        root: chain.root(),
        first_time: chain.first_time(),
        last_time: chain.last_time(),
        intents: chain.intents(),
        open_intents: chain.open_intents(),
        open_intents_exact: chain.open_intents_exact(),
        earlier,
        earlier_witnesses,
        witnesses,
        unknown_signatures: signed.unknown_signatures(trust.witnesses),
    })
}

/// The log that a key signs for: its name says so.
pub(super) fn log_of(key: &VerifierKey) -> Result<Origin, Fault> {
    let name = key.name().as_str();
    name.parse().map_err(|_| Fault::NotALogKey { name: name.to_owned() })
}

fn open_checkpoint(line: &[u8], number: u64, key: &VerifierKey) -> Result<SignedCheckpoint, Fault> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct LastLine {
        checkpoint: String,
    }
    let malformed = || Fault::Checkpoint { line: number, source: CheckpointError::Malformed };
    let last: LastLine = serde_json::from_slice(line).map_err(|_| malformed())?;
    SignedCheckpoint::open(&last.checkpoint, key).map_err(|source| match source {
        CheckpointError::OtherLog(found) => Fault::CheckpointOfOtherLog { line: number, found },
        source => {
            other_log(&last.checkpoint, key).map_or(Fault::Checkpoint { line: number, source }, |found| {
                Fault::CheckpointOfOtherLog { line: number, found }
            })
        }
    })
}

/// The log that a checkpoint says it is of, where that is another: the plainest thing to tell.
fn other_log(checkpoint: &str, key: &VerifierKey) -> Option<Origin> {
    let named = checkpoint.split('\n').next()?;
    if named == key.name().as_str() { None } else { named.parse().ok() }
}

fn check_covers(signed: &Checkpoint, chain: &Chain) -> Result<(), Fault> {
    let (signed_size, found) = (signed.size, chain.size());
    if signed_size > found {
        return Err(Fault::CutShort { signed: signed_size, found });
    }
    if signed_size < found {
        return Err(Fault::NotSigned { signed: signed_size, found });
    }
    if signed.root == chain.root() { Ok(()) } else { Err(Fault::OtherEvents { size: found }) }
}

/// The earlier checkpoint, and the root that the export has at its size.
struct Earlier {
    checkpoint: Checkpoint,
    root_here: Option<Hash>,
}

impl Earlier {
    fn new(checkpoint: Checkpoint) -> Self {
        Self { checkpoint, root_here: None }
    }

    /// Called at every size that the chain passes through.
    fn look(&mut self, chain: &Chain) {
        if chain.size() == self.checkpoint.size && self.root_here.is_none() {
            self.root_here = Some(chain.root());
        }
    }

    /// Only once the export's own checkpoint holds: before that, the file may be at fault and not the log.
    fn judge(self, chain: &Chain) -> Result<u64, Fault> {
        let earlier = self.checkpoint.size;
        match self.root_here {
            None => Err(Fault::Shrunk { earlier, size: chain.size() }),
            Some(root) if root != self.checkpoint.root => Err(Fault::Forked { earlier }),
            Some(_) => Ok(earlier),
        }
    }
}

/// The lines of a file, one at a time in one buffer.
struct Lines<'r, R> {
    reader: &'r mut R,
    buffer: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<'_, R> {
    /// Reads the next line into the buffer, without its line break. False at the end.
    fn advance(&mut self) -> Result<bool, Fault> {
        self.buffer.clear();
        let line = self.number + 1;
        let mut bounded = self.reader.by_ref().take(MAX_LINE_BYTES);
        let read = bounded.read_until(b'\n', &mut self.buffer);
        if read.map_err(|source| Fault::Unreadable { line, source })? == 0 {
            return Ok(false);
        }
        self.number = line;
        if self.buffer.last() == Some(&b'\n') {
            self.buffer.pop();
        } else if self.buffer.len() as u64 == MAX_LINE_BYTES {
            return Err(Fault::TooLong { line });
        }
        Ok(true)
    }
}
