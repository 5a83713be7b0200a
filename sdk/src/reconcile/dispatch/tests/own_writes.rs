//! What a reconcile writes, until its caches show it.
use kube::core::PartialObjectMeta;
use serde_json::from_value;

use super::*;
use crate::apply::tests::cut_off;
use crate::apply::{Deletion, Owner, Sight};
use crate::reconcile::error::Class;

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
    world.shared.writer().delete::<ConfigMap>(&owner, &key, None, &Deletion::default()).await.unwrap();
    assert!(!world.api.lock().unwrap().objects.contains_key(CHILD));
    // The event of its creation alone.
    world.api.lock().unwrap().objects.insert(CHILD.to_owned(), made.clone());
    world.catch_up().await;
    assert_eq!(world.sight(), Sight::Behind, "{uid} is still there");
    world.api.lock().unwrap().objects.remove(CHILD);
    world.catch_up().await;
    assert_eq!(world.sight(), Sight::Clear);
}

#[tokio::test(start_paused = true)]
async fn a_refused_write_and_one_that_no_cache_shows_are_not_waited_for() {
    // Whether it shows in a cache by its fields only the API server can tell.
    let typed = Narrow::default().fields("type=a");
    let world = World::with_site(Declaration::new("site", Site::crd).status().owns::<ConfigMap>(typed)).await;
    world.context().apply(child()).await.unwrap();
    assert_eq!(world.sight(), Sight::Clear, "perhaps outside the selector");
    let world = World::with_site(plain()).await;
    for code in [403, 409, 422, 429] {
        world.api.lock().unwrap().fail_next = Some(code);
        world.context().apply(child()).await.expect_err("refused");
        assert_eq!(world.sight(), Sight::Clear, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_child_that_no_cache_would_show_is_refused_for_good_and_told_what_it_misses() {
    let owns = |narrow: Narrow| Declaration::new("site", Site::crd).status().owns::<ConfigMap>(narrow);
    let check = async |declaration: Declaration<Site>, watched: &str| {
        let world = World::with_site(declaration).await;
        let expected = format!(
            "ConfigMap web/child would never be seen again: owns(ConfigMap, ..) watches only {watched}; give the child \
             what is asked for, or have owns(ConfigMap, ..) ask for less"
        );
        for error in [
            world.context().apply(child()).await.expect_err(watched),
            world.context().create(child()).await.map(drop).expect_err(watched),
            world.context().dry_run(child()).await.map(drop).expect_err(watched),
        ] {
            assert_eq!((error.class(), error.to_string()), (Class::Terminal, expected.clone()));
        }
        assert_eq!(world.api.lock().unwrap().log, [""; 0]);
        world
    };
    check(owns(Narrow::default().namespace("elsewhere")), "namespace elsewhere").await;
    let two = owns(Narrow::default().labels("tier=front")).owns::<ConfigMap>(Narrow::default().labels("tier=back"));
    check(two, "labels `tier=front` and labels `tier=back`").await;
    let world = check(owns(Narrow::default().labels("tier=front")), "labels `tier=front`").await;
    let mut selected = child();
    selected.metadata.labels = Some([("tier".to_owned(), "front".to_owned())].into());
    world.context().apply(selected).await.unwrap();
    assert_eq!(world.sight(), Sight::Behind, "a child that is selected is waited for");
    world.catch_up().await;
    assert_eq!(world.sight(), Sight::Clear);
    // What others have labelled is seen, whatever the child says of its labels.
    world.api.lock().unwrap().log.clear();
    let changed = ConfigMap { data: None, ..child() };
    world.context().apply(changed).await.unwrap();
    assert_eq!(world.api.lock().unwrap().log.len(), 1);
}

fn text(child: &Arc<ConfigMap>) -> String {
    child.data.as_ref().unwrap()["text"].clone()
}

fn child_with(text: &str) -> ConfigMap {
    ConfigMap { data: Some([("text".to_owned(), text.to_owned())].into()), ..child() }
}

/// What a reconcile sees of its children.
fn texts(cx: &Context<Site>) -> Vec<String> {
    let children = cx.owned::<ConfigMap>(0);
    let found: Vec<_> = children.owned().iter().map(text).collect();
    assert_eq!(children.get("child").as_ref().map(text), found.first().cloned());
    found
}

#[tokio::test(start_paused = true)]
async fn s7_a_reconcile_sees_the_children_it_applied_and_what_came_after_them() {
    let world = World::with_site(plain()).await;
    let cx = world.context();
    assert_eq!(texts(&cx), [""; 0]);
    cx.apply(child_with("x")).await.unwrap();
    assert_eq!(texts(&cx), ["x"], "created, and not cached yet");
    assert_eq!(cx.owned::<ConfigMap>(0).lister().len(), 0);
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
    assert_eq!(texts(&cx), [""; 0], "deleted by somebody since, and not brought back to life");
    cx.create(child_with("w")).await.unwrap();
    assert_eq!(texts(&cx), ["w"], "created once");
    cx.delete::<ConfigMap>("child").await.unwrap();
    assert_eq!(texts(&cx), [""; 0], "no cache has ever shown it");
}

#[tokio::test(start_paused = true)]
async fn what_is_cached_is_seen_where_it_is_newer_though_the_cache_as_a_whole_is_not() {
    let world = World::with_site(plain()).await;
    let cx = world.context();
    cx.apply(child_with("x")).await.unwrap();
    let mut foreign = world.api.lock().unwrap().objects[CHILD].clone();
    foreign["data"]["text"] = json!("y");
    world.api.lock().unwrap().store(CHILD, foreign);
    world.api.lock().unwrap().hold_lists = true;
    world.tick.send_modify(|tick| *tick += 1);
    while cx.owned::<ConfigMap>(0).lister().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!((texts(&cx), world.sight()), (vec!["y".to_owned()], Sight::Behind));
}

#[tokio::test(start_paused = true)]
async fn what_was_applied_is_seen_beside_what_is_cached_in_order_and_each_kind_in_its_own_caches() {
    let narrow = |tier: &str| Narrow::default().labels(&format!("tier={tier}"));
    let declaration = Declaration::new("site", Site::crd).status();
    let declaration = declaration.owns::<ConfigMap>(narrow("front")).owns::<ConfigMap>(narrow("back").metadata());
    let world = World::with_site(declaration).await;
    let made = |name: &str, tier: &str| -> ConfigMap {
        from_value(json!({"metadata": {"name": name, "labels": {"tier": tier}}, "data": {"text": name}})).unwrap()
    };
    let cx = world.context();
    cx.apply(made("b", "front")).await.unwrap();
    world.catch_up().await;
    for (name, tier) in [("c", "front"), ("a", "front"), ("d", "back")] {
        cx.apply(made(name, tier)).await.unwrap();
    }
    let front: Vec<_> = cx.owned::<ConfigMap>(0).owned().iter().map(text).collect();
    assert_eq!(front, ["a", "b", "c"]);
    let back = cx.owned::<PartialObjectMeta<ConfigMap>>(1);
    let names: Vec<_> = back.owned().iter().map(|child| child.metadata.name.clone().unwrap()).collect();
    assert_eq!((names, back.get("d").is_some(), back.get("a").is_some()), (vec!["d".to_owned()], true, false));
}

#[tokio::test(start_paused = true)]
async fn what_is_created_once_is_read_whole_where_its_metadata_alone_is_cached() {
    let narrow = Narrow::default().metadata();
    let world = World::with_site(Declaration::new("site", Site::crd).status().owns::<ConfigMap>(narrow)).await;
    let cx = world.context();
    assert!(cx.create(child()).await.unwrap().is_created());
    assert_eq!(world.sight(), Sight::Behind);
    world.catch_up().await;
    world.api.lock().unwrap().log.clear();
    let found = cx.create(child_with("y")).await.unwrap();
    assert!(!found.is_created());
    assert_eq!(text(&found.into_object()), "x");
    assert_eq!(world.api.lock().unwrap().log, [format!("GET {CHILD}")]);
    assert_eq!(world.sight(), Sight::Clear, "nothing was written");
    // Gone, and the cache does not know yet.
    world.api.lock().unwrap().objects.remove(CHILD);
    assert!(cx.create(child_with("y")).await.unwrap().is_created());
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_is_not_waited_for() {
    let world = World::with_site(plain()).await;
    let cx = world.context();
    assert_eq!(text(&cx.dry_run(child()).await.unwrap()), "x");
    assert_eq!((world.sight(), texts(&cx)), (Sight::Clear, vec![]));
    world.api.lock().unwrap().hang_next = true;
    assert!(cut_off(cx.dry_run(child())).await.is_none());
    assert_eq!(world.sight(), Sight::Clear, "whatever becomes of it");
}

#[tokio::test(start_paused = true)]
async fn a_child_that_the_caches_have_seen_go_is_made_anew_and_taken_from_nobody() {
    let world = World::with_site(plain()).await;
    world.context().apply(child_with("x")).await.unwrap();
    world.catch_up().await;
    world.context().apply(child_with("x")).await.unwrap();
    let mut theirs = world.api.lock().unwrap().objects[CHILD].clone();
    world.api.lock().unwrap().objects.remove(CHILD);
    world.catch_up().await;
    // Another primary was faster, and no cache shows it yet.
    theirs["metadata"]["uid"] = json!("another");
    theirs["metadata"]["ownerReferences"][0]["uid"] = json!("b");
    world.api.lock().unwrap().store(CHILD, theirs);
    let error = world.context().apply(child_with("x")).await.expect_err("it is theirs");
    assert!(error.to_string().contains("is controlled by Site a (uid b)"), "{error}");
    world.api.lock().unwrap().objects.remove(CHILD);
    world.context().apply(child_with("x")).await.unwrap();
}
