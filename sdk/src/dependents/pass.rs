//! One pass over a graph: apply in order what may be applied, and delete in reverse what is no longer desired.
use std::any::{Any, TypeId};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::apply::Deletion;
use crate::declare::Primary;
use crate::reconcile::error::Class;
use crate::reconcile::{Context, Error, Result};
use crate::resource::ObjectKey;

use super::desired::Siblings;
use super::graph::{Graph, Node, terminal};
use super::order::Plan;
use super::report::{Report, State};

/// The state of one pass.
pub(super) struct Pass<'a, P> {
    cx: &'a Context<P>,
    graph: &'a Graph<P>,
    plan: Plan,
    /// By node, once it was its turn.
    states: Vec<Option<State>>,
    /// Which node desires a child.
    claims: HashMap<(TypeId, ObjectKey), usize>,
    /// Children that were applied, by node.
    live: Vec<(usize, Arc<dyn Any + Send + Sync>)>,
    leaving: Vec<String>,
    undeletable: Option<String>,
    failure: Option<Error>,
}

/// A cached child that is to go.
struct Stray {
    /// The dependent it belongs to, unless the graph does not know it any more.
    node: Option<usize>,
    /// A node of its kind.
    kind: usize,
    key: ObjectKey,
    /// Of what was looked at: a child that has changed since may be somebody else's.
    deletion: Deletion,
}

impl<'a, P: Primary> Pass<'a, P> {
    /// Starts a pass.
    ///
    /// # Errors
    /// Terminal where the graph has no order.
    pub(super) fn new(cx: &'a Context<P>, graph: &'a Graph<P>) -> Result<Self> {
        let plan = graph.plan().map_err(|error| Error::from(error).terminal())?;
        Ok(Self {
            cx,
            graph,
            plan,
            states: vec![None; graph.nodes.len()],
            claims: HashMap::new(),
            live: Vec::new(),
            leaving: Vec::new(),
            undeletable: None,
            failure: None,
        })
    }

    /// Applies every dependent whose turn it is. A failure stops what comes after it and nothing else.
    pub(super) async fn apply(&mut self, primary: &P) {
        for node in self.plan.order.clone() {
            let waits = self.unready_before(node);
            let state = if !self.graph.nodes[node].is_wanted(primary) {
                State::Off
            } else if !waits.is_empty() {
                State::Waits(waits)
            } else {
                match self.apply_node(node, primary).await {
                    Ok(unready) if unready.is_empty() => State::Ready,
                    Ok(unready) => State::NotReady(unready),
                    Err(error) => {
                        let state = State::Failed(error.to_string());
                        self.fail(error);
                        state
                    }
                }
            };
            self.states[node] = Some(state);
        }
    }

    /// Deletes the children that no dependent desires any more, as far as it is their turn. Those of dependents of which
    /// it is not known what they desire stay. Returns whether none is left.
    pub(super) async fn prune(&mut self) -> bool {
        let strays = match self.strays() {
            Ok(strays) => strays,
            Err(error) => {
                self.undeletable = Some(error.to_string());
                self.fail(error);
                return false;
            }
        };
        let may_go = self.plan.may_go(&strays.iter().map(|stray| stray.node).collect::<Vec<_>>());
        for (stray, may_go) in strays.iter().zip(may_go) {
            let node = &self.graph.nodes[stray.kind];
            self.leaving.push(named(&**node, &stray.key));
            if may_go && let Err(error) = node.delete(self.cx, &stray.key, &stray.deletion).await {
                self.undeletable.get_or_insert(error.to_string());
                self.fail(error);
            }
        }
        strays.is_empty()
    }

    /// Ends the pass: what became of it, and the failure that says how to retry.
    pub(super) fn end(mut self) -> (Report, Option<Error>) {
        let states = self.plan.order.iter().filter_map(|&node| {
            let state = self.states[node].take()?;
            Some((self.graph.nodes[node].name(), state))
        });
        (Report { states: states.collect(), leaving: self.leaving, undeletable: self.undeletable }, self.failure)
    }

