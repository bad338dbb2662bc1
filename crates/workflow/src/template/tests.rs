//! The language: what templates make of data, and what they refuse.

use super::{Context, Language, MAX_OUTPUT_BYTES, render_url};
use proptest::prelude::*;
use serde_json::{Value, json};

fn context(input: &Value) -> Context {
    let mut context = Context::default();
    let taken = |value: &Value| Language::new().take("one".to_owned(), value);
    context.set("input", taken(input));
    let config = json!({"crm_url": "https://crm.example.com/", "owners": {"de": "anna"}});
    context.set("config", taken(&config));
    context.set_steps([("score", taken(&json!({"label": "hot", "points": 9})))].into_iter());
    context
}

fn render(template: &str, input: &Value) -> Result<String, String> {
    Language::new().render(template, &context(input)).map_err(|error| error.message)
}

fn json_of(template: &Value, input: &Value) -> Result<Value, String> {
    Language::new().render_json(template, &context(input)).map_err(|error| error.message)
}

#[test]
fn texts_take_values() {
    let input = json!({"name": "Ada", "tags": ["a", 1], "none": null, "yes": true});
    let check = |template: &str, expected: &str| assert_eq!(render(template, &input).unwrap(), expected);
    check("Hi {{ input.name }}!", "Hi Ada!");
    check("{{ input.tags }} {{ input.none }} {{ input.yes }}", "[\"a\",1]  true");
    check("{{ steps.score.output.label | upper }}", "HOT");
    check("{{ input.missing | default('x') }}", "x");
    check("{{ input.missing is defined }}", "false");
    check("{{ {'a': {'b': 1}} }} { } }} {{ '}}' }}", "{\"a\":{\"b\":1}} { } }} }}");
    check("{{ 'x' if input.yes else 'y' }}", "x");
    check(
        "{{ input.name | truncate(2) }} {{ 'a b' | urlencode }} {{ input.tags | tojson }}",
        "Ad… a%20b [\"a\", 1]",
    );
    check("{{ config.owners[input.country | default('de')] }}", "anna");
}

#[test]
fn undefined_is_an_error() {
    for template in ["{{ input.missing }}", "{{ nothing }}", "{{ input.a.b }}", "{{ steps.other.output }}"] {
        assert!(render(template, &json!({})).is_err(), "{template}");
    }
}

#[test]
fn nothing_but_expressions_is_read() {
    for template in [
        "{% for x in input %}{% endfor %}",
        "{# note #}",
        "{{- input }}",
        "{{ input -}}",
        "{{ input",
        "{{ \"}} }",
        "{{ }}",
        "{{ include('x') }}",
        "{{ debug() }}",
    ] {
        assert!(render(template, &json!({})).is_err(), "{template}");
    }
}

#[test]
fn one_expression_keeps_its_type() {
    let input = json!({"n": 3, "list": [1, {"a": null}]});
    let template = json!({
        "n": "{{ input.n + 1 }}", "list": "{{ input.list }}", "text": "n={{ input.n }}", "plain": 1.5,
        "deep": [{"yes": "{{ input.n > 2 }}"}],
    });
    let expected = json!({
        "n": 4, "list": [1, {"a": null}], "text": "n=3", "plain": 1.5, "deep": [{"yes": true}],
    });
    assert_eq!(json_of(&template, &input).unwrap(), expected);
}

#[test]
fn work_and_output_are_bounded() {
    for expression in [
        "'x' * 90000000",
        "range(90000) | map('replace', '1', 'x' * 1000) | join",
        "[range(90000)] * 90000",
        "[range(90000)] * 90000 | list",
        "range(90000) | list | tojson | replace('1', 'x' * 1000) | replace('x', 'y' * 1000)",
    ] {
        assert!(Language::new().evaluate(expression, &context(&json!({}))).is_err(), "{expression}");
    }
    let error = render("{{ 'x' * 2000000 }}", &json!({})).unwrap_err();
    assert!(error.contains("bytes") || error.contains("work"), "{error}");
    let long = json!({"long": "y".repeat(MAX_OUTPUT_BYTES / 2)});
    assert!(render("{{ input.long }}", &long).is_ok());
    assert!(render("{{ input.long }}{{ input.long }}{{ input.long }}", &long).is_err());
    assert!(json_of(&json!(["{{ input.long }}", "{{ input.long }}", "{{ input.long }}"]), &long).is_err());
}

