//! [`Witness`]: what is cosigned and what is refused.

use crate::config::Config;
use crate::state::{Folder, StateError};
use audit::merkle::{empty_root, verify_consistency};
use audit::note::{
    AddCheckpoint, AddCheckpointError, Checkpoint, Origin, SignedCheckpoint, SignedNote, VerifierKey,
    WitnessKey, WitnessVerifierKey,
};
use env::Env;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// A log that is watched, and where it stood.
pub struct Watched {
    key: VerifierKey,
    last: Option<SignedCheckpoint>,
}

/// Why a checkpoint is not cosigned. Each is a status of the standard.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// 400: the request is malformed.
    #[error("{0}")]
    Malformed(#[from] AddCheckpointError),
    /// 400: the note has no checkpoint of a log.
    #[error("the note is not a checkpoint")]
    NotACheckpoint,
    /// 400: the old size is above the checkpoint's.
    #[error("the old size {old} is above the checkpoint's size {size}")]
    OldAbove {
        /// The old size.
        old: u64,
        /// The checkpoint's size.
        size: u64,
    },
    /// 404: the log is not watched.
    #[error("this witness does not watch the log")]
    UnknownLog,
    /// 403: a server of this generation was followed by another, and must not run any more.
    #[error("superseded {seen}: the checkpoint is of generation {generation}, and a later one was seen")]
    Superseded {
        /// The checkpoint's generation.
        generation: u64,
        /// The highest that was seen of the log.
        seen: u64,
    },
    /// 403: the log's key did not sign.
    #[error("the log's key did not sign the checkpoint")]
    NotSigned,
    /// 409: the old size is not that of the last checkpoint that was cosigned, or the same size has another
    /// root.
    #[error("{0} events were cosigned")]
    Conflict(u64),
    /// 422: the proof does not show that the log grew from what was cosigned.
    #[error(
        "the log of {size} events is not shown to have grown from the one of {cosigned} that was cosigned"
    )]
    NotGrown {
        /// The size that was cosigned.
        cosigned: u64,
        /// The size of the checkpoint.
        size: u64,
    },
    /// 500: what would be cosigned cannot be kept.
    #[error("the checkpoint could not be kept, so it is not cosigned")]
    NotKept(#[source] StateError),
}

impl Refused {
    /// The status of the standard.
    pub fn status(&self) -> u16 {
        match self {
            Self::Malformed(_) | Self::NotACheckpoint | Self::OldAbove { .. } => 400,
            Self::UnknownLog => 404,
            Self::NotSigned | Self::Superseded { .. } => 403,
            Self::Conflict(_) => 409,
            Self::NotGrown { .. } => 422,
            Self::NotKept(_) => 500,
        }
    }
}

/// A witness: its key, its folder, and the logs that it watches.
pub struct Witness {
    key: WitnessKey,
    env: Env,
    /// One lock for look, write and answer: else two requests could take one log back.
    // The map has the logs of the configuration and no others.
    state: Mutex<(Folder, BTreeMap<String, Watched>)>,
}

impl Witness {
    /// Opens the folder, and reads back what was cosigned.
    pub fn open(config: &Config, folder: &Path, env: Env) -> Result<Self, StateError> {
        let folder = Folder::open(folder)?;
        let key = folder.key(config.name.clone(), &env)?;
        folder.write(&folder.path("witness.vkey"), format!("{}\n", key.verifier()).as_bytes())?;
        let mut logs = BTreeMap::new();
        for (origin, key) in &config.logs {
            let last = folder.last(key)?;
            logs.insert(origin.clone(), Watched { key: key.clone(), last });
        }
        Ok(Self { key, env, state: Mutex::new((folder, logs)) })
    }

    /// What checks the witness's cosignatures.
    pub fn verifier(&self) -> &WitnessVerifierKey {
        self.key.verifier()
    }

