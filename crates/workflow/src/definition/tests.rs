//! Definitions: what is accepted, every fault with its line, configuration, effects and comparison.

use super::{FaultCode, check_config, compare, definition_schema, effects, validate};
use crate::{INBOUND_LEAD_TRIAGE, ISSUE_TRIAGE};
use proptest::prelude::*;
use serde_json::{Value, json};

const SOUND: &str = "\
name: sound
nodes:
  - {id: start, type: source, kind: manual}
  - {id: ask, type: ai, after: [start], model: offline, prompt: 'Hi {{ input.name }}'}
";

/// The faults of a text, one a line: line, node, code.
fn faults(text: &str) -> String {
    let faults = validate(text).expect_err("faults");
    let line = |fault: &super::Fault| {
        format!("{} {} {}", fault.line, fault.node.as_deref().unwrap_or("-"), fault.code)
    };
    faults.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The faults of [`SOUND`] with further lines of nodes or edges.
fn faults_with(more: &str) -> String {
    faults(&format!("{SOUND}{more}"))
}

#[test]
fn a_sound_definition_is_accepted() {
    let definition = validate(SOUND).unwrap();
    assert_eq!((definition.name(), definition.nodes().len(), definition.edges().len()), ("sound", 2, 1));
    assert_eq!(definition.timeout_seconds(), super::DEFAULT_RUN_SECONDS);
    let json = serde_json::to_string_pretty(definition.document()).unwrap();
    assert_eq!(validate(&json).unwrap(), definition);
}

#[test]
fn shapes_are_checked() {
    assert_eq!(faults("[]"), "1 - wrong_type");
    assert_eq!(faults("name: a"), "1 - missing_field");
    assert_eq!(faults("name: ''\nnodes: []"), "1 - empty\n2 - empty");
    assert_eq!(faults("name: a\nnodes:\n  - 1"), "3 - wrong_type");
    assert_eq!(faults_with("  - {id: x, type: robot, after: [start]}"), "5 x wrong_value");
    assert_eq!(faults_with("  - {id: x, after: [start]}"), "5 x missing_field");
    assert_eq!(faults_with("  - {id: A-b, type: transform, after: [start], output: 1}"), "5 - wrong_value");
    assert_eq!(
        faults_with("  - id: x\n    type: ai\n    after: [start]\n    model: m\n    promt: hi"),
        "9 x unknown_field"
    );
    assert_eq!(
        faults_with("  - {id: x, type: http, after: [start], method: get, url: 'https://a.example/'}"),
        "5 x wrong_value"
    );
    assert_eq!(
        faults_with(
            "  - id: x\n    type: transform\n    after: [start]\n    output: 1\n    retry: {max_attempts: 2}"
        ),
        "9 x unknown_field"
    );
    assert_eq!(faults_with("timeout: 0"), "5 - wrong_value");
    assert_eq!(faults_with("colour: red"), "5 - unknown_field");
}

#[test]
fn retries_are_bounded() {
    let node = |retry: &str| {
        format!(
            "  - id: x\n    type: ai\n    after: [start]\n    model: m\n    prompt: p\n    retry: {retry}"
        )
    };
    for retry in [
        "{max_attempts: 0}",
        "{max_attempts: 11}",
        "{max_attempts: 2, backoff: {factor: 0}}",
        "{max_attempts: 2, backoff: {initial_seconds: 9, max_seconds: 3}}",
    ] {
        assert_eq!(faults_with(&node(retry)), "10 x wrong_value", "{retry}");
    }
    assert!(
        validate(&format!("{SOUND}{}", node("{max_attempts: 10, backoff: {max_seconds: 3600}}"))).is_ok()
    );
}

#[test]
fn the_graph_is_checked() {
    assert_eq!(faults_with("  - {id: ask, type: transform, output: 1}"), "5 ask duplicate_node");
    assert_eq!(faults_with("  - {id: two, type: source, kind: manual}"), "5 two several_sources");
    assert_eq!(faults("name: a\nnodes:\n  - {id: x, type: transform, output: 1}"), "3 - no_source");
    assert_eq!(faults_with("  - {id: far, type: transform, output: 1}"), "5 far unreachable");
    assert_eq!(faults_with("edges:\n  - {from: ask, to: nobody}"), "6 nobody unknown_node");
    assert_eq!(faults_with("edges:\n  - {from: ask, to: start}"), "3 start cycle\n6 start edge_into_source");
    assert_eq!(faults_with("edges:\n  - {from: start, to: ask}"), "4 ask duplicate_edge");
    assert_eq!(faults_with("edges:\n  - {from: start, to: ask, when: true}"), "6 start edge_branch");
}

#[test]
fn a_cycle_is_named() {
    let text = format!(
        "{SOUND}  - {{id: a, type: transform, after: [ask, c], output: 1}}\n  - {{id: b, type: transform, after: \
         [a], output: 1}}\n  - {{id: c, type: transform, after: [b], output: 1}}\n"
    );
    let faults = validate(&text).unwrap_err();
    assert_eq!(faults[0].code, FaultCode::Cycle);
    assert!(faults[0].message.contains("`a` → `b` → `c` → `a`"), "{}", faults[0].message);
}

#[test]
fn templates_are_checked_with_their_lines() {
    let prompt = |text: &str| {
        format!(
            "  - id: x\n    type: ai\n    after: [ask]\n    model: m\n    prompt: |\n      one\n      {text}\n"
        )
    };
    for (text, expected) in [
        ("{{ input.", "11 x template_syntax"),
        ("{{ a b }}", "11 x template_syntax"),
        ("{% if x %}", "11 x template_syntax"),
        ("{{ nothing.here }}", "11 x unknown_variable"),
        ("{{ steps }}", "11 x unknown_variable"),
        ("{{ steps.ask.result }}", "11 x unknown_variable"),
        ("{{ run.secret }}", "11 x unknown_variable"),
        ("{{ steps.nobody.output }}", "11 x unknown_node"),
        ("{{ steps.x.output }}", "11 x not_upstream"),
        ("{{ input | shout }}", "11 x unknown_filter"),
        ("{{ input is loud }}", "11 x unknown_filter"),
    ] {
        assert_eq!(faults_with(&prompt(text)), expected, "{text}");
    }
    for text in [
        "{{ steps.ask.output.text }}",
        "{{ run.id ~ run.mode }}",
        "{{ config.any }}",
        "{{ range(3) | list }}",
    ] {
        assert!(validate(&format!("{SOUND}{}", prompt(text))).is_ok(), "{text}");
    }
}

#[test]
fn data_may_not_decide_where_things_go() {
    let http = |url: &str| {
        faults_with(&format!("  - {{id: x, type: http, after: [ask], method: GET, url: \"{url}\"}}"))
    };
    for url in [
        "{{ input.url }}",
        "https://{{ input.host }}/x",
        "https://a.example{{ input.rest }}/x",
        "{{ config.base }}{{ input.rest }}",
        "{{ steps.ask.output.text }}/x",
    ] {
        assert_eq!(http(url), "5 x config_only", "{url}");
    }
    let sound =
        "  - {id: x, type: http, after: [ask], method: GET, url: \"{{ config.base }}/{{ input.id }}\"}";
    assert!(validate(&format!("{SOUND}{sound}")).is_ok());
    let model = "  - {id: x, type: ai, after: [ask], model: \"{{ input.model }}\", prompt: p}";
    assert_eq!(faults_with(model), "5 x config_only");
    let credential = "  - {id: x, type: http, after: [ask], method: GET, url: 'https://a.example/', credential: '{{ input.c }}'}";
    assert_eq!(faults_with(credential), "5 x config_only");
}

#[test]
fn node_types_have_rules() {
    let record = |rest: &str| faults_with(&format!("  - {{id: x, type: record, after: [ask], {rest}}}"));
    assert_eq!(record("operation: create, collection: c"), "5 x missing_field");
    assert_eq!(record("operation: update, collection: c, fields: {}"), "5 x missing_field");
    assert_eq!(record("operation: upsert, collection: c, fields: {}, match: {}"), "5 x missing_field");
    assert_eq!(record("operation: get, collection: c, record_id: a, limit: 3"), "5 x unknown_field");
    assert_eq!(record("operation: find, collection: 'A b'"), "5 x wrong_value");
    assert_eq!(record("operation: find, collection: c, limit: 101"), "5 x wrong_value");
    let http = |rest: &str| {
        faults_with(&format!(
            "  - {{id: x, type: http, after: [ask], method: GET, url: 'https://a.example', {rest}}}"
        ))
    };
    assert_eq!(http("headers: {Authorization: x}"), "5 x wrong_value");
    assert_eq!(http("headers: {'a b': x}"), "5 x wrong_value");
    assert_eq!(http("expect_status: [99]"), "5 x wrong_value");
    assert_eq!(http("max_response_bytes: 9999999"), "5 x wrong_value");
    let ai = |rest: &str| {
        faults_with(&format!("  - {{id: x, type: ai, after: [ask], model: m, prompt: p, {rest}}}"))
    };
    assert_eq!(ai("temperature: 3"), "5 x wrong_value");
    assert_eq!(ai("output_schema: {type: strange}"), "5 x invalid_schema");
    assert_eq!(ai("output_schema: {type: string}"), "5 x invalid_schema");
    assert_eq!(ai("output_schema: {type: object, $ref: 'https://a.example/s.json'}"), "5 x invalid_schema");
}

#[test]
fn webhooks_have_rules() {
    let source = |webhook: &str| {
        let text = format!("name: a\nnodes:\n  - {{id: s, type: source, kind: webhook{webhook}}}");
        validate(&text).err().map(|faults| faults[0].code)
    };
    assert_eq!(source(""), Some(FaultCode::MissingField));
    assert_eq!(source(", webhook: {scheme: github}"), Some(FaultCode::MissingField));
    assert_eq!(source(", webhook: {scheme: gitlab, secret: s}"), Some(FaultCode::WrongValue));
    assert_eq!(source(", webhook: {scheme: none, secret: s}"), Some(FaultCode::UnknownField));
    assert_eq!(source(", webhook: {scheme: '{{ config.s }}'}"), Some(FaultCode::MissingField));
    assert_eq!(source(", webhook: {scheme: '{{ input.s }}', secret: s}"), Some(FaultCode::ConfigOnly));
    assert_eq!(
        source(", webhook: {scheme: slack, secret: s, tolerance_seconds: 9999}"),
        Some(FaultCode::WrongValue)
    );
    assert_eq!(source(", webhook: {scheme: slack, secret: s}"), None);
    assert_eq!(source(", webhook: {scheme: none}"), None);
}

#[test]
fn too_many_nodes_are_refused() {
    let nodes = |count: usize| {
        let more = |index| format!("  - {{id: n{index}, type: transform, after: [start], output: 1}}\n");
        (0..count).fold(SOUND.to_owned(), |text, index| text + &more(index))
    };
    assert!(validate(&nodes(198)).is_ok());
    assert_eq!(faults(&nodes(199)), "3 - too_many");
}

#[test]
fn all_faults_come_at_once() {
    let text = "name: a\nnodes:\n  - {id: s, type: source}\n  - {id: x, type: ai, prompt: 1, model: m}\n  \
                - {id: y, type: condition, expression: '1 +'}\n";
    assert_eq!(faults(text), "3 s missing_field\n4 x wrong_type\n5 y template_syntax");
}

#[test]
fn configuration_is_checked_against_the_schema() {
    let definition = validate(INBOUND_LEAD_TRIAGE).unwrap();
    let sound =
        json!({"crm_url": "https://crm.example.com", "default_owner": "ada", "routing": {"de": "anna"}});
    assert_eq!(check_config(&definition, &sound), []);
    let pointers = |config: &Value| -> Vec<String> {
        check_config(&definition, config).into_iter().map(|fault| fault.pointer).collect()
    };
    assert_eq!(pointers(&json!({})), ["", ""]);
    assert_eq!(pointers(&json!([])), [""]);
    assert_eq!(pointers(&json!({"crm_url": 1, "default_owner": ""})), ["/crm_url", "/default_owner"]);
    assert_eq!(pointers(&json!({"crm_url": "https://a.example", "default_owner": "a", "other": 1})), [""]);
    let unknown = "config_required: {properties: {a: {}}}\n";
    let text = format!("{unknown}{}", SOUND.replace("input.name", "config.b"));
    assert_eq!(faults(&text), "5 ask unknown_config");
}

#[test]
fn messages_do_not_repeat_configured_values() {
    let definition = validate(INBOUND_LEAD_TRIAGE).unwrap();
    let config = json!({"crm_url": "private-value", "default_owner": "a"});
    let faults = check_config(&definition, &config);
    assert!(faults.len() == 1 && !faults[0].message.contains("private-value"), "{faults:?}");
}

#[test]
fn the_shipped_templates_are_sound_and_say_what_they_reach() {
    let lead = validate(INBOUND_LEAD_TRIAGE).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let issue = validate(ISSUE_TRIAGE).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let reached = effects(&lead);
    let texts = |set: &std::collections::BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
    assert_eq!(texts(&reached.hosts), ["{{ config.crm_url }}"]);
    assert_eq!(texts(&reached.credentials), ["crm", "lead-webhook"]);
    assert_eq!(texts(&reached.models), ["{{ config.model | default('offline') }}"]);
    assert_eq!(texts(&reached.collections), ["contacts"]);
    assert_eq!(texts(&effects(&issue).collections), ["issues"]);
}

#[test]
fn hosts_are_told_with_their_ports() {
    let host = |url: &str| {
        let node = format!("  - {{id: x, type: http, after: [ask], method: GET, url: \"{url}\"}}");
        let definition = validate(&format!("{SOUND}{node}")).unwrap();
        effects(&definition).hosts.into_iter().next().unwrap()
    };
    assert_eq!(host("https://api.example.com:8443/v1/{{ input.id }}?x=1"), "api.example.com:8443");
    assert_eq!(host("https://{{config.host}}/v1"), "{{ config.host }}");
    assert_eq!(host("https://api.example.com"), "api.example.com");
    assert_eq!(host("{{ config.base }}?q={{ input.q }}"), "{{ config.base }}");
}

#[test]
fn an_upgrade_shows_what_changes() {
    let old = validate(INBOUND_LEAD_TRIAGE).unwrap();
    assert_eq!(compare(&old, &old), super::Changes::default());
    let text = INBOUND_LEAD_TRIAGE
        .replace("You triage inbound leads", "You judge inbound leads")
        .replace("{{ config.crm_url }}/leads", "https://collector.example/leads")
        .replace("id: remember", "id: store")
        .replace("required: [crm_url, default_owner]", "required: [crm_url]");
    let changes = compare(&old, &validate(&text).unwrap());
    assert_eq!(changes.prompts.changed, ["classify"]);
    assert_eq!(changes.hosts.added, ["collector.example"]);
    assert_eq!(changes.hosts.removed, ["{{ config.crm_url }}"]);
    assert_eq!((changes.nodes.added, changes.nodes.removed), (vec!["store".into()], vec!["remember".into()]));
    assert_eq!(changes.nodes.changed, ["classify", "hand_over"]);
    assert_eq!(changes.edges.added, ["classify → store"]);
    assert!(changes.config_required);
}

#[test]
fn the_published_schema_fits_the_templates_and_refuses_nonsense() {
    let schema = serde_json::to_value(definition_schema()).unwrap();
    for text in [INBOUND_LEAD_TRIAGE, ISSUE_TRIAGE, SOUND] {
        let document = validate(text).unwrap().document().clone();
        assert_eq!(super::fits(&schema, &document), Ok(()));
    }
    for wrong in [
        json!({"name": "a"}),
        json!({"name": "a", "nodes": []}),
        json!({"name": "a", "nodes": [{"id": "x", "type": "robot"}]}),
        json!({"name": "a", "nodes": [{"id": "x", "type": "condition"}]}),
        json!({"name": "a", "nodes": [{"id": "X", "type": "condition", "expression": "1"}]}),
    ] {
        assert!(super::fits(&schema, &wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_damaged_definition_is_accepted_or_refused_with_lines(
        start in 0..INBOUND_LEAD_TRIAGE.len(), length in 1_usize..40, with in "[ -~\n]{0,6}",
    ) {
        let end = (start + length).min(INBOUND_LEAD_TRIAGE.len());
        let text = format!("{}{with}{}", &INBOUND_LEAD_TRIAGE[..start], &INBOUND_LEAD_TRIAGE[end..]);
        let lines = u64::try_from(text.lines().count()).unwrap() + 1;
        for fault in validate(&text).err().unwrap_or_default() {
            prop_assert!((1..=lines).contains(&fault.line), "{fault}");
        }
    }
}

const GUIDE: &str = include_str!("../../../../docs/workflows.md");

#[test]
fn the_guide_is_true() {
    let example = GUIDE.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    validate(example).unwrap_or_else(|faults| panic!("{faults:#?}"));
    for code in FaultCode::ALL {
        let row = format!("| `{code}` | {} |", code.meaning().trim_end_matches('.'));
        assert!(GUIDE.contains(&row), "{row}");
    }
    let filters = GUIDE.split("Filters: ").nth(1).and_then(|rest| rest.split(". Functions").next()).unwrap();
    let language = crate::template::Language::new();
    for filter in filters.split('`').skip(1).step_by(2) {
        let filter = filter.split('(').next().unwrap();
        assert_eq!(language.unknown_words(&format!("input | {filter}")), [""; 0], "{filter}");
    }
}
