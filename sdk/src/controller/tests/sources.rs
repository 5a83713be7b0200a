//! Sources as values: what an event of each enqueues, and at which priority. Informers are fed by hand.
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::Secret;
use serde_json::{Value, json};

use super::*;

use crate::delta::DeltaSender;
use crate::informer::factory::InformerFactory;
use crate::informer::factory::source::{Opened, Source as Opener};
use crate::informer::handler::Handle;
use crate::queue::Priority;
use crate::reflector::{Delta, DeltaSink as _, ReflectorStatus, Target};
use crate::resource::{Kind, ResourceType, ResourceVersion};
use crate::wire::RawObject;

/// Informers whose deltas come from the test.
struct World {
    factory: InformerFactory,
    opened: Streams,
}

type Streams = Arc<Mutex<HashMap<String, (DeltaSender, watch::Sender<ReflectorStatus>)>>>;

struct ByHand(Streams);

impl Opener for ByHand {
    fn open(&self, target: &Target, deltas: DeltaSender) -> Opened {
        let (reflector, status) = watch::channel(ReflectorStatus::default());
        self.0.lock().unwrap().insert(target.resource.kind.clone(), (deltas, reflector));
        Opened { run: std::future::pending().boxed(), status }
    }
}

impl World {
    fn new() -> Self {
        let opened = Streams::default();
        Self { factory: InformerFactory::with_source(ByHand(Arc::clone(&opened))), opened }
    }

    fn sender<K: Kind>(&self) -> (DeltaSender, watch::Sender<ReflectorStatus>) {
        self.factory.start();
        self.opened.lock().unwrap().remove(&ResourceType::of::<K>().kind).unwrap()
    }
}

/// What feeds one informer.
struct Feeder {
    deltas: DeltaSender,
    reflector: watch::Sender<ReflectorStatus>,
}

impl Feeder {
    fn of<K: Kind>(world: &World) -> Self {
        let (deltas, reflector) = world.sender::<K>();
        Self { deltas, reflector }
    }

    async fn list(&self, objects: &[Value]) {
        self.deltas.push(Delta::ListStarted).await.unwrap();
        for object in objects {
            self.deltas.push(Delta::Listed(raw(object))).await.unwrap();
        }
        self.deltas.push(Delta::Replaced(ResourceVersion::new("1"))).await.unwrap();
        settle().await;
    }

    async fn apply(&self, object: &Value) {
        self.deltas.push(Delta::Applied(raw(object))).await.unwrap();
        settle().await;
    }

    async fn delete(&self, object: &Value) {
        self.deltas.push(Delta::Deleted(raw(object))).await.unwrap();
        settle().await;
    }

    fn fail(&self) {
        let failure = Failure { reason: FailureReason::Forbidden, message: "no".into(), attempts: 9, retry_in: GRACE };
        self.reflector.send_modify(|status| status.failure = Some(Arc::new(failure)));
    }
}

/// Lets informers and controllers do what they have to.
async fn settle() {
    clock::sleep(MS).await;
}

fn raw(object: &Value) -> Arc<RawObject> {
    Arc::new(RawObject::parse(object.to_string().as_bytes()).unwrap())
}

/// `web/<name>` at this version, with these fields of its metadata besides.
fn object(name: &str, version: u32, metadata: &Value) -> Value {
    let mut whole = json!({ "name": name, "namespace": "web", "uid": name, "resourceVersion": version.to_string() });
    whole.as_object_mut().unwrap().extend(metadata.as_object().unwrap().clone());
    json!({ "metadata": whole })
}

fn owners(owners: &[(&str, &str, bool)]) -> Value {
    let owner = |(api_version, name, controller): &(&str, &str, bool)| json!({ "apiVersion": api_version, "kind": "Deployment", "name": name, "uid": name, "controller": controller });
    json!({ "ownerReferences": owners.iter().map(owner).collect::<Vec<_>>() })
}

/// What is in the queue, with priorities, in the order in which it comes out.
async fn queued(attached: &Attached) -> Vec<(String, Priority)> {
    let mut keys = Vec::new();
    while let Some(Some((key, priority))) = attached.queue.get_with_priority().now_or_never() {
        attached.queue.done(&key);
        keys.push((key.to_string(), priority));
    }
    keys
}

