//! The port's adapter: wraps and derives with a key that is in this process.

use crate::MasterKey;
use async_trait::async_trait;
use env::Env;
use kms::aead::Cipher;
use kms::{Binding, Kms, KmsError, MasterKeyId, Purpose, WrappedKey, derive};
use secret::SecretBytes;

const WRAPPING: Purpose = Purpose::new("wrap tenant keys");
/// What sets the wrapping key apart from every key that [`Kms::derive`] gives out, whatever its purpose.
const FOR_WRAPPING: &[u8] = b"kept";
const GIVEN_OUT: &[u8] = b"given out";

/// The master key from a file, and while keys are rotated the one before it.
pub struct FileKms {
    env: Env,
    present: MasterKey,
    previous: Option<MasterKey>,
}

impl FileKms {
    /// Wraps under `present`. What `previous` wrapped is still unwrapped, so that it can be wrapped anew.
    pub fn new(env: Env, present: MasterKey, previous: Option<MasterKey>) -> Self {
        Self { env, present, previous }
    }

    fn master(&self, id: MasterKeyId) -> Result<&MasterKey, KmsError> {
        [Some(&self.present), self.previous.as_ref()]
            .into_iter()
            .flatten()
            .find(|master| master.id() == id)
            .ok_or(KmsError::UnknownMasterKey(id))
    }
}

fn wrapping_cipher(master: &MasterKey) -> Cipher {
    Cipher::new(&derive(master.key(), &WRAPPING, FOR_WRAPPING))
}

#[async_trait]
impl Kms for FileKms {
    fn master_key_id(&self) -> MasterKeyId {
        self.present.id()
    }

    fn previous_master_key_id(&self) -> Option<MasterKeyId> {
        self.previous.as_ref().map(MasterKey::id)
    }

    async fn wrap(&self, binding: &Binding, key: &SecretBytes<32>) -> Result<WrappedKey, KmsError> {
        let master = self.present.id();
        let sealed = wrapping_cipher(&self.present)
            .seal(&self.env, &binding.associated_data(master), key.expose())
            .map_err(|error| KmsError::Refused(error.into()))?;
        Ok(WrappedKey { master, sealed })
    }

    async fn unwrap(&self, binding: &Binding, wrapped: &WrappedKey) -> Result<SecretBytes<32>, KmsError> {
        let master = self.master(wrapped.master)?;
        let mut opened = wrapping_cipher(master)
            .open(&binding.associated_data(wrapped.master), &wrapped.sealed)
            .map_err(|_| KmsError::NotAuthentic)?;
        let key = opened.as_mut_slice().try_into().map_err(|_| KmsError::NotAuthentic)?;
        Ok(SecretBytes::take(key))
    }

    async fn derive(&self, master: MasterKeyId, purpose: &Purpose) -> Result<SecretBytes<32>, KmsError> {
        Ok(derive(self.master(master)?.key(), purpose, GIVEN_OUT))
    }
}

#[cfg(test)]
mod tests {
    use super::{FileKms, WRAPPING};
    use crate::MasterKey;
    use env::{Env, Timestamp};
    use futures::executor::block_on;
    use ids::{Id, TenantId};
    use kms::{Binding, Kms, KmsError, MasterKeyId, Purpose, WrappedKey, derive};
    use proptest::prelude::*;
    use secret::SecretBytes;

    fn secret(seed: u8) -> SecretBytes<32> {
        SecretBytes::fill_with(|bytes| bytes.fill(seed))
    }

    fn kms(present: u8, previous: Option<u8>) -> FileKms {
        let (env, _) = Env::fixed(Timestamp::from_millis(0), u64::from(present));
        FileKms::new(env, MasterKey::new(secret(present)), previous.map(|seed| MasterKey::new(secret(seed))))
    }

    fn tenant(seed: u8) -> TenantId {
        TenantId::from_parts(1, [seed; 10])
    }

    fn data() -> Binding {
        Binding::new(tenant(1), "data")
    }

    fn is_not_authentic(result: &Result<SecretBytes<32>, KmsError>) -> bool {
        matches!(result, Err(KmsError::NotAuthentic))
    }

