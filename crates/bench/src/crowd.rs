//! Many tenants on one data folder, made over the API and kept for all rows that need them.

use crate::process::Server;
use crate::rows::PLAN;
use crate::wire::{Connection, Request};
use anyhow::{Context as _, bail};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How many callers make tenants at once.
const MAKERS: usize = 8;

pub(crate) struct Crowd {
    folder: TempDir,
    /// A key of each tenant, its owner's.
    pub(crate) keys: Vec<String>,
    making: Duration,
}

impl Crowd {
    pub(crate) fn new() -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("bench-crowd-").tempdir_in("target")?;
        Ok(Self { folder, keys: Vec::new(), making: Duration::ZERO })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The data of its server.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder().join("data")
    }

    /// Makes tenants until there are so many.
    pub(crate) fn grow(&mut self, server: &Server, to: usize) -> anyhow::Result<()> {
        let from = self.keys.len();
        let begun = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let makers = (0..MAKERS).map(|maker| async move {
            let mut connection = Connection::open(server.address).await?;
            let mut made = Vec::new();
            for number in (from + maker..to).step_by(MAKERS) {
                let body = format!("{{\"name\":\"Tenant {number}\",\"plan\":\"{PLAN}\"}}");
                let answer =
                    connection.ask(&Request::new("POST", "/v1/tenants", server.key(), &body)).await?;
                if answer.status != 201 {
                    bail!("answered {}: {}", answer.status, String::from_utf8_lossy(connection.body()));
                }
                let tenant: Value = serde_json::from_slice(connection.body())?;
                let key = tenant["api_key"]["key"].as_str().context("a tenant without a key")?;
                made.push((number, key.to_owned()));
            }
            anyhow::Ok(made)
        });
        let made = runtime.block_on(futures::future::try_join_all(makers))?;
        let mut made: Vec<_> = made.into_iter().flatten().collect();
        made.sort_unstable();
        self.keys.extend(made.into_iter().map(|(_, key)| key));
        self.making += begun.elapsed();
        Ok(())
    }

    /// How long one tenant took, in milliseconds, with several made at once.
    pub(crate) fn each_took(&self) -> f64 {
        self.making.as_secs_f64() * 1e3 / self.keys.len() as f64
    }
}
