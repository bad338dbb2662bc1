//! The `RateLimit` and `RateLimit-Policy` header fields (draft-ietf-httpapi-ratelimit-headers), as
//! structured fields (RFC 9651): a list of named limits with integer parameters.

use crate::window::{Standing, Window};

/// The largest integer of a structured field (RFC 9651, section 3.3.1).
const MAX_INTEGER: u64 = 999_999_999_999_999;

/// An item of `RateLimit`: what is left and for how many seconds, as `"ai";r=99;t=3600`. `None` where there
/// is no limit to tell of.
pub fn rate_limit(name: &str, standing: &Standing) -> Option<String> {
    let remaining = standing.remaining?.min(MAX_INTEGER);
    let reset = standing.reset_seconds.min(MAX_INTEGER);
    Some(format!("{};r={remaining};t={reset}", quoted(name)))
}

/// An item of `RateLimit-Policy`: the quota and its window in seconds, as `"ai";q=100;w=3600`. `None` where
/// there is no limit.
pub fn rate_limit_policy(name: &str, window: &Window) -> Option<String> {
    let quota = window.limit?.min(MAX_INTEGER);
    let seconds = window.span.as_secs().min(MAX_INTEGER);
    Some(format!("{};q={quota};w={seconds}", quoted(name)))
}

/// A structured-field string (RFC 9651, section 3.3.3); what such a string cannot hold is left out.
fn quoted(name: &str) -> String {
    let mut text = String::from("\"");
    for letter in name.chars().filter(|letter| (' '..='~').contains(letter)) {
        if matches!(letter, '"' | '\\') {
            text.push('\\');
        }
        text.push(letter);
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::{rate_limit, rate_limit_policy};
    use crate::window::{SlidingWindow, Window};
    use env::Timestamp;

    #[test]
    fn headers_read_as_the_contract_says() {
        let window = Window::hourly(Some(100));
        let standing = SlidingWindow::new(window).try_take(Timestamp::from_millis(0), 1).unwrap();
        assert_eq!(rate_limit("ai", &standing).unwrap(), r#""ai";r=99;t=3600"#);
        assert_eq!(rate_limit_policy("ai", &window).unwrap(), r#""ai";q=100;w=3600"#);
    }

    #[test]
    fn no_limit_is_not_told() {
        let window = Window::hourly(None);
        let standing = SlidingWindow::new(window).standing(Timestamp::from_millis(0));
        assert_eq!(rate_limit("ai", &standing), None);
        assert_eq!(rate_limit_policy("ai", &window), None);
    }

    #[test]
    fn names_and_numbers_stay_within_the_grammar() {
        let window = Window::hourly(Some(u64::MAX));
        let text = rate_limit_policy("a\"b\\c\r\né", &window).unwrap();
        assert_eq!(text, r#""a\"b\\c";q=999999999999999;w=3600"#);
    }
}
