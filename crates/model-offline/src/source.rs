//! [`Source`]: what a prompt says of things that have a name: addresses, names, amounts, labelled values.

/// How much of a prompt is looked at.
const MAX_BYTES: usize = 16 * 1024;
/// How much of the prompt stands for it where a text of its own is wanted.
const MAX_EXCERPT: usize = 160;
const MAX_VALUE: usize = 500;

/// The text that values are taken from.
pub(crate) struct Source {
    text: String,
    lower: String,
}

impl Source {
    /// A source that is the beginning of `text`.
    pub(crate) fn new(text: &str) -> Self {
        let text: String = text.get(..text.floor_char_boundary(MAX_BYTES)).unwrap_or_default().to_owned();
        let lower = text.to_ascii_lowercase();
        Self { text, lower }
    }

    /// The text in lower case, for keywords.
    pub(crate) fn lower(&self) -> &str {
        &self.lower
    }

    /// The beginning of the text as one line.
    pub(crate) fn excerpt(&self) -> String {
        excerpt(&self.text, MAX_EXCERPT)
    }

    /// The value that follows `name` and a colon or equals sign, as in `Company: Acme`, `budget=500` or
    /// `"email": "ann@acme.example"`. In the name, `_`, `-` and spaces are one.
    pub(crate) fn labelled(&self, name: &str) -> Option<String> {
        let words: Vec<String> = words(name).collect();
        if words.is_empty() {
            return None;
        }
        ["_", " ", "-", ""].iter().find_map(|between| {
            let label = words.join(between);
            let starts = self.lower.match_indices(&label).map(|(at, _)| at);
            let whole = |at: &usize| {
                !self.lower[..*at].ends_with(|it: char| it.is_alphanumeric() || "_-".contains(it))
            };
            starts.filter(whole).find_map(|at| value_after(&self.text[at + label.len()..]))
        })
    }

    /// The first address of mail.
    pub(crate) fn email(&self) -> Option<String> {
        self.tokens().find(|word| is_email(word)).map(str::to_owned)
    }

    /// The first web address.
    pub(crate) fn url(&self) -> Option<String> {
        let found = self.tokens().find(|word| word.starts_with("https://") || word.starts_with("http://"));
        found.map(str::to_owned)
    }

    /// The first date of the form `2026-11-23`.
    pub(crate) fn date(&self) -> Option<String> {
        let is_date = |word: &&str| {
            let form = |(at, byte): (usize, u8)| {
                if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() }
            };
            word.len() == 10 && word.bytes().enumerate().all(form)
        };
        self.text.split(|it: char| !(it.is_ascii_digit() || it == '-')).find(is_date).map(str::to_owned)
    }

    /// The first thing that looks like a telephone number: seven digits or more after a plus sign or not.
    pub(crate) fn phone(&self) -> Option<String> {
        let of_a_number = |it: char| it.is_ascii_digit() || " +-()".contains(it);
        let runs = self.text.split(|it: char| !of_a_number(it)).map(str::trim);
        let digits = |run: &str| run.bytes().filter(u8::is_ascii_digit).count();
        runs.filter(|run| (7..=15).contains(&digits(run))).find(|run| !run.contains("  ")).map(str::to_owned)
    }

    /// The name that somebody gives as theirs.
    pub(crate) fn person(&self) -> Option<String> {
        ["my name is ", "i am ", "i'm ", "this is ", "regards,", "thanks,", "best,", "cheers,"]
            .iter()
            .find_map(|opening| self.capitalised_after(opening))
    }

    /// The name of an organisation that somebody says they are of.
    pub(crate) fn company(&self) -> Option<String> {
        ["i work at ", "i work for ", "work at ", " from ", " at ", " of "]
            .iter()
            .find_map(|opening| self.capitalised_after(opening))
    }

    /// The first number with a sign of a currency before it.
    pub(crate) fn amount(&self) -> Option<String> {
        let mut after_signs = self.text.split(['$', '€', '£']).skip(1);
        after_signs.find_map(|rest| {
            let written = |it: char| it.is_ascii_alphanumeric() || it == '.' || it == ',';
            let end = rest.find(|it: char| !written(it)).unwrap_or(rest.len());
            number(rest[..end].trim_end_matches(['.', ',']))
        })
    }

    /// The numbers in the text, in order, as they are written but for thousands separators.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = String> + '_ {
        let runs = self.text.split(|it: char| it.is_whitespace() || "$€£:=;()[]{}\"'".contains(it));
        runs.filter_map(|run| number(run.trim_end_matches(['.', ',', '!', '?', '%', '+'])))
    }

    fn tokens(&self) -> impl Iterator<Item = &str> {
        let between = |it: char| it.is_whitespace() || "<>()[]{}\"',;".contains(it);
        self.text
            .split(between)
            .map(|word| word.trim_end_matches(['.', '!', '?', ':']))
            .filter(|word| !word.is_empty())
    }

    /// One to three words that begin with a capital, right after `opening`.
    fn capitalised_after(&self, opening: &str) -> Option<String> {
        self.lower.match_indices(opening).find_map(|(at, _)| {
            let mut name = Vec::new();
            for word in self.text[at + opening.len()..].split_whitespace().take(3) {
                let bare = word.trim_end_matches(|it: char| !it.is_alphanumeric());
                if !bare.starts_with(char::is_uppercase) {
                    break;
                }
                name.push(bare);
                if bare.len() < word.len() {
                    break;
                }
            }
            (!name.is_empty()).then(|| name.join(" "))
        })
    }
}

