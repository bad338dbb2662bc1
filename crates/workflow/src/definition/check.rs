//! Checks of the parts against each other: the graph, and what templates refer to.

use super::config::{declares, pointer as config_pointer, schema_fault};
use super::document::Document;
use super::fault::{Fault, FaultCode};
use super::graph::{Cycle, Graph};
use super::node::{Edge, Kind, Node, NodeName};
use super::place::{Place, Slot};
use super::read::Draft;
use super::{Definition, LIGHT_BYTES, rules};
use crate::template::{Language, Part, bytes_up_to, host_end, is_path, split};
use std::collections::{BTreeMap, BTreeSet};

const VARIABLES: &str = "Templates see `input`, `config`, `steps.<id>.output`, `run.id`, `run.workflow`, `run.mode`, \
     `delivery.id` and `delivery.headers`";

pub(super) fn check(draft: Draft, document: &Document, faults: &mut Vec<Fault>) -> Option<Definition> {
    let distinct: BTreeSet<&NodeName> = draft.nodes.iter().map(|(node, _)| &node.id).collect();
    // What follows from a node that could not be read, or whose id is taken, is not reported as well.
    let complete = draft.complete && distinct.len() == draft.nodes.len();
    let mut checker = Checker { document, faults, language: Language::new() };
    if let Some(reason) = schema_fault(&draft.config_required) {
        checker.fault(FaultCode::InvalidSchema, None, "/config_required", reason);
    }
    checker.duplicates(&draft.nodes);
    checker.sources(&draft.nodes, complete);
    checker.edges(&draft, complete);
    for (node, pointer) in &draft.nodes {
        for (code, at, message) in rules::findings(node) {
            checker.fault(code, Some(&node.id), &format!("{pointer}{at}"), message);
        }
    }
    let (nodes, pointers): (Vec<Node>, Vec<String>) = draft.nodes.into_iter().unzip();
    let edges: Vec<Edge> = draft.edges.into_iter().map(|(edge, _)| edge).collect();
    let graph = match Graph::new(&nodes, &edges) {
        Ok(graph) => Some(graph),
        Err(cycle) => {
            checker.cycle(&cycle, &nodes, &pointers);
            None
        }
    };
    if let Some(graph) = graph.as_ref().filter(|_| complete) {
        checker.unreachable(graph, &nodes, &pointers);
    }
    for (position, node) in nodes.iter().enumerate() {
        let scope = Scope { graph: graph.as_ref(), position, nodes: &nodes, config: &draft.config_required };
        for slot in node.slots() {
            checker.slot(node, &pointers[position], &slot, &scope, complete);
        }
    }
    // What a transform makes of nothing but its own text is looked up as well.
    let looks_up_only = looks_up_only(&nodes) && bytes_up_to(&document.value, LIGHT_BYTES).is_some();
    Some(Definition {
        name: draft.name,
        description: draft.description,
        timeout_seconds: draft.timeout_seconds,
        config_required: draft.config_required,
        nodes,
        edges,
        graph: graph?,
        document: document.value.clone(),
        looks_up_only,
    })
}

/// Templates that may be evaluated where it must not take long.
const FEW_TEMPLATES: usize = 64;

/// Whether the nodes' templates only look values up. What transforms make of values may double with each of
/// them, so theirs count only where they hold no expression.
fn looks_up_only(nodes: &[Node]) -> bool {
    let mut expressions = 0;
    let light = nodes.iter().all(|node| {
        node.slots().iter().all(|slot| {
            let parts = match slot.place {
                Place::Expression => Ok(vec![Part::Expression { source: slot.text.to_owned(), line: 1 }]),
                _ => split(slot.text),
            };
            parts.is_ok_and(|parts| {
                parts.iter().all(|part| match part {
                    Part::Text(_) => true,
                    Part::Expression { source, .. } => {
                        expressions += 1;
                        is_path(source) && !matches!(node.kind, Kind::Transform(_))
                    }
                })
            })
        })
    });
    light && expressions <= FEW_TEMPLATES
}

