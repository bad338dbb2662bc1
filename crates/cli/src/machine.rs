//! `tenantry backup --all` and `tenantry restore --all`: everything into a folder, and back.

mod folder;

pub(crate) use folder::BackupFolder;

use crate::offline::{Surroundings, WantedRestore};
use crate::output::{Ended, News, Trouble, say, say_json};
use crate::table;
use bytes::Bytes;
use client::{CallError, Client};
use env::Env;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};

const TRANSFER: Duration = Duration::from_secs(24 * 3600);
/// How much of what arrives waits to be written.
const PIPE_BYTES: usize = 256 * 1024;
/// The longest line between pieces: the last one names tenants that could not be read.
const MAX_LINE_BYTES: u64 = 64 << 20;

/// A line between pieces.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Piece { kind: Kind, name: String, bytes: u64 },
    Ended { backup: Value },
    Begun {},
}

/// What a piece is.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Part,
    List,
    Manifest,
}

pub(crate) async fn back_up(
    client: &Client,
    folder: &BackupFolder,
    keep: usize,
    full: bool,
    json: bool,
    env: &Env,
) -> Ended {
    let begun = env.now();
    let last = if full { None } else { folder.last()? };
    let (bytes, mut backup) = match take(client, folder, last.as_deref()).await {
        // What is there is of another server, or from before a change of the master key.
        Err(Trouble::Call(refused)) if last.is_some() && refused.code() == Some("backup_refused") => {
            take(client, folder, None).await?
        }
        taken => taken?,
    };
    let removed = folder.keep_newest(keep)?;
    let complete = backup["unreadable"].as_array().is_none_or(Vec::is_empty);
    if let Some(members) = backup.as_object_mut() {
        members.insert("bytes".into(), json!(bytes));
        members.insert("removed_parts".into(), json!(removed));
        members.insert("seconds".into(), json!(env.now().since(begun).as_secs_f64()));
    }
    if json {
        say_json(&backup)?
    } else {
        say(table::members(&backup))?
    }
    Ok(if complete { News::Good } else { News::Bad })
}

/// Has the server take a backup, and takes it in; gives back how many bytes came, and what the backup is.
async fn take(client: &Client, folder: &BackupFolder, last: Option<&Path>) -> Result<(u64, Value), Trouble> {
    let mut call = client.call(Method::POST, "/v1/operator/backup");
    if let Some(last) = last {
        call = call.file("application/octet-stream", tokio::fs::File::open(last).await?).await?;
    } else {
        call = call.body("application/octet-stream", Bytes::new());
    }
    let (mut arriving, arrived) = tokio::io::duplex(PIPE_BYTES);
    let receiving = async {
        let received = call.within(TRANSFER).send_into(&mut arriving).await;
        // Whoever reads sees the end.
        drop(arriving);
        received
    };
    match tokio::join!(receiving, unpack(arrived, folder)) {
        (Ok(bytes), Ok(backup)) => Ok((bytes, backup)),
        // Where the folder takes no more, that is why the rest did not arrive.
        (Err(CallError::File(_)) | Ok(_), Err(trouble)) => Err(trouble),
        (Err(error), _) => Err(error.into()),
    }
}

/// Writes pieces into the folder as they arrive. The manifest counts once the last line is there.
async fn unpack(arriving: impl AsyncRead + Unpin, folder: &BackupFolder) -> Result<Value, Trouble> {
    let cut = || Trouble::other("the backup was cut off; nothing of it counts");
    let mut arriving = BufReader::new(arriving);
    let mut manifest = None;
    loop {
        let mut line = String::new();
        (&mut arriving).take(MAX_LINE_BYTES).read_line(&mut line).await?;
        match serde_json::from_str(&line).map_err(|_| cut())? {
            Line::Begun {} => {}
            Line::Piece { kind, name, bytes } => {
                let path = folder.place(kind, &name)?;
                let mut file = folder::create(&path).await?;
                if tokio::io::copy(&mut (&mut arriving).take(bytes), &mut file).await? != bytes {
                    return Err(cut());
                }
                file.sync_all().await?;
                if kind == Kind::Manifest {
                    manifest = Some(name);
                }
            }
            Line::Ended { backup } => {
                folder.finish(&manifest.ok_or_else(cut)?)?;
                return Ok(backup);
            }
        }
    }
}

pub(crate) async fn restore(wanted: WantedRestore, json: bool, around: &Surroundings) -> Ended {
    let begun = around.env.now();
    let (data, confirmed) = (wanted.data.display().to_string(), wanted.old_server_is_gone);
    let mut restored = around.offline.restore_all(wanted).await.map_err(Trouble::other)?;
    if let Some(members) = restored.as_object_mut() {
        members.insert("seconds".into(), json!(around.env.now().since(begun).as_secs_f64()));
    }
    let failed = restored["failed"].as_array().map_or(0, Vec::len);
    if json {
        say_json(&restored)?;
    } else {
        say(table::members(&restored))?;
        if failed > 0 {
            say(format!("{failed} tenants did not pass the isolation check."))?;
        } else if !confirmed {
            say(format!(
                "It starts once you have said that the old server is gone for good: tenantry restore \
                 --old-server-is-gone --data {data} --master-key-file FILE"
            ))?;
        }
    }
    Ok(if failed > 0 { News::Bad } else { News::Good })
}
