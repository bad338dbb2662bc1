//! The allow-list: every member of a Chat Completions request that passes, with its bounds.

use super::shape::Shape::{
    Address, Choice, DataOrAddress, Flag, List, MapOf, Number, Object, OrNull, Schema, Tagged, Text, TextOr,
    Whole,
};
use super::shape::Standing::{AnswerOnly, OwnKey, Passes, Required};
use super::shape::{Member, Shape};

const NAME: Shape = Text(256);
/// Bounded by the body.
const CONTENT: Shape = Text(usize::MAX);
const MAX_MESSAGES: usize = 4096;
const MAX_PARTS: usize = 1024;
const MAX_TOOLS: usize = 128;

/// The members of a request's body.
pub(super) const REQUEST: &[Member] = &[
    Member("messages", Required, &List(MAX_MESSAGES, &MESSAGE)),
    Member("model", Required, &Text(256)),
    Member("frequency_penalty", Passes, &Number(-2.0, 2.0)),
    Member("function_call", Passes, &TextOr(&Choice(&["none", "auto"]), &Object(NAMED))),
    Member("functions", Passes, &List(MAX_TOOLS, &Object(FUNCTION))),
    Member("logit_bias", Passes, &MapOf(1024, &Number(-100.0, 100.0))),
    Member("logprobs", Passes, &Flag),
    Member("max_completion_tokens", Passes, &Whole(1, 100_000_000)),
    Member("max_tokens", Passes, &Whole(1, 100_000_000)),
    Member("metadata", Passes, &MapOf(16, &Text(512))),
    Member("modalities", Passes, &List(1, &Choice(&["text"]))),
    Member("n", Passes, &Whole(1, super::request::MAX_CHOICES as i64)),
    Member("parallel_tool_calls", Passes, &Flag),
    Member("prediction", Passes, &Tagged("type", &[("content", PREDICTED)])),
    Member("presence_penalty", Passes, &Number(-2.0, 2.0)),
    Member("prompt_cache_key", Passes, &Text(512)),
    Member("prompt_cache_retention", OwnKey, &Text(64)),
    Member("reasoning_effort", Passes, &Text(32)),
    Member("response_format", Passes, &Tagged("type", RESPONSE_FORMATS)),
    Member("safety_identifier", Passes, &Text(512)),
    Member("seed", Passes, &Whole(i64::MIN, i64::MAX)),
    Member("service_tier", Passes, &Text(32)),
    Member("stop", Passes, &TextOr(&Text(1024), &List(16, &Text(1024)))),
    Member("store", Passes, &Flag),
    Member("stream", Passes, &Flag),
    Member("stream_options", Passes, &Object(STREAM_OPTIONS)),
    Member("temperature", Passes, &Number(0.0, 2.0)),
    Member("tool_choice", Passes, &TextOr(&Choice(&["none", "auto", "required"]), &TOOL_CHOICE)),
    Member("tools", Passes, &List(MAX_TOOLS, &Tagged("type", TOOLS))),
    Member("top_logprobs", Passes, &Whole(0, 20)),
    Member("top_p", Passes, &Number(0.0, 1.0)),
    Member("user", Passes, &Text(512)),
    Member("verbosity", Passes, &Text(32)),
    Member("web_search_options", OwnKey, &Schema),
];

const STREAM_OPTIONS: &[Member] =
    &[Member("include_usage", Passes, &Flag), Member("include_obfuscation", Passes, &Flag)];

const NAMED: &[Member] = &[Member("name", Required, &NAME)];

const MESSAGE: Shape = Tagged(
    "role",
    &[
        ("system", SPOKEN),
        ("developer", SPOKEN),
        ("user", SPOKEN),
        ("assistant", ASSISTANT),
        ("tool", TOOL_RESULT),
        ("function", FUNCTION_RESULT),
    ],
);
const PARTS: Shape = List(MAX_PARTS, &Tagged("type", CONTENT_PARTS));
const SAID: Shape = TextOr(&CONTENT, &PARTS);

const SPOKEN: &[Member] = &[Member("content", Required, &SAID), Member("name", Passes, &NAME)];
const TOOL_RESULT: &[Member] = &[
    Member("content", Required, &SAID),
    Member("tool_call_id", Required, &NAME),
    Member("name", Passes, &NAME),
];
const FUNCTION_RESULT: &[Member] =
    &[Member("content", Required, &OrNull(&SAID)), Member("name", Required, &NAME)];
