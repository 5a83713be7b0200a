//! Children that others have, and writes that are told apart by what they meet.
use super::*;

impl World {
    /// Another primary of the same controller.
    fn other(&self) -> Owner {
        Owner { key: ObjectKey::namespaced("web", "other"), uid: "other-uid".into(), ..self.primary.clone() }
    }

    fn text(&self) -> String {
        self.api.lock().unwrap().objects[CHILD]["data"]["a"].as_str().unwrap().to_owned()
    }

    async fn create(&self, data: &str, cached: Option<Arc<RawObject>>) -> Result<Made<ConfigMap>, Error> {
        self.writer.create(&self.primary, &child(data), &Shown(cached)).await
    }

    /// Puts a child there that nobody controls.
    fn leave_about(&self) {
        let left = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "child", "namespace": "web", "uid": "left"}, "data": {"a": "theirs"}});
        self.api.lock().unwrap().store(CHILD, left);
    }
}

fn text(child: &ConfigMap) -> &str {
    &child.data.as_ref().unwrap()["a"]
}

fn is_refused(error: &Error, owner: &str) -> bool {
    matches!(error, Error::ControlledByOther { owner: at, .. } if at.contains(owner))
        && !error.is_terminal()
        && !error.is_conflict()
}

#[tokio::test]
async fn of_two_primaries_that_name_one_child_the_second_is_told_whose_it_is_before_any_cache_shows_it() {
    let world = World::new();
    world.apply("first", None).await.unwrap();
    world.requests();
    let error = world.apply_for(&world.other(), "second", None).await.expect_err("it is the first's");
    assert!(is_refused(&error, "ConfigMap site (uid site-uid)"), "{error}");
    let (patch, get) = (format!("PATCH {CHILD} site"), format!("GET {CHILD}"));
    assert_eq!((world.requests(), world.text()), (vec![patch.clone(), get], "first".to_owned()));
    world.apply("first again", None).await.unwrap();
    assert_eq!(world.requests(), [patch], "no cache is certain to show it, so that it is missing says nothing");
}

#[tokio::test]
async fn of_two_primaries_that_adopt_one_object_the_second_loses_a_race_and_is_then_told_whose_it_is() {
    let world = World::new();
    world.leave_about();
    let found = world.cached(CHILD);
    world.apply("first", found.clone()).await.unwrap();
    let error = world.apply_for(&world.other(), "second", found.clone()).await.expect_err("it is the first's");
    assert!(error.is_conflict(), "{error}");
    let error = world.apply_for(&world.other(), "second", world.cached(CHILD)).await.expect_err("it is the first's");
    assert!(is_refused(&error, "ConfigMap site"), "{error}");
    assert_eq!(world.text(), "first");
    world.apply("once more", found).await.unwrap();
    assert_eq!(world.text(), "once more", "the cache is behind our own adoption");
}

#[tokio::test]
async fn an_object_that_no_cache_shows_is_adopted_as_it_was_read() {
    let world = World::new();
    world.leave_about();
    world.apply("ours", None).await.unwrap();
    let patch = format!("PATCH {CHILD} site");
    assert_eq!(world.requests(), [patch.clone(), format!("GET {CHILD}"), patch]);
    assert_eq!(world.text(), "ours");
    let owner = world.api.lock().unwrap().objects[CHILD]["metadata"]["ownerReferences"][0]["uid"].clone();
    assert_eq!(owner, "site-uid");
}

#[tokio::test]
async fn what_came_and_went_while_it_was_created_is_a_lost_race() {
    let world = World::new();
    world.api.lock().unwrap().fail_next = Some(409);
    let error = world.apply("x", None).await.expect_err("409");
    assert!(error.is_conflict(), "{error}");
    assert_eq!(error.to_string(), "cannot apply ConfigMap web/child");
}

