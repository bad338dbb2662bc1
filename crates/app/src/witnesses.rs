//! Witnesses of the operators' log: they are shown its checkpoints, their cosignatures are kept, and what they
//! refuse is told to the operator.

use async_trait::async_trait;
use audit::event::{Action, Actor, ActorKind, AuthMethod, Draft, Outcome, Resource};
use audit::note::{self, AddCheckpoint, SignatureLine, SignedCheckpoint, VerifierKey, WitnessVerifierKey};
use env::Timestamp;
use futures::future::join_all;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;
use std::sync::{Arc, Mutex, PoisonError};
use store::{PlatformStore, StoreError};

const REFUSED: Action = Action::new("witness.refuse");
/// How often a witness may say that it has seen more than it is shown, in one round.
const TRIES: usize = 3;

/// A witness's answer: the status, and the body.
pub type Answer = (u16, String);

/// The way to one witness.
#[async_trait]
pub trait WitnessCall: Send + Sync {
    /// Sends the body of `add-checkpoint`. An error says why no answer came.
    async fn add_checkpoint(&self, body: String) -> Result<Answer, String>;
}

/// A witness that is configured.
pub struct WitnessPart {
    /// Its key.
    pub key: WitnessVerifierKey,
    /// The way to it.
    pub call: Arc<dyn WitnessCall>,
}

/// What a witness refused, and so what does not go together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Conflict {
    /// How many events the witness had cosigned.
    pub cosigned: u64,
    /// How many events the log has that it was shown.
    pub size: u64,
    /// `rolled_back`: the log has fewer events than were cosigned. `forked`: its first events are others than
    /// those that were cosigned. `superseded`: the witness has seen a later generation, so that this server was
    /// followed by another and must not run.
    pub kind: &'static str,
    /// When it was refused first.
    pub since: Timestamp,
}

/// Where a witness stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Standing {
    /// The name of its key.
    pub witness: String,
    /// The size of the last checkpoint that it cosigned for this server.
    pub cosigned: Option<u64>,
    /// What it refused, as long as it does.
    pub conflict: Option<Conflict>,
    /// Why no answer came, or none that the standard has.
    pub unreachable: Option<String>,
}

/// A checkpoint with cosignatures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Published {
    /// How many events it covers.
    pub size: u64,
    /// The signed note, with the lines of the witnesses.
    pub checkpoint: String,
}

/// The witnesses, as many as are configured, and what is known of each.
#[derive(Default)]
pub struct Witnesses {
    parts: Vec<WitnessPart>,
    /// One round at a time: two would show one witness two sizes at once.
    rounds: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    standings: Vec<Standing>,
    published: Option<Published>,
}

/// How one witness answered.
enum Heard {
    Cosigned(SignatureLine),
    Conflict { cosigned: u64, kind: &'static str },
    Unreachable(String),
}

impl Witnesses {
    /// These witnesses. Nothing is known of them yet: each says itself what it has seen.
    pub fn new(parts: Vec<WitnessPart>) -> Self {
        let standing = |part: &WitnessPart| Standing {
            witness: part.key.name().to_string(),
            cosigned: None,
            conflict: None,
            unreachable: None,
        };
        let standings = parts.iter().map(standing).collect();
        Self {
            parts,
            rounds: tokio::sync::Mutex::default(),
            known: Mutex::new(Known { standings, published: None }),
        }
    }

    /// Where each stands.
    pub fn standings(&self) -> Vec<Standing> {
        self.known().standings.clone()
    }

