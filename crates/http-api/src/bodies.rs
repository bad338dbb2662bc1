//! [`Bodies`]: how many bytes of bodies may be in memory, in all and of one tenant. They are asked for before
//! a body is read, and after it is known whose it is.

use crate::shares::{Share, Shares};
use bytes::Bytes;
use errors::{Code, Problem};
use ids::{KeyId, TenantId};

/// The bytes of all bodies at once.
const IN_ALL: usize = 512 << 20;
/// The bytes of one payer's bodies at once: two of the largest that a model takes.
const OF_ONE: usize = 64 << 20;
/// What a body costs at least, however small it is: one that does not arrive takes a place, too.
const AT_LEAST: usize = 64 << 10;

/// On whose account a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Payer {
    Tenant(TenantId),
    Operators,
    Grant(KeyId),
}

/// The bytes of bodies that are in memory.
#[derive(Clone)]
pub(crate) struct Bodies {
    all: Shares<()>,
    each: Shares<Payer>,
}

/// Bytes that are accounted for.
pub(crate) struct Held(Vec<(Share<Payer>, Share<()>)>);

impl Default for Bodies {
    fn default() -> Self {
        Self { all: Shares::new(IN_ALL), each: Shares::new(OF_ONE) }
    }
}

impl Bodies {
    /// Accounts for a body of which this many bytes are announced.
    pub(crate) fn hold(&self, payer: Payer, announced: usize) -> Result<Held, Problem> {
        let mut held = Held(Vec::new());
        self.hold_more(&mut held, payer, announced.max(AT_LEAST))?;
        Ok(held)
    }

    /// Accounts for more of it, where more comes than was announced.
    pub(crate) fn hold_more(&self, held: &mut Held, payer: Payer, bytes: usize) -> Result<(), Problem> {
        let Some(own) = self.each.take(payer, bytes) else {
            let detail = format!(
                "The bodies of requests under way are together larger than {OF_ONE} bytes. Send fewer at once."
            );
            return Err(Problem::new(Code::ConcurrencyLimited, detail).retry_after(1));
        };
        let Some(common) = self.all.take((), bytes) else {
            let detail = "The server has too many large requests under way. Try again.";
            return Err(Problem::new(Code::Unavailable, detail).retry_after(1));
        };
        held.0.push((own, common));
        Ok(())
    }
}

impl Held {
    /// The bytes, which stay accounted for as long as anything has them.
    pub(crate) fn bytes(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Body { bytes, _held: self })
    }
}

struct Body {
    bytes: Bytes,
    _held: Held,
}

impl AsRef<[u8]> for Body {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{AT_LEAST, Bodies, IN_ALL, OF_ONE, Payer};
    use bytes::Bytes;
    use env::{Env, Timestamp};
    use errors::Code;

    #[test]
    fn one_tenant_cannot_take_anothers_place_and_bytes_are_held_until_they_are_gone() {
        let env = Env::fixed(Timestamp::from_millis(1_790_000_000_000), 1).0;
        let bodies = Bodies::default();
        let (one, other) = (Payer::Tenant(env.id()), Payer::Tenant(env.id()));
        let held = bodies.hold(one, OF_ONE - AT_LEAST).unwrap();
        let mut small = bodies.hold(one, 1).unwrap();
        assert_eq!(bodies.hold(one, 1).err().unwrap().code, Code::ConcurrencyLimited);
        assert!(bodies.hold_more(&mut small, one, 1).is_err());
        assert!(bodies.hold(other, OF_ONE).is_ok());
        let bytes = held.bytes(Bytes::from_static(b"{}"));
        let copy = bytes.clone();
        drop(bytes);
        assert!(bodies.hold(one, AT_LEAST).is_err());
        assert_eq!(&copy[..], b"{}");
        drop(copy);
        assert!(bodies.hold(one, AT_LEAST).is_ok());
    }

    #[test]
    fn all_together_have_an_end() {
        let env = Env::fixed(Timestamp::from_millis(1_790_000_000_000), 1).0;
        let bodies = Bodies::default();
        let each = |_| bodies.hold(Payer::Tenant(env.id()), OF_ONE).unwrap();
        let held: Vec<_> = (0..IN_ALL / OF_ONE).map(each).collect();
        assert_eq!(bodies.hold(Payer::Operators, 1).err().unwrap().code, Code::Unavailable);
        drop(held);
        assert!(bodies.hold(Payer::Operators, 1).is_ok());
    }
}
