//! The offline model's tokens: a run of letters and digits counts one for every six characters begun, and
//! every other character that is not white space counts one. White space belongs to the token after it.

const WORD_PIECE: usize = 6;

/// The byte offset at which each token of `text` ends, in order.
fn ends(text: &str) -> impl Iterator<Item = usize> + '_ {
    let mut chars = text.char_indices().peekable();
    std::iter::from_fn(move || {
        loop {
            let (start, first) = chars.next()?;
            if first.is_whitespace() {
                continue;
            }
            let mut end = start + first.len_utf8();
            let mut length = 1;
            while first.is_alphanumeric() && length < WORD_PIECE {
                let Some((at, next)) = chars.next_if(|(_, next)| next.is_alphanumeric()) else { break };
                end = at + next.len_utf8();
                length += 1;
            }
            return Some(end);
        }
    })
}

/// How many tokens `text` has.
pub(crate) fn count(text: &str) -> u64 {
    ends(text).count() as u64
}

/// The first `most` tokens of `text`: all of it where it has no more.
pub(crate) fn cut(text: &str, most: u64) -> &str {
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let mut all = ends(text);
    match most.checked_sub(1) {
        None => "",
        Some(before) => match (all.nth(before), all.next()) {
            (Some(end), Some(_)) => &text[..end],
            _ => text,
        },
    }
}

/// `text` in pieces of at most `size` tokens, as it is streamed.
pub(crate) fn pieces(text: &str, size: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let (mut from, mut all) = (0, ends(text));
    while let Some(end) = all.nth(size.saturating_sub(1)) {
        pieces.push(&text[from..end]);
        from = end;
    }
    if from < text.len() {
        pieces.push(&text[from..]);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::{count, cut, pieces};
    use proptest::prelude::*;

    #[test]
    fn words_and_marks_are_counted() {
        for (text, expected) in
            [("", 0), (" \n", 0), ("four", 1), ("Hello, world!", 4), ("absolutely", 2), ("{\"a\":1}", 7)]
        {
            assert_eq!(count(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_cut_keeps_whole_tokens() {
        assert_eq!(cut("Hello, world! ", 4), "Hello, world! ");
        assert_eq!(cut("Hello, world!", 3), "Hello, world");
        assert_eq!(cut("Hello, world!", 0), "");
        assert_eq!(pieces("Hello, world! ", 2), ["Hello,", " world!", " "]);
    }

    proptest! {
        #[test]
        fn cutting_and_streaming_lose_nothing(text in "\\PC{0,80}", most in 0u64..40, size in 1usize..9) {
            prop_assert!(count(&text) <= text.len() as u64, "the bound on prompts holds here, too");
            let kept = cut(&text, most);
            prop_assert!(text.starts_with(kept) && count(kept) == count(&text).min(most));
            prop_assert_eq!(pieces(&text, size).concat(), text);
        }
    }
}
