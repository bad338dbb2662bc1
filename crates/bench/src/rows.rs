//! What is measured, a row each.

mod audit;
mod bind;
pub(crate) mod chat;
mod growth;
mod moving;
mod noise;
mod read;
mod several;
mod start;
mod tenants;
pub(crate) mod workflow;

use crate::crowd::Crowd;
use crate::database::Databases;
use crate::figure::{Figure, Target};
use crate::machine::{self, Cores};
use crate::process::Server;
use serde_json::json;
use std::cell::{RefCell, RefMut};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of a plan without limits that a measurement could meet.
pub(crate) const PLAN: &str = "bench";

/// How each row is measured.
pub(crate) struct Plan {
    pub(crate) program: PathBuf,
    pub(crate) span: Duration,
    pub(crate) rounds: usize,
    pub(crate) cores: Option<Cores>,
    /// How many tenants are many.
    pub(crate) tenants: usize,
    /// How many rows are many.
    pub(crate) records: usize,
    /// Where servers keep their stores: in folders of their own, or in databases.
    pub(crate) database: Option<Databases>,
    /// The tenants that several rows share.
    pub(crate) crowd: RefCell<Crowd>,
}

impl Plan {
    /// What must be reached, where the store is embedded and where it is PostgreSQL.
    pub(crate) fn at_least(&self, embedded: f64, postgres: f64) -> Target {
        Target::AtLeast(if self.database.is_some() { postgres } else { embedded })
    }

    /// The shared tenants, at least so many.
    fn crowd(&self, at_least: usize) -> anyhow::Result<RefMut<'_, Crowd>> {
        let mut crowd = self.crowd.borrow_mut();
        if crowd.keys.len() < at_least {
            let server = self.server_on(crowd.folder(), "")?;
            crowd.grow(&server, at_least)?;
            server.stop()?;
        }
        Ok(crowd)
    }

    /// A server on all cores, with the plan [`PLAN`].
    fn server_on(&self, folder: &Path, config: &str) -> anyhow::Result<Server> {
        let server = Server::start_on(folder, &self.program, None, config)?;
        put_plan(&server)?;
        Ok(server)
    }

    /// The load and whatever it starts share the load's core from now on.
    fn step_aside(&self) -> anyhow::Result<()> {
        if let Some(cores) = self.cores {
            machine::stay_on(cores.load)?;
        }
        Ok(())
    }
}

fn put_plan(server: &Server) -> anyhow::Result<()> {
    let limits = json!({
        "ai_calls_per_hour": 1_000_000_000, "api_calls_per_hour": 1_000_000_000,
        "requests_per_second": 1_000_000, "concurrent_runs": 64, "storage_bytes": 1_u64 << 40,
    });
    runtime()?.block_on(server.operator.put(&format!("/v1/plans/{PLAN}"), &limits))?;
    Ok(())
}

/// For calls that are not measured.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

type Measure = fn(&Plan) -> anyhow::Result<Vec<Figure>>;

/// In the order in which they are measured: what needs many tenants comes last.
pub(crate) const ALL: &[(&str, Measure)] = &[
    ("chat", chat::chat),
    ("chat_added", chat::added),
    ("stream", chat::stream),
    ("noise", noise::noise),
    ("workflow", workflow::workflow),
    ("read", read::read),
    ("revoke", several::revoke),
    ("restart", several::restart),
    ("move", moving::moving),
    ("audit", audit::audit),
    ("growth", growth::growth),
    ("tenants", tenants::tenants),
    ("start", start::start),
    ("bind_warm", bind::warm),
    ("bind_cold", bind::cold),
];

pub(crate) fn names() -> String {
    ALL.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}
