//! The nodes as a graph: who waits for whom, in which order, and what is upstream of what.

use super::node::{Edge, Node, NodeName};
use std::collections::{BTreeMap, BTreeSet};

/// Neighbours, order and ancestry of nodes, by their position in the definition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Graph {
    /// Positions of edges that lead into each node.
    pub(crate) incoming: Vec<Vec<usize>>,
    /// Each edge's two nodes.
    pub(crate) ends: Vec<(usize, usize)>,
    /// The nodes, each after all that it waits for.
    pub(crate) order: Vec<usize>,
    /// The nodes upstream of each node.
    pub(crate) upstream: Vec<BTreeSet<usize>>,
    index: BTreeMap<NodeName, usize>,
}

/// Nodes that wait for each other, the first repeated at the end.
pub(crate) struct Cycle(pub(crate) Vec<usize>);

impl Graph {
    /// Builds the graph. Every edge must name existing nodes.
    pub(crate) fn new(nodes: &[Node], edges: &[Edge]) -> Result<Self, Cycle> {
        let index: BTreeMap<_, _> =
            nodes.iter().enumerate().map(|(position, node)| (node.id.clone(), position)).collect();
        let ends: Vec<(usize, usize)> =
            edges.iter().filter_map(|edge| Some((*index.get(&edge.from)?, *index.get(&edge.to)?))).collect();
        let mut incoming = vec![Vec::new(); nodes.len()];
        for (edge, (_, to)) in ends.iter().enumerate() {
            incoming[*to].push(edge);
        }
        let order = order(nodes.len(), &ends)?;
        let mut upstream: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); nodes.len()];
        for node in &order {
            let mut above = BTreeSet::new();
            for edge in &incoming[*node] {
                let (from, _) = ends[*edge];
                above.insert(from);
                above.extend(&upstream[from]);
            }
            upstream[*node] = above;
        }
        Ok(Self { incoming, ends, order, upstream, index })
    }

    /// The position of a node.
    pub(crate) fn position(&self, node: &NodeName) -> Option<usize> {
        self.index.get(node).copied()
    }

    /// The nodes downstream of this one.
    pub(crate) fn downstream(&self, node: usize) -> impl Iterator<Item = usize> + '_ {
        (0..self.upstream.len()).filter(move |other| self.upstream[*other].contains(&node))
    }
}

/// Kahn's algorithm (1962), the lowest position first, so that the order is a function of the text.
fn order(count: usize, ends: &[(usize, usize)]) -> Result<Vec<usize>, Cycle> {
    let mut waits_for = vec![0_usize; count];
    let mut followers = vec![Vec::new(); count];
    for (from, to) in ends {
        waits_for[*to] += 1;
        followers[*from].push(*to);
    }
    let mut free: BTreeSet<usize> = (0..count).filter(|node| waits_for[*node] == 0).collect();
    let mut order = Vec::with_capacity(count);
    while let Some(node) = free.pop_first() {
        order.push(node);
        for next in &followers[node] {
            waits_for[*next] -= 1;
            if waits_for[*next] == 0 {
                free.insert(*next);
            }
        }
    }
    if order.len() == count { Ok(order) } else { Err(cycle(&waits_for, ends)) }
}

/// Walks back along edges from a node that was never free until a node comes up twice.
fn cycle(waits_for: &[usize], ends: &[(usize, usize)]) -> Cycle {
    let stuck = |node: &usize| waits_for[*node] > 0;
    let mut path: Vec<usize> = (0..waits_for.len()).find(stuck).into_iter().collect();
    while let Some(last) = path.last() {
        let before = ends.iter().find(|(from, to)| to == last && stuck(from)).map(|(from, _)| *from);
        let Some(before) = before else { break };
        let seen = path.iter().position(|node| *node == before);
        path.push(before);
        if let Some(start) = seen {
            path.drain(..start);
            break;
        }
    }
    path.reverse();
    Cycle(path)
}
