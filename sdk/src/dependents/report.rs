//! What became of a graph: the state of every dependent, and the words for it.
use std::fmt;

/// How many children of one dependent a message names.
const MAX_NAMED: usize = 3;

/// The state of one dependent after the graph was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// All its children are there and ready.
    Ready,
    /// It is not wanted: `when` is false.
    Off,
    /// Its children were applied, and these are not ready yet.
    NotReady(Vec<String>),
    /// It was left as it is, since these are not ready, which it comes after.
    Waits(Vec<&'static str>),
    /// It could not be computed or applied, for this reason.
    Failed(String),
}

/// The states of all dependents of a primary, in the order in which they were applied.
///
/// Its `Display` is the message of a condition: it names who is not ready, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub(super) states: Vec<(&'static str, State)>,
    /// Children that are no longer desired and still there.
    pub(super) leaving: Vec<String>,
    /// Why one of those could not be deleted.
    pub(super) undeletable: Option<String>,
}

impl Report {
    /// Says whether every dependent that is wanted is ready. Children that are on their way out do not count.
    pub fn is_ready(&self) -> bool {
        self.undeletable.is_none() && self.states.iter().all(|(_, state)| matches!(state, State::Ready | State::Off))
    }

    /// Returns the reason of a condition: `DependentsReady`, `DependentsNotReady` or `DependentsFailed`.
    pub fn reason(&self) -> &'static str {
        let failed = |(_, state): &(_, State)| matches!(state, State::Failed(_));
        match self.is_ready() {
            true => "DependentsReady",
            false if self.undeletable.is_some() || self.states.iter().any(failed) => "DependentsFailed",
            false => "DependentsNotReady",
        }
    }

    /// Returns the state of the dependent `name`.
    pub fn state(&self, name: &str) -> Option<&State> {
        self.states.iter().find(|(other, _)| *other == name).map(|(_, state)| state)
    }

    /// Returns the states of all dependents, in the order in which they were applied.
    pub fn states(&self) -> impl Iterator<Item = (&'static str, &State)> {
        self.states.iter().map(|(name, state)| (*name, state))
    }

    /// Returns the children that are no longer desired and still there, such as `Service web`.
    pub fn leaving(&self) -> &[String] {
        &self.leaving
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        for (name, state) in &self.states {
            match state {
                State::Ready | State::Off => {}
                State::NotReady(children) => parts.push(format!("{name} is not ready ({})", some(children))),
                State::Waits(others) => parts.push(format!("{name} waits for {}", others.join(", "))),
                State::Failed(error) => parts.push(format!("{name} failed: {error}")),
            }
        }
        if let Some(error) = &self.undeletable {
            parts.push(error.clone());
        }
        if parts.is_empty() {
            let wanted = self.states.iter().filter(|(_, state)| *state == State::Ready).count();
            let all = if wanted == self.states.len() { "all" } else { "all wanted" };
            parts.push(format!("{all} dependents are ready"));
        }
        f.write_str(&parts.join("; "))
    }
}

fn some(children: &[String]) -> String {
    match children.split_at_checked(MAX_NAMED) {
        Some((first, rest)) if !rest.is_empty() => format!("{} and {} more", first.join(", "), rest.len()),
        _ => children.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_names_who_is_not_ready_and_why() {
        let check = |states: Vec<(&'static str, State)>, ready: bool, reason: &str, message: &str| {
            let report = Report { states, ..Report::default() };
            assert_eq!((report.is_ready(), report.reason(), &*report.to_string()), (ready, reason, message));
        };
        check(vec![("a", State::Ready)], true, "DependentsReady", "all dependents are ready");
        check(vec![("a", State::Ready), ("b", State::Off)], true, "DependentsReady", "all wanted dependents are ready");
        let pods: Vec<_> = (0..5).map(|at| format!("Pod {at}")).collect();
        let message = "a is not ready (Pod 0, Pod 1, Pod 2 and 2 more); b waits for a, c; c failed: no space";
        let states = vec![
            ("a", State::NotReady(pods)),
            ("b", State::Waits(vec!["a", "c"])),
            ("c", State::Failed("no space".to_owned())),
        ];
        check(states, false, "DependentsFailed", message);
        let states = vec![("a", State::NotReady(vec!["Pod 0".to_owned()]))];
        check(states, false, "DependentsNotReady", "a is not ready (Pod 0)");
    }

    #[test]
    fn a_child_on_its_way_out_is_no_reason_to_be_unready_and_one_that_stays_is() {
        let mut report = Report { leaving: vec!["Service web".to_owned()], ..Report::default() };
        assert!(report.is_ready());
        report.undeletable = Some("cannot delete Service web".to_owned());
        assert_eq!((report.is_ready(), report.reason()), (false, "DependentsFailed"));
        assert_eq!(report.to_string(), "cannot delete Service web");
    }
}
