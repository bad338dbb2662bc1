//! Tokens of a call, each counted in exactly one place, and bounds for what is not yet known.
//!
//! Providers' usage objects overlap: OpenAI's `prompt_tokens` includes `cached_tokens`, its
//! `completion_tokens` includes `reasoning_tokens`. The adapter takes the parts out of their wholes once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A call's tokens as disjoint counts; their sum is what the provider counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Tokens {
    /// Prompt tokens that no other member counts.
    pub uncached_input: u64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: u64,
    /// Prompt tokens written to the provider's cache for its default time.
    pub cache_write: u64,
    /// Prompt tokens written to the provider's cache for an hour.
    pub cache_write_1h: u64,
    /// Prompt tokens of audio.
    pub input_audio: u64,
    /// Answer tokens that the caller sees.
    pub visible_output: u64,
    /// Answer tokens that the model spent on reasoning.
    pub reasoning_output: u64,
    /// Answer tokens of audio.
    pub output_audio: u64,
}

impl Tokens {
    /// A prompt and an answer of which nothing more is known.
    pub fn plain(input: u64, output: u64) -> Self {
        Self { uncached_input: input, visible_output: output, ..Self::default() }
    }

    /// All prompt tokens.
    pub fn input(&self) -> u64 {
        [self.uncached_input, self.cache_read, self.cache_write, self.cache_write_1h, self.input_audio]
            .into_iter()
            .fold(0, u64::saturating_add)
    }

    /// All answer tokens.
    pub fn output(&self) -> u64 {
        self.visible_output.saturating_add(self.reasoning_output).saturating_add(self.output_audio)
    }

    /// The counts in an OpenAI `usage` object, of chat completions, responses or embeddings.
    ///
    /// An explicit 0 is 0. `None` where a total is absent or not a count: it must then be estimated, and
    /// marked as [`UsageSource::Estimated`]. A part that claims more than its whole counts as the whole.
    /// Where cached and audio tokens overlap, which the object does not tell, they count as audio, the
    /// dearer. Where `total_tokens` is more than prompt and answer together, the surplus is reasoning that the
    /// provider (xAI, Gemini) left out of `completion_tokens`.
    pub fn from_openai(usage: &Value) -> Option<Self> {
        let input = count(usage, "prompt_tokens").or_else(|| count(usage, "input_tokens"))?;
        let output = count(usage, "completion_tokens")
            .or_else(|| count(usage, "output_tokens"))
            .or_else(|| no_answer(usage, input))?;
        let prompt = details(usage, ["prompt_tokens_details", "input_tokens_details"]);
        let answer = details(usage, ["completion_tokens_details", "output_tokens_details"]);

        let mut rest = input;
        let input_audio = take(&mut rest, count(prompt, "audio_tokens"));
        let cached = count(prompt, "cached_tokens")
            .or_else(|| count(usage, "cached_tokens"))
            .or_else(|| count(usage, "prompt_cache_hit_tokens"));
        let cache_read = take(&mut rest, cached);
        let cache_write = take(&mut rest, count(prompt, "cache_write_tokens"));
        let uncached_input = rest;

        let surplus = count(usage, "total_tokens").unwrap_or(0).saturating_sub(input.saturating_add(output));
        let mut rest = output.saturating_add(surplus);
        let reasoning = count(answer, "reasoning_tokens").unwrap_or(0).max(surplus);
        let output_audio = take(&mut rest, count(answer, "audio_tokens"));
        let reasoning_output = take(&mut rest, Some(reasoning));
        Some(Self {
            uncached_input,
            cache_read,
            cache_write,
            cache_write_1h: 0,
            input_audio,
            visible_output: rest,
            reasoning_output,
            output_audio,
        })
    }
}

fn count(object: &Value, member: &str) -> Option<u64> {
    object.get(member)?.as_u64()
}

fn details<'a>(usage: &'a Value, names: [&str; 2]) -> &'a Value {
    names.into_iter().find_map(|name| usage.get(name)).unwrap_or(&Value::Null)
}

