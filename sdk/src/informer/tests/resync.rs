//! Telling handlers of everything anew.
use std::time::Duration;

use tokio::time::Instant;

use crate::clock;
use crate::informer::handler::{HandlerOptions, MIN_RESYNC_PERIOD};

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// When a handler was told of which object again.
type Told = mpsc::UnboundedReceiver<(Duration, String)>;

/// Writes down resyncs, and panics on anything else that is no addition.
struct Clocked {
    began: Instant,
    told: mpsc::UnboundedSender<(Duration, String)>,
}

impl ResourceEventHandler<ConfigMap> for Clocked {
    fn on_update(&mut self, old: Handle<ConfigMap>, new: Handle<ConfigMap>) {
        assert_eq!(version_of(old.metadata()), version_of(new.metadata()));
        let _ = self.told.send((clock::now() - self.began, new.key().to_string()));
    }
}

fn register(script: &Script, options: HandlerOptions) -> (Registration, Told) {
    let (told, receiver) = mpsc::unbounded_channel();
    let handler = Clocked { began: clock::now(), told };
    (script.informer.add_event_handler_with(handler, options), receiver)
}

#[tokio::test(start_paused = true)]
async fn i4_each_handler_has_its_own_resync_period_and_the_floor_holds() {
    let script = Script::new();
    let every = |period| HandlerOptions::default().resync_period(period);
    let (often, mut often_told) = register(&script, every(10 * SECOND));
    let (seldom, mut seldom_told) = register(&script, every(45 * SECOND));
    let (floor, mut floor_told) = register(&script, every(SECOND / 1000));
    let (never, mut never_told) = register(&script, HandlerOptions::default());
    let (zero, mut zero_told) = register(&script, every(Duration::ZERO));
    script.list(1, &[config_map("a/one"), config_map("a/two")]).await;
    for registration in [&often, &seldom, &floor, &never, &zero] {
        registration.synced().await;
    }
    clock::sleep(100 * SECOND).await;
    drop((often, seldom, floor, never, zero));
    let check = |told: &mut Told, rounds: std::ops::RangeInclusive<usize>, low: Duration, high: Duration| {
        let mut told: Vec<_> = std::iter::from_fn(|| told.try_recv().ok()).collect();
        assert_eq!(told.len() % 2, 0, "both objects each time: {told:?}");
        assert!(rounds.contains(&(told.len() / 2)), "{} rounds", told.len() / 2);
        told.dedup_by_key(|(at, _)| *at);
        let before = std::iter::once(Duration::ZERO).chain(told.iter().map(|(at, _)| *at));
        for (before, (at, _)) in before.zip(&told) {
            let gap = *at - before;
            assert!(low <= gap + SECOND / 10 && gap <= high + SECOND / 10, "{gap:?}");
        }
    };
    check(&mut often_told, 9..=11, 9 * SECOND, 11 * SECOND);
    check(&mut seldom_told, 2..=2, 40 * SECOND, 50 * SECOND);
    check(&mut floor_told, 85..=100, MIN_RESYNC_PERIOD, SECOND + SECOND / 5);
    check(&mut never_told, 0..=0, SECOND, SECOND);
    check(&mut zero_told, 0..=0, SECOND, SECOND);
}

#[tokio::test(start_paused = true)]
async fn i4_nothing_is_told_anew_before_the_first_list_is_whole() {
    let script = Script::new();
    let (registration, mut told) = register(&script, HandlerOptions::default().resync_period(SECOND));
    script.push(Delta::ListStarted).await;
    script.push(Delta::Listed(config_map("a/one").raw())).await;
    clock::sleep(5 * SECOND).await;
    assert!(told.try_recv().is_err());
    script.push(Delta::Replaced(ResourceVersion::new("1"))).await;
    registration.synced().await;
    clock::sleep(2 * SECOND).await;
    assert_eq!(told.recv().await.unwrap().1, "a/one");
}

#[tokio::test(start_paused = true)]
async fn a_resync_of_many_objects_lets_changes_through_and_stays_exact() {
    const OBJECTS: u64 = 1000;
    let script = Script::new();
    let (recorder, mut seen) = Recorder::new();
    let options = HandlerOptions::default().resync_period(SECOND);
    let registration = script.informer.add_event_handler_with(recorder, options);
    let objects: Vec<_> = (0..OBJECTS).map(|number| config_map(&format!("a/{number}"))).collect();
    script.list(1, &objects).await;
    registration.synced().await;
    for version in 2..500 {
        tokio::time::advance(SECOND / 50).await;
        let object = config_map(&format!("a/{}", version * 7 % OBJECTS)).version(version);
        if version % 5 == 0 {
            script.delete(&object).await
        } else {
            script.apply(&object).await
        }
        script.reaches(version).await;
    }
    script.apply(&config_map("z/last").version(500)).await;
    let mut events: Vec<Seen> = Vec::new();
    while events.last() != Some(&added("z/last", 500)) {
        events.push(seen.recv().await.unwrap());
    }
    let resyncs = events.iter().filter(|event| matches!(event, Event::Updated { old, new } if old == new)).count();
    assert!(resyncs as u64 > 5 * OBJECTS, "{resyncs}");
    let lister = script.informer.lister();
    let stored: BTreeMap<_, _> =
        lister.keys().iter().map(|key| (key.to_string(), version_of(lister.raw(key).unwrap().metadata()))).collect();
    assert_eq!(replay(events), stored);
}
