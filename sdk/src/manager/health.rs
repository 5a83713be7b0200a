//! Since when which kind fails: what is logged about it, and what the probes say. Pure; the time is an argument.
use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::admin::Check;
use crate::controller::{ControllerStatus, SourceStatus};

/// How long a kind whose cache is filled may fail before the process is unready: longer than an API server takes to
/// restart or a load balancer to notice, short enough that stale caches do not go unseen.
pub(super) const FAILURE_GRACE: Duration = Duration::from_secs(60);

/// How often a kind that still fails, or still has no first list, is logged again: seldom enough not to bury other
/// lines, often enough that whoever looks at a process that hangs sees why.
pub(super) const REMINDER: Duration = Duration::from_secs(60);

/// How long the manager's loop, which beats each second, may be silent before the process is to be restarted.
pub(super) const SILENCE_LIMIT: Duration = Duration::from_secs(30);

/// What is known about the watched kinds.
#[derive(Debug)]
pub(super) struct Health {
    kinds: BTreeMap<String, Kind>,
    beat: Instant,
}

#[derive(Debug)]
struct Kind {
    message: Option<String>,
    since: Instant,
    logged: Instant,
}

/// Something to log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct News {
    pub(super) kind: String,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// It still fails, for this reason.
    Failing { message: String, attempts: u32 },
    /// It does not fail and has no first list yet, for this long.
    Waiting(Duration),
    /// It works again.
    Recovered,
}

impl Health {
    pub(super) fn new(now: Instant) -> Self {
        Self { kinds: BTreeMap::new(), beat: now }
    }

    /// Notes that the manager's loop is alive and how the kinds are doing, each named once, and returns what is news.
    pub(super) fn observe(&mut self, now: Instant, sources: &BTreeMap<String, SourceStatus>) -> Vec<News> {
        self.beat = now;
        self.kinds.retain(|kind, _| sources.contains_key(kind));
        sources.values().filter_map(|source| self.observe_one(now, source)).collect()
    }

    fn observe_one(&mut self, now: Instant, source: &SourceStatus) -> Option<News> {
        let news = |what| Some(News { kind: source.kind.clone(), what });
        let fresh = || Kind { message: None, since: now, logged: now };
        let kind = self.kinds.entry(source.kind.clone()).or_insert_with(fresh);
        let due = now.duration_since(kind.logged) >= REMINDER;
        match (&source.failure, &kind.message) {
            (Some(failure), before) => {
                let changed = before.as_ref() != Some(&failure.message);
                if before.is_none() {
                    kind.since = now;
                }
                if !changed && !due {
                    return None;
                }
                kind.message = Some(failure.message.clone());
                kind.logged = now;
                // A change was logged where it was seen, by the reflector.
                if changed {
                    None
                } else {
                    news(What::Failing { message: failure.message.clone(), attempts: failure.attempts })
                }
            }
            (None, Some(_)) => {
                *kind = fresh();
                news(What::Recovered)
            }
            (None, None) if !source.synced && due => {
                kind.logged = now;
                news(What::Waiting(now.duration_since(kind.since)))
            }
            (None, None) => None,
        }
    }

    /// Says whether the manager's loop is alive.
    pub(super) fn live(&self, now: Instant) -> Vec<Check> {
        let silent = now.duration_since(self.beat);
        vec![if silent <= SILENCE_LIMIT {
            Check::ok("manager")
        } else {
            let silent = silent.as_secs();
            Check::failed(
                "manager",
                format!("its loop is silent for {silent} s: something blocks the runtime's threads"),
            )
        }]
    }

    /// Says whether every controller can do its work.
    pub(super) fn ready(&self, now: Instant, controllers: &[ControllerStatus], stopping: bool) -> Vec<Check> {
        let sources = controllers.iter().flat_map(|controller| {
            controller.sources.iter().map(|source| {
                let name = format!("{}/{}", controller.name, source.kind);
                Check { name, result: self.source_ready(now, source) }
            })
        });
        let shutdown =
            if stopping { Check::failed("shutdown", "the process is stopping") } else { Check::ok("shutdown") };
        sources.chain([shutdown]).collect()
    }

