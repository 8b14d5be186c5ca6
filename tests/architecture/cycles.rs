//! Circles among modules: among files, and among the folders of each folder taken as wholes.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;

use super::Tree;
use super::references::{ModulePath, Modules};

pub(super) fn problems(tree: &Tree) -> Vec<String> {
    let edges = Modules::of(tree).edges();
    let mut circles: BTreeSet<Vec<String>> = circles(&edges);
    let deepest = edges
        .iter()
        .map(|(from, to)| from.len().max(to.len()))
        .max()
        .unwrap_or(0);
    for depth in 1..=deepest {
        circles.extend(self::circles(&among_siblings(&edges, depth)));
    }
    circles
        .iter()
        .map(|circle| format!("these use each other in a circle: {}", circle.join(", ")))
        .collect()
}

/// The edges between different modules of that depth which have the same parent.
fn among_siblings(
    edges: &BTreeSet<(ModulePath, ModulePath)>,
    depth: usize,
) -> BTreeSet<(ModulePath, ModulePath)> {
    let mut merged = BTreeSet::new();
    for (from, to) in edges {
        let (Some(a), Some(b)) = (from.get(..depth), to.get(..depth)) else {
            continue;
        };
        if a != b && a[..depth - 1] == b[..depth - 1] {
            merged.insert((a.to_vec(), b.to_vec()));
        }
    }
    merged
}

fn circles(edges: &BTreeSet<(ModulePath, ModulePath)>) -> BTreeSet<Vec<String>> {
    let modules: Vec<&ModulePath> = edges
        .iter()
        .flat_map(|(a, b)| [a, b])
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let number: BTreeMap<&ModulePath, usize> = modules
        .iter()
        .enumerate()
        .map(|(index, module)| (*module, index))
        .collect();
    let graph: DiGraphMap<usize, ()> = edges.iter().map(|(a, b)| (number[a], number[b])).collect();
    let groups = tarjan_scc(&graph)
        .into_iter()
        .filter(|group| group.len() > 1);
    groups
        .map(|mut group| {
            group.sort_unstable();
            group
                .iter()
                .map(|index| modules[*index].join("::"))
                .collect()
        })
        .collect()
}