/// Embeddings have no answer: their usage says so by a total that is the prompt's.
fn no_answer(usage: &Value, input: u64) -> Option<u64> {
    let unsaid = usage.get("completion_tokens").is_none() && usage.get("output_tokens").is_none();
    (unsaid && count(usage, "total_tokens")? == input).then_some(0)
}

fn take(rest: &mut u64, part: Option<u64>) -> u64 {
    let part = part.unwrap_or(0).min(*rest);
    *rest -= part;
    part
}

/// Where a call's token counts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The provider's own usage object.
    Reported,
    /// Counted by us, because the provider's did not come.
    Estimated,
}

/// A call's tokens and where the counts come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// The counts.
    pub tokens: Tokens,
    /// Where they come from.
    pub source: UsageSource,
}

impl Usage {
    /// The provider's counts where they came, else the estimate, marked as such.
    pub fn reported_or(reported: Option<Tokens>, estimate: impl FnOnce() -> Tokens) -> Self {
        match reported {
            Some(tokens) => Self { tokens, source: UsageSource::Reported },
            None => Self { tokens: estimate(), source: UsageSource::Estimated },
        }
    }
}

/// What is known of a prompt before it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PromptSize {
    /// Bytes of the request's body in UTF-8, everything included.
    pub bytes: u64,
    /// Messages and tool definitions.
    pub items: u64,
    /// Images, audio and other parts that are not text, given inline or by address.
    pub media: u64,
    /// Whether a part may hold any number of tokens, however few its bytes are: a video, a file, a sound to be
    /// fetched.
    pub boundless: bool,
}

/// What a chat template may add to a request and to each message or tool: role and separator tokens and a
/// short preamble. OpenAI's templates add 3 or 4 a message.
const TOKENS_PER_REQUEST: u64 = 64;
const TOKENS_PER_ITEM: u64 = 16;
/// More than any documented image costs: gpt-4o-mini charges 2,833 and 5,667 for each of at most 8 tiles.
const TOKENS_PER_MEDIUM: u64 = 50_000;

impl PromptSize {
    /// A number of tokens that the prompt cannot exceed, for reservations under a hard ceiling.
    ///
    /// A token of a byte-level or byte-fallback vocabulary (BPE as OpenAI, Llama and Mistral use it,
    /// SentencePiece with byte fallback) stands for at least one byte, so text has at most as many tokens as
    /// UTF-8 bytes; to that comes what templates add. The bound does not hold for text that a provider adds
    /// out of our sight (its own system prompt, its own tools).
    ///
    /// `None` where a part of the prompt has no such number.
    pub fn upper_bound(self) -> Option<u64> {
        if self.boundless {
            return None;
        }
        let items = self.items.saturating_mul(TOKENS_PER_ITEM);
        let media = self.media.saturating_mul(TOKENS_PER_MEDIUM);
        Some(self.bytes.saturating_add(TOKENS_PER_REQUEST).saturating_add(items).saturating_add(media))
    }
}

/// About how many tokens a text has, for usage that the provider did not report. Leans high: one token for
/// three ASCII letters or spaces, two for three other ASCII characters, one for two bytes of other scripts.
///
/// Against OpenAI's vocabularies o200k and cl100k, prose, source code, JSON, Chinese, Russian and Thai have
/// fewer tokens than this; base64, random characters and scripts that a vocabulary hardly knows have up to
/// twice as many. Where that must not be, use [`PromptSize::upper_bound`].
pub fn estimate(text: &str) -> u64 {
    let [mut words, mut signs, mut others] = [0u64; 3];
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b' ' | b'\n' | b'\t' => words += 1,
            0..=127 => signs += 1,
            _ => others += 1,
        }
    }
    (words + 2 * signs).div_ceil(3) + others.div_ceil(2)
}

#[cfg(test)]
mod tests {
    use super::{PromptSize, Tokens, Usage, UsageSource, estimate};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn check(usage: Value, expected: Option<Tokens>) {
        assert_eq!(Tokens::from_openai(&usage), expected, "{usage}");
    }