    /// The last checkpoint that any of them cosigned.
    pub fn published(&self) -> Option<Published> {
        self.known().published.clone()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the present checkpoint to each witness that has not cosigned it. What is refused is written into
    /// the log, once, where it is refused first.
    pub async fn round(&self, platform: &dyn PlatformStore, now: Timestamp) {
        if self.parts.is_empty() {
            return;
        }
        let _alone = self.rounds.lock().await;
        if let Err(error) = self.carry_out(platform, now).await {
            tracing::error!(%error, "the operators' log could not be shown to its witnesses");
        }
    }

    async fn carry_out(&self, platform: &dyn PlatformStore, now: Timestamp) -> Result<(), StoreError> {
        let (size, checkpoint) = platform.operator_checkpoint().await?;
        if self.published().is_some_and(|last| last.size == size && self.all_cosigned(size)) {
            return Ok(());
        }
        let key: VerifierKey = platform.operator_log_key().await?.parse().map_err(|_| unreadable())?;
        let signed = SignedCheckpoint::open(&checkpoint, &key).map_err(|_| unreadable())?;
        let shown = &signed;
        let asked = self.parts.iter().zip(self.standings());
        let heard = join_all(asked.map(|(part, standing)| async move {
            ask(part, standing.cosigned.unwrap_or(0), shown, platform).await
        }));
        let heard = heard.await;
        let events = self.take_down(heard, signed, now);
        if events.is_empty() { Ok(()) } else { platform.append_outsiders_events(events).await }
    }

    /// Keeps what was heard of the shown checkpoint; gives back what the log is to tell.
    fn take_down(&self, heard: Vec<Heard>, mut shown: SignedCheckpoint, now: Timestamp) -> Vec<Draft> {
        let (size, mut cosigned, mut events) = (shown.checkpoint().size, false, Vec::new());
        let mut known = self.known();
        for (heard, standing) in heard.into_iter().zip(&mut known.standings) {
            match heard {
                Heard::Cosigned(line) => {
                    (standing.cosigned, standing.conflict, standing.unreachable) = (Some(size), None, None);
                    shown.add(line);
                    cosigned = true;
                }
                Heard::Unreachable(why) => {
                    tracing::warn!(witness = %standing.witness, %why, "a witness gave no answer");
                    standing.unreachable = Some(why);
                }
                Heard::Conflict { cosigned, kind } => {
                    standing.unreachable = None;
                    events.extend(refused(standing, Conflict { cosigned, size, kind, since: now }));
                }
            }
        }
        if cosigned {
            known.published = Some(Published { size, checkpoint: shown.to_string() });
        }
        events
    }

    fn all_cosigned(&self, size: u64) -> bool {
        self.known().standings.iter().all(|standing| standing.cosigned == Some(size))
    }
}

/// Takes down that a witness refuses; the event that tells of it, where it did not before.
fn refused(standing: &mut Standing, found: Conflict) -> Option<Draft> {
    let same = standing.conflict.as_ref().filter(|it| it.kind == found.kind && it.cosigned == found.cosigned);
    let since = same.map(|same| same.since);
    let is_new = since.is_none();
    let Conflict { cosigned, size, kind, .. } = found;
    standing.conflict = Some(Conflict { since: since.unwrap_or(found.since), ..found });
    is_new.then(|| {
        let witness = &standing.witness;
        tracing::error!(%witness, cosigned, size, kind, "a witness has cosigned another history of the log");
        event(witness, cosigned, size, kind)
    })
}

fn unreadable() -> StoreError {
    StoreError::Invalid("The operators' log has no checkpoint that its key signed.".into())
}

/// Asks one witness, which may know more of the log than is known of it here.
async fn ask(
    part: &WitnessPart,
    known: u64,
    shown: &SignedCheckpoint,
    platform: &dyn PlatformStore,
) -> Heard {
    let size = shown.checkpoint().size;
    let mut old = known.min(size);
    for _ in 0..TRIES {
        let proof = match platform.prove_operator_growth(old, Some(size)).await {
            Ok((proof, _)) => proof,
            Err(error) => return Heard::Unreachable(format!("no proof could be made: {error}")),
        };
        let body = AddCheckpoint { old, proof, checkpoint: shown.to_string() }.text();
        let (status, answer) = match part.call.add_checkpoint(body).await {
            Ok(answer) => answer,
            Err(why) => return Heard::Unreachable(why),
        };
        match note::Heard::read((status, &answer), old, shown, &part.key) {
            note::Heard::Cosigned(line) => return Heard::Cosigned(line),
            note::Heard::From(cosigned) => old = cosigned,
            note::Heard::Nothing(why) => return Heard::Unreachable(why),
            note::Heard::Refused(conflict) => {
                let cosigned = match conflict {
                    note::Conflict::RolledBack(cosigned) | note::Conflict::Forked(cosigned) => cosigned,
                    note::Conflict::Superseded => known,
                };
                return Heard::Conflict { cosigned, kind: conflict.kind() };
            }
        }
    }
    Heard::Unreachable("the witness named another size each time".to_owned())
}

fn event(witness: &str, cosigned: u64, size: u64, kind: &str) -> Draft {
    let actor = Actor {
        kind: ActorKind::Outsider,
        id: witness.to_owned(),
        on_behalf_of: Vec::new(),
        auth: AuthMethod::Internal,
    };
    let resource = Resource { kind: "witness".into(), id: witness.to_owned() };
    let mut draft = Draft::new(actor, REFUSED, resource, Outcome::Failure);
    draft.details.insert("cosigned".into(), json!(cosigned));
    draft.details.insert("size".into(), json!(size));
    draft.details.insert("conflict".into(), json!(kind));
    draft
}
