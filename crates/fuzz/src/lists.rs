//! Where a list goes on, as callers send it back.
#![expect(clippy::expect_used, reason = "what is not set up here is no finding")]

use env::{Env, Timestamp};
use secret::SecretBytes;
use serde_json::{Value, json};
use store::StoreError;
use store_sqlite::CursorKey;

const LIST: &str = "object/agent";

fn key(of: u8) -> CursorKey {
    CursorKey::new(SecretBytes::fill_with(|bytes| bytes.fill(of)))
}

fn place() -> Value {
    json!("agt_01J00000000000000000000000")
}

/// A cursor of the tenant with this key, the same one each time.
fn sealed(of: u8, list: &str) -> String {
    let env = Env::fixed(Timestamp::from_millis(0), of.into()).0;
    key(of).seal(&env, list, &place()).expect("a place is sealed")
}

/// Whatever is sent, only what this tenant was given for this list opens, and as what it was: no part of another
/// tenant's, or of another list's, takes one anywhere.
pub(crate) fn cursors(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        opens(text);
    }
}

/// Whether a text is taken for a cursor.
fn opens(text: &str) -> bool {
    let opened: Result<Value, StoreError> = key(1).open(LIST, text);
    match &opened {
        Ok(found) => {
            assert_eq!(text, sealed(1, LIST), "another text is taken for the cursor");
            assert_eq!(*found, place());
        }
        Err(refused) => assert!(matches!(refused, StoreError::Invalid(_)), "{refused:?}"),
    }
    opened.is_ok()
}

#[cfg(test)]
mod tests {
    use super::{LIST, key, opens, sealed};
    use serde_json::Value;

    const ELSEWHERE: &str = "object/api_key";

    fn corpus(name: &str) -> String {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/cursors");
        std::fs::read_to_string(folder.join(name)).unwrap()
    }

    #[test]
    fn the_corpus_has_a_cursor_that_opens_and_what_is_like_it() {
        let (good, foreign, elsewhere) = (sealed(1, LIST), sealed(2, LIST), sealed(1, ELSEWHERE));
        let half = good.len() / 8 * 4;
        let spliced = format!("{}{}", &good[..half], &foreign[half..]);
        for (name, text) in [
            ("good", &good),
            ("foreign", &foreign),
            ("elsewhere", &elsewhere),
            ("spliced", &spliced),
            ("truncated", &good[..half].to_owned()),
        ] {
            assert_eq!(corpus(name), *text, "corpus/cursors/{name}");
            assert_eq!(opens(text), name == "good", "{name}");
        }
        // They are refused for whose they are, and open where they belong.
        assert!(key(2).open::<Value>(LIST, &foreign).is_ok());
        assert!(key(1).open::<Value>(ELSEWHERE, &elsewhere).is_ok());
    }

    #[test]
    fn no_bit_of_a_cursor_can_be_another() {
        let good = sealed(1, LIST);
        for at in 0..good.len() {
            for bit in 0..7 {
                let mut bytes = good.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                assert!(!opens(&String::from_utf8(bytes).unwrap()));
            }
            assert!(!opens(&good[..at]));
        }
    }
}