    #[test]
    fn parts_are_taken_out_of_their_wholes_once() {
        let chat = json!({
            "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": { "cached_tokens": 64, "audio_tokens": 0 },
            "completion_tokens_details": { "reasoning_tokens": 30, "audio_tokens": 5 },
        });
        let expected = Tokens {
            uncached_input: 36,
            cache_read: 64,
            visible_output: 15,
            reasoning_output: 30,
            output_audio: 5,
            ..Tokens::default()
        };
        check(chat, Some(expected));
        let responses = json!({
            "input_tokens": 10, "output_tokens": 4,
            "input_tokens_details": { "cached_tokens": 2 },
            "output_tokens_details": { "reasoning_tokens": 1 },
        });
        let expected = Tokens {
            uncached_input: 8,
            cache_read: 2,
            visible_output: 3,
            reasoning_output: 1,
            ..Tokens::default()
        };
        check(responses, Some(expected));
    }

    #[test]
    fn an_explicit_zero_is_zero_and_an_absent_count_is_unknown() {
        check(json!({ "prompt_tokens": 0, "completion_tokens": 0 }), Some(Tokens::default()));
        check(json!({ "prompt_tokens": 7, "total_tokens": 7 }), Some(Tokens::plain(7, 0)));
        for unknown in [
            json!(null),
            json!({}),
            json!({ "prompt_tokens": 7 }),
            json!({ "prompt_tokens": 7, "total_tokens": 9 }),
            json!({ "prompt_tokens": 7, "completion_tokens": null, "total_tokens": 7 }),
            json!({ "prompt_tokens": -7, "completion_tokens": 1 }),
            json!({ "prompt_tokens": 7.5, "completion_tokens": 1 }),
        ] {
            check(unknown, None);
        }
        let absent = Usage::reported_or(None, || Tokens::plain(3, 4));
        assert_eq!(absent.source, UsageSource::Estimated);
        assert_eq!(
            Usage::reported_or(Some(Tokens::default()), || Tokens::plain(3, 4)).tokens,
            Tokens::default()
        );
    }

    #[test]
    fn reasoning_beside_the_answer_is_found_in_the_total() {
        let usage = json!({
            "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40,
            "completion_tokens_details": { "reasoning_tokens": 25 },
        });
        let expected = Tokens { reasoning_output: 25, ..Tokens::plain(10, 5) };
        check(usage, Some(expected));
        check(json!({ "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 40 }), Some(expected));
    }

    #[test]
    fn null_details_are_no_details() {
        let usage = json!({ "prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": null, "cached_tokens": 3 });
        check(
            usage,
            Some(Tokens { uncached_input: 4, cache_read: 3, visible_output: 2, ..Tokens::default() }),
        );
    }

    #[test]
    fn bounds_lean_high() {
        let prompt = PromptSize { bytes: 100, items: 2, media: 1, boundless: false };
        assert_eq!(prompt.upper_bound(), Some(100 + 64 + 32 + 50_000));
        assert_eq!(PromptSize { bytes: u64::MAX, ..prompt }.upper_bound(), Some(u64::MAX));
        assert_eq!(PromptSize { boundless: true, ..prompt }.upper_bound(), None);
        assert_eq!(estimate(""), 0);
        assert_eq!(estimate("Hello, world"), 5);
        assert_eq!(estimate("привет"), 6);
    }

    proptest! {
        #[test]
        fn the_parts_sum_to_what_the_provider_counted(
            input in 0u64..1_000_000, output in 0u64..1_000_000,
            cached in 0u64..2_000_000, audio in 0u64..2_000_000, reasoning in 0u64..2_000_000,
        ) {
            let usage = json!({
                "prompt_tokens": input, "completion_tokens": output,
                "prompt_tokens_details": { "cached_tokens": cached, "audio_tokens": audio },
                "completion_tokens_details": { "reasoning_tokens": reasoning },
            });
            let tokens = Tokens::from_openai(&usage).unwrap();
            prop_assert_eq!(tokens.input(), input);
            prop_assert_eq!(tokens.output(), output);
        }

        #[test]
        fn an_estimate_is_never_above_the_bound(text in ".*") {
            let size = PromptSize { bytes: text.len() as u64, ..PromptSize::default() };
            prop_assert!(estimate(&text) <= size.upper_bound().unwrap());
        }
    }
}
