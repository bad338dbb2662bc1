//! `tenantry backup` and `tenantry restore`: one tenant into a file, and back; or everything (`machine.rs`).

use crate::machine::{self, BackupFolder};
use crate::offline::{Surroundings, WantedRestore};
use crate::output::{Ended, News, Trouble, say, say_json};
use crate::server::{OperatorOptions, ServerOption};
use crate::table;
use clap::Args;
use client::{Answer, Client};
use http::Method;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::fs::{File, OpenOptions};

const TRANSFER: Duration = Duration::from_secs(3600);

/// What is backed up, and where to.
#[derive(Args)]
pub struct BackupArguments {
    #[command(flatten)]
    server: OperatorOptions,
    /// The tenant's id.
    #[arg(required_unless_present = "all")]
    tenant: Option<String>,
    /// The file to write. It must not be there yet.
    #[arg(long, value_name = "FILE", required_unless_present = "all")]
    out: Option<PathBuf>,
    /// Back everything up into this folder, at one moment: the platform store, the journals and all tenants. What
    /// has not changed since the last backup in it is not sent again.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["tenant", "out"])]
    all: Option<PathBuf>,
    /// How many backups the folder keeps. What only older ones need is removed.
    #[arg(long, value_name = "N", default_value_t = 7, requires = "all", value_parser = clap::value_parser!(u16).range(1..))]
    keep: u16,
    /// Send everything again.
    #[arg(long, requires = "all")]
    full: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What is restored, and from where.
#[derive(Args)]
pub struct RestoreArguments {
    #[command(flatten)]
    server: ServerOption,
    /// The file with an operator's key, such as DIR/operator.key.
    #[arg(long, value_name = "FILE", required_unless_present_any = ["all", "old_server_is_gone"])]
    operator_key_file: Option<PathBuf>,
    /// The tenant's id. A backup goes back into the tenant that it is of alone.
    #[arg(required_unless_present_any = ["all", "old_server_is_gone"])]
    tenant: Option<String>,
    /// The backup.
    #[arg(value_name = "FILE", required_unless_present_any = ["all", "old_server_is_gone"])]
    file: Option<PathBuf>,
    /// Also restore what is older than the last restore.
    #[arg(long)]
    allow_older: bool,
    /// Also restore where the present store cannot be read; what it has of audit events and usage since the
    /// backup is lost.
    #[arg(long)]
    accept_loss: bool,
    #[command(flatten)]
    machine: MachineRestore,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// How everything is put back on an empty machine.
#[derive(Args)]
struct MachineRestore {
    /// Put everything back from this folder of `backup --all`, on a machine without a server.
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with_all = ["tenant", "file", "operator_key_file", "allow_older", "accept_loss"],
        requires = "data"
    )]
    all: Option<PathBuf>,
    /// Which backup of the folder; the newest where none is named.
    #[arg(long, value_name = "ID", requires = "all")]
    backup: Option<String>,
    /// The data folder to make, or the one that was made. There must be nothing in it yet.
    #[arg(long, value_name = "DIR", requires = "master_key_file")]
    data: Option<PathBuf>,
    /// The file of the master key that the backup was taken under.
    #[arg(long, value_name = "FILE")]
    master_key_file: Option<PathBuf>,
    /// Leave tenants out of service that do not pass the isolation check, and put the others back.
    #[arg(long, requires = "all")]
    without_failed: bool,
    /// Say that the server before is gone for good and never starts again. Without it what was restored does
    /// not start.
    #[arg(long, requires = "data", conflicts_with_all = ["tenant", "file", "operator_key_file"])]
    old_server_is_gone: bool,
    /// The highest generation that any server had, where the backup is from before its last restore.
    #[arg(long, value_name = "N", default_value_t = 0, requires = "old_server_is_gone")]
    generation_before: u64,
}

pub(crate) async fn back_up(arguments: BackupArguments, around: &Surroundings) -> Ended {
    let client = arguments.server.connect()?;
    if let Some(folder) = &arguments.all {
        let folder = BackupFolder::open(folder)?;
        let BackupArguments { keep, full, json, .. } = arguments;
        return machine::back_up(&client, &folder, keep.into(), full, json, &around.env).await;
    }
    let (Some(tenant), Some(out)) = (&arguments.tenant, &arguments.out) else {
        return Err(Trouble::other("name a tenant and a file"));
    };
    let name = out.display().to_string();
    let bytes = receive_new(&client, &format!("/v1/tenants/{tenant}/backup"), out).await?;
    if arguments.json {
        say_json(&json!({"file": name, "bytes": bytes}))?;
    } else {
        say(format!("{bytes} bytes in {name}"))?;
    }
    Ok(News::Good)
}

/// Has the server write what it answers into a new file.
pub(crate) async fn receive_new(client: &Client, path: &str, out: &Path) -> Result<u64, Trouble> {
    // Opened first, so that nothing is made that cannot be kept.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(out).await;
    let mut file = file.map_err(|error| Trouble::other(format!("{}: {error}", out.display())))?;
    match client.call(Method::POST, path).within(TRANSFER).send_into(&mut file).await {
        Ok(bytes) => {
            file.sync_all().await?;
            Ok(bytes)
        }
        Err(error) => {
            // Half of it is none.
            std::fs::remove_file(out)?;
            Err(error.into())
        }
    }
}

/// Sends the server a file.
pub(crate) async fn send_file(client: &Client, path: &str, file: &Path) -> Result<Answer, Trouble> {
    let opened = File::open(file).await;
    let opened = opened.map_err(|error| Trouble::other(format!("{}: {error}", file.display())))?;
    let call = client.call(Method::POST, path).file("application/octet-stream", opened).await?;
    Ok(call.within(TRANSFER).send().await?)
}

impl MachineRestore {
    /// What is wanted, where it is about everything.
    fn wanted(self) -> Option<WantedRestore> {
        let asked = self.all.is_some() || self.old_server_is_gone;
        let (Some(data), Some(master_key)) = (self.data, self.master_key_file) else { return None };
        asked.then_some(WantedRestore {
            from: self.all,
            backup: self.backup,
            data,
            master_key,
            without_failed: self.without_failed,
            old_server_is_gone: self.old_server_is_gone,
            generation_before: self.generation_before,
        })
    }
}

pub(crate) async fn restore(arguments: RestoreArguments, around: &Surroundings) -> Ended {
    let RestoreArguments { server, operator_key_file, tenant, file, machine, json, .. } = arguments;
    if let Some(wanted) = machine.wanted() {
        return machine::restore(wanted, json, around).await;
    }
    let (Some(key), Some(tenant), Some(file)) = (operator_key_file, tenant, file) else {
        return Err(Trouble::other("name a tenant, a backup and the file of an operator's key"));
    };
    let client = server.connect_with(&key)?;
    let (older, loss) = (arguments.allow_older, arguments.accept_loss);
    let path = format!("/v1/tenants/{tenant}/restore?allow_older={older}&accept_loss={loss}");
    let answer = send_file(&client, &path, &file).await?.accepted();
    if let Err(error) = &answer
        && error.code() == Some("backup_refused")
    {
        let text = error.to_string();
        if json {
            say_json(&json!({"restored": false, "detail": text}))?
        } else {
            say(text)?
        }
        return Ok(News::Bad);
    }
    let restored = answer?.json();
    if json {
        say_json(&restored)?
    } else {
        say(table::members(&restored))?
    }
    Ok(News::Good)
}
