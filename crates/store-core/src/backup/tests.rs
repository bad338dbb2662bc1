//! What is refused before anything of a backup is looked at.

use super::{BackupError, Content, FORMAT, Manifest, Target};
use crate::keys::{FIRST_EPOCH, LogAge, TenantKeys, WrappedKeys};
use env::{Env, Timestamp};
use ids::TenantId;
use kms::Purpose;
use kms_file::{FileKms, MasterKey};
use std::io::{Read as _, Write as _};
use store::RestoreOptions;

const CONTENT: Purpose = Purpose::new("content of tests");
const LATEST: u32 = 4;

struct Scene {
    env: Env,
    tenant: TenantId,
    keys: TenantKeys,
}

impl Scene {
    async fn set() -> Self {
        let (env, _) = Env::fixed(Timestamp::from_millis(1_790_000_000_000), 1);
        let folder = tempfile::TempDir::new().unwrap();
        let master = MasterKey::create_development(&folder.path().join("key"), &env).unwrap();
        let kms = FileKms::new(env.clone(), master, None);
        let tenant = env.id::<TenantId>();
        let wrapped = WrappedKeys::make(&kms, tenant, &env).await.unwrap();
        let age = LogAge { epoch: FIRST_EPOCH, generation: 1 };
        let region = "local".parse().unwrap();
        let keys = TenantKeys::unwrap(&kms, tenant, &region, age, &wrapped, &CONTENT).await.unwrap();
        Self { env, tenant, keys }
    }

    fn manifest(&self) -> Manifest {
        Manifest::new(&self.env, self.tenant, &self.keys, 2, 7, Content::File, LATEST)
    }

    fn write(&self, manifest: &Manifest) -> Vec<u8> {
        let mut sealing = manifest.begin(&self.env, &self.keys, Vec::new()).unwrap();
        sealing.write_all(b"content").unwrap();
        sealing.finish().unwrap()
    }

    fn open(&self, bytes: &[u8]) -> Result<(Manifest, Vec<u8>), BackupError> {
        let (tenant, content, schema) = (self.tenant, Content::File, LATEST);
        let (manifest, mut opened) = Target { tenant, keys: &self.keys, content, schema }.open(bytes)?;
        let mut read = Vec::new();
        opened.read_to_end(&mut read)?;
        Ok((manifest, read))
    }

    fn refusal(&self, manifest: &Manifest) -> String {
        match self.open(&self.write(manifest)) {
            Err(BackupError::Refused(detail)) => detail,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn what_was_sealed_comes_back_with_what_it_says_of_itself() {
    let scene = Scene::set().await;
    let manifest = scene.manifest();
    let (found, content) = scene.open(&scene.write(&manifest)).unwrap();
    assert_eq!((found, content.as_slice()), (manifest, b"content".as_slice()));
}

#[tokio::test]
async fn a_backup_of_a_newer_program_is_refused() {
    let scene = Scene::set().await;
    for newer in [
        Manifest { format: FORMAT + 1, ..scene.manifest() },
        Manifest { schema: LATEST + 1, ..scene.manifest() },
    ] {
        assert!(scene.refusal(&newer).contains("newer version"));
    }
}

#[tokio::test]
async fn what_is_not_this_tenants_or_not_this_stores_is_refused() {
    let scene = Scene::set().await;
    let foreign = Manifest { tenant: scene.env.id(), ..scene.manifest() };
    assert!(scene.refusal(&foreign).contains("another tenant"));
    let older = Manifest { key: "data 0".to_owned(), ..scene.manifest() };
    assert!(scene.refusal(&older).contains("data key was changed"));
    let rows = Manifest { content: Content::Rows, ..scene.manifest() };
    assert!(scene.refusal(&rows).contains("another kind of store"));
}

#[tokio::test]
async fn a_backup_that_says_nothing_of_its_content_is_of_a_file() {
    let scene = Scene::set().await;
    let manifest = scene.manifest();
    let mut told = serde_json::to_value(&manifest).unwrap();
    assert!(told.as_object_mut().unwrap().remove("content").is_some());
    assert_eq!(Manifest::parse(told.to_string().as_bytes()).unwrap(), manifest);
}

#[tokio::test]
async fn an_older_generation_is_refused_unless_it_is_wanted() {
    let manifest = Scene::set().await.manifest();
    let options = |allow_older| RestoreOptions { allow_older, accept_loss: false };
    assert!(manifest.check_generation(2, options(false)).is_ok());
    assert!(manifest.check_generation(3, options(false)).is_err());
    assert!(manifest.check_generation(3, options(true)).is_ok());
}
