//! Which dependent comes after which: a plan of names, without a notion of kinds or clusters.
use std::collections::BTreeSet;

/// An order of the nodes of a graph, by their positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Every node, after all that it comes after; otherwise as declared.
    pub(super) order: Vec<usize>,
    /// For each node, those it directly comes after.
    pub(super) after: Vec<Vec<usize>>,
    /// For each node, all it comes after, directly or not.
    before: Vec<BTreeSet<usize>>,
}

/// Why a graph has no order. The derive refuses all of these at compile time.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// Two dependents have one name.
    #[error("two dependents are called {name}: give another name to one of them")]
    Twice {
        /// The name.
        name: &'static str,
    },
    /// A dependent comes after one that there is not.
    #[error("the dependent {name} comes after {after}, which is no dependent")]
    Unknown {
        /// The dependent.
        name: &'static str,
        /// What it comes after.
        after: &'static str,
    },
    /// A dependent comes after itself.
    #[error("the dependent {name} comes after itself, directly or through others")]
    Cycle {
        /// One dependent of the cycle.
        name: &'static str,
    },
}

impl Plan {
    /// Orders nodes, each given by its name and the names it comes after.
    pub(super) fn new(nodes: &[(&'static str, &[&'static str])]) -> Result<Self, OrderError> {
        let position = |name: &str| nodes.iter().position(|(other, _)| *other == name);
        let mut after = Vec::with_capacity(nodes.len());
        for (at, (name, names)) in nodes.iter().enumerate() {
            if position(name) != Some(at) {
                return Err(OrderError::Twice { name });
            }
            let unknown = |after: &&'static str| OrderError::Unknown { name, after };
            let positions = names.iter().map(|other| position(other).ok_or_else(|| unknown(other)));
            after.push(positions.collect::<Result<Vec<_>, _>>()?);
        }
        let mut before: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); nodes.len()];
        let mut order = Vec::with_capacity(nodes.len());
        while order.len() < nodes.len() {
            let free = |at: &usize| !order.contains(at) && after[*at].iter().all(|other| order.contains(other));
            let Some(next) = (0..nodes.len()).find(free) else {
                let stuck = (0..nodes.len()).find(|at| !order.contains(at)).unwrap_or_default();
                return Err(OrderError::Cycle { name: nodes[stuck].0 });
            };
            let all = after[next].iter().flat_map(|&other| before[other].iter().copied().chain([other])).collect();
            before[next] = all;
            order.push(next);
        }
        Ok(Self { order, after, before })
    }

    /// Says whether `later` comes after `earlier`, directly or not.
    pub(super) fn is_after(&self, later: usize, earlier: usize) -> bool {
        self.before[later].contains(&earlier)
    }

    /// Says which of several objects may go now, given the node that each belongs to: those that nothing which is to go
    /// comes after. What belongs to no node goes at once.
    pub(super) fn may_go(&self, nodes: &[Option<usize>]) -> Vec<bool> {
        let last = |at: usize| !nodes.iter().flatten().any(|&other| self.is_after(other, at));
        nodes.iter().map(|node| node.is_none_or(last)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: [(&str, &[&str]); 4] =
        [("route", &["service", "page"]), ("page", &[]), ("service", &["server"]), ("server", &["page"])];

    #[test]
    fn a_node_follows_all_it_comes_after_and_otherwise_the_order_of_declaration() {
        let check = |nodes: &[(&'static str, &[&'static str])], expected: &[&str]| {
            let order = Plan::new(nodes).unwrap().order;
            assert_eq!(order.iter().map(|at| nodes[*at].0).collect::<Vec<_>>(), expected);
        };
        check(&[], &[]);
        check(&[("b", &[]), ("a", &[])], &["b", "a"]);
        check(&WEB, &["page", "server", "service", "route"]);
    }

    #[test]
    fn what_a_node_comes_after_includes_what_that_comes_after() {
        let plan = Plan::new(&WEB).unwrap();
        assert!(plan.is_after(0, 3) && plan.is_after(0, 1) && !plan.is_after(3, 0) && !plan.is_after(1, 1));
    }

    #[test]
    fn a_graph_without_an_order_names_the_dependent_at_fault() {
        let check = |nodes: &[(&'static str, &[&'static str])], expected: OrderError| {
            assert_eq!(Plan::new(nodes), Err(expected));
        };
        check(&[("a", &[]), ("a", &[])], OrderError::Twice { name: "a" });
        check(&[("a", &["b"])], OrderError::Unknown { name: "a", after: "b" });
        check(&[("a", &["a"])], OrderError::Cycle { name: "a" });
        check(&[("x", &[]), ("a", &["b"]), ("b", &["c"]), ("c", &["a"])], OrderError::Cycle { name: "a" });
    }

    #[test]
    fn objects_go_in_reverse_order_and_strangers_at_once() {
        let plan = Plan::new(&WEB).unwrap();
        let check = |nodes: &[Option<usize>], expected: &[bool]| assert_eq!(plan.may_go(nodes), expected, "{nodes:?}");
        check(&[Some(0), Some(1), Some(2), Some(3), None], &[true, false, false, false, true]);
        check(&[Some(1), Some(3), Some(3)], &[false, true, true]);
        check(&[Some(1)], &[true]);
        check(&[], &[]);
    }
}
