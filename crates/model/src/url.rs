//! [`EndpointUrl`]: an OpenAI-compatible address, as an operator writes it.

use http::Uri;
use http::uri::Scheme;
use std::fmt::Write as _;
use std::str::FromStr;

/// The text is not the address of an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseEndpointUrlError {
    /// It is not an absolute URL.
    #[error("not an absolute URL")]
    NotAbsolute,
    /// It is of another scheme.
    #[error("the scheme must be http or https")]
    Scheme,
    /// It holds a user name or password.
    #[error("a URL must not hold a user name or password: give the key apart")]
    Credentials,
    /// It has a fragment.
    #[error("a URL of an endpoint has no fragment")]
    Fragment,
}

const CHAT: &str = "/chat/completions";
/// Stands in a path for the model that is called, as Azure's deployments need it.
const MODEL: &str = "{model}";
const MAX_LENGTH: usize = 2048;

/// The address of an endpoint: its base (`https://api.openai.com/v1`), or the whole of its chat completions
/// path. `{model}` in the path stands for the model called, and a query is kept, so that Azure OpenAI's form
/// `https://NAME.openai.azure.com/openai/deployments/{model}?api-version=VERSION` works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointUrl {
    scheme: Scheme,
    authority: String,
    host: String,
    path: String,
    query: Option<String>,
}

impl EndpointUrl {
    /// Where a chat completion by `model` is asked for.
    pub fn chat(&self, model: &str) -> Result<Uri, ParseEndpointUrlError> {
        let mut path_and_query = self.path.replace(MODEL, &percent_encoded(model));
        if !path_and_query.ends_with(CHAT) {
            path_and_query.push_str(CHAT);
        }
        if let Some(query) = &self.query {
            path_and_query.push('?');
            path_and_query.push_str(query);
        }
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.as_str())
            .path_and_query(path_and_query)
            .build()
            .map_err(|_| ParseEndpointUrlError::NotAbsolute)
    }

    /// The host alone, in lower case.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, that of the scheme where none is written.
    pub fn port(&self) -> u16 {
        let written = self.authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok());
        written.unwrap_or(if self.scheme == Scheme::HTTPS { 443 } else { 80 })
    }

    /// Whether calls to it are encrypted on their way.
    pub fn is_secure(&self) -> bool {
        self.scheme == Scheme::HTTPS
    }

    /// Whether this is Azure OpenAI, which wants its key in a header of its own.
    pub fn is_azure(&self) -> bool {
        [".openai.azure.com", ".cognitiveservices.azure.com"].iter().any(|end| self.host.ends_with(end))
    }

    /// Whether this is OpenAI itself.
    pub fn is_openai(&self) -> bool {
        self.host == "api.openai.com" || self.host.ends_with(".api.openai.com")
    }
}

impl FromStr for EndpointUrl {
    type Err = ParseEndpointUrlError;

    fn from_str(text: &str) -> Result<Self, ParseEndpointUrlError> {
        if text.contains('#') {
            return Err(ParseEndpointUrlError::Fragment);
        }
        if text.len() > MAX_LENGTH {
            return Err(ParseEndpointUrlError::NotAbsolute);
        }
        // Braces are no URI characters; the placeholder is taken out before the text is read as one.
        let written = text.replace(MODEL, "%7Bmodel%7D");
        let uri = written.parse::<Uri>().map_err(|_| ParseEndpointUrlError::NotAbsolute)?;
        let scheme = uri.scheme().ok_or(ParseEndpointUrlError::NotAbsolute)?.clone();
        let authority = uri.authority().ok_or(ParseEndpointUrlError::NotAbsolute)?;
        if scheme != Scheme::HTTP && scheme != Scheme::HTTPS {
            return Err(ParseEndpointUrlError::Scheme);
        }
        if authority.as_str().contains('@') {
            return Err(ParseEndpointUrlError::Credentials);
        }
        let path = uri.path().trim_end_matches('/').replace("%7Bmodel%7D", MODEL);
        Ok(Self {
            scheme,
            authority: authority.as_str().to_owned(),
            host: authority.host().to_ascii_lowercase(),
            path,
            query: uri.query().map(str::to_owned),
        })
    }
}

/// A path segment (RFC 3986, section 3.3) that reads as `text`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) || (byte == b'.' && text.len() > 2) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::{EndpointUrl, ParseEndpointUrlError};

    fn chat(text: &str, model: &str) -> String {
        text.parse::<EndpointUrl>().unwrap().chat(model).unwrap().to_string()
    }

    #[test]
    fn the_chat_path_is_added_where_it_is_missing() {
        let whole = "https://api.openai.com/v1/chat/completions";
        for text in ["https://api.openai.com/v1", "https://api.openai.com/v1/", whole] {
            assert_eq!(chat(text, "gpt-5"), whole);
        }
        assert_eq!(chat("http://127.0.0.1:8080", "x"), "http://127.0.0.1:8080/chat/completions");
    }

    #[test]
    fn the_port_is_the_written_one_or_the_schemes() {
        for (text, port) in [
            ("https://a.example/v1", 443),
            ("http://a.example", 80),
            ("https://a.example:8443/v1", 8443),
            ("http://[::1]:11434/v1", 11434),
            ("http://[::1]/v1", 80),
        ] {
            assert_eq!(text.parse::<EndpointUrl>().map(|url| url.port()), Ok(port), "{text}");
        }
    }

    #[test]
    fn azure_names_the_deployment_in_the_path() {
        let url = "https://a.openai.azure.com/openai/deployments/{model}?api-version=2024-10-21";
        let expected =
            "https://a.openai.azure.com/openai/deployments/gpt-4.1/chat/completions?api-version=2024-10-21";
        assert_eq!(chat(url, "gpt-4.1"), expected);
        assert!(url.parse::<EndpointUrl>().unwrap().is_azure());
    }

    #[test]
    fn a_model_name_cannot_leave_its_segment() {
        let url = "https://a.openai.azure.com/openai/deployments/{model}";
        for model in ["../../admin", "a/b?x=1#y", "..", ".", "ü"] {
            let made = chat(url, model);
            assert_eq!(made.matches('/').count(), 7, "{made}");
            assert!(!made.contains('?') && !made.contains("/../") && !made.contains("/./"), "{made}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        use ParseEndpointUrlError::{Credentials, Fragment, NotAbsolute, Scheme};
        for (text, error) in [
            ("", NotAbsolute),
            ("/v1", NotAbsolute),
            ("api.openai.com/v1", NotAbsolute),
            ("ftp://a/v1", Scheme),
            ("https://user:key@a/v1", Credentials),
            ("https://a/v1#b", Fragment),
            ("https://a b/v1", NotAbsolute),
        ] {
            assert_eq!(text.parse::<EndpointUrl>(), Err(error), "{text}");
        }
    }
}
