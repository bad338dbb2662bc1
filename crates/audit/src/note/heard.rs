//! What a witness's answer to a checkpoint says (C2SP tlog-witness): for whoever shows a log to a witness.

use super::{SignatureLine, SignedCheckpoint, WitnessVerifierKey};

/// What a witness said of a checkpoint that it was shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It cosigned; the line was checked against its key.
    Cosigned(SignatureLine),
    /// It has cosigned another size than it was told: show it the growth from there.
    From(u64),
    /// What it was shown does not go with what it has cosigned.
    Refused(Conflict),
    /// Nothing that the standard has; what.
    Nothing(String),
}

/// How a log does not go with what a witness cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// It has fewer events than were cosigned; how many were.
    RolledBack(u64),
    /// Its first events are others than those that were cosigned; how many were.
    Forked(u64),
    /// A later generation was seen, so that the server was followed by another and must not run.
    Superseded,
}

impl Conflict {
    /// The kind's stable name.
    pub fn kind(self) -> &'static str {
        match self {
            Self::RolledBack(_) => "rolled_back",
            Self::Forked(_) => "forked",
            Self::Superseded => "superseded",
        }
    }
}

impl Heard {
    /// Reads the status and the body with which the witness of this key answered, after it was told that it had
    /// cosigned `old` events and was shown this checkpoint.
    pub fn read(
        (status, body): (u16, &str),
        old: u64,
        shown: &SignedCheckpoint,
        key: &WitnessVerifierKey,
    ) -> Self {
        let size = shown.checkpoint().size;
        match (status, body.trim().parse::<u64>()) {
            (200, _) => cosignature(body, shown, key),
            (409, Ok(cosigned)) if cosigned > size => Self::Refused(Conflict::RolledBack(cosigned)),
            (409, Ok(cosigned)) if cosigned == old => Self::Refused(Conflict::Forked(cosigned)),
            (409, Ok(cosigned)) => Self::From(cosigned),
            (422, _) => Self::Refused(Conflict::Forked(old)),
            (403, Err(_)) if body.starts_with("superseded ") => Self::Refused(Conflict::Superseded),
            (404, _) => Self::Nothing("the witness does not watch this log".to_owned()),
            _ => Self::Nothing(format!("the witness answered {status}")),
        }
    }
}

/// The line of this witness among those that it answered, if it holds.
fn cosignature(body: &str, shown: &SignedCheckpoint, key: &WitnessVerifierKey) -> Heard {
    for line in body.lines() {
        let Ok(line) = line.parse::<SignatureLine>() else { continue };
        let mut signed = shown.clone();
        signed.add(line.clone());
        let found = signed.cosignatures(std::slice::from_ref(key));
        if found.is_ok_and(|found| !found.is_empty()) {
            return Heard::Cosigned(line);
        }
    }
    Heard::Nothing("the witness answered without a cosignature of its key".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Conflict, Heard};
    use crate::note::{LogKey, Origin, SignedCheckpoint, WitnessKey};
    use env::Timestamp;
    use ids::{Id as _, TenantId};
    use secret::SecretBytes;

    fn checkpoint(size: u64) -> SignedCheckpoint {
        let tenant = TenantId::from_bytes([1; 16]);
        let origin = Origin { tenant, region: "local".parse().unwrap(), epoch: 1 };
        LogKey::from_seed(origin, &SecretBytes::take(&mut [1; 32])).sign(size, [size as u8; 32])
    }

    fn witness(seed: u8) -> WitnessKey {
        WitnessKey::from_seed("witness.example/w1".parse().unwrap(), &SecretBytes::take(&mut [seed; 32]))
    }

    #[test]
    fn each_answer_of_the_standard_is_heard_for_what_it_is() {
        let (shown, by) = (checkpoint(5), witness(9));
        let heard = |status, body: &str, old| Heard::read((status, body), old, &shown, by.verifier());
        assert_eq!(heard(409, "9\n", 5), Heard::Refused(Conflict::RolledBack(9)));
        assert_eq!(heard(409, "5\n", 5), Heard::Refused(Conflict::Forked(5)));
        assert_eq!(heard(409, "4\n", 0), Heard::From(4));
        assert_eq!(heard(422, "not grown", 3), Heard::Refused(Conflict::Forked(3)));
        assert_eq!(heard(403, "superseded 2: …", 3), Heard::Refused(Conflict::Superseded));
        for (status, body) in [(403, "the log's key did not sign"), (404, "no"), (409, "many"), (500, "")] {
            assert!(matches!(heard(status, body, 3), Heard::Nothing(_)), "{status}");
        }
    }

    #[test]
    fn only_a_cosignature_of_the_witness_over_what_it_was_shown_counts() {
        let (shown, now) = (checkpoint(5), Timestamp::from_millis(1_790_000_000_000));
        let heard = |line: String| Heard::read((200, &line), 0, &shown, witness(9).verifier());
        let line = witness(9).cosign(&shown, now);
        assert_eq!(heard(format!("{line}\n")), Heard::Cosigned(line));
        for other in [witness(8).cosign(&shown, now), witness(9).cosign(&checkpoint(6), now)] {
            assert!(matches!(heard(format!("{other}\n")), Heard::Nothing(_)));
        }
        assert!(matches!(heard("thanks\n".to_owned()), Heard::Nothing(_)));
    }
}