/// What a template of a node may refer to.
struct Scope<'a> {
    graph: Option<&'a Graph>,
    position: usize,
    nodes: &'a [Node],
    config: &'a serde_json::Value,
}

struct Checker<'a> {
    document: &'a Document,
    faults: &'a mut Vec<Fault>,
    language: Language,
}

impl Checker<'_> {
    fn fault(&mut self, code: FaultCode, node: Option<&NodeName>, pointer: &str, message: impl Into<String>) {
        let fault = self.document.fault(code, node, pointer, message);
        self.faults.push(fault);
    }

    fn duplicates(&mut self, nodes: &[(Node, String)]) {
        let mut seen: BTreeMap<&NodeName, &str> = BTreeMap::new();
        for (node, pointer) in nodes {
            if let Some(first) = seen.insert(&node.id, pointer) {
                let message = format!("The id is taken by the node at `{first}`. Choose another.");
                self.fault(FaultCode::DuplicateNode, Some(&node.id), &format!("{pointer}/id"), message);
            }
        }
    }

    fn sources(&mut self, nodes: &[(Node, String)], complete: bool) {
        let mut sources = nodes.iter().filter(|(node, _)| matches!(node.kind, Kind::Source(_)));
        if sources.next().is_none() && complete {
            let message = "There is no source. Add a node `type: source`, where runs begin.";
            self.fault(FaultCode::NoSource, None, "/nodes", message);
        }
        for (node, pointer) in sources {
            let message = "There is a source already. A workflow has one; remove the others.";
            self.fault(FaultCode::SeveralSources, Some(&node.id), pointer, message);
        }
    }

    fn edges(&mut self, draft: &Draft, complete: bool) {
        let nodes: BTreeMap<&NodeName, &Kind> =
            draft.nodes.iter().map(|(node, _)| (&node.id, &node.kind)).collect();
        let mut seen = BTreeSet::new();
        for (edge, pointer) in &draft.edges {
            for end in [&edge.from, &edge.to] {
                if complete && !nodes.contains_key(end) {
                    let message = format!("There is no node `{end}`. Correct the id, or add the node.");
                    self.fault(FaultCode::UnknownNode, Some(end), pointer, message);
                }
            }
            if !seen.insert((&edge.from, &edge.to, &edge.when)) {
                let message = format!("The edge from `{}` to `{}` is there already.", edge.from, edge.to);
                self.fault(FaultCode::DuplicateEdge, Some(&edge.to), pointer, message);
            }
            if matches!(nodes.get(&edge.to), Some(Kind::Source(_))) {
                let message = "Nothing comes before a source. Turn the edge around, or remove it.";
                self.fault(FaultCode::EdgeIntoSource, Some(&edge.to), pointer, message);
            }
            let decides = matches!(nodes.get(&edge.from), Some(Kind::Condition(_)));
            if edge.when.is_some() && !decides && nodes.contains_key(&edge.from) {
                let message =
                    format!("`{}` is no condition, so it decides nothing. Remove `when`.", edge.from);
                self.fault(FaultCode::EdgeBranch, Some(&edge.from), &format!("{pointer}/when"), message);
            }
        }
    }

    fn cycle(&mut self, cycle: &Cycle, nodes: &[Node], pointers: &[String]) {
        let names: Vec<_> = cycle.0.iter().map(|node| format!("`{}`", nodes[*node].id)).collect();
        let Some(first) = cycle.0.first() else { return };
        let message =
            format!("These nodes wait for each other: {}. Remove one of the edges.", names.join(" → "));
        self.fault(FaultCode::Cycle, Some(&nodes[*first].id), &pointers[*first], message);
    }

    fn unreachable(&mut self, graph: &Graph, nodes: &[Node], pointers: &[String]) {
        let source = nodes.iter().position(|node| matches!(node.kind, Kind::Source(_)));
        let Some(source) = source else { return };
        for (position, node) in nodes.iter().enumerate() {
            let is_source = matches!(node.kind, Kind::Source(_));
            if !is_source && !graph.upstream[position].contains(&source) {
                let message = "No path from the source leads here. Add an edge into it, or remove the node.";
                self.fault(FaultCode::Unreachable, Some(&node.id), &pointers[position], message);
            }
        }
    }

    fn slot(&mut self, node: &Node, at: &str, slot: &Slot<'_>, scope: &Scope<'_>, complete: bool) {
        let pointer = format!("{at}{}", slot.pointer);
        let parts = match slot.place {
            Place::Expression => Ok(vec![Part::Expression { source: slot.text.to_owned(), line: 1 }]),
            _ => split(slot.text),
        };
        let parts = match parts {
            Ok(parts) => parts,
            Err(error) => {
                self.fault_within(FaultCode::TemplateSyntax, node, &pointer, error.line, error.message);
                return;
            }
        };
        let host_end = host_end(&parts);
        for (index, part) in parts.iter().enumerate() {
            let Part::Expression { source, line } = part else { continue };
            let config_only = match slot.place {
                Place::Config => true,
                Place::Url => index <= host_end,
                Place::Text | Place::Expression => false,
            };
            let references = match self.language.references(source) {
                Ok(references) => references,
                Err(error) => {
                    let line = line + error.line - 1;
                    self.fault_within(FaultCode::TemplateSyntax, node, &pointer, line, error.message);
                    continue;
                }
            };
            for word in self.language.unknown_words(source) {
                let message = format!("There is no {word}. docs/workflows.md lists what there is.");
                self.fault_within(FaultCode::UnknownFilter, node, &pointer, *line, message);
            }
            for reference in references {
                if let Some((code, message)) = scope.refuse(&reference, config_only, complete) {
                    self.fault_within(code, node, &pointer, *line, message);
                }
            }
        }
    }

    fn fault_within(&mut self, code: FaultCode, node: &Node, pointer: &str, line: u64, message: String) {
        let mut fault = self.document.fault(code, Some(&node.id), pointer, message);
        fault.line = self.document.line_within(pointer, line);
        self.faults.push(fault);
    }
}