async fn names(attached: &Attached) -> Vec<String> {
    let mut names: Vec<_> = queued(attached).await.into_iter().map(|(key, _)| key).collect();
    names.sort();
    names
}

fn attach(source: impl Into<Source>) -> Attached {
    Controller::new("web", 1).source(source).attach()
}

#[tokio::test(start_paused = true)]
async fn a_primary_enqueues_itself_and_predicates_decide_whether() {
    let world = World::new();
    let informer = world.factory.informer::<Deployment>();
    let all = attach(Watch::primary(&informer));
    let own = Predicate::object(|it: &Handle<Deployment>| it.key().name() != "foreign");
    let some = attach(Watch::primary(&informer).filter(Predicate::generation_changed()).filter(own));
    let feeder = Feeder::of::<Deployment>(&world);
    let generation = |generation: u32| json!({ "generation": generation });
    feeder.list(&[object("a", 1, &generation(1)), object("foreign", 1, &generation(1))]).await;
    assert_eq!(names(&all).await, ["web/a", "web/foreign"]);
    assert_eq!(queued(&some).await, [("web/a".to_owned(), Priority::Low)]);
    feeder.apply(&object("a", 2, &generation(1))).await;
    assert_eq!(queued(&all).await, [("web/a".to_owned(), Priority::Normal)]);
    assert_eq!(queued(&some).await, []);
    feeder.apply(&object("a", 3, &generation(2))).await;
    assert_eq!(queued(&some).await, [("web/a".to_owned(), Priority::High)]);
    for name in ["a", "foreign"] {
        feeder.delete(&object(name, 4, &generation(2))).await;
        assert_eq!(queued(&some).await, [(format!("web/{name}"), Priority::High)], "no deletion is swallowed");
    }
}

#[tokio::test(start_paused = true)]
async fn h1_owners_of_the_old_and_of_the_new_object_are_enqueued_each_once() {
    let world = World::new();
    let informer = world.factory.informer::<ReplicaSet>();
    let controlled = attach(Watch::controlled_by::<Deployment>(&informer));
    let owned = attach(Watch::owned_by::<Deployment>(&informer));
    let feeder = Feeder::of::<ReplicaSet>(&world);
    feeder.list(&[object("x", 1, &owners(&[("apps/v1", "a", true), ("apps/v1", "b", false)]))]).await;
    assert_eq!(
        (names(&controlled).await, names(&owned).await),
        (vec!["web/a".into()], vec!["web/a".into(), "web/b".into()])
    );
    feeder.apply(&object("x", 2, &owners(&[("apps/v1", "b", true)]))).await;
    assert_eq!(names(&controlled).await, ["web/a", "web/b"]);
    assert_eq!(names(&owned).await, ["web/a", "web/b"]);
    feeder.delete(&object("x", 3, &owners(&[("apps/v1", "b", true)]))).await;
    assert_eq!(queued(&controlled).await, [("web/b".to_owned(), Priority::Normal)]);
}

#[tokio::test(start_paused = true)]
async fn h2_owners_match_by_group_and_kind_whatever_their_version() {
    let world = World::new();
    let informer = world.factory.informer::<ReplicaSet>();
    let controlled = attach(Watch::controlled_by::<Deployment>(&informer));
    let feeder = Feeder::of::<ReplicaSet>(&world);
    let versions = ["apps/v1", "apps/v1beta2", "extensions/v1", "v1"];
    let objects: Vec<_> = versions
        .iter()
        .map(|version| {
            object(&version.replace('/', "-"), 1, &owners(&[(version, version.split('/').next_back().unwrap(), true)]))
        })
        .collect();
    feeder.list(&objects).await;
    assert_eq!(names(&controlled).await, ["web/v1", "web/v1beta2"]);
}

#[tokio::test(start_paused = true)]
async fn h3_initial_lists_and_repeated_versions_are_of_low_priority_and_nothing_else() {
    let world = World::new();
    let informer = world.factory.informer::<ReplicaSet>();
    let controlled = attach(Watch::controlled_by::<Deployment>(&informer));
    let feeder = Feeder::of::<ReplicaSet>(&world);
    let by_a = owners(&[("apps/v1", "a", true)]);
    let of_a = |priority| vec![("web/a".to_owned(), priority)];
    feeder.list(&[object("x", 1, &by_a)]).await;
    assert_eq!(queued(&controlled).await, of_a(Priority::Low));
    feeder.apply(&object("y", 2, &by_a)).await;
    assert_eq!(queued(&controlled).await, of_a(Priority::Normal));
    let late = attach(Watch::controlled_by::<Deployment>(&informer));
    settle().await;
    assert_eq!(queued(&late).await, of_a(Priority::Low), "a late handler's initial list is one, too");
}

