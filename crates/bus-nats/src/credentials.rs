//! [`Credentials`]: as whom this server comes to NATS. They stand in a file that nobody else on the machine reads.

use crate::SetupError;
use async_nats::ConnectOptions;
use secret::SecretText;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const JWT: &str = "-----BEGIN NATS USER JWT-----";

/// As whom this server comes to NATS.
#[derive(Clone, Debug)]
pub struct Credentials(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// A `.creds` file as NATS's own tools write it: a JWT of the user's, and the seed that it is signed with.
    Signed(SecretText),
    Password {
        user: String,
        password: SecretText,
    },
}

impl Credentials {
    /// Reads a `.creds` file, or one that has the user's name in its first line and the password in its second.
    pub fn read(path: &Path) -> Result<Self, SetupError> {
        let unfit = |message: String| SetupError::Credentials { path: path.to_owned(), message };
        let metadata = fs::metadata(path).map_err(|error| unfit(error.to_string()))?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SetupError::OpenToOthers { path: path.to_owned(), mode });
        }
        let text = fs::read_to_string(path).map_err(|error| unfit(error.to_string()))?;
        let credentials = Self::parse(SecretText::new(text));
        let form = "it is neither a `.creds` file nor a user's name and a password in two lines";
        let credentials = credentials.ok_or_else(|| unfit(form.to_owned()))?;
        // What does not parse is said now and not with the first connection.
        credentials.apply(ConnectOptions::new()).ok_or_else(|| unfit(form.to_owned()))?;
        Ok(credentials)
    }

    fn parse(text: SecretText) -> Option<Self> {
        if text.expose().contains(JWT) {
            return Some(Self(Kind::Signed(text)));
        }
        let mut lines = text.expose().lines();
        let (user, password) = (lines.next()?, lines.next()?);
        let two = !user.is_empty() && !password.is_empty() && lines.next().is_none();
        let password = SecretText::new(password.to_owned());
        two.then(|| Self(Kind::Password { user: user.to_owned(), password }))
    }

    pub(crate) fn apply(&self, options: ConnectOptions) -> Option<ConnectOptions> {
        match &self.0 {
            Kind::Signed(text) => options.credentials(text.expose()).ok(),
            Kind::Password { user, password } => {
                Some(options.user_and_password(user.clone(), password.expose().to_owned()))
            }
        }
    }
}