impl Scope<'_> {
    fn refuse(&self, reference: &str, config_only: bool, complete: bool) -> Option<(FaultCode, String)> {
        let mut path = reference.split('.');
        let root = path.next().unwrap_or_default();
        let (first, second) = (path.next(), path.next());
        if config_only && root != "config" {
            let message = format!(
                "`{reference}` may not decide this, because data comes from outside. Write it out, or use \
                 `config`."
            );
            return Some((FaultCode::ConfigOnly, message));
        }
        match (root, first) {
            ("input" | "config", None) => None,
            ("input", _) => None,
            ("config", Some(name)) if declares(self.config, name) => None,
            ("config", Some(name)) => {
                let place = config_pointer("properties");
                Some((FaultCode::UnknownConfig, format!("`{place}` has no `{name}`. Declare it there.")))
            }
            ("run", Some("id" | "workflow" | "mode")) if second.is_none() => None,
            ("delivery", Some("id")) if second.is_none() => None,
            ("delivery", Some("headers")) => None,
            ("steps", Some(step)) => self.step(step, second, complete),
            _ => Some((FaultCode::UnknownVariable, format!("There is no `{reference}`. {VARIABLES}."))),
        }
    }

    fn step(&self, step: &str, member: Option<&str>, complete: bool) -> Option<(FaultCode, String)> {
        let Some(position) = self.nodes.iter().position(|node| node.id.as_str() == step) else {
            let message = format!("There is no node `{step}`. Correct the id, or add the node.");
            return complete.then_some((FaultCode::UnknownNode, message));
        };
        if member.is_some_and(|member| member != "output") {
            let message = format!("A step has only `output`. Write `steps.{step}.output`.");
            return Some((FaultCode::UnknownVariable, message));
        }
        let graph = self.graph?;
        if graph.upstream[self.position].contains(&position) {
            return None;
        }
        let message = format!("`{step}` need not be over when this runs. Add a path of edges from it.");
        Some((FaultCode::NotUpstream, message))
    }
}
