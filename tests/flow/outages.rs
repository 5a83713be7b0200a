//! Informers and reflectors while servers go away, forget, and come back as they were before.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use controlplane::audit::AuditMark;
use controlplane::harness::Trial;
use controlplane::{AuditEntry, ControlPlane, Options, eventually, harness};
use futures_util::future::BoxFuture;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::DeleteParams;
use kubewright::client::{self, Chunks, ConfigOptions};
use kubewright::informer::factory::InformerFactory;
use kubewright::reflector::{ApiListerWatcher, ListOptions, ListerWatcher, Reflector, Target, WatchOptions};
use kubewright::resource::ResourceType;
use kubewright::wire::ManagedFields;
use kubewright::{Client, Lister, ObjectKey};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::listing::{MANY, Mirror, WithoutWatchList, create};
use super::operators::{Outcome, PATIENCE};

/// Where everything happens.
const NAMESPACE: &str = "default";

/// Who watches, apart from the administrator who changes things.
const WATCHER: &str = "system:serviceaccount:default:watcher";

pub(crate) fn trials() -> Vec<Trial> {
    let trial = |name, body: fn(&ControlPlane) -> Outcome| Trial::own(name, Options::default(), body);
    vec![
        trial("an_outage_costs_no_list_and_loses_nothing", an_outage_costs_no_list_and_loses_nothing),
        trial(
            "an_outage_that_outlasts_the_servers_memory_costs_one_list_and_loses_nothing",
            an_outage_that_outlasts_the_servers_memory_costs_one_list_and_loses_nothing,
        ),
        trial(
            "a_restored_etcd_is_noticed_although_watches_at_its_lost_versions_are_accepted",
            a_restored_etcd_is_noticed_although_watches_at_its_lost_versions_are_accepted,
        ),
        trial("a_continue_token_that_expired_costs_one_full_list", a_continue_token_that_expired_costs_one_full_list),
    ]
}

/// Returns clients of the watcher and of the administrator.
async fn clients(cluster: &ControlPlane) -> Outcome<(Client, Client)> {
    cluster.kubectl(&["create", "serviceaccount", "watcher"], "")?.success()?;
    let binding = ["--clusterrole=cluster-admin", "--serviceaccount=default:watcher"];
    cluster.kubectl(&[&["create", "clusterrolebinding", "watcher"][..], &binding].concat(), "")?.success()?;
    let token = cluster.service_account_token(NAMESPACE, "watcher")?;
    let of = async |path| Client::from_options(&ConfigOptions { kubeconfig: Some(path), context: None }).await;
    let watcher = of(cluster.kubeconfig_for_token(&token)?).await?;
    Ok((watcher, of(cluster.kubeconfig_path().to_owned()).await?))
}

/// Returns what the watcher asked for since `mark`.
fn requests(cluster: &ControlPlane, mark: AuditMark) -> Outcome<Vec<AuditEntry>> {
    Ok(cluster.audit_since(mark)?.into_iter().filter(|entry| entry.user == WATCHER).collect())
}

/// Whether a request asks for one object, to see how far the server has come.
fn is_probe(entry: &AuditEntry) -> bool {
    entry.verb == "list" && entry.uri.contains("limit=1&")
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::namespaced(NAMESPACE, name)
}

fn cached(lister: &Lister<ConfigMap>, names: &[(&str, bool)]) -> Outcome {
    eventually("the cache to follow", PATIENCE, || {
        let wrong = names.iter().find(|(name, there)| lister.keys().contains(&key(name)) != *there);
        match wrong {
            None => Ok(Some(())),
            Some((name, _)) => Err(format!("{name} is not as it should be").into()),
        }
    })?;
    Ok(())
}

/// Whether the server still knows how it came to where it is when the watcher comes back.
#[derive(Clone, Copy, PartialEq, Eq)]
enum History {
    Kept,
    Compacted,
}

