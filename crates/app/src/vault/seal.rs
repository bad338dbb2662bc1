//! Sealing: AES-256-GCM under the tenant's vault key, bound to tenant, credential, service and version.

use super::contents::Contents;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use env::Env;
use ids::{CredentialId, Id, Slug, TenantId};
use kms::aead::Cipher;
use kms::framed;
use secret::{SecretBytes, SecretText};
use store::Credential;

/// The credential cannot be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SealError {
    /// It was altered, or sealed for another tenant, service or version. Which of these is not knowable.
    #[error("the sealed credential is not authentic")]
    NotAuthentic,
    /// What was sealed is no credential.
    #[error("the sealed credential has another form")]
    Form,
}

const DOMAIN: &str = "tenantry vault v1";

/// Where a sealed credential belongs.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) tenant: TenantId,
    pub(super) credential: CredentialId,
    pub(super) service: &'a Slug,
    pub(super) version: u64,
}

impl<'a> Place<'a> {
    /// Where this row says that it belongs, in the tenant that is given.
    pub(super) fn of(tenant: TenantId, row: &'a Credential) -> Self {
        Self { tenant, credential: row.id, service: &row.service, version: row.sealed_version }
    }

    fn bytes(&self) -> Vec<u8> {
        let version = self.version.to_be_bytes();
        let (tenant, credential) = (self.tenant.to_bytes(), self.credential.to_bytes());
        framed(DOMAIN, &[&tenant, &credential, self.service.as_str().as_bytes(), &version])
    }
}

/// Seals and opens one tenant's credentials.
pub(super) struct Sealer(Cipher);

impl Sealer {
    /// A sealer under the tenant's vault key.
    pub(super) fn new(key: &SecretBytes<32>) -> Self {
        Self(Cipher::new(key))
    }

    /// Seals, as base64.
    pub(super) fn seal(&self, env: &Env, place: Place<'_>, contents: &Contents) -> Result<String, SealError> {
        let text = serde_json::to_string(contents).map(SecretText::new).map_err(|_| SealError::Form)?;
        let sealed = self.0.seal(env, &place.bytes(), text.expose().as_bytes());
        sealed.map(|sealed| STANDARD.encode(sealed)).map_err(|_| SealError::Form)
    }

    /// Opens what was sealed for this place.
    pub(super) fn open(&self, place: Place<'_>, sealed: &str) -> Result<Contents, SealError> {
        let sealed = STANDARD.decode(sealed).map_err(|_| SealError::NotAuthentic)?;
        let text = self.0.open(&place.bytes(), &sealed).map_err(|_| SealError::NotAuthentic)?;
        serde_json::from_slice(&text).map_err(|_| SealError::Form)
    }
}

#[cfg(test)]
mod tests {
    use super::super::contents::{ApiKey, Secret};
    use super::{Contents, Place, SealError, Sealer};
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use env::{Env, Timestamp};
    use ids::{CredentialId, Slug, TenantId};
    use proptest::prelude::*;
    use secret::{SecretBytes, SecretText};

    fn sealer(seed: u8) -> Sealer {
        Sealer::new(&SecretBytes::fill_with(|bytes| bytes.fill(seed)))
    }

    fn contents(key: &str) -> Contents {
        let key = SecretText::new(key.to_owned());
        let secret = Secret::ApiKey(ApiKey { header: "x-key".into(), prefix: String::new(), key });
        Contents { hosts: vec!["api.example.com".parse().unwrap()], secret }
    }

    fn key_of(contents: &Contents) -> &str {
        match &contents.secret {
            Secret::ApiKey(api_key) => api_key.key.expose(),
            _ => panic!("another kind came out"),
        }
    }

    struct Names {
        env: Env,
        tenants: [TenantId; 2],
        credentials: [CredentialId; 2],
        services: [Slug; 2],
    }

    fn names() -> Names {
        let (env, _) = Env::fixed(Timestamp::from_millis(1), 1);
        let services = ["crm", "mail"].map(|name| name.parse().unwrap());
        Names { tenants: [env.id(), env.id()], credentials: [env.id(), env.id()], env, services }
    }

    impl Names {
        fn place(&self, tenant: usize, credential: usize, service: usize, version: u64) -> Place<'_> {
            Place {
                tenant: self.tenants[tenant],
                credential: self.credentials[credential],
                service: &self.services[service],
                version,
            }
        }
    }

    proptest! {
        #[test]
        fn what_was_sealed_opens_at_its_place_alone(
            key in "\\PC{1,80}",
            version in 1..1000_u64,
            other in 1..1000_u64,
        ) {
            let names = names();
            let home = names.place(0, 0, 0, version);
            let sealed = sealer(1).seal(&names.env, home, &contents(&key)).unwrap();
            let opened = sealer(1).open(home, &sealed).unwrap();
            prop_assert_eq!(key_of(&opened), &key);
            prop_assert_eq!(opened.hosts, contents(&key).hosts);
            let refused = |sealer: Sealer, place| sealer.open(place, &sealed).err();
            let elsewhere = [names.place(1, 0, 0, version), names.place(0, 1, 0, version),
                names.place(0, 0, 1, version)];
            for place in elsewhere {
                prop_assert_eq!(refused(sealer(1), place), Some(SealError::NotAuthentic));
            }
            prop_assert_eq!(refused(sealer(2), home), Some(SealError::NotAuthentic));
            let at_other = refused(sealer(1), names.place(0, 0, 0, other));
            prop_assert_eq!(at_other.is_none(), other == version);
        }

        #[test]
        fn no_bit_can_be_changed(at in any::<prop::sample::Index>(), bit in 0..8_u8) {
            let names = names();
            let home = names.place(0, 0, 0, 1);
            let sealed = sealer(1).seal(&names.env, home, &contents("s3cret")).unwrap();
            let mut bytes = STANDARD.decode(&sealed).unwrap();
            bytes[at.index(STANDARD.decode(&sealed).unwrap().len())] ^= 1 << bit;
            let opened = sealer(1).open(home, &STANDARD.encode(bytes));
            prop_assert_eq!(opened.err(), Some(SealError::NotAuthentic));
            let cut = &sealed[..at.index(sealed.len())];
            prop_assert!(sealer(1).open(home, cut).is_err());
        }
    }

    #[test]
    fn the_same_secret_is_sealed_differently_each_time() {
        let names = names();
        let seal = || sealer(1).seal(&names.env, names.place(0, 0, 0, 1), &contents("s3cret")).unwrap();
        let (first, second) = (seal(), seal());
        assert_ne!(first, second);
        assert!(!first.contains("s3cret"));
    }
}