    /// Cosigns a checkpoint that grew from the last one; answers the signature line. It waits for the disk:
    /// for blocking threads.
    pub fn add_checkpoint(&self, body: &str) -> Result<String, Refused> {
        let request = AddCheckpoint::read(body)?;
        let note: SignedNote = request.checkpoint.parse().map_err(|_| Refused::NotACheckpoint)?;
        let origin = note.text().lines().next().unwrap_or_default().to_owned();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (folder, logs) = &mut *state;
        let Some(watched) = logs.get_mut(&origin) else {
            see_another_epoch(folder, logs, &request.checkpoint, &origin)?;
            return Err(Refused::UnknownLog);
        };
        note.verify(&watched.key).map_err(|_| Refused::NotSigned)?;
        let mut signed =
            SignedCheckpoint::open(&request.checkpoint, &watched.key).map_err(|_| Refused::NotACheckpoint)?;
        not_superseded(folder, &signed, &watched.key)?;
        let last = watched.last.as_ref().map(|last| last.checkpoint().clone());
        if let Err(refused) = grown(&request, signed.checkpoint(), last.as_ref()) {
            if shows_misbehaviour(signed.checkpoint(), last.as_ref(), &refused) {
                let (cosigned, size) = (last.map_or(0, |last| last.size), signed.checkpoint().size);
                tracing::error!(log = %origin, cosigned, size, "CONFLICT: the log signed another history");
                if let Err(error) = folder.keep_conflict(&signed) {
                    tracing::error!(%error, "the conflict could not be kept");
                }
            }
            return Err(refused);
        }
        let line = self.key.cosign(&signed, self.env.now());
        signed.add(line.clone());
        folder.see(&signed, &watched.key).map_err(Refused::NotKept)?;
        folder.keep(&signed).map_err(Refused::NotKept)?;
        watched.last = Some(signed);
        Ok(format!("{line}\n"))
    }
}

/// Refuses a server whose log has gone on, in whatever epoch, under a later generation.
fn not_superseded(folder: &Folder, signed: &SignedCheckpoint, key: &VerifierKey) -> Result<(), Refused> {
    let seen = folder.seen(&signed.checkpoint().origin, key).map_err(Refused::NotKept)?;
    let (generation, log) = (signed.checkpoint().generation, &signed.checkpoint().origin);
    if generation >= seen {
        return Ok(());
    }
    tracing::error!(%log, generation, seen, "SUPERSEDED: a server that was followed by another goes on");
    if let Err(error) = folder.keep_conflict(signed) {
        tracing::error!(%error, "the conflict could not be kept");
    }
    Err(Refused::Superseded { generation, seen })
}

/// A log of an epoch that is not watched, of a tenant whose log in another is: nothing of it is cosigned, but
/// that there is a later generation is not forgotten.
fn see_another_epoch(
    folder: &Folder,
    logs: &BTreeMap<String, Watched>,
    checkpoint: &str,
    origin: &str,
) -> Result<(), Refused> {
    let Ok(origin) = origin.parse::<Origin>() else { return Ok(()) };
    let watched = logs.values().find(|watched| {
        let of = watched.key.name().as_str().parse::<Origin>();
        of.is_ok_and(|of| of.tenant == origin.tenant && of.region == origin.region)
    });
    let Some(watched) = watched else { return Ok(()) };
    let key = watched.key.named_after(&origin);
    match SignedCheckpoint::open(checkpoint, &key) {
        Ok(signed) => folder.see(&signed, &key).map_err(Refused::NotKept),
        Err(_) => Ok(()),
    }
}

/// Whether the checkpoint grew from the last one that was cosigned, in the order of the standard.
fn grown(request: &AddCheckpoint, next: &Checkpoint, last: Option<&Checkpoint>) -> Result<(), Refused> {
    let (cosigned, root) = last.map_or((0, empty_root()), |last| (last.size, last.root));
    let (old, size) = (request.old, next.size);
    if old > size {
        return Err(Refused::OldAbove { old, size });
    }
    // The only tree without leaves has the root of nothing.
    if old != cosigned || (old == size && next.root != root) {
        return Err(Refused::Conflict(cosigned));
    }
    verify_consistency(cosigned, root, size, next.root, &request.proof)
        .map_err(|_| Refused::NotGrown { cosigned, size })
}

/// Whether the log's own signature shows that something is wrong: the same size with another root, or fewer
/// events than before. A wrong proof alone shows nothing, since anybody can send one. A smaller checkpoint can be
/// an old one that somebody repeats: whoever looks at what was kept has to tell.
fn shows_misbehaviour(next: &Checkpoint, last: Option<&Checkpoint>, refused: &Refused) -> bool {
    let Some(last) = last else { return false };
    let other_root = next.size == last.size && next.root != last.root;
    matches!(refused, Refused::Conflict(_)) && (other_root || next.size < last.size)
}
