//! The parts of a templated text: plain text and `{{ expressions }}`, nothing else.

use super::TemplateError;

/// A part of a templated text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Text(String),
    Expression {
        source: String,
        /// The line of the text on which it begins, from 1.
        line: u64,
    },
}

/// Splits a text into its parts. Statements, comments and whitespace control are refused: a template
/// inserts values and does nothing else.
pub(crate) fn split(text: &str) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(start) = rest.find('{') {
        let (plain, tail) = rest.split_at(start);
        push_text(&mut parts, plain);
        line += breaks(plain);
        if tail.starts_with("{%") || tail.starts_with("{#") {
            let message = "Statements and comments are not part of the language. Use `{{ expression }}`, or \
                           a condition node.";
            return Err(TemplateError::new(line, message));
        }
        let Some(inner) = tail.strip_prefix("{{") else {
            push_text(&mut parts, "{");
            rest = &tail[1..];
            continue;
        };
        let Some(end) = expression_end(inner) else {
            let message =
                "`{{` has no `}}`. Close it, or write `{{ \"{{\" }}` for the two braces themselves.";
            return Err(TemplateError::new(line, message));
        };
        let source = &inner[..end];
        if source.starts_with('-') || source.ends_with('-') {
            let message = "`{{-` and `-}}` are not part of the language. Put spaces inside the braces.";
            return Err(TemplateError::new(line, message));
        }
        parts.push(Part::Expression { source: source.to_owned(), line });
        line += breaks(source);
        rest = &inner[end + 2..];
    }
    push_text(&mut parts, rest);
    Ok(parts)
}

/// The expression, where the text is exactly one and nothing around it.
pub(crate) fn only_expression(text: &str) -> Result<Option<String>, TemplateError> {
    let mut parts = split(text)?;
    match (parts.pop(), parts.is_empty()) {
        (Some(Part::Expression { source, .. }), true) => Ok(Some(source)),
        _ => Ok(None),
    }
}

/// Whether an expression is a path such as `steps.a.output.b`, which a value is looked up by.
pub(crate) fn is_path(expression: &str) -> bool {
    let names = expression.trim().split('.');
    names.into_iter().all(|name| {
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    })
}

/// How many of a URL's first parts say where the request goes (scheme, user, host, port): all up to the
/// text that holds the first slash, question mark or hash behind them. A first part that is an expression
/// holds scheme and host, so it counts whole.
pub(crate) fn host_end(parts: &[Part]) -> usize {
    let mut seen_scheme = matches!(parts.first(), Some(Part::Expression { .. }));
    for (index, part) in parts.iter().enumerate() {
        let Part::Text(text) = part else { continue };
        let mut text = text.as_str();
        if !seen_scheme {
            let Some((_, after)) = text.split_once("://") else { continue };
            seen_scheme = true;
            text = after;
        }
        if text.contains(['/', '?', '#']) {
            return index;
        }
    }
    parts.len()
}

/// The names behind `|` and `is`, outside of quoted texts, each with its kind.
pub(super) fn filters_and_tests(expression: &str) -> Vec<(String, &'static str)> {
    let words = words(expression);
    let mut found = Vec::new();
    for (index, word) in words.iter().enumerate() {
        let next = |ahead: usize| words.get(index + ahead).map(String::as_str);
        match word.as_str() {
            "|" => found.extend(next(1).map(|name| (name.to_owned(), "filter"))),
            "is" if index > 0 && next(1) == Some("not") => {
                found.extend(next(2).map(|name| (name.to_owned(), "test")));
            }
            "is" if index > 0 && words.get(index - 1).is_some_and(|before| before != ".") => {
                found.extend(next(1).map(|name| (name.to_owned(), "test")));
            }
            _ => {}
        }
    }
    found.retain(|(name, _)| name.starts_with(|first: char| first.is_alphabetic() || first == '_'));
    found
}

/// Identifiers and single punctuation marks; a quoted text is one word `"`.
fn words(expression: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = expression.trim_start();
    while let Some(first) = rest.chars().next() {
        let length = if first == '"' || first == '\'' {
            quoted_length(rest).unwrap_or(rest.len())
        } else if first.is_alphanumeric() || first == '_' {
            rest.find(|part: char| !part.is_alphanumeric() && part != '_').unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        let (word, tail) = rest.split_at(length);
        words.push(if first == '\'' { "\"".to_owned() } else { word.to_owned() });
        rest = tail.trim_start();
    }
    words
}

/// Where the `}}` of an expression stands, past quoted texts and nested brackets.
fn expression_end(inner: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(first) = inner[at..].chars().next() {
        match first {
            '"' | '\'' => {
                at += quoted_length(&inner[at..])?;
                continue;
            }
            '{' | '[' | '(' => depth += 1,
            '}' if depth == 0 && inner[at..].starts_with("}}") => return Some(at),
            '}' | ']' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += first.len_utf8();
    }
    None
}

/// The length of the quoted text that begins here, with both quotes.
fn quoted_length(text: &str) -> Option<usize> {
    let mut marks = text.char_indices();
    let (_, quote) = marks.next()?;
    let mut escaped = false;
    for (at, mark) in marks {
        match mark {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if mark == quote => return Some(at + mark.len_utf8()),
            _ => {}
        }
    }
    None
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    match parts.last_mut() {
        _ if text.is_empty() => {}
        Some(Part::Text(before)) => before.push_str(text),
        _ => parts.push(Part::Text(text.to_owned())),
    }
}

fn breaks(text: &str) -> u64 {
    u64::try_from(text.matches('\n').count()).unwrap_or(u64::MAX)
}