#[test]
fn what_an_expression_makes_on_its_way_is_bounded_by_its_fuel() {
    let context = context(&json!({}));
    let length = |bytes: usize| format!("('x' * {bytes}) | length");
    assert_eq!(Language::new().evaluate(&length(4 * 1024 * 1024), &context).unwrap(), 4 * 1024 * 1024);
    assert!(Language::new().evaluate(&length(16 * 1024 * 1024), &context).is_err());
}

#[test]
fn all_expressions_of_a_step_share_one_budget() {
    let (language, context) = (Language::new(), context(&json!({"n": 1})));
    for _ in 0..10_000 {
        language.evaluate("input.n + 1", &context).unwrap();
    }
    let work = "('x' * 4000000) | length";
    let done = (0..100).take_while(|_| language.evaluate(work, &context).is_ok()).count();
    assert!((5..50).contains(&done), "{done}");
    assert!(language.evaluate("1", &context).unwrap_err().message.contains("too much work"));
    // What fails costs something, too.
    let language = Language::new();
    let failing = "(('x' * 4000000) | length) + input.missing";
    let error = (0..1_000).map(|_| language.evaluate(failing, &context).unwrap_err().message);
    assert!(error.take(200).any(|message| message.contains("too much work")));
}

#[test]
fn what_does_not_stand_by_itself_is_no_expression() {
    for expression in ["1) + (2", "1) | upper ~ (2", "1 #", "1 | tenantry_spent("] {
        assert!(Language::new().evaluate(expression, &context(&json!({}))).is_err(), "{expression}");
    }
    assert_eq!(Language::new().unknown_words("1 | tenantry_spent"), ["filter `tenantry_spent`"]);
}

fn url(template: &str, input: &Value) -> Result<String, String> {
    render_url(&Language::new(), template, &context(input)).map_err(|error| error.message)
}

#[test]
fn data_cannot_change_where_a_request_goes() {
    let input = json!({"id": "../admin?x=1#y", "dots": ".."});
    assert_eq!(
        url("{{ config.crm_url }}/leads/{{ input.id }}", &input).unwrap(),
        "https://crm.example.com/leads/..%2Fadmin%3Fx%3D1%23y"
    );
    assert!(url("{{ config.crm_url }}/leads/{{ input.dots }}/x", &input).is_err());
    assert!(url("https://a@b.example/{{ input.id }}", &input).is_err());
    assert!(url("ftp://b.example/", &input).is_err());
    assert!(url("https://", &input).is_err());
}

#[test]
fn references_are_found() {
    let language = Language::new();
    let found = language.references("steps.a.output.x + config['k'] ~ input.y | default(run.id)").unwrap();
    let found: Vec<_> = found.iter().map(String::as_str).collect();
    assert_eq!(found, ["config", "input.y", "run.id", "steps.a.output.x"]);
    assert!(language.references("a +").is_err());
    assert!(language.references("range(3)").unwrap().is_empty());
}

#[test]
fn unknown_filters_and_tests_are_found() {
    let language = Language::new();
    let unknown =
        language.unknown_words("input | uppper ~ 'a | b' ~ (x is not defned) ~ (y is even) | lower");
    assert_eq!(unknown, ["filter `uppper`", "test `defned`"]);
}

proptest! {
    #[test]
    fn data_is_never_read_as_a_template(text in "[{}% a-z\"'#|.()-]{0,40}") {
        let input = json!({"text": text});
        prop_assert_eq!(render("{{ input.text }}", &input).unwrap(), text.clone());
        prop_assert_eq!(json_of(&json!("{{ input.text }}"), &input).unwrap(), json!(text));
    }

    #[test]
    fn any_text_is_rendered_or_refused(text in "[{}%# a-z\"'|.()\\[\\]0-9+*~-]{0,60}") {
        let _ = render(&text, &json!({}));
    }

    #[test]
    fn a_url_keeps_its_host(data in "[ -~ä/\\\\]{0,30}") {
        if let Ok(url) = url("https://api.example.com/v1/{{ input.data }}", &json!({"data": data})) {
            prop_assert!(url.starts_with("https://api.example.com/v1/"));
            prop_assert_eq!(url.matches('/').count(), 4);
            prop_assert!(!url.contains(['?', '#', '@', '\\', ' ']));
        }
    }
}
