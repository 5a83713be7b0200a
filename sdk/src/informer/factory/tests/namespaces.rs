//! Several namespaces in one informer.
use std::collections::BTreeMap;

use super::*;

async fn list(stream: &Stream, version: u64, objects: &[crate::store::fixture::ConfigMapFixture]) {
    stream.deltas.push(Delta::ListStarted).await.unwrap();
    for object in objects {
        stream.deltas.push(Delta::Listed(object.raw())).await.unwrap();
    }
    stream.deltas.push(Delta::Replaced(ResourceVersion::new(&version.to_string()))).await.unwrap();
}

async fn reaches(informer: &Informer<ConfigMap>, version: u64) {
    let mut status = informer.status();
    status.wait_for(|status| status.version.as_str() == version.to_string()).await.unwrap();
}

fn keys(informer: &Informer<ConfigMap>) -> Vec<String> {
    informer.lister().keys().iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn each_namespace_has_a_watch_and_all_share_a_cache() {
    let mut setup = setup();
    let of = |namespaces: [&str; 2]| InformerOptions::default().namespaces(namespaces);
    let informer = setup.factory.informer_with::<ConfigMap>(of(["b", "a"]));
    let same = [
        setup.factory.informer_with::<ConfigMap>(of(["a", "b"])),
        setup.factory.clone().in_namespaces(["a", "b", ""]).informer(),
    ];
    assert!(same.iter().all(|same| Arc::ptr_eq(same.shared(), informer.shared())));
    let cluster = setup.factory.informer_with::<Namespace>(of(["a", "b"]));
    assert!(Arc::ptr_eq(cluster.shared(), setup.factory.informer::<Namespace>().shared()));
    drop(cluster);
    setup.factory.start();
    let streams = setup.streams();
    let watched: Vec<_> = streams.iter().map(|stream| stream.target.namespace.as_deref().unwrap()).collect();
    assert_eq!(watched, ["a", "b"]);
    assert_eq!(informer.shared().target().to_string(), "configmaps/v1 (namespace a,b)");

    list(&streams[0], 5, &[config_map("a/one"), config_map("a/two")]).await;
    let mut status = informer.status();
    assert!(!status.wait_for(|status| status.objects == 2).await.unwrap().synced, "b is missing");
    assert!(status.borrow().version.is_empty());
    list(&streams[1], 3, &[config_map("b/one")]).await;
    assert!(status.wait_for(|status| status.synced).await.unwrap().version.as_str() == "3", "the earliest");
    streams[1].deltas.push(Delta::Bookmark(ResourceVersion::new("9"))).await.unwrap();
    reaches(&informer, 5).await;

    list(&streams[0], 12, &[config_map("a/two")]).await;
    reaches(&informer, 9).await;
    assert_eq!(keys(&informer), ["a/two", "b/one"], "a list says nothing about other namespaces");
    // While one is listed, the others go on.
    streams[0].deltas.push(Delta::ListStarted).await.unwrap();
    streams[1].deltas.push(Delta::Applied(config_map("b/two").version(11).raw())).await.unwrap();
    reaches(&informer, 11).await;
    streams[0].deltas.push(Delta::Replaced(ResourceVersion::new("10"))).await.unwrap();
    reaches(&informer, 10).await;
    assert_eq!(keys(&informer), ["b/one", "b/two"]);
    assert_eq!(setup.factory.reflectors().len(), 2);

    let reached = |part: usize, version: &str| informer.shared().has_reached(part, &ResourceVersion::new(version));
    streams[1].deltas.push(Delta::Bookmark(ResourceVersion::new("20"))).await.unwrap();
    status.wait_for(|status| status.versions.iter().map(ResourceVersion::as_str).eq(["10", "20"])).await.unwrap();
    assert_eq!((reached(0, "11"), reached(1, "20"), reached(1, "21")), (false, true, false));
    // What was said before takes nobody back.
    streams[1].deltas.push(Delta::Bookmark(ResourceVersion::new("7"))).await.unwrap();
    streams[0].deltas.push(Delta::Bookmark(ResourceVersion::new("15"))).await.unwrap();
    let then = status.wait_for(|status| status.versions[0].as_str() == "15").await.unwrap().clone();
    assert_eq!((then.versions[1].as_str(), then.version.as_str()), ("20", "15"));

    streams[1].fail("b is forbidden");
    status.wait_for(|status| status.failure.is_some()).await.unwrap();
    drop((informer, same));
    while setup.running.load(Ordering::Relaxed) > 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn lists_and_changes_of_many_namespaces_end_as_the_server_has_it() {
    const NAMESPACES: [&str; 3] = ["a", "b", "c"];
    let mut setup = setup();
    let informer = setup.factory.informer_with::<ConfigMap>(InformerOptions::default().namespaces(NAMESPACES));
    setup.factory.start();
    let streams = setup.streams();
    let mut server: [BTreeMap<String, crate::store::fixture::ConfigMapFixture>; 3] = Default::default();
    for stream in &streams {
        list(stream, 1, &[]).await;
    }
    // A fixed walk: creations, changes, deletions seen and missed, lists of one namespace at a time.
    let mut walk = 11_u64;
    for version in 2..3000_u64 {
        walk = walk.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let at = (walk >> 33) as usize % NAMESPACES.len();
        let name = format!("{}/{}", NAMESPACES[at], (walk >> 36) % 12);
        let object = config_map(&name).version(version);
        match (walk >> 48) % 8 {
            0 => {
                server[at].remove(&name);
            }
            1 => list(&streams[at], version, &server[at].values().cloned().collect::<Vec<_>>()).await,
            2 => {
                if server[at].remove(&name).is_some() {
                    streams[at].deltas.push(Delta::Deleted(object.raw())).await.unwrap();
                }
            }
            _ => {
                streams[at].deltas.push(Delta::Applied(object.raw())).await.unwrap();
                server[at].insert(name, object);
            }
        }
    }
    for (stream, server) in streams.iter().zip(&server) {
        list(stream, 3000, &server.values().cloned().collect::<Vec<_>>()).await;
    }
    reaches(&informer, 3000).await;
    let expected: Vec<_> = server.iter().flat_map(|server| server.keys().cloned()).collect();
    assert_eq!(keys(&informer), expected);
}

#[tokio::test(start_paused = true)]
async fn i15_waiting_names_what_of_a_kind_is_late() {
    let mut setup = setup();
    let of = |namespaces: &[&str]| InformerOptions::default().namespaces(namespaces.iter().copied());
    let _informers = [
        setup.factory.informer_with::<ConfigMap>(of(&["a", "b", "c"])),
        setup.factory.informer_with(of(&["d"]).labels("app=web")),
        setup.factory.informer_with(of(&["e"])),
    ];
    setup.factory.start();
    let streams = setup.streams();
    list(&streams[1], 1, &[]).await;
    streams[1].reflector.send_modify(|status| status.synced = true);
    list(&streams[4], 1, &[]).await;
    let error = setup.factory.wait_for_cache_sync(LIMIT).await.unwrap_err();
    let why = "no whole list within 30s";
    let late = ["configmaps/v1 (namespace a,c)", "configmaps/v1 (namespace d, labels app=web)"];
    assert_eq!(error.late, late.map(|target| format!("{target}: {why}")));
}

#[tokio::test]
async fn informers_of_the_same_objects_share_no_series() {
    let setup = setup();
    let factory = &setup.factory;
    let of = |namespaces: &[&str]| InformerOptions::default().namespaces(namespaces.iter().copied());
    let transform = || InformerOptions::default().transform(Transform::new(|_| {}));
    let all = factory.informer::<ConfigMap>();
    let others = [
        factory.informer_with::<ConfigMap>(InformerOptions::default().storage(Storage::Decoded)),
        factory.informer_with(transform()),
        factory.informer_with(transform()),
        factory.informer_with(of(&["a", "b"])),
        factory.informer_with(of(&["a"])),
        factory.informer_with(of(&["b", "c"])),
        factory.informer_with(of(&["d"])),
    ];
    factory.start();
    let series = || {
        let mut snapshot = Snapshot::default();
        factory.collect(&mut snapshot);
        let text = snapshot.text();
        let series = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap().0);
        series.map(str::to_owned).collect::<Vec<_>>()
    };
    let objects = |series: &[String]| {
        let of_objects = series.iter().filter_map(|name| name.strip_prefix("kubewright_cache_objects"));
        of_objects.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = series();
    assert_eq!(before.iter().collect::<BTreeSet<_>>().len(), before.len(), "{before:#?}");
    assert_eq!(
        objects(&before),
        [
            r#"{kind="configmaps/v1"}"#,
            r#"{kind="configmaps/v1",informer="2"}"#,
            r#"{kind="configmaps/v1",informer="3"}"#,
            r#"{kind="configmaps/v1",informer="4"}"#,
            r#"{kind="configmaps/v1 (namespace a,b)"}"#,
            r#"{kind="configmaps/v1 (namespace a)",informer="2"}"#,
            r#"{kind="configmaps/v1 (namespace b,c)",informer="2"}"#,
            r#"{kind="configmaps/v1 (namespace d)"}"#,
        ]
    );
    drop(all);
    let again = factory.informer::<ConfigMap>();
    let after = objects(&series());
    assert_eq!(after.last().unwrap(), r#"{kind="configmaps/v1"}"#, "the number that is free");
    assert_eq!(after.len(), 1 + others.len());
    drop(again);
}
