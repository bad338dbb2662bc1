//! The rules by which the table recognises a model's name.

use serde::Deserialize;

/// A rule over a model's name in lower case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Rule {
    Equals(String),
    StartsWith(String),
    EndsWith(String),
    Contains(String),
    /// Byte for byte, where `#` is any decimal digit and a last `*` is any remainder.
    Shape(String),
    All(Vec<Rule>),
    Any(Vec<Rule>),
    Not(Box<Rule>),
}

impl Rule {
    pub(super) fn fits(&self, name: &str) -> bool {
        match self {
            Self::Equals(text) => name == text,
            Self::StartsWith(text) => name.starts_with(text.as_str()),
            Self::EndsWith(text) => name.ends_with(text.as_str()),
            Self::Contains(text) => name.contains(text.as_str()),
            Self::Shape(shape) => fits_shape(shape, name),
            Self::All(rules) => rules.iter().all(|rule| rule.fits(name)),
            Self::Any(rules) => rules.iter().any(|rule| rule.fits(name)),
            Self::Not(rule) => !rule.fits(name),
        }
    }
}

fn fits_shape(shape: &str, name: &str) -> bool {
    let (shape, open) = match shape.strip_suffix('*') {
        Some(beginning) => (beginning, true),
        None => (shape, false),
    };
    let long_enough = if open { name.len() >= shape.len() } else { name.len() == shape.len() };
    let fits = |(expected, found): (u8, u8)| match expected {
        b'#' => found.is_ascii_digit(),
        letter => letter == found,
    };
    long_enough && shape.bytes().zip(name.bytes()).all(fits)
}

#[cfg(test)]
mod tests {
    use super::{Rule, fits_shape};

    #[test]
    fn shapes() {
        assert!(fits_shape("gpt-####", "gpt-2025"));
        assert!(!fits_shape("gpt-####", "gpt-202x"));
        assert!(!fits_shape("gpt-####", "gpt-20255"));
        assert!(!fits_shape("gpt-####", "gpt-202"));
        assert!(fits_shape("flash-#*", "flash-3"));
        assert!(fits_shape("flash-#*", "flash-3-preview"));
        assert!(!fits_shape("flash-#*", "flash-"));
    }

    #[test]
    fn rules_combine() {
        let text = r#"{"all":[{"starts_with":"a"},{"any":[{"ends_with":"z"},{"contains":"mm"}]},{"not":{"equals":"az"}}]}"#;
        let rule: Rule = serde_json::from_str(text).unwrap();
        assert!(rule.fits("abz") && rule.fits("amma"));
        assert!(!rule.fits("az") && !rule.fits("bz") && !rule.fits("ab"));
    }
}
