//! Reads after writes, on the real API server with watches that are late: no reconcile reads what is older than its own
//! last acknowledged write, and without the gate nearly all do.
//!
//! The size is `KUBEWRIGHT_RECONCILES`, 400 unless set. The measurement of 10,000:
//! `KUBEWRIGHT_RECONCILES=10000 cargo test --release -p flow --test real -- caches_show`
use std::collections::BTreeMap;
use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::faults::{Call, Fault, Proxy, StreamFault, Verb};
use controlplane::harness;
use controlplane::{TestScope, eventually};
use k8s_openapi::api::core::v1::ConfigMap;
use kubewright::controller::ReadYourWrites;
use kubewright::kube::CustomResource;
use kubewright::manager::Manager;
use kubewright::{Action, InformerFactory, Operator, Result, Setup};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{from_value, json};

use super::operators::{Outcome, Reach, Robot, apply};

/// Counts up, in a child and in its own status.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "flow.kubewright.dev", version = "v1", kind = "Counter", namespaced, status = "CounterStatus")]
#[operator(owns(ConfigMap), concurrency = 8)]
pub(crate) struct CounterSpec {
    /// How far.
    rounds: usize,
}

/// How far it is.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
#[serde(default)]
pub(crate) struct CounterStatus {
    round: usize,
}

/// How late events are: longer than a reconcile takes, so that without the gate each one reads old caches.
const LATE: (Duration, Duration) = (Duration::from_millis(250), Duration::from_millis(400));

/// How many reconciles run at once.
const WORKERS: usize = 8;

/// How many keys share the rounds.
const KEYS: usize = 40;

#[derive(Default)]
struct Tally {
    /// The rounds that the API server has acknowledged last, of child and status.
    acknowledged: Mutex<BTreeMap<String, (usize, usize)>>,
    reconciles: AtomicUsize,
    stale: AtomicUsize,
}

struct Counters(Arc<Tally>);

impl CounterReconciler for Counters {
    async fn reconcile(&self, counter: Arc<Counter>, cx: CounterContext) -> Result<Action> {
        let key = cx.key().to_string();
        let known = self.0.acknowledged.lock().unwrap().get(&key).copied().unwrap_or_default();
        // From the cache alone: `owned` shows own writes that the cache does not.
        let child = cx.config_maps().lister().get(cx.key())?;
        let child = child.and_then(|child| child.data.as_ref()?.get("round")?.parse().ok());
        let read = (child.unwrap_or(0), counter.status.as_ref().map_or(0, |status| status.round));
        self.0.reconciles.fetch_add(1, Ordering::SeqCst);
        if read.0 < known.0 || read.1 < known.1 {
            self.0.stale.fetch_add(1, Ordering::SeqCst);
        }
        let next = known.0.max(read.0) + 1;
        if next > counter.spec.rounds {
            return Ok(Action::await_change());
        }
        let child = json!({ "metadata": { "name": cx.key().name() }, "data": { "round": next.to_string() } });
        cx.apply(from_value::<ConfigMap>(child)?).await?;
        self.acknowledge(&key, |rounds| rounds.0 = next);
        cx.set_status(CounterStatus { round: next }).await?;
        self.acknowledge(&key, |rounds| rounds.1 = next);
        Ok(Action::requeue_after(Duration::from_millis(1)))
    }
}

impl Counters {
    fn acknowledge(&self, key: &str, change: impl FnOnce(&mut (usize, usize))) {
        change(self.0.acknowledged.lock().unwrap().entry(key.to_owned()).or_default());
    }
}

/// Runs `keys` counters through the proxy until each has done `rounds`.
async fn count(
    scope: &TestScope,
    proxy: &Proxy,
    robot: &Robot,
    name: &str,
    mode: ReadYourWrites,
    size: Size,
) -> Outcome<Arc<Tally>> {
    let tally = Arc::<Tally>::default();
    let counters = Counters(Arc::clone(&tally));
    let client = robot.client_at(&proxy.url()).await?;
    let factory = InformerFactory::new(client.clone()).in_namespace(scope.namespace());
    let operator = Counter::operator(async move |_| Ok(counters));
    let made = operator.controller(Setup::new(client, factory.clone())).await;
    let (controller, reconcile) = made.map_err(|error| error.to_string())?;
    let manager = Manager::new(factory).controller(controller.read_your_writes(mode), reconcile);
    let (stop, mut running) = (manager.stop_handle(), tokio::task::JoinSet::new());
    running.spawn(manager.run());
    let counter = |index: usize| {
        json!({ "apiVersion": "flow.kubewright.dev/v1", "kind": "Counter",
            "metadata": { "name": format!("{name}-{index}") }, "spec": { "rounds": size.rounds } })
    };
    apply(scope, &(0..size.keys).map(counter).collect::<Vec<_>>())?;
    eventually("every counter to be done", size.patience(), || {
        let done = tally.acknowledged.lock().unwrap().values().filter(|rounds| rounds.1 >= size.rounds).count();
        if done == size.keys { Ok(Some(())) } else { Err(format!("{done} of {} are", size.keys).into()) }
    })?;
    stop.stop();
    while let Some(end) = running.join_next().await {
        let _ = end??;
    }
    Ok(tally)
}

#[derive(Clone, Copy)]
struct Size {
    keys: usize,
    rounds: usize,
}

impl Size {
    fn of(reconciles: usize) -> Self {
        Self { keys: KEYS, rounds: reconciles.div_ceil(KEYS) }
    }

    fn patience(self) -> Duration {
        Duration::from_secs(60) + Duration::from_millis(50) * u32::try_from(self.keys * self.rounds).unwrap_or(u32::MAX)
    }
}

pub(crate) fn caches_show_what_a_reconcile_wrote_before_the_next_one_begins(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let size = Size::of(env::var("KUBEWRIGHT_RECONCILES").ok().map_or(Ok(400), |text| text.parse())?);
        let operator = Counter::operator(async |_| Ok(Counters(Arc::default())));
        let robot = Robot::new(scope, "counter", &[operator.declared().clone()], Reach::Namespace)?;
        let proxy = Proxy::start(scope.control_plane().kubeconfig_path(), 5647).await?;
        proxy.set_plan(|call: &Call, _| match call.verb {
            Verb::Watch => Fault::Stream(StreamFault::Delay(LATE.0, LATE.1)),
            Verb::Read | Verb::Write => Fault::None,
        });
        let started = tokio::time::Instant::now();
        let gated = count(scope, &proxy, &robot, "gated", ReadYourWrites::default(), size).await?;
        let (reconciles, stale) = (gated.reconciles.load(Ordering::SeqCst), gated.stale.load(Ordering::SeqCst));
        scope.kubectl(&["delete", "counters", "--all"], "")?.success()?;
        // As few as there are workers: each key runs again at once.
        let few = Size { keys: WORKERS, rounds: 10 };
        let open = count(scope, &proxy, &robot, "open", ReadYourWrites::Off, few).await?;
        let (without, stale_without) = (open.reconciles.load(Ordering::SeqCst), open.stale.load(Ordering::SeqCst));
        eprintln!(
            "{stale} stale of {reconciles} reconciles with the gate, {stale_without} of {without} without, {:?}",
            started.elapsed()
        );
        assert!(reconciles >= size.keys * size.rounds, "{reconciles}");
        assert_eq!(stale, 0, "of {reconciles} reconciles");
        assert!(stale_without * 2 > without, "the proxy shows the fault: {stale_without} of {without}");
        Ok(())
    })
}