/// Changes what exists while the watcher is cut off, and counts what it asks for when it comes back.
fn outage(cluster: &ControlPlane, history: History, lists: usize) -> Outcome {
    harness::block_on(async {
        let (watcher, administrator) = clients(cluster).await?;
        create(&administrator, NAMESPACE, ["kept", "gone"].map(str::to_owned).into_iter()).await?;
        let (gate, gated) = watch::channel(true);
        let waits = Arc::<AtomicBool>::default();
        let waiting = Arc::clone(&waits);
        let factory = InformerFactory::from_lister_watchers(move |target| Gated {
            inner: ApiListerWatcher::new(watcher.clone(), target.clone()),
            open: gated.clone(),
            waits: Arc::clone(&waiting),
        })
        .in_namespace(NAMESPACE);
        let lister = factory.informer::<ConfigMap>().lister();
        factory.start();
        factory.wait_for_cache_sync(PATIENCE).await?;
        let mark = cluster.audit_mark()?;

        gate.send_replace(false);
        cluster.kill_apiserver()?;
        eventually("the watcher to come back", PATIENCE, || Ok(waits.load(Ordering::SeqCst).then_some(())))?;
        cluster.start_apiserver()?;
        let maps = Api::<ConfigMap>::namespaced(administrator.kube(), NAMESPACE);
        maps.delete("gone", &DeleteParams::default()).await?;
        create(&administrator, NAMESPACE, ["late".to_owned()].into_iter()).await?;
        if history == History::Compacted {
            cluster.kill_apiserver()?;
            cluster.compact()?;
            cluster.start_apiserver()?;
        }
        gate.send_replace(true);
        cached(&lister, &[("kept", true), ("gone", false), ("late", true)])?;
        eventually("the failure to be over", PATIENCE, || {
            Ok(factory.status().iter().all(|(_, status)| status.failure.is_none()).then_some(()))
        })?;

        let requests = requests(cluster, mark)?;
        let listed = requests.iter().filter(|entry| entry.verb == "list" && entry.code == 200 && !is_probe(entry));
        assert_eq!(listed.count(), lists, "{requests:#?}");
        factory.shutdown().await;
        Ok(())
    })
}

fn an_outage_costs_no_list_and_loses_nothing(cluster: &ControlPlane) -> Outcome {
    outage(cluster, History::Kept, 0)
}

fn an_outage_that_outlasts_the_servers_memory_costs_one_list_and_loses_nothing(cluster: &ControlPlane) -> Outcome {
    outage(cluster, History::Compacted, 1)
}

/// Lets no request pass unless it is open.
struct Gated {
    inner: ApiListerWatcher,
    open: watch::Receiver<bool>,
    /// Whether a request has come to a closed gate.
    waits: Arc<AtomicBool>,
}

impl Gated {
    async fn pass(&self) {
        self.waits.fetch_or(!*self.open.borrow(), Ordering::SeqCst);
        // Cannot fail: the trial holds the sender for as long as the factory.
        let _ = self.open.clone().wait_for(|open| *open).await;
    }
}

impl ListerWatcher for Gated {
    fn list(&self, options: ListOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
        Box::pin(async move {
            self.pass().await;
            self.inner.list(options).await
        })
    }

    fn watch(&self, options: WatchOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
        Box::pin(async move {
            self.pass().await;
            self.inner.watch(options).await
        })
    }
}

fn a_restored_etcd_is_noticed_although_watches_at_its_lost_versions_are_accepted(cluster: &ControlPlane) -> Outcome {
    harness::block_on(async {
        let (watcher, administrator) = clients(cluster).await?;
        create(&administrator, NAMESPACE, ["kept", "deleted"].map(str::to_owned).into_iter()).await?;
        let factory = InformerFactory::new(watcher).in_namespace(NAMESPACE);
        let lister = factory.informer::<ConfigMap>().lister();
        factory.start();
        factory.wait_for_cache_sync(PATIENCE).await?;

        let backup = cluster.back_up()?;
        let maps = Api::<ConfigMap>::namespaced(administrator.kube(), NAMESPACE);
        maps.delete("deleted", &DeleteParams::default()).await?;
        // Far enough ahead that the restored server does not come there by itself meanwhile.
        create(&administrator, NAMESPACE, (0..MANY).map(|number| format!("lost-{number}"))).await?;
        let last = format!("lost-{}", MANY - 1);
        cached(&lister, &[("kept", true), ("deleted", false), (&last, true)])?;

        let mark = cluster.audit_mark()?;
        cluster.restore(&backup)?;
        create(&administrator, NAMESPACE, ["new".to_owned()].into_iter()).await?;
        cached(&lister, &[("kept", true), ("deleted", true), (&last, false), ("lost-0", false), ("new", true)])?;
        let requests = requests(cluster, mark)?;
        let behind = requests.iter().filter(|entry| is_probe(entry) && entry.code == 504).count();
        assert!(behind >= 1, "the server said that it is behind: {requests:#?}");
        let accepted = requests.iter().filter(|entry| entry.verb == "watch" && entry.code == 200).count();
        assert!(accepted >= 1, "{requests:#?}");
        factory.shutdown().await;
        Ok(())
    })
}