    async fn apply_node(&mut self, node: usize, primary: &P) -> Result<Vec<String>> {
        let (graph, cx) = (self.graph, self.cx);
        let dependent = &*graph.nodes[node];
        let children = dependent.desired(primary, cx.owner(), cx.controller(), &self.siblings(node))?;
        for child in &children {
            let claim = (dependent.kind_id(), child.key().clone());
            if let Some(other) = self.claims.insert(claim, node) {
                return Err(desired_twice(dependent, child.key(), graph.nodes[other].name()));
            }
        }
        let (mut unready, mut failure) = (Vec::new(), None);
        for child in children {
            let key = child.key().clone();
            match child.apply(cx).await {
                Ok(live) => {
                    self.live.push((node, live.object));
                    if !live.is_ready {
                        unready.push(named(dependent, &key));
                    }
                }
                Err(error) => failure = Some(milder(failure, error)),
            }
        }
        failure.map_or(Ok(unready), Err)
    }

    /// The children that `node` may look at: those of all it comes after.
    fn siblings(&self, node: usize) -> Siblings {
        let before = self.live.iter().filter(|(other, _)| self.plan.is_after(node, *other));
        Siblings(before.map(|(_, object)| Arc::clone(object)).collect())
    }

    fn unready_before(&self, node: usize) -> Vec<&'static str> {
        let settled = |node: usize| matches!(self.states[node], Some(State::Ready | State::Off));
        let before = self.plan.after[node].iter().filter(|&&other| !settled(other));
        before.map(|&other| self.graph.nodes[other].name()).collect()
    }

    /// The cached children that a dependent of this graph made and none desires.
    fn strays(&self) -> Result<Vec<Stray>> {
        let mut strays = Vec::new();
        let mut seen = HashSet::new();
        for (kind, node) in self.graph.nodes.iter().enumerate().filter(|(_, node)| seen.insert(node.kind_id())) {
            for key in node.cached(self.cx)? {
                if self.claims.contains_key(&(node.kind_id(), key.clone())) {
                    continue;
                }
                let Some((origin, deletion)) = node.origin(self.cx, &key)? else { continue };
                let node = self.graph.nodes.iter().position(|node| node.name() == origin);
                if node.is_none_or(|node| self.is_known(node)) {
                    strays.push(Stray { node, kind, key, deletion });
                }
            }
        }
        Ok(strays)
    }

    /// Says whether it is known what a dependent desires: not while it waits or fails.
    fn is_known(&self, node: usize) -> bool {
        !matches!(self.states[node], Some(State::Waits(_) | State::Failed(_)))
    }

    fn fail(&mut self, error: Error) {
        self.failure = Some(milder(self.failure.take(), error));
    }
}

/// Names a child as messages do: its kind and its name, as its namespace is that of the primary mostly.
fn named<P>(node: &dyn Node<P>, key: &ObjectKey) -> String {
    format!("{} {}", node.kind(), key.name())
}

/// Refuses a child that two dependents desire, or one twice: each reconcile would end as the last of them says.
pub(super) fn desired_twice<P>(node: &dyn Node<P>, key: &ObjectKey, other: &str) -> Error {
    let (child, name) = (named(node, key), node.name());
    let by = if other == name { format!("by {name}") } else { format!("by {other} and {name}") };
    terminal(format!("{child} is desired twice, {by}: give one another name"))
}

/// Of two failures the one that is retried sooner, so that a terminal one does not keep the other from being retried.
fn milder(first: Option<Error>, second: Error) -> Error {
    let patience = |error: &Error| match error.class() {
        Class::Conflict => 0,
        Class::Transient => 1,
        Class::Terminal => 2,
    };
    match first {
        Some(first) if patience(&first) <= patience(&second) => first,
        _ => second,
    }
}