#[tokio::test(start_paused = true)]
async fn a_relation_by_index_enqueues_the_primaries_that_name_the_object() {
    let world = World::new();
    let (deployments, secrets) = (world.factory.informer::<Deployment>(), world.factory.informer::<Secret>());
    let by_secret = deployments.add_index(|it: &Deployment| {
        let labels = it.metadata.labels.clone().unwrap_or_default();
        labels.get("secret").map(|name| format!("web/{name}"))
    });
    let related = attach(Watch::referenced_by(&secrets, &deployments, &by_secret));
    let named = |name: &str, secret: &str| object(name, 1, &json!({ "labels": { "secret": secret } }));
    let (primaries, objects) = (Feeder::of::<Deployment>(&world), Feeder::of::<Secret>(&world));
    primaries.list(&[named("a", "one"), named("b", "two"), named("c", "one")]).await;
    objects.list(&[]).await;
    objects.apply(&object("one", 2, &json!({}))).await;
    assert_eq!(names(&related).await, ["web/a", "web/c"]);
    objects.apply(&object("three", 3, &json!({}))).await;
    assert_eq!(names(&related).await, [""; 0]);
    objects.delete(&object("one", 4, &json!({}))).await;
    assert_eq!(names(&related).await, ["web/a", "web/c"]);
}

