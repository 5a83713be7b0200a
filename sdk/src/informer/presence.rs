//! What reflectors report, and what follows for a kind that may be missing. Pure.
use std::sync::Arc;

use crate::reflector::{Failure, FailureReason};

use super::options::Presence;

/// How many answers in a row must say that a kind is unknown before it is gone: more than a server that is just starting,
/// or one of several that is behind, gives.
pub(super) const GONE_ANSWERS: u32 = 3;

/// What fails at each reflector of one informer.
#[derive(Debug)]
pub(super) struct Reports(Vec<Report>);

#[derive(Clone, Debug, Default)]
struct Report {
    failure: Option<Arc<Failure>>,
    /// Answers in a row that the kind is unknown.
    unknown: u32,
}

impl Reports {
    /// Starts with `reflectors` that have not failed.
    pub(super) fn new(reflectors: usize) -> Self {
        Self(vec![Report::default(); reflectors])
    }

    /// Takes in what fails at a reflector now.
    pub(super) fn report(&mut self, reflector: usize, failure: Option<Arc<Failure>>) {
        let Some(report) = self.0.get_mut(reflector) else { return };
        let same = report.failure.as_ref().map(Arc::as_ptr) == failure.as_ref().map(Arc::as_ptr);
        report.unknown = match &failure {
            Some(failure) if failure.reason == FailureReason::UnknownKind => report.unknown + u32::from(!same),
            _ => 0,
        };
        report.failure = failure;
    }

    /// Returns what fails.
    pub(super) fn failure(&self, presence: Presence) -> Option<Arc<Failure>> {
        let excused = |failure: &&Arc<Failure>| presence == Presence::Required || !is_unknown(failure);
        self.failures().find(excused).cloned()
    }

    /// Returns that the kind is unknown, where that is no failure.
    pub(super) fn missing(&self, presence: Presence) -> Option<Arc<Failure>> {
        self.failures().find(|failure| presence != Presence::Required && is_unknown(failure)).cloned()
    }

    /// Says whether the kind, if it was there, is gone.
    pub(super) fn is_gone(&self, presence: Presence) -> bool {
        presence != Presence::Required && self.0.iter().any(|report| report.unknown >= GONE_ANSWERS)
    }

    fn failures(&self) -> impl Iterator<Item = &Arc<Failure>> {
        self.0.iter().filter_map(|report| report.failure.as_ref())
    }
}

fn is_unknown(failure: &Failure) -> bool {
    failure.reason == FailureReason::UnknownKind
}
