//! Several finalizers on one object, and a deletion at any time.
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use controlplane::harness;
use controlplane::{TestScope, eventually};
use k8s_openapi::api::core::v1::ConfigMap;
use kubewright::kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kubewright::kube::{self, Api, CustomResource, ResourceExt};
use kubewright::{Action, Cleanup, Operator, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, from_value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::operators::{Outcome, PATIENCE, Reach, Robot, Running, administrator, apply, read, wait_for, wait_gone};

/// Something that must be undone.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "flow.kubewright.dev", version = "v1", kind = "Knot", namespaced)]
#[operator(owns(ConfigMap), cleanup)]
pub(crate) struct KnotSpec {
    /// Whether its reconcile waits until the trial lets it go on.
    held: bool,
}

const OURS: &str = "flow.kubewright.dev/knot-cleanup";
const THEIRS: &str = "example.com/theirs";
const FLICKER: &str = "example.com/flicker";

/// How many objects are fought over.
const KNOTS: usize = 12;

/// How often each gets and loses the other writer's finalizer.
const ROUNDS: usize = 3;

#[derive(Clone)]
struct Knots {
    /// What was called, in order.
    calls: Arc<Mutex<Vec<String>>>,
    gate: Arc<Semaphore>,
}

impl Knots {
    fn new() -> Self {
        Self { calls: Arc::default(), gate: Arc::new(Semaphore::new(0)) }
    }

    fn note(&self, call: &str, knot: &Knot) {
        self.calls.lock().unwrap().push(format!("{call} {}", knot.name_any()));
    }

    fn called(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }
}

impl KnotReconciler for Knots {
    async fn reconcile(&self, knot: Arc<Knot>, cx: KnotContext) -> Result<Action> {
        self.note("begin", &knot);
        if knot.spec.held {
            self.gate.acquire().await?.forget();
        }
        cx.apply(from_value::<ConfigMap>(json!({ "metadata": { "name": cx.key().name() } }))?).await?;
        self.note("end", &knot);
        Ok(Action::await_change())
    }

    async fn cleanup(&self, knot: Arc<Knot>, _: KnotContext) -> Result<Cleanup> {
        self.note("cleanup", &knot);
        Ok(Cleanup::done())
    }
}

fn knot(name: &str, held: bool, finalizers: &[&str]) -> Value {
    json!({
        "apiVersion": "flow.kubewright.dev/v1", "kind": "Knot",
        "metadata": { "name": name, "finalizers": finalizers }, "spec": { "held": held },
    })
}

fn finalizers(scope: &TestScope) -> Outcome<BTreeMap<String, Vec<String>>> {
    let list: Value = serde_json::from_str(&scope.kubectl(&["get", "knots", "-o", "json"], "")?.success()?)?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let of = |item: &Value| {
        let names = item["metadata"]["finalizers"].as_array().into_iter().flatten();
        names.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    Ok(items.iter().map(|item| (item["metadata"]["name"].as_str().unwrap_or_default().to_owned(), of(item))).collect())
}

/// Changes the finalizers as any careful writer does: against the version it has seen, and anew where that has passed.
async fn change(knots: &Api<Knot>, mut seen: Knot, wanted: &[&str], lost: &mut usize) -> kube::Result<Knot> {
    loop {
        let ours = seen.finalizers().iter().filter(|finalizer| *finalizer == OURS);
        let finalizers: Vec<&str> = wanted.iter().copied().chain(ours.map(String::as_str)).collect();
        let metadata = json!({ "finalizers": finalizers, "resourceVersion": seen.resource_version() });
        let patch = Patch::Merge(json!({ "metadata": metadata }));
        match knots.patch(&seen.name_any(), &PatchParams::default(), &patch).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            result => return result,
        }
        let live = knots.get(&seen.name_any()).await?;
        let theirs = |knot: &Knot| knot.finalizers().iter().filter(|it| *it != OURS).cloned().collect::<Vec<_>>();
        *lost += usize::from(theirs(&live) != theirs(&seen));
        seen = live;
    }
}

/// Makes an object and fights over it; returns how often a finalizer of this writer was gone or back without its doing.
async fn fight(knots: Api<Knot>, name: String) -> kube::Result<usize> {
    let mut lost = 0;
    let fresh: Knot = serde_json::from_value(knot(&name, false, &[THEIRS])).map_err(kube::Error::SerdeError)?;
    let mut seen = knots.create(&PostParams::default(), &fresh).await?;
    for _ in 0..ROUNDS {
        seen = change(&knots, seen, &[FLICKER, THEIRS], &mut lost).await?;
        seen = change(&knots, seen, &[THEIRS], &mut lost).await?;
    }
    change(&knots, seen, &[FLICKER, THEIRS], &mut lost).await?;
    Ok(lost)
}

/// Deletes an object, and gives up one of two finalizers while its cleanup runs; returns what [`fight`] does.
async fn give_up(knots: Api<Knot>, name: String) -> kube::Result<usize> {
    let mut lost = 0;
    let seen = match knots.delete(&name, &DeleteParams::default()).await?.left() {
        Some(seen) => seen,
        None => knots.get(&name).await?,
    };
    change(&knots, seen, &[THEIRS], &mut lost).await?;
    Ok(lost)
}

async fn all(fights: impl IntoIterator<Item = impl Future<Output = kube::Result<usize>> + Send + 'static>) -> Outcome {
    let mut fights: JoinSet<_> = fights.into_iter().collect();
    let mut lost = 0;
    while let Some(end) = fights.join_next().await {
        lost += end??;
    }
    assert_eq!(lost, 0, "another writer's finalizers were changed");
    Ok(())
}

pub(crate) fn finalizers_of_others_are_never_dropped(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let knots = Knots::new();
        let operator = {
            let knots = knots.clone();
            Knot::operator(async |_| Ok(knots))
        };
        let robot = Robot::new(scope, "knots", &[operator.declared().clone()], Reach::Namespace)?;
        let running = Running::start(&robot, Some(scope.namespace()), operator).await?;
        let names: Vec<String> = (0..KNOTS).map(|number| format!("k{number}")).collect();
        let api = Api::<Knot>::namespaced(administrator(scope).await?.kube(), scope.namespace());
        all(names.iter().map(|name| fight(api.clone(), name.clone()))).await?;
        eventually("all of them to be held", PATIENCE, || {
            Ok(finalizers(scope)?.values().all(|held| held.iter().any(|finalizer| finalizer == OURS)).then_some(()))
        })?;
        all(names.iter().map(|name| give_up(api.clone(), name.clone()))).await?;
        eventually("our finalizer to go, and nothing else", PATIENCE, || {
            let left = finalizers(scope)?;
            assert!(left.len() == KNOTS && left.values().all(|it| it.iter().any(|it| it == THEIRS)), "{left:?}");
            if left.values().all(|left| left == &[THEIRS]) { Ok(Some(())) } else { Err(format!("{left:?}").into()) }
        })?;
        let cleaned = knots.called().iter().filter(|call| call.starts_with("cleanup")).count();
        assert!(cleaned >= KNOTS, "each was cleaned up: {:?}", knots.called());
        running.settled()?;
        assert_eq!(finalizers(scope)?.len(), KNOTS);
        for name in &names {
            let seen = api.get(name).await?;
            change(&api, seen, &[], &mut 0).await?;
        }
        eventually("all of them to be gone", PATIENCE, || Ok(finalizers(scope)?.is_empty().then_some(())))?;
        for name in &names {
            wait_gone(scope, &format!("configmap/{name}"))?;
        }
        running.stop().await
    })
}