const ASSISTANT: &[Member] = &[
    Member("content", Passes, &OrNull(&SAID)),
    Member("name", Passes, &NAME),
    Member("refusal", Passes, &CONTENT),
    Member("tool_calls", Passes, &List(MAX_TOOLS, &Tagged("type", TOOL_CALLS))),
    Member("function_call", Passes, &Object(CALLED)),
    // An earlier answer's sound, by the id under which the provider keeps it.
    Member("audio", OwnKey, &Object(&[Member("id", Required, &NAME)])),
    // Reasoning as vLLM and DeepSeek give it and want it back.
    Member("reasoning", Passes, &CONTENT),
    Member("reasoning_content", Passes, &CONTENT),
    Member("annotations", AnswerOnly, &Schema),
];

const CONTENT_PARTS: &[(&str, &[Member])] = &[
    ("text", &[Member("text", Required, &CONTENT)]),
    ("refusal", &[Member("refusal", Required, &CONTENT)]),
    ("image_url", &[Member("image_url", Required, &Object(IMAGE))]),
    ("video_url", &[Member("video_url", Required, &Object(&[Member("url", Required, &Address)]))]),
    ("input_audio", &[Member("input_audio", Required, &Object(SOUND))]),
    ("file", &[Member("file", Required, &Object(FILE))]),
];
const IMAGE: &[Member] =
    &[Member("url", Required, &Address), Member("detail", Passes, &Choice(&["auto", "low", "high"]))];
const SOUND: &[Member] = &[
    Member("data", Passes, &DataOrAddress),
    Member("format", Passes, &Text(32)),
    Member("id", OwnKey, &NAME),
];
const FILE: &[Member] = &[
    Member("file_data", Passes, &DataOrAddress),
    Member("filename", Passes, &Text(1024)),
    Member("file_id", OwnKey, &NAME),
];

const PREDICTED: &[Member] =
    &[Member("content", Required, &TextOr(&CONTENT, &List(MAX_PARTS, &Tagged("type", TEXT_PARTS))))];
const TEXT_PARTS: &[(&str, &[Member])] = &[("text", &[Member("text", Required, &CONTENT)])];

const RESPONSE_FORMATS: &[(&str, &[Member])] = &[
    ("text", &[]),
    ("json_object", &[]),
    ("json_schema", &[Member("json_schema", Required, &Object(JSON_SCHEMA))]),
];
const JSON_SCHEMA: &[Member] = &[
    Member("name", Required, &NAME),
    Member("description", Passes, &CONTENT),
    Member("schema", Passes, &Schema),
    Member("strict", Passes, &Flag),
];

const TOOLS: &[(&str, &[Member])] = &[
    ("function", &[Member("function", Required, &Object(FUNCTION))]),
    ("custom", &[Member("custom", Required, &Object(CUSTOM))]),
];
const FUNCTION: &[Member] = &[
    Member("name", Required, &NAME),
    Member("description", Passes, &CONTENT),
    Member("parameters", Passes, &Schema),
    Member("strict", Passes, &Flag),
];
const CUSTOM: &[Member] = &[
    Member("name", Required, &NAME),
    Member("description", Passes, &CONTENT),
    Member("format", Passes, &Tagged("type", CUSTOM_FORMATS)),
];
const CUSTOM_FORMATS: &[(&str, &[Member])] =
    &[("text", &[]), ("grammar", &[Member("grammar", Required, &Object(GRAMMAR))])];
const GRAMMAR: &[Member] =
    &[Member("definition", Required, &CONTENT), Member("syntax", Required, &Choice(&["lark", "regex"]))];

const TOOL_CHOICE: Shape = Tagged(
    "type",
    &[
        ("function", &[Member("function", Required, &Object(NAMED))]),
        ("custom", &[Member("custom", Required, &Object(NAMED))]),
        ("allowed_tools", &[Member("allowed_tools", Required, &Object(ALLOWED_TOOLS))]),
    ],
);
const ALLOWED_TOOLS: &[Member] = &[
    Member("mode", Required, &Choice(&["auto", "required"])),
    Member("tools", Required, &List(MAX_TOOLS, &Tagged("type", TOOL_NAMES))),
];
const TOOL_NAMES: &[(&str, &[Member])] = &[
    ("function", &[Member("function", Required, &Object(NAMED))]),
    ("custom", &[Member("custom", Required, &Object(NAMED))]),
];

const TOOL_CALLS: &[(&str, &[Member])] = &[
    ("function", &[Member("id", Required, &NAME), Member("function", Required, &Object(CALLED)), INDEX]),
    ("custom", &[Member("id", Required, &NAME), Member("custom", Required, &Object(CUSTOM_CALLED)), INDEX]),
];
/// Pieces of streamed calls carry it, and clients put the pieces together without taking it out.
const INDEX: Member = Member("index", AnswerOnly, &Whole(0, 1024));
const CALLED: &[Member] = &[Member("name", Required, &NAME), Member("arguments", Required, &CONTENT)];
const CUSTOM_CALLED: &[Member] = &[Member("name", Required, &NAME), Member("input", Required, &CONTENT)];
