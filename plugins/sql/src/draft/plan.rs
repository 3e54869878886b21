//! From links to one statement: which table's rows are looked at, what is joined to them, and how they are counted.
//!
//! Invariant: every table is joined along a declared reference from the many to the one, so no row is counted twice; where
//! that cannot be, there is no plan.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::link::{Link, What};
use crate::graph::{Graph, Join};

/// Ways from a table to those that it references, and to those that they reference.
pub(super) struct Up<'a> {
    came: BTreeMap<usize, Join<'a>>,
    far: BTreeMap<usize, usize>,
}

impl<'a> Up<'a> {
    fn from(graph: &Graph<'a>, root: usize) -> Up<'a> {
        let mut up = Up { came: BTreeMap::new(), far: BTreeMap::from([(root, 0)]) };
        let mut queue = VecDeque::from([root]);
        while let Some(at) = queue.pop_front() {
            let far = up.far[&at];
            for join in graph.parents(at) {
                if let Entry::Vacant(free) = up.far.entry(join.table) {
                    free.insert(far + 1);
                    up.came.insert(join.table, join);
                    queue.push_back(join.table);
                }
            }
        }
        up
    }

    /// How far a table is.
    pub(super) fn far(&self, table: usize) -> Option<usize> {
        self.far.get(&table).copied()
    }
}

/// All ways.
pub(super) struct Ways<'a> {
    pub(super) up: Vec<Up<'a>>,
}

impl<'a> Ways<'a> {
    pub(super) fn new(graph: &Graph<'a>) -> Ways<'a> {
        Ways { up: (0..graph.tables.len()).map(|root| Up::from(graph, root)).collect() }
    }

    /// What it costs to look at these tables from a root; none where one is out of reach.
    fn cost(&self, root: usize, tables: &BTreeSet<usize>) -> Option<usize> {
        let far: Option<Vec<usize>> = tables.iter().map(|table| self.up[root].far(*table)).collect();
        Some(far?.iter().sum::<usize>() * 2 + 3 * usize::from(!tables.contains(&root)))
    }

    /// The table from which all are reached by the shortest way; none where two would do as well.
    pub(super) fn root(&self, tables: &BTreeSet<usize>) -> Option<(usize, usize)> {
        let mut all: Vec<(usize, usize)> =
            (0..self.up.len()).filter_map(|root| Some((self.cost(root, tables)?, root))).collect();
        all.sort_unstable();
        match all.as_slice() {
            [first, second, ..] if first.0 == second.0 => None,
            [(cost, root), ..] => Some((*root, *cost)),
            [] => None,
        }
    }

    /// Of each link one meaning: those that hang together by the shortest ways.
    pub(super) fn choose(&self, links: &[Link]) -> Vec<What> {
        let mut tables: BTreeSet<usize> = BTreeSet::new();
        for link in links {
            if let [only] = link.what.as_slice() {
                tables.insert(only.table());
            }
        }
        // The others by how near they are; the first named chooses first.
        let mut chosen = Vec::with_capacity(links.len());
        for link in links {
            let cost = |what: &What| {
                let mut with = tables.clone();
                with.insert(what.table());
                let root = (0..self.up.len()).filter_map(|root| self.cost(root, &with)).min();
                (root.unwrap_or(1_000), usize::from(!tables.contains(&what.table())))
            };
            if let Some(best) = link.what.iter().min_by_key(|what| cost(what)) {
                tables.insert(best.table());
                chosen.push(best.clone());
            }
        }
        chosen
    }

    /// `orders o JOIN customers c ON …`: a root and what it needs.
    pub(super) fn from(&self, graph: &Graph<'a>, root: usize, tables: &BTreeSet<usize>) -> Option<String> {
        let mut there = BTreeSet::from([root]);
        let mut text = format!("{} {}", crate::schema::plain(&graph.tables[root].0), graph.alias(root));
        for table in tables {
            let mut way = Vec::new();
            let mut at = *table;
            while !there.contains(&at) {
                let join = self.up[root].came.get(&at)?;
                way.push(*join);
                at = join.with;
            }
            for join in way.into_iter().rev() {
                there.insert(join.table);
                text.push_str(&format!(" {}", graph.written(&join, |table| graph.alias(table).to_owned())));
            }
        }
        Some(text)
    }
}