#[tokio::test]
async fn what_is_created_is_made_once_and_never_changed() {
    let world = World::new();
    let made = world.create("x", None).await.unwrap();
    assert!(matches!(&made, Made::Created(child) if text(child) == "x"), "{made:?}");
    assert_eq!(world.requests(), [format!("PATCH {CHILD} site")]);
    let exists = |made: Made<ConfigMap>| match made {
        Made::Exists(child) => text(&read(child)).to_owned(),
        Made::Created(_) => panic!("created anew"),
    };
    assert_eq!(exists(world.create("y", None).await.unwrap()), "x", "not cached yet");
    assert_eq!(exists(world.create("y", world.cached(CHILD)).await.unwrap()), "x", "cached");
    assert_eq!(world.requests(), [""; 0]);
    // Nothing is remembered, and nothing cached.
    lock(&world.writer.memory.of(&world.primary.key).children).remove(&id());
    assert_eq!(exists(world.create("y", None).await.unwrap()), "x");
    assert_eq!(world.requests(), [format!("PATCH {CHILD} site"), format!("GET {CHILD}")]);
    let other = world.other();
    let error = world.writer.create(&other, &child("y"), &Shown(None)).await.expect_err("it is the first's");
    assert!(is_refused(&error, "ConfigMap site"), "{error}");
    world.leave_about();
    assert_eq!(exists(world.create("y", None).await.unwrap()), "theirs", "nobody's");
    assert_eq!(exists(world.create("y", world.cached(CHILD)).await.unwrap()), "theirs");
    assert_eq!(world.text(), "theirs");
}

#[tokio::test]
async fn c12_a_dry_run_answers_as_an_apply_would_and_leaves_nothing_behind() {
    let world = World::new();
    let dry_run = async |data: &str, cached| {
        let made = world.writer.dry_run(&world.primary, &child(data), &Shown(cached)).await?;
        Ok::<_, Error>(text(&made).to_owned())
    };
    assert_eq!(dry_run("x", None).await.unwrap(), "x");
    assert!(!world.api.lock().unwrap().objects.contains_key(CHILD));
    world.apply("x", None).await.unwrap();
    let version = world.version(CHILD);
    world.requests();
    assert_eq!(dry_run("y", world.cached(CHILD)).await.unwrap(), "y");
    assert_eq!(dry_run("x", world.cached(CHILD)).await.unwrap(), "x", "and is never skipped");
    assert_eq!(world.requests().len(), 2);
    assert_eq!((world.version(CHILD), world.text()), (version, "x".to_owned()));
    world.apply("x", world.cached(CHILD)).await.unwrap();
    assert_eq!(world.requests(), [""; 0], "the memory of the last apply is as it was");
    let error = world.writer.dry_run(&world.other(), &child("y"), &Shown(None)).await.expect_err("it is the first's");
    assert!(is_refused(&error, "ConfigMap site"), "{error}");
    world.api.lock().unwrap().fail_next = Some(422);
    let error = dry_run("y", world.cached(CHILD)).await.expect_err("422");
    assert_eq!(error.to_string(), "cannot dry-run the apply of ConfigMap web/child");
}

#[tokio::test]
async fn a_deletion_of_what_was_seen_spares_what_has_changed_since() {
    let world = World::new();
    let seen = world.apply("x", None).await.unwrap();
    world.edit(CHILD, |child| child["data"]["a"] = json!("y"));
    let (_, key) = id();
    let delete = async |deletion: Deletion| {
        world.writer.delete::<ConfigMap>(&world.primary, &key, world.cached(CHILD), &deletion).await
    };
    let error = delete(Deletion::foreground().if_unchanged(&*seen)).await.expect_err("it has changed");
    assert!(error.is_conflict(), "{error}");
    let mut another = (*seen).clone();
    another.metadata.uid = Some("another".to_owned());
    assert!(delete(Deletion::background().if_unchanged(&another)).await.expect_err("another life").is_conflict());
    assert_eq!(world.text(), "y");
    let seen: ConfigMap = serde_json::from_slice(world.cached(CHILD).unwrap().json()).unwrap();
    delete(Deletion::foreground().if_unchanged(&seen)).await.unwrap();
    assert!(!world.api.lock().unwrap().objects.contains_key(CHILD));
}
