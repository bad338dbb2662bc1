//! What a verified export shows, and what it does not.

use crate::merkle::Hash;
use crate::note::{Cosignature, Origin};
use env::Timestamp;
use serde::{Serialize, Serializer};
use std::fmt;

/// An export whose events are exactly those that the log signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Which log.
    pub log: Origin,
    /// How many events it has.
    pub events: u64,
    /// The root over them, in hexadecimal where it is text.
    #[serde(serialize_with = "as_hex")]
    pub root: Hash,
    /// When the first was recorded.
    pub first_time: Option<Timestamp>,
    /// When the last was recorded. Long ago means that the log may be frozen.
    pub last_time: Option<Timestamp>,
    /// How many intents there are.
    pub intents: u64,
    /// How many of them no outcome names.
    pub open_intents: u64,
    /// Whether that number is exact; else it is an upper bound, because too many were open at once.
    pub open_intents_exact: bool,
    /// How many events the earlier checkpoint had, from which this log grew; none was given otherwise.
    pub earlier: Option<u64>,
    /// The witnesses who cosigned the earlier checkpoint and whose keys were given. They vouch for that many events.
    pub earlier_witnesses: Vec<Cosignature>,
    /// The witnesses who cosigned and whose keys were given.
    pub witnesses: Vec<Cosignature>,
    /// Signatures by keys that were not given, which show nothing.
    pub unknown_signatures: usize,
}

impl Report {
    /// Whether someone other than the log's holder vouches for the log's history, at its end or as far as the
    /// earlier checkpoint.
    pub fn witnessed(&self) -> bool {
        !self.all_witnesses().is_empty()
    }

    /// The cosignatures of both checkpoints.
    pub fn all_witnesses(&self) -> Vec<Cosignature> {
        self.witnesses.iter().chain(&self.earlier_witnesses).cloned().collect()
    }
}

fn as_hex<S: Serializer>(hash: &Hash, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&hex::encode(hash))
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "All {} events are those that {} signed, in order.", self.events, self.log)?;
        writeln!(out, "Root: {}", hex::encode(self.root))?;
        if let (Some(first), Some(last)) = (self.first_time, self.last_time) {
            writeln!(out, "First event: {first}. Last event: {last}.")?;
        }
        let at_most = if self.open_intents_exact { "" } else { "at most " };
        writeln!(out, "Of {} intents, {at_most}{} have no outcome.", self.intents, self.open_intents)?;
        match self.earlier {
            Some(size) => {
                writeln!(
                    out,
                    "The log grew from the earlier checkpoint of {size} events; none of them changed."
                )?;
            }
            None => writeln!(
                out,
                "No earlier checkpoint was given, so a log that was rewritten as a whole would look the same."
            )?,
        }
        for found in &self.witnesses {
            writeln!(out, "The witness {} cosigned at {}.", found.witness, found.time)?;
        }
        for found in &self.earlier_witnesses {
            writeln!(
                out,
                "The witness {} cosigned the earlier checkpoint at {}.",
                found.witness, found.time
            )?;
        }
        if !self.witnessed() {
            writeln!(out, "No outside witness is seen to have cosigned.")?;
        }
        match self.unknown_signatures {
            0 => Ok(()),
            count => writeln!(out, "Signatures by keys that were not given, and so show nothing: {count}."),
        }
    }
}