/// Waits before it asks for a second page until it is told that the server has forgotten the first.
struct Interrupted {
    inner: WithoutWatchList,
    begun: Arc<AtomicBool>,
    forgotten: watch::Receiver<bool>,
}

impl ListerWatcher for Interrupted {
    fn list(&self, options: ListOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
        Box::pin(async move {
            if options.continue_token.is_some() {
                self.begun.store(true, Ordering::SeqCst);
                let _ = self.forgotten.clone().wait_for(|forgotten| *forgotten).await;
            }
            self.inner.list(options).await
        })
    }

    fn watch(&self, options: WatchOptions) -> BoxFuture<'_, Result<Chunks, client::Error>> {
        self.inner.watch(options)
    }
}

/// Invariant R10 of client-go's reflector.
fn a_continue_token_that_expired_costs_one_full_list(cluster: &ControlPlane) -> Outcome {
    harness::block_on(async {
        let (watcher, administrator) = clients(cluster).await?;
        create(&administrator, NAMESPACE, (0..MANY).map(|number| format!("map-{number}"))).await?;
        let target = Target {
            resource: ResourceType::of::<ConfigMap>(),
            namespace: Some(NAMESPACE.to_owned()),
            labels: Some("made=here".to_owned()),
            fields: None,
            metadata_only: false,
            managed_fields: ManagedFields::Drop,
        };
        let mark = cluster.audit_mark()?;
        let (forget, forgotten) = watch::channel(false);
        let begun = Arc::<AtomicBool>::default();
        let source =
            Interrupted { inner: WithoutWatchList::new(&watcher, &target), begun: Arc::clone(&begun), forgotten };
        let mirror = Mirror::default();
        let (reflector, status) = Reflector::new(target, source, mirror.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(reflector.run());
        eventually("the first page", PATIENCE, || Ok(begun.load(Ordering::SeqCst).then_some(())))?;

        // What the first page listed is gone from etcd, and an API server that starts now has never known it.
        let maps = Api::<ConfigMap>::namespaced(administrator.kube(), NAMESPACE);
        maps.delete("map-0", &DeleteParams::default()).await?;
        create(&administrator, NAMESPACE, ["late".to_owned()].into_iter()).await?;
        cluster.kill_apiserver()?;
        cluster.compact()?;
        cluster.start_apiserver()?;
        forget.send_replace(true);
        mirror.replaced(1)?;

        let objects = mirror.objects();
        assert_eq!(objects.len(), MANY);
        let has = |name: &str| objects.contains_key(&format!("{NAMESPACE}/{name}"));
        assert!(has("late") && has("map-1") && !has("map-0"));
        eventually("no failure", Duration::from_secs(10), || Ok(status.borrow().failure.is_none().then_some(())))?;
        let requests = requests(cluster, mark)?;
        let lists: Vec<_> = requests.iter().filter(|entry| entry.verb == "list" && entry.code != 0).collect();
        let expired = lists.iter().filter(|entry| entry.code == 410).collect::<Vec<_>>();
        assert_eq!(expired.len(), 1, "{lists:#?}");
        assert!(expired[0].uri.contains("continue="), "{lists:#?}");
        let last = lists.last().ok_or("there are lists")?;
        assert!(!last.uri.contains("limit=") && last.code == 200, "{lists:#?}");
        Ok(())
    })
}