/// The words of a name or a text, in lower case: `dealSize`, `deal_size` and `deal size` have the same.
pub(crate) fn words(text: &str) -> impl Iterator<Item = String> {
    let mut parts = vec![String::new()];
    let mut after_lower = false;
    for it in text.chars() {
        if !it.is_alphanumeric() || (it.is_uppercase() && after_lower) {
            parts.push(String::new());
        }
        if let (true, Some(part)) = (it.is_alphanumeric(), parts.last_mut()) {
            part.extend(it.to_lowercase());
        }
        after_lower = it.is_lowercase();
    }
    parts.into_iter().filter(|part| !part.is_empty())
}

/// The beginning of a text as one line of at most `most` characters.
pub(crate) fn excerpt(text: &str, most: usize) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= most {
        return line;
    }
    line.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}

fn value_after(rest: &str) -> Option<String> {
    let rest = rest.strip_prefix(['"', '\'', '*', '`']).unwrap_or(rest).trim_start_matches(' ');
    let rest = rest.strip_prefix([':', '='])?.trim_start_matches([' ', '*']);
    let value = if rest.starts_with('"') {
        let mut strings = serde_json::Deserializer::from_str(rest).into_iter::<String>();
        strings.next()?.ok()?
    } else {
        let line = rest.lines().next().unwrap_or_default();
        // In a JSON text the value ends with a comma or a brace; in prose a comma may be part of it.
        let end = if line.contains("\":") { line.find([',', '}']) } else { line.find(['}', ';']) };
        line[..end.unwrap_or(line.len())].trim().trim_end_matches([',', '.']).to_owned()
    };
    let value = excerpt(&value, MAX_VALUE);
    (!value.is_empty() && value != "null" && !value.starts_with(['{', '['])).then_some(value)
}

fn is_email(word: &str) -> bool {
    let plain =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._%+-".contains(&byte));
    word.split_once('@').is_some_and(|(name, host)| {
        !name.is_empty()
            && plain(name)
            && plain(host)
            && host.split('.').count() > 1
            && !host.split('.').any(str::is_empty)
    })
}

/// The number that `text` writes, if it writes one: digits with at most one point, a sign, thousands
/// separated by commas, or followed by `k` or `m`.
pub(crate) fn number(text: &str) -> Option<String> {
    let (text, zeros) = match text.strip_suffix(['k', 'K']) {
        Some(text) => (text, "000"),
        None => text.strip_suffix(['m', 'M']).map_or((text, ""), |text| (text, "000000")),
    };
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let plain: String = unsigned.chars().filter(|it| *it != ',').collect();
    let digits = plain.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let begins =
        plain.starts_with(|it: char| it.is_ascii_digit()) && plain.ends_with(|it: char| it.is_ascii_digit());
    let whole_thousands = zeros.is_empty() || !plain.contains('.');
    let sensible =
        digits && begins && whole_thousands && plain.len() <= 15 && plain.matches('.').count() <= 1;
    let sign = if unsigned.len() < text.len() { "-" } else { "" };
    sensible.then(|| format!("{sign}{plain}{zeros}"))
}

#[cfg(test)]
mod tests {
    use super::{Source, excerpt, number, words};
    use proptest::prelude::*;

    const LETTER: &str = "Hello, my name is Ann Lee from Acme Corp. We need 25 seats, budget: $12,500.50.\n\
        Mail ann.lee@acme.example or call +1 (555) 010-9999, see https://acme.example/x. Due 2026-12-01.";

    #[test]
    fn things_with_a_form_are_found() {
        let source = Source::new(LETTER);
        assert_eq!(source.email().as_deref(), Some("ann.lee@acme.example"));
        assert_eq!(source.url().as_deref(), Some("https://acme.example/x"));
        assert_eq!(source.date().as_deref(), Some("2026-12-01"));
        assert_eq!(source.phone().as_deref(), Some("+1 (555) 010-9999"));
        assert_eq!(source.person().as_deref(), Some("Ann Lee"));
        assert_eq!(source.company().as_deref(), Some("Acme Corp"));
        assert_eq!(source.amount().as_deref(), Some("12500.50"));
        assert_eq!(source.numbers().take(2).collect::<Vec<_>>(), ["25", "12500.50"]);
    }

    #[test]
    fn labels_are_read_in_prose_and_in_json() {
        let text = "Company: Acme, Inc.\nDeal size = 40k\n{\"firstName\": \"Ann \\\"A\\\"\", \"age\": 31, \"x\": null}";
        let source = Source::new(text);
        for (name, expected) in [
            ("company", Some("Acme, Inc")),
            ("deal_size", Some("40k")),
            ("dealSize", Some("40k")),
            ("first_name", Some("Ann \"A\"")),
            ("age", Some("31")),
            ("x", None),
            ("size", Some("40k")),
            ("nothing", None),
            ("", None),
        ] {
            assert_eq!(source.labelled(name).as_deref(), expected, "{name}");
        }
    }

    #[test]
    fn numbers_are_read_as_written() {
        for (text, expected) in [
            ("1,200", Some("1200")),
            ("-3.5", Some("-3.5")),
            ("40k", Some("40000")),
            ("1.5k", None),
            ("v2", None),
            ("1.2.3", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(number(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn names_have_words() {
        for name in ["dealSize", "deal_size", "Deal size", "deal-size"] {
            assert_eq!(words(name).collect::<Vec<_>>(), ["deal", "size"]);
        }
        assert_eq!(excerpt(" a\n b ", 9), "a b");
        assert_eq!(excerpt("abcdef", 4), "abc…");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_fall_over(text in "[ -~äß€\\n\"]{0,200}", name in "\\PC{0,12}") {
            let source = Source::new(&text);
            let _ = (source.labelled(&name), source.email(), source.url(), source.date(), source.phone());
            let _ = (source.person(), source.company(), source.numbers().count(), source.excerpt());
        }
    }
}
