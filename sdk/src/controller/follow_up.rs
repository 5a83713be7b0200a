//! What becomes of a key after its reconcile. A pure table.
use std::time::Duration;

use crate::queue::Priority;
use crate::reconcile::error::Class;
use crate::reconcile::{Action, Result};

/// How a reconcile ended.
#[derive(Debug)]
pub(super) enum Attempt {
    /// By itself.
    Returned(Result<Action>),
    /// By a panic with this message.
    Panicked(String),
    /// It was dropped at the controller's deadline.
    TimedOut,
}

/// The same as a class, to count by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Succeeded,
    Requeued,
    Transient,
    Conflict,
    Terminal,
    Panicked,
    TimedOut,
}

impl Outcome {
    pub(super) const COUNT: usize = 7;
}

/// How many conflicts in a row a key may have in silence: with the back-off from 5 ms up, about a second.
const QUIET_CONFLICTS: u32 = 8;

/// How long a key that lost a race waits at most. A race is over once it is lost, so that backing off like from a failure
/// would only make the loser lose time.
const MAX_CONFLICT_DELAY: Duration = Duration::from_secs(1);

/// How many conflicts in a row are races. Beyond it something is wrong, and the key backs off as from any failure.
const MAX_RACES: u32 = 32;

/// What to do with the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FollowUp {
    /// Forget its failures and wait for an event.
    Forget,
    /// Forget its failures and come back after a time, at another priority if one is named.
    ForgetAndAddAfter(Duration, Option<Priority>),
    /// Come back after a time, its failures as they are.
    AddAfter(Duration),
    /// Count a failure and come back when the rate limiter allows.
    AddRateLimited,
    /// Count a lost race and come back soon.
    AddAfterRace,
}

impl FollowUp {
    /// Returns how long the key waits that failed so often, where the rate limiter says `back_off`.
    pub(super) fn delay(self, back_off: Duration, failures: u32) -> Duration {
        match self {
            Self::AddAfterRace if failures <= MAX_RACES => back_off.min(MAX_CONFLICT_DELAY),
            _ => back_off,
        }
    }
}

impl Attempt {
    pub(super) fn outcome(&self) -> Outcome {
        match self {
            Self::Returned(Ok(action)) if action.delay().is_some() => Outcome::Requeued,
            Self::Returned(Ok(_)) => Outcome::Succeeded,
            Self::Returned(Err(error)) => match error.class() {
                Class::Transient => Outcome::Transient,
                Class::Conflict => Outcome::Conflict,
                Class::Terminal => Outcome::Terminal,
            },
            Self::Panicked(_) => Outcome::Panicked,
            Self::TimedOut => Outcome::TimedOut,
        }
    }

    /// Says whether a failure is none to tell of, after so many failures of the key before it.
    ///
    /// A lost race is nobody's fault. One that is lost again and again is no race: a status that the installed CRD does
    /// not have answers 404 like a primary that was deleted a moment ago.
    pub(super) fn is_quiet(&self, failures: u32) -> bool {
        self.outcome() == Outcome::Conflict && failures < QUIET_CONFLICTS
    }

    pub(super) fn follow_up(&self) -> FollowUp {
        match self {
            Self::Returned(Ok(action)) => match action.delay() {
                Some(delay) => FollowUp::ForgetAndAddAfter(delay, action.priority()),
                None => FollowUp::Forget,
            },
            Self::Returned(Err(error)) => match (error.class(), error.delay()) {
                (Class::Terminal, _) => FollowUp::Forget,
                (Class::Transient | Class::Conflict, Some(delay)) => FollowUp::AddAfter(delay),
                (Class::Transient, None) => FollowUp::AddRateLimited,
                (Class::Conflict, None) => FollowUp::AddAfterRace,
            },
            Self::Panicked(_) | Self::TimedOut => FollowUp::AddRateLimited,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client;
    use crate::reconcile::Error;

    fn conflict() -> client::Error {
        let status = client::Status { code: 409, ..Default::default() };
        client::Error::Status { method: http::Method::PUT, path: "/".into(), status: Box::new(status) }
    }

    #[test]
    fn every_way_to_end_has_its_row() {
        let check = |attempt: Attempt, outcome: Outcome, follow_up: FollowUp| {
            assert_eq!((attempt.outcome(), attempt.follow_up()), (outcome, follow_up), "{attempt:?}");
        };
        let second = Duration::from_secs(1);
        let failed = |error: Error| Attempt::Returned(Err(error));
        check(Attempt::Returned(Ok(Action::await_change())), Outcome::Succeeded, FollowUp::Forget);
        let later = Attempt::Returned(Ok(Action::requeue_after(second)));
        check(later, Outcome::Requeued, FollowUp::ForgetAndAddAfter(second, None));
        check(failed(Error::new("e")), Outcome::Transient, FollowUp::AddRateLimited);
        check(failed(Error::new("e").retry_after(second)), Outcome::Transient, FollowUp::AddAfter(second));
        check(failed(conflict().into()), Outcome::Conflict, FollowUp::AddAfterRace);
        check(failed(Error::new("e").terminal()), Outcome::Terminal, FollowUp::Forget);
        check(failed(Error::new("e").retry_after(second).terminal()), Outcome::Terminal, FollowUp::Forget);
        check(Attempt::Panicked("e".into()), Outcome::Panicked, FollowUp::AddRateLimited);
        check(Attempt::TimedOut, Outcome::TimedOut, FollowUp::AddRateLimited);
    }

    #[test]
    fn a_lost_race_is_run_again_within_a_second_until_it_is_no_race() {
        let (ms, hour) = (Duration::from_millis(5), Duration::from_secs(3600));
        assert_eq!(FollowUp::AddAfterRace.delay(ms, 1), ms);
        assert_eq!(FollowUp::AddAfterRace.delay(hour, MAX_RACES), MAX_CONFLICT_DELAY);
        assert_eq!(FollowUp::AddAfterRace.delay(hour, MAX_RACES + 1), hour);
        assert_eq!(FollowUp::AddRateLimited.delay(hour, 1), hour);
    }

    #[test]
    fn a_conflict_that_never_ends_is_told() {
        let conflict = || Attempt::Returned(Err(conflict().into()));
        assert!(conflict().is_quiet(0) && conflict().is_quiet(QUIET_CONFLICTS - 1));
        assert!(!conflict().is_quiet(QUIET_CONFLICTS));
        assert!(!Attempt::Returned(Err(Error::new("e"))).is_quiet(0));
        assert!(!Attempt::TimedOut.is_quiet(0));
    }
}