    #[test]
    fn a_wrapped_key_comes_back_for_its_tenant_and_name_only() {
        let kms = kms(1, None);
        let wrapped = block_on(kms.wrap(&data(), &secret(9))).unwrap();
        assert_eq!(wrapped.to_bytes().len(), 69);
        assert!(block_on(kms.unwrap(&data(), &wrapped)).unwrap() == secret(9));
        for other in [Binding::new(tenant(2), "data"), Binding::new(tenant(1), "log")] {
            assert!(is_not_authentic(&block_on(kms.unwrap(&other, &wrapped))));
        }
    }

    #[test]
    fn the_same_key_is_wrapped_differently_each_time() {
        let kms = kms(1, None);
        let wrap = || block_on(kms.wrap(&data(), &secret(9))).unwrap();
        assert_ne!(wrap(), wrap());
    }

    #[test]
    fn rotation_reads_under_the_old_key_and_writes_under_the_new() {
        let old = kms(1, None);
        let wrapped = block_on(old.wrap(&data(), &secret(9))).unwrap();
        let without = block_on(kms(2, None).unwrap(&data(), &wrapped));
        assert!(matches!(without, Err(KmsError::UnknownMasterKey(id)) if id == old.master_key_id()));

        let rotating = kms(2, Some(1));
        assert_eq!(rotating.previous_master_key_id(), Some(old.master_key_id()));
        let key = block_on(rotating.unwrap(&data(), &wrapped)).unwrap();
        let anew = block_on(rotating.wrap(&data(), &key)).unwrap();
        assert_eq!(anew.master, rotating.master_key_id());
        assert!(block_on(kms(2, None).unwrap(&data(), &anew)).unwrap() == secret(9));
        let relabelled = WrappedKey { master: rotating.master_key_id(), ..wrapped };
        assert!(is_not_authentic(&block_on(rotating.unwrap(&data(), &relabelled))));
    }

    #[test]
    fn derived_keys_differ_by_purpose_and_master_key_and_from_the_wrapping_key() {
        const STORE: Purpose = Purpose::new("platform store");
        const INDEX: Purpose = Purpose::new("credential index");
        let kms = kms(2, Some(1));
        let give = |master, purpose| block_on(kms.derive(master, purpose)).unwrap();
        let (present, previous) = (kms.master_key_id(), kms.previous_master_key_id().unwrap());
        assert!(give(present, &STORE) == give(present, &STORE));
        assert!(give(present, &STORE) != give(previous, &STORE));
        assert!(give(present, &STORE) != give(present, &INDEX));
        assert!(give(present, &WRAPPING) != derive(kms.present.key(), &WRAPPING, super::FOR_WRAPPING));
        let unknown = MasterKeyId::from_bytes([0; 8]);
        assert!(matches!(block_on(kms.derive(unknown, &STORE)), Err(KmsError::UnknownMasterKey(_))));
    }

    proptest! {
        #[test]
        fn any_flipped_bit_of_a_wrapped_key_is_noticed(at in 0..68_usize, bit in 0..8_u8) {
            let kms = kms(1, None);
            let mut bytes = block_on(kms.wrap(&data(), &secret(9))).unwrap().to_bytes();
            bytes[at + 1] ^= 1 << bit;
            let result = block_on(kms.unwrap(&data(), &WrappedKey::from_bytes(&bytes).unwrap()));
            let named = at < 8;
            prop_assert_eq!(matches!(result, Err(KmsError::UnknownMasterKey(_))), named);
            prop_assert_eq!(is_not_authentic(&result), !named);
        }

        #[test]
        fn any_flipped_bit_of_the_tenant_is_noticed(at in 0..16_usize, bit in 0..8_u8) {
            let kms = kms(1, None);
            let wrapped = block_on(kms.wrap(&data(), &secret(9))).unwrap();
            let mut other = tenant(1).to_bytes();
            other[at] ^= 1 << bit;
            let other = Binding::new(TenantId::from_bytes(other), "data");
            prop_assert!(is_not_authentic(&block_on(kms.unwrap(&other, &wrapped))));
        }
    }
}
