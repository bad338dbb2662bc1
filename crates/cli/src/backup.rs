//! `tenantry backup` and `tenantry restore`: one tenant into a file, and back.

use crate::output::{Ended, News, Trouble, say, say_json};
use crate::server::OperatorOptions;
use crate::table;
use clap::Args;
use http::Method;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use tokio::fs::{File, OpenOptions};

const TRANSFER: Duration = Duration::from_secs(3600);

/// What is backed up, and where to.
#[derive(Args)]
pub struct BackupArguments {
    #[command(flatten)]
    server: OperatorOptions,
    /// The tenant's id.
    tenant: String,
    /// The file to write. It must not be there yet.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

/// What is restored, and from where.
#[derive(Args)]
pub struct RestoreArguments {
    #[command(flatten)]
    server: OperatorOptions,
    /// The tenant's id. A backup goes back into the tenant that it is of alone.
    tenant: String,
    /// The backup.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Also restore what is older than the last restore.
    #[arg(long)]
    allow_older: bool,
    /// Also restore where the present store cannot be read; what it has of audit events and usage since the
    /// backup is lost.
    #[arg(long)]
    accept_loss: bool,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn back_up(arguments: BackupArguments) -> Ended {
    let client = arguments.server.connect()?;
    // Opened first, so that no backup is made that cannot be kept.
    let name = arguments.out.display().to_string();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&arguments.out).await;
    let mut file = file.map_err(|error| Trouble::other(format!("{name}: {error}")))?;
    let path = format!("/v1/tenants/{}/backup", arguments.tenant);
    let received = client.call(Method::POST, &path).within(TRANSFER).send_into(&mut file).await;
    let bytes = match received {
        Ok(bytes) => bytes,
        Err(error) => {
            // Half a backup is none.
            std::fs::remove_file(&arguments.out)?;
            return Err(error.into());
        }
    };
    file.sync_all().await?;
    if arguments.json {
        say_json(&json!({"file": name, "bytes": bytes}))?;
    } else {
        say(format!("{bytes} bytes in {name}"))?;
    }
    Ok(News::Good)
}

pub(crate) async fn restore(arguments: RestoreArguments) -> Ended {
    let client = arguments.server.connect()?;
    let backup = File::open(&arguments.file)
        .await
        .map_err(|error| Trouble::other(format!("{}: {error}", arguments.file.display())))?;
    let (older, loss) = (arguments.allow_older, arguments.accept_loss);
    let path = format!("/v1/tenants/{}/restore?allow_older={older}&accept_loss={loss}", arguments.tenant);
    let call = client.call(Method::POST, &path).file("application/octet-stream", backup).await?;
    let answer = call.within(TRANSFER).send().await?.accepted();
    if let Err(error) = &answer
        && error.code() == Some("backup_refused")
    {
        let text = error.to_string();
        if arguments.json {
            say_json(&json!({"restored": false, "detail": text}))?
        } else {
            say(text)?
        }
        return Ok(News::Bad);
    }
    let restored = answer?.json();
    if arguments.json {
        say_json(&restored)?
    } else {
        say(table::members(&restored))?
    }
    Ok(News::Good)
}
