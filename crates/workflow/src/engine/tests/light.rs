//! Which steps of the engine are taken where they are asked for.

use super::drive::{Driver, name};
use crate::engine::{Input, Mode, Outcome};
use serde_json::{Value, json};

/// Whether a run's beginning is light, with these nodes and this input.
fn is_light(nodes: &str, input: Value) -> bool {
    let text = format!("name: test\nnodes:\n  - {{id: start, type: source, kind: manual}}\n{nodes}");
    let driver = Driver::new(&text, input, json!({}), Mode::Live);
    driver.run.is_light(&driver.definition, &Input::Admit)
}

fn asks(prompt: &str) -> String {
    format!("  - {{id: a, type: ai, after: [start], model: m, prompt: '{prompt}'}}\n")
}

fn makes(output: &str) -> String {
    format!("  - {{id: b, type: transform, after: [start], output: {{of: '{output}'}}}}\n")
}

#[test]
fn looking_small_values_up_is_light() {
    assert!(is_light(&asks("none"), json!({})));
    assert!(is_light(&asks("of {{ input.n }}"), json!({"n": 1})));
    assert!(is_light(&makes("plain"), json!({})));
}

#[test]
fn what_computes_is_not() {
    for expression in ["input.n | upper", "range(9)", "input.n + 1", "[input, input]"] {
        assert!(!is_light(&asks(&format!("{{{{ {expression} }}}}")), json!({"n": 1})), "{expression}");
    }
    assert!(
        !is_light(&makes("{{ input.n }}"), json!({"n": 1})),
        "what it makes may double with each of them"
    );
    assert!(!is_light(&asks(&"{{ input.n }}".repeat(65)), json!({"n": 1})));
}

#[test]
fn what_is_large_is_not() {
    let large = "x".repeat(17 * 1024);
    assert!(!is_light(&asks("of {{ input.n }}"), json!({"n": large})));
    assert!(!is_light(&makes(&large), json!({})), "what it brings along is looked up as well");
    let driver = Driver::begun(&asks("none"));
    let arrives = |output| Input::Outcome {
        node: name("a"),
        attempt: 1,
        outcome: Outcome::Succeeded { output, cost: None },
    };
    assert!(driver.run.is_light(&driver.definition, &arrives(json!("small"))));
    assert!(!driver.run.is_light(&driver.definition, &arrives(json!(large))));
}