#[tokio::test(start_paused = true)]
async fn what_the_predicate_of_a_relation_drops_enqueues_nobody_and_a_panic_in_it_drops_one_event() {
    let world = World::new();
    let secrets = world.factory.informer::<Secret>();
    let labels = Predicate::<Secret>::labels_changed();
    let filter = labels.and(Predicate::object(|object| {
        assert_ne!(object.key().name(), "bad");
        true
    }));
    let owned = attach(Source::owned(secrets.shared(), Some(filter.erased()), ResourceType::of::<Deployment>()));
    let child = |name: &str, version: u32, tier: &str| {
        let owner =
            json!([{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u", "controller": true }]);
        object(name, version, &json!({ "ownerReferences": owner, "labels": { "tier": tier } }))
    };
    let feeder = Feeder::of::<Secret>(&world);
    feeder.list(&[child("good", 1, "a")]).await;
    assert_eq!(names(&owned).await, ["web/web"], "what appears is no change of labels");
    feeder.apply(&child("good", 2, "a")).await;
    assert_eq!(names(&owned).await, [""; 0]);
    feeder.apply(&child("bad", 3, "a")).await;
    assert_eq!(names(&owned).await, [""; 0]);
    feeder.apply(&child("good", 4, "b")).await;
    assert_eq!(names(&owned).await, ["web/web"]);
    feeder.delete(&child("good", 5, "b")).await;
    assert_eq!(names(&owned).await, ["web/web"], "no deletion is swallowed");
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "another informer")]
async fn a_relation_by_an_index_of_another_informer_is_refused_at_once() {
    let (world, other) = (World::new(), World::new());
    let index = other.factory.informer::<Deployment>().add_index(|_: &Deployment| None);
    let _ = Watch::referenced_by(&world.factory.informer::<Secret>(), &world.factory.informer::<Deployment>(), &index);
}

#[tokio::test(start_paused = true)]
async fn h4_what_a_function_cannot_map_is_dropped_and_the_source_goes_on() {
    let world = World::new();
    let secrets = world.factory.informer::<Secret>();
    let mapped = attach(Watch::mapped(&secrets, |secret: &Handle<Secret>| {
        assert_ne!(secret.key().name(), "bad");
        let labels = secret.metadata().labels.iter();
        labels.map(|(_, name)| ObjectKey::namespaced("web", name)).collect::<Vec<_>>()
    }));
    let panics = attach(Watch::primary(&secrets).filter(Predicate::new(|event| {
        assert_ne!(event.latest().key().name(), "bad");
        true
    })));
    let to = |name: &str, version: u32, label: &str| object(name, version, &json!({ "labels": { "for": label } }));
    let feeder = Feeder::of::<Secret>(&world);
    feeder.list(&[to("bad", 1, "a"), to("good", 1, "b")]).await;
    assert_eq!((names(&mapped).await, names(&panics).await), (vec!["web/b".to_owned()], vec!["web/good".to_owned()]));
    feeder.apply(&to("bad", 2, "c")).await;
    feeder.apply(&to("good", 3, "d")).await;
    assert_eq!(names(&mapped).await, ["web/b", "web/d"], "of the old and of the new object");
    assert_eq!(names(&panics).await, ["web/good"]);
    assert!(mapped.monitor().status().sources[0].synced, "a panic on the initial list does not stall the controller");
}

#[tokio::test(start_paused = true)]
async fn h5_what_a_channel_got_before_the_start_is_reconciled_and_closing_it_ends_the_source_alone() {
    let (sender, channel) = Source::channel();
    sender.send(ObjectKey::cluster("early")).await.unwrap();
    let running = Running::synced(controller().source(channel), done);
    settle().await;
    assert_eq!(running.calls("early"), [0]);
    sender.clone().try_send(ObjectKey::cluster("late")).unwrap();
    settle().await;
    assert_eq!(running.calls("late").len(), 1);
    drop(sender);
    settle().await;
    running.hand.add("a");
    settle().await;
    assert_eq!(running.calls("a").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_channel_holds_its_bound_before_the_start_and_tells_when_its_controller_has_ended() {
    let (sender, channel) = Source::channel();
    for key in 0..CHANNEL_BOUND {
        sender.try_send(ObjectKey::cluster(&key.to_string())).unwrap();
    }
    let one_more = ObjectKey::cluster("one more");
    assert_eq!(sender.try_send(one_more.clone()), Err(SendError::Full));
    assert!(sender.send(one_more.clone()).now_or_never().is_none());
    let running = Running::synced(controller().source(channel), done);
    sender.send(one_more.clone()).await.unwrap();
    settle().await;
    assert_eq!(running.counts().succeeded, CHANNEL_BOUND as u64 + 1);
    assert_eq!(running.stop().await, 0);
    assert_eq!(sender.send(one_more.clone()).await, Err(SendError::Closed));
    assert_eq!(sender.try_send(one_more), Err(SendError::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_timer_enqueues_its_keys_each_period_at_low_priority_and_survives_its_function() {
    let turn = Arc::new(AtomicUsize::new(0));
    let turns = Arc::clone(&turn);
    let timer = Source::interval(1000 * MS, move || {
        assert_ne!(turns.fetch_add(1, Ordering::Relaxed), 1, "the second time");
        [ObjectKey::cluster("a"), ObjectKey::cluster("b")]
    });
    let running = Running::synced(controller().source(timer), done);
    clock::sleep(899 * MS).await;
    assert_eq!((running.calls("a").len(), turn.load(Ordering::Relaxed)), (0, 0));
    clock::sleep(202 * MS).await;
    assert_eq!((running.calls("a").len(), running.calls("b").len()), (1, 1));
    clock::sleep(10_000 * MS).await;
    let turns = turn.load(Ordering::Relaxed);
    assert!((10..=12).contains(&turns), "{turns}");
    assert_eq!(running.calls("a").len(), turns - 1);
}

#[tokio::test(start_paused = true)]
async fn a_resync_repeats_every_primary_at_low_priority_and_there_is_none_unless_it_is_set() {
    let check = async |resync: Option<Duration>, expected: &[usize]| {
        let world = World::new();
        let informer = world.factory.informer::<Deployment>();
        let controller = resync.map_or_else(controller, |period| controller().resync(period));
        let running = Running::synced(controller.source(Watch::primary(&informer)), done);
        let feeder = Feeder::of::<Deployment>(&world);
        feeder.list(&[object("a", 1, &json!({})), object("b", 1, &json!({}))]).await;
        for expected in expected {
            assert_eq!((running.calls("a").len(), running.calls("b").len()), (*expected, *expected), "{resync:?}");
            clock::sleep(3600 * 1000 * MS).await;
        }
    };
    check(None, &[1, 1, 1]).await;
    let minute = Duration::from_secs(60);
    check(Some(120 * minute), &[1, 1]).await;
    // Drawn from 36 to 44 minutes.
    check(Some(40 * minute), &[1, 2]).await;
}

#[tokio::test(start_paused = true)]
async fn a_held_primary_is_let_go_by_its_new_generation_and_by_its_deletion_and_by_nothing_else() {
    let world = World::new();
    let (deployments, children) = (world.factory.informer::<Deployment>(), world.factory.informer::<ReplicaSet>());
    let (sender, channel) = Source::channel();
    let sources = controller()
        .resync(60_000 * MS)
        .source(Watch::primary(&deployments))
        .source(Watch::controlled_by::<Deployment>(&children))
        .source(channel);
    let hour = Duration::from_secs(3600);
    let running =
        Running::synced(sources, move |_, _| std::future::ready(Err(Failed::new("come back later").retry_after(hour))));
    let (primaries, children) = (Feeder::of::<Deployment>(&world), Feeder::of::<ReplicaSet>(&world));
    let a = |version: u32, generation: u32| object("a", version, &json!({ "generation": generation }));
    primaries.list(&[a(1, 1)]).await;
    children.list(&[]).await;
    assert_eq!(running.calls("a").len(), 1);
    primaries.apply(&a(2, 1)).await;
    children.apply(&object("x", 3, &owners(&[("apps/v1", "a", true)]))).await;
    sender.send(ObjectKey::namespaced("web", "a")).await.unwrap();
    clock::sleep(Duration::from_secs(600)).await;
    assert_eq!(running.calls("a").len(), 1, "a status, a child, a message, ten resyncs");
    primaries.apply(&a(4, 2)).await;
    assert_eq!(running.calls("a").len(), 2, "its new generation");
    primaries.delete(&a(5, 2)).await;
    assert_eq!(running.calls("a").len(), 3, "its deletion");
}

/// rust.md finding 6: in kube-rs one forbidden child kind delays every event of the primary by up to 2.7 s.
#[tokio::test(start_paused = true)]
async fn finding_6_one_failing_child_watch_does_not_delay_the_main_object() {
    let world = World::new();
    let (deployments, children) = (world.factory.informer::<Deployment>(), world.factory.informer::<ReplicaSet>());
    let sources =
        controller().source(Watch::primary(&deployments)).source(Watch::controlled_by::<Deployment>(&children));
    let running = Running::synced(sources, done);
    let (primaries, children) = (Feeder::of::<Deployment>(&world), Feeder::of::<ReplicaSet>(&world));
    primaries.list(&[]).await;
    children.list(&[]).await;
    children.fail();
    for turn in 0..100 {
        let begin = clock::now();
        primaries.deltas.push(Delta::Applied(raw(&object("a", turn + 2, &json!({}))))).await.unwrap();
        while running.calls("a").len() <= turn as usize {
            tokio::task::yield_now().await;
        }
        assert_eq!(clock::now() - begin, Duration::ZERO, "turn {turn}");
    }
    assert!(running.status.status().sources.iter().any(|source| source.failure.is_some()), "it does fail");
}

/// Section 3 of DESIGN: a lister knows at least what the event told of.
#[tokio::test(start_paused = true)]
async fn m1_workers_start_after_the_last_informer_has_told_its_initial_list() {
    let world = World::new();
    let (deployments, children) = (world.factory.informer::<Deployment>(), world.factory.informer::<ReplicaSet>());
    let sources =
        controller().source(Watch::primary(&deployments)).source(Watch::controlled_by::<Deployment>(&children));
    let lister = children.lister();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let running = Running::synced(sources, move |_, _| {
        log.lock().unwrap().push(lister.len());
        std::future::ready(Ok(Action::await_change()))
    });
    let (primaries, children) = (Feeder::of::<Deployment>(&world), Feeder::of::<ReplicaSet>(&world));
    primaries.list(&[object("a", 1, &json!({}))]).await;
    clock::sleep(3600 * 1000 * MS).await;
    assert_eq!(*seen.lock().unwrap(), [0; 0]);
    let child = |name: &str| object(name, 1, &owners(&[("apps/v1", "a", true)]));
    children.list(&[child("x"), child("y")]).await;
    assert_eq!(*seen.lock().unwrap(), [2], "once, with every child in sight");
    drop(running);
}
