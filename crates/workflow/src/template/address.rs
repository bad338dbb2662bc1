//! Addresses: the definition and the configuration say where a request goes, and data that is inserted
//! further on cannot change its path.

use super::{Context, Language, MAX_OUTPUT_BYTES, Part, TemplateError, host_end, split, text_of};

const MAX_URL_BYTES: usize = 8 * 1024;
const _: () = assert!(MAX_URL_BYTES < MAX_OUTPUT_BYTES);

/// Renders a URL. Parts up to the host are inserted as they are; each later one is percent-encoded and may
/// not make a `.` or `..` segment, which clients would resolve.
pub(crate) fn render_url(
    language: &Language,
    template: &str,
    context: &Context,
) -> Result<String, TemplateError> {
    let parts = split(template)?;
    let host_end = host_end(&parts);
    let mut url = String::new();
    for (index, part) in parts.into_iter().enumerate() {
        match part {
            Part::Text(text) => url.push_str(&text),
            Part::Expression { source, line } => {
                let value = language.evaluate(&source, context)?;
                let text = text_of(&value);
                if index > host_end {
                    url.push_str(&encode(&text));
                } else if index == 0 {
                    // The slash that people put behind a base address and the one that follows are one.
                    url.push_str(text.trim_end_matches('/'));
                } else {
                    url.push_str(&text);
                }
                if url.len() > MAX_URL_BYTES {
                    let message = format!("The URL is over {MAX_URL_BYTES} bytes.");
                    return Err(TemplateError::new(line, message));
                }
            }
        }
    }
    checked(url)
}

fn checked(url: String) -> Result<String, TemplateError> {
    let refuse = |message: &str| Err(TemplateError::new(1, message));
    if url.len() > MAX_URL_BYTES {
        return refuse("The URL is too long.");
    }
    let behind_scheme = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let Some(behind_scheme) = behind_scheme else {
        return refuse("The URL does not begin with https:// or http://.");
    };
    if url.chars().any(|part| part.is_control() || part.is_whitespace() || part == '\\') {
        return refuse("The URL holds a space, a control character or a backslash.");
    }
    let path = behind_scheme.split(['?', '#']).next().unwrap_or_default();
    let mut segments = path.split('/');
    let host = segments.next().unwrap_or_default();
    if host.is_empty() || host.contains('@') {
        return refuse("The URL has no host, or a user name before it.");
    }
    if segments.any(dots) {
        return refuse("The URL's path has a `.` or `..` segment.");
    }
    Ok(url)
}

fn dots(segment: &str) -> bool {
    let plain = segment.replace("%2e", ".").replace("%2E", ".");
    plain == "." || plain == ".."
}

/// Percent-encodes all but the unreserved characters (RFC 3986, section 2.3).
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let digit =
                |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0').to_ascii_uppercase();
            encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
    encoded
}
