//! What a restore refuses before anything is replaced.

use super::{BACKUP, FORMAT, Fault, LATEST, Manifest, unseal};
use crate::keys::{FIRST_EPOCH, LogAge, WrappedKeys};
use env::{Env, Timestamp};
use ids::TenantId;
use kms::stream::SealingStream;
use kms_file::{FileKms, MasterKey};
use std::fs::File;
use std::io::Write as _;
use store::StoreError;

#[tokio::test]
async fn a_backup_of_a_newer_program_is_refused() {
    let (env, _) = Env::fixed(Timestamp::from_millis(1_790_000_000_000), 1);
    let folder = tempfile::TempDir::new().unwrap();
    let master = MasterKey::create_development(&folder.path().join("key"), &env).unwrap();
    let kms = FileKms::new(env.clone(), master, None);
    let tenant = env.id::<TenantId>();
    let wrapped = WrappedKeys::make(&kms, tenant, &env).await.unwrap();
    let keys = crate::keys::unwrap(
        &kms,
        tenant,
        &"local".parse().unwrap(),
        LogAge { epoch: FIRST_EPOCH, generation: 1 },
        &wrapped,
    )
    .await
    .unwrap();
    let opened = |name: &str, format, schema| {
        let manifest = Manifest {
            format,
            tenant,
            backup: env.id(),
            generation: 0,
            created_at: env.now(),
            schema,
            audit_events: 0,
            key: keys.data_name().to_owned(),
        };
        let header = serde_json::to_vec(&manifest).unwrap();
        let path = folder.path().join(name);
        let mut sealing =
            SealingStream::begin(File::create(&path).unwrap(), &env, keys.data(), &BACKUP, &header).unwrap();
        sealing.write_all(b"content").unwrap();
        sealing.finish().unwrap();
        unseal(&keys, tenant, &path, &path.with_extension("staged"))
    };
    assert!(opened("present", FORMAT, LATEST).is_ok());
    for (name, format, schema) in [("schema", FORMAT, LATEST + 1), ("format", FORMAT + 1, LATEST)] {
        let refused = opened(name, format, schema);
        assert!(matches!(refused, Err(Fault::Answer(StoreError::BackupRefused(_)))), "{name}");
    }
}
