//! A server of the suite's own: a child process of the same program, on a folder that goes with it.

use crate::traces::Places;
use client::BaseUrl;
use secret::SecretText;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

const START: Duration = Duration::from_secs(30);
const STOP: Duration = Duration::from_secs(30);

/// A server that ends, and whose temporary folder goes, with this value.
pub struct OwnServer {
    /// Its address.
    pub url: BaseUrl,
    /// Its operator key.
    pub operator_key: SecretText,
    child: Child,
    folder: PathBuf,
    _temporary: Option<TempDir>,
}

/// Why the server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum OwnServerError {
    /// A file or the process itself.
    #[error("a server of its own could not be started: {0}")]
    Io(#[from] io::Error),
    /// It ended, or did not say where it listens; its log says why.
    #[error("the server did not start: {0}")]
    Silent(String),
}

impl OwnServer {
    /// Starts `program serve` on `folder`, or on a temporary one, with this configuration and these
    /// further arguments.
    pub async fn start(
        program: &Path,
        folder: Option<&Path>,
        listen: &str,
        configuration: &str,
        arguments: &[OsString],
    ) -> Result<Self, OwnServerError> {
        let temporary = match folder {
            Some(_) => None,
            None => Some(tempfile::Builder::new().prefix("tenantry-").tempdir()?),
        };
        let folder = folder.or(temporary.as_ref().map(TempDir::path)).unwrap_or(Path::new(".")).to_owned();
        let data = folder.join("data");
        std::fs::create_dir_all(&data)?;
        let config = folder.join("tenantry.toml");
        std::fs::write(&config, configuration)?;
        let log = folder.join("server.log");
        let mut command = Command::new(program);
        command.arg("serve").arg("--data").arg(&data).args(["--listen", listen]);
        command.arg("--config").arg(&config).arg("--log").arg(&log).args(arguments);
        // Ctrl-C reaches the whole group; the server is to end when its owner has cleaned up.
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.kill_on_drop(true).process_group(0);
        let mut child = command.spawn()?;
        let url = match tokio::time::timeout(START, address(&mut child)).await {
            Ok(Ok(Some(url))) => url,
            Ok(Err(error)) => return Err(error.into()),
            Ok(Ok(None)) | Err(_) => return Err(OwnServerError::Silent(last_words(child, &log).await)),
        };
        let operator_key = std::fs::read_to_string(data.join("operator.key"))?.trim().to_owned();
        Ok(Self { url, operator_key: SecretText::new(operator_key), child, folder, _temporary: temporary })
    }

    /// The folder with its data, its configuration and its log.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where it writes its log and its data.
    pub fn places(&self) -> Places {
        Places { log: Some(self.folder.join("server.log")), data: Some(self.folder.join("data")) }
    }

    /// Waits until the server ends by itself.
    pub async fn ended(&mut self) {
        // Whatever the reason, it serves no more.
        let _ = self.child.wait().await;
    }

    /// Lets the server drain and end.
    pub async fn stop(mut self) {
        if let Some(id) = self.child.id() {
            let asked = Command::new("kill").args(["-TERM", &id.to_string()]).status().await;
            if asked.is_ok_and(|status| status.success())
                && tokio::time::timeout(STOP, self.child.wait()).await.is_ok()
            {
                return;
            }
        }
        // It did not end when asked; dropping it ends it.
        let _ = self.child.start_kill();
    }
}

/// The address in the first line of the server's output. The rest is read so that it never blocks.
async fn address(child: &mut Child) -> io::Result<Option<BaseUrl>> {
    let Some(output) = child.stdout.take() else { return Ok(None) };
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).await?;
    Ok(line.trim().strip_prefix("listening on ").and_then(|url| url.parse().ok()))
}

async fn last_words(mut child: Child, log: &Path) -> String {
    use tokio::io::AsyncReadExt as _;
    let mut words = String::new();
    if let Some(mut errors) = child.stderr.take() {
        // Its complaint is for the reader; none is as good as an unreadable one.
        let _ = tokio::time::timeout(Duration::from_secs(1), errors.read_to_string(&mut words)).await;
    }
    match words.trim() {
        "" => format!("see {}", log.display()),
        words => words.to_owned(),
    }
}