    fn source_ready(&self, now: Instant, source: &SourceStatus) -> Result<(), String> {
        let since = self.kinds.get(&source.kind).map_or(now, |kind| kind.since);
        match &source.failure {
            Some(failure) if !source.synced => Err(failure.message.clone()),
            None if !source.synced => Err("waiting for its first list".to_owned()),
            Some(failure) if now.duration_since(since) > FAILURE_GRACE => {
                let stale = now.duration_since(since).as_secs();
                Err(format!("{} (its cache may be out of date for {stale} s)", failure.message))
            }
            Some(_) | None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::controller::Counts;
    use crate::reflector::{Failure, FailureReason};

    const SECOND: Duration = Duration::from_secs(1);
    const FORBIDDEN: &str = "cannot list: apply the role";

    fn source(synced: bool, failure: Option<&str>) -> SourceStatus {
        let failure = failure.map(|message| {
            let (reason, message) = (FailureReason::Other, message.to_owned());
            Arc::new(Failure { reason, message, attempts: 2, retry_in: SECOND })
        });
        SourceStatus { kind: "pods/v1".into(), synced, failure }
    }

    fn failing(message: &str) -> What {
        What::Failing { message: message.to_owned(), attempts: 2 }
    }

    #[test]
    fn a_failure_is_news_when_it_lasts_and_when_it_ends() {
        let start = crate::clock::now();
        let mut health = Health::new(start);
        let mut check = |at: u32, source: SourceStatus, expected: Option<What>| {
            let sources = BTreeMap::from([(source.kind.clone(), source)]);
            let news = health.observe(start + at * SECOND, &sources).into_iter().map(|news| news.what).next();
            assert_eq!(news, expected, "after {at} s");
        };
        check(0, source(false, None), None);
        check(59, source(false, None), None);
        check(60, source(false, None), Some(What::Waiting(60 * SECOND)));
        check(61, source(false, None), None);
        check(62, source(false, Some(FORBIDDEN)), None);
        check(63, source(false, Some(FORBIDDEN)), None);
        check(64, source(false, Some("unreachable")), None);
        check(123, source(false, Some("unreachable")), None);
        check(124, source(false, Some("unreachable")), Some(failing("unreachable")));
        check(125, source(true, None), Some(What::Recovered));
        check(900, source(true, None), None);
        check(901, source(true, Some(FORBIDDEN)), None);
        check(961, source(true, Some(FORBIDDEN)), Some(failing(FORBIDDEN)));
    }

    #[test]
    fn ready_means_synced_and_not_failing_beyond_the_grace() {
        let start = crate::clock::now();
        let mut health = Health::new(start);
        let mut check = |at: u32, source: SourceStatus, expected: Result<(), &str>| {
            let now = start + at * SECOND;
            health.observe(now, &BTreeMap::from([(source.kind.clone(), source.clone())]));
            let status = ControllerStatus {
                name: "web".into(),
                sources: vec![source],
                queued: 0,
                counts: Counts::default(),
                read_your_writes: Default::default(),
            };
            let checks = health.ready(now, &[status], false);
            let expected = Check { name: "web/pods/v1".into(), result: expected.map_err(str::to_owned) };
            assert_eq!(checks, [expected, Check::ok("shutdown")], "after {at} s");
        };
        check(0, source(false, None), Err("waiting for its first list"));
        check(1, source(false, Some(FORBIDDEN)), Err(FORBIDDEN));
        check(2, source(true, None), Ok(()));
        check(500, source(true, Some(FORBIDDEN)), Ok(()));
        check(530, source(true, Some("unreachable")), Ok(()));
        check(560, source(true, Some(FORBIDDEN)), Ok(()));
        let stale = "cannot list: apply the role (its cache may be out of date for 61 s)";
        check(561, source(true, Some(FORBIDDEN)), Err(stale));
        check(562, source(true, None), Ok(()));
        check(563, source(true, Some(FORBIDDEN)), Ok(()));
    }

    #[test]
    fn stopping_is_unready_and_a_silent_loop_is_dead() {
        let start = crate::clock::now();
        let health = Health::new(start);
        assert_eq!(health.ready(start, &[], true), [Check::failed("shutdown", "the process is stopping")]);
        assert_eq!(health.live(start + SILENCE_LIMIT), [Check::ok("manager")]);
        assert!(health.live(start + SILENCE_LIMIT + SECOND)[0].result.is_err());
    }
}
