//! What a reconcile writes, until its caches show it.
use super::*;
use crate::apply::tests::cut_off;
use crate::apply::{Owner, Sight};

impl World {
    /// A world with one site that its caches show.
    async fn with_site(declaration: Declaration<Site>) -> Self {
        let world = Self::of(declaration, Arc::new(Mutex::new(Api { version: 1, ..Api::default() }))).await;
        world.edit(|_| {});
        world.catch_up().await;
        world
    }

    fn sight(&self) -> Sight {
        self.shared.writer().sight(&ObjectKey::namespaced("web", "a"))
    }

    async fn settle(&self) -> Vec<String> {
        self.api.lock().unwrap().log.clear();
        self.shared.writer().settle(&ObjectKey::namespaced("web", "a")).await.unwrap();
        std::mem::take(&mut self.api.lock().unwrap().log)
    }

    fn context(&self) -> Context<Site> {
        let site = self.shared.primaries().get(&ObjectKey::namespaced("web", "a")).unwrap().unwrap();
        Context::new(&self.shared, &*site)
    }
}

fn child() -> ConfigMap {
    serde_json::from_value(json!({"metadata": {"name": "child"}, "data": {"text": "x"}})).unwrap()
}

fn plain() -> Declaration<Site> {
    Declaration::new("site", Site::crd).status().owns::<ConfigMap>(Narrow::default())
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_write_is_waited_for_until_the_caches_show_it() {
    let world = World::with_site(Site::declaration()).await;
    assert_eq!(world.sight(), Sight::Clear);
    world.run().await;
    assert_eq!(world.sight(), Sight::Behind, "finalizer, child and status");
    world.catch_up().await;
    assert_eq!(world.sight(), Sight::Clear);
    world.context().set_condition("Ready", false, "Other", "").await.unwrap();
    assert_eq!(world.sight(), Sight::Behind, "the status alone");
    world.catch_up().await;
    world.context().delete::<ConfigMap>("child").await.unwrap();
    assert_eq!(world.sight(), Sight::Behind, "a deletion");
    world.catch_up().await;
    assert_eq!(world.sight(), Sight::Clear);
    world.run().await;
    world.catch_up().await;
    assert_eq!(world.run().await.1, [""; 0]);
    assert_eq!(world.sight(), Sight::Clear, "what is skipped is not waited for");
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_does_not_come_is_looked_up() {
    let world = World::with_site(plain()).await;
    let read = format!("GET {CHILD}");
    // Taken in, and never answered.
    world.api.lock().unwrap().hang_next = true;
    assert!(cut_off(world.context().apply(child())).await.is_none());
    assert_eq!(world.sight(), Sight::Doubtful);
    assert_eq!(world.settle().await, std::slice::from_ref(&read));
    assert_eq!(world.sight(), Sight::Behind, "it did take effect");
    world.catch_up().await;
    assert_eq!(world.sight(), Sight::Clear);
    // Not taken in.
    world.api.lock().unwrap().fail_next = Some(503);
    let changed = ConfigMap { data: Some([("text".to_owned(), "y".to_owned())].into()), ..child() };
    world.context().apply(changed).await.expect_err("503");
    assert_eq!(world.sight(), Sight::Doubtful);
    assert_eq!(world.settle().await, [read]);
    assert_eq!(world.sight(), Sight::Clear, "the cache shows what there is");
}

#[tokio::test(start_paused = true)]
async fn a_deletion_of_unknown_outcome_is_looked_up() {
    let world = World::with_site(plain()).await;
    world.context().apply(child()).await.unwrap();
    world.catch_up().await;
    world.api.lock().unwrap().hang_next = true;
    assert!(cut_off(world.context().delete::<ConfigMap>("child")).await.is_none());
    assert_eq!(world.settle().await, [format!("GET {CHILD}")]);
    assert_eq!(world.sight(), Sight::Behind, "it is gone, and the cache still shows it");
    world.catch_up().await;
    assert_eq!(world.sight(), Sight::Clear);
}

#[tokio::test(start_paused = true)]
async fn what_was_made_and_deleted_before_any_cache_saw_it_is_waited_for() {
    let world = World::with_site(plain()).await;
    world.context().apply(child()).await.unwrap();
    let made = world.api.lock().unwrap().objects[CHILD].clone();
    let key = ObjectKey::namespaced("web", "child");
    let uid = made["metadata"]["uid"].as_str().unwrap();
    let owner = Owner {
        resource: world.shared.declaration().primary.clone(),
        key: world.context().key().clone(),
        uid: "u".into(),
    };
    world.shared.writer().delete::<ConfigMap>(&owner, &key, None).await.unwrap();
    assert!(!world.api.lock().unwrap().objects.contains_key(CHILD));
    // The event of its creation alone.
    world.api.lock().unwrap().objects.insert(CHILD.to_owned(), made.clone());
    world.catch_up().await;
    assert_eq!(world.sight(), Sight::Behind, "{uid} is still there");
    world.api.lock().unwrap().objects.remove(CHILD);
    world.catch_up().await;
    assert_eq!(world.sight(), Sight::Clear);
}

fn child_with(text: &str) -> ConfigMap {
    ConfigMap { data: Some([("text".to_owned(), text.to_owned())].into()), ..child() }
}

#[tokio::test(start_paused = true)]
async fn a_reconcile_sees_the_children_it_applied_and_what_came_after_them() {
    let world = World::with_site(plain()).await;
    let texts = |cx: &Context<Site>| {
        let children = cx.owned::<ConfigMap>(0);
        let text = |child: &Arc<ConfigMap>| child.data.as_ref().unwrap()["text"].clone();
        let found: Vec<_> = children.owned().iter().map(text).collect();
        assert_eq!(children.get("child").as_ref().map(text), found.first().cloned());
        found
    };
    let cx = world.context();
    assert_eq!(texts(&cx), [""; 0]);
    cx.apply(child_with("x")).await.unwrap();
    assert_eq!(texts(&cx), ["x"], "created, and not cached yet");
    world.catch_up().await;
    cx.apply(child_with("y")).await.unwrap();
    assert_eq!(texts(&cx), ["y"], "changed, and cached as it was");
    let mut foreign = world.api.lock().unwrap().objects[CHILD].clone();
    foreign["data"]["text"] = json!("z");
    world.api.lock().unwrap().store(CHILD, foreign);
    world.catch_up().await;
    assert_eq!(texts(&cx), ["z"], "what others made of it since");
    cx.apply(child_with("v")).await.unwrap();
    world.api.lock().unwrap().objects.remove(CHILD);
    world.catch_up().await;
    assert_eq!(texts(&cx), [""; 0], "deleted by somebody since");
}

#[tokio::test(start_paused = true)]
async fn a_child_is_created_once_and_never_changed() {
    let world = World::with_site(plain()).await;
    let cx = world.context();
    let text = |child: Arc<ConfigMap>| child.data.as_ref().unwrap()["text"].clone();
    assert_eq!(text(cx.create(child_with("x")).await.unwrap()), "x");
    assert_eq!(text(cx.create(child_with("y")).await.unwrap()), "x", "it exists, and is not cached yet");
    world.catch_up().await;
    world.api.lock().unwrap().log.clear();
    assert_eq!(text(cx.create(child_with("z")).await.unwrap()), "x");
    assert_eq!(world.api.lock().unwrap().log, [""; 0], "it is cached");
}

#[tokio::test(start_paused = true)]
async fn of_two_primaries_that_name_one_child_the_second_is_refused_before_either_is_cached() {
    let world = World::with_site(plain()).await;
    world.context().apply(child()).await.unwrap();
    let mut other = (*world.shared.primaries().get(&ObjectKey::namespaced("web", "a")).unwrap().unwrap()).clone();
    (other.metadata.name, other.metadata.uid) = (Some("b".to_owned()), Some("other".to_owned()));
    let error = Context::new(&world.shared, &other).apply(child_with("y")).await.expect_err("it has an owner");
    assert!(error.to_string().contains("is controlled by Site a (uid u)"), "{error}");
    assert_eq!(world.api.lock().unwrap().objects[CHILD]["data"]["text"], "x");
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_leaves_nothing_behind() {
    let world = World::with_site(plain()).await;
    world.context().dry_run(child()).await.unwrap();
    assert_eq!(world.sight(), Sight::Clear);
    assert_eq!(world.api.lock().unwrap().log, [format!("PATCH {CHILD} site.test.kubewright.dev")]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_and_one_that_no_cache_shows_are_not_waited_for() {
    let elsewhere = Narrow::default().namespace("elsewhere");
    let declaration = || Declaration::new("site", Site::crd).status().owns::<ConfigMap>(elsewhere.clone());
    let world = World::with_site(declaration()).await;
    world.context().apply(child()).await.unwrap();
    assert_eq!(world.sight(), Sight::Clear, "another namespace");
    let labelled = Narrow::default().labels("tier=front");
    let world = World::with_site(Declaration::new("site", Site::crd).status().owns::<ConfigMap>(labelled)).await;
    let error = world.context().apply(child()).await.expect_err("outside the selector");
    assert_eq!((error.class(), world.sight()), (Class::Terminal, Sight::Clear));
    assert!(error.to_string().contains("do not match `tier=front`"), "{error}");
    let mut selected = child();
    selected.metadata.labels = Some([("tier".to_owned(), "front".to_owned())].into());
    world.context().apply(selected).await.unwrap();
    assert_eq!(world.sight(), Sight::Behind, "inside it");
    let world = World::with_site(plain()).await;
    for code in [403, 409, 422, 429] {
        world.api.lock().unwrap().fail_next = Some(code);
        world.context().apply(child()).await.expect_err("refused");
        assert_eq!(world.sight(), Sight::Clear, "{code}");
    }
}
