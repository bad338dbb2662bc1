//! The server's address.

use http::Uri;
use std::fmt;
use std::str::FromStr;

/// Where a server is: `http` or `https`, a host, and perhaps a path under which it stands. Never ends in
/// a slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(String);

/// The text is not a server's address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a server's address such as http://127.0.0.1:7070")]
pub struct ParseBaseUrlError;

impl BaseUrl {
    /// The address of this path at the server. Paths begin with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// The address as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BaseUrl {
    type Err = ParseBaseUrlError;

    fn from_str(text: &str) -> Result<Self, ParseBaseUrlError> {
        let uri: Uri = text.parse().map_err(|_| ParseBaseUrlError)?;
        let scheme = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme));
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        if scheme.is_none() || authority.is_none() || uri.query().is_some() {
            return Err(ParseBaseUrlError);
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::BaseUrl;

    #[test]
    fn addresses_lose_their_last_slash_and_nothing_else() {
        for (text, joined) in [
            ("http://127.0.0.1:7070", "http://127.0.0.1:7070/v1/me"),
            ("http://127.0.0.1:7070/", "http://127.0.0.1:7070/v1/me"),
            ("https://api.example.com/tenantry/", "https://api.example.com/tenantry/v1/me"),
        ] {
            assert_eq!(text.parse::<BaseUrl>().unwrap().join("/v1/me"), joined);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in
            ["", "127.0.0.1:7070", "ftp://a.example", "http://", "http://u:p@a.example", "http://a/?b"]
        {
            assert!(text.parse::<BaseUrl>().is_err(), "{text}");
        }
    }
}