pub(crate) fn a_deletion_during_a_reconcile_is_cleaned_up_after_it(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let knots = Knots::new();
        let operator = {
            let knots = knots.clone();
            Knot::operator(async |_| Ok(knots))
        };
        let robot = Robot::new(scope, "held", &[operator.declared().clone()], Reach::Namespace)?;
        let running = Running::start(&robot, Some(scope.namespace()), operator).await?;
        apply(scope, &[knot("k", true, &[])])?;
        eventually("the reconcile to begin", PATIENCE, || Ok((knots.called() == ["begin k"]).then_some(())))?;
        wait_for(scope, "knot/k", "/metadata/finalizers", &json!([OURS]))?;
        scope.kubectl(&["delete", "knot/k", "--wait=false"], "")?.success()?;
        let live = read(scope, "knot/k")?.ok_or("its finalizer holds it")?;
        assert!(live["metadata"]["deletionTimestamp"].is_string(), "{live:#}");

        knots.gate.add_permits(100);
        wait_gone(scope, "knot/k")?;
        // The reconcile that ran made a child when the end was near: it goes with its owner.
        wait_gone(scope, "configmap/k")?;
        running.settled()?;
        assert_eq!(knots.called(), ["begin k", "end k", "cleanup k"]);
        running.stop().await
    })
}
