//! What fails, and what is edited faster than it is repaired.
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use controlplane::harness;
use controlplane::{TestScope, eventually};
use k8s_openapi::api::core::v1::ConfigMap;
use kubewright::kube::api::{Patch, PatchParams};
use kubewright::kube::{Api, CustomResource};
use kubewright::{Action, Error, Operator, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, from_value, json};

use super::operators::{Calls, Outcome, PATIENCE, Reach, Robot, Running, administrator, apply, patch, wait_for};

/// Does what its spec says, be it wrong.
#[derive(CustomResource, Operator, Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[kube(group = "flow.kubewright.dev", version = "v1", kind = "Moody", plural = "moodies", namespaced)]
#[operator(owns(ConfigMap), concurrency = 2)]
pub(crate) struct MoodySpec {
    mood: Mood,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug)]
pub(crate) enum Mood {
    Fine,
    Terminal,
    Panicking,
    Failing,
}

struct Moodies;

impl MoodyReconciler for Moodies {
    async fn reconcile(&self, moody: Arc<Moody>, cx: MoodyContext) -> Result<Action> {
        match moody.spec.mood {
            Mood::Fine => {}
            Mood::Terminal => return Err(Error::new("no use").terminal()),
            Mood::Panicking => panic!("in a bad mood"),
            Mood::Failing => return Err(Error::new("not yet")),
        }
        let map = json!({ "metadata": { "name": cx.key().name() }, "data": { "owned": "ours", "kept": "too" } });
        cx.apply(from_value::<ConfigMap>(map)?).await?;
        Ok(Action::await_change())
    }
}

fn moody(name: &str, mood: Mood) -> Value {
    json!({ "apiVersion": "flow.kubewright.dev/v1", "kind": "Moody", "metadata": { "name": name },
        "spec": { "mood": format!("{mood:?}") } })
}

/// How often the child is edited.
const EDITS: usize = 50;

pub(crate) fn a_storm_of_edits_ends_as_declared_and_in_silence(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let cluster = scope.control_plane();
        let operator = Moody::operator(async |_| Ok(Moodies));
        let robot = Robot::new(scope, "storm", &[operator.declared().clone()], Reach::Namespace)?;
        let running = Running::start(&robot, Some(scope.namespace()), operator).await?;
        apply(scope, &[moody("m", Mood::Fine)])?;
        wait_for(scope, "configmap/m", "/data/owned", &json!("ours"))?;
        let (seen, mark) = (running.settled()?, cluster.audit_mark()?);

        let maps = Api::<ConfigMap>::namespaced(administrator(scope).await?.kube(), scope.namespace());
        for edit in 0..EDITS {
            // Every other edit also takes the field over, as another controller would.
            if edit % 2 == 0 {
                let patch = Patch::Merge(json!({ "data": { "owned": edit.to_string(), "foreign": edit.to_string() } }));
                maps.patch("m", &PatchParams::default(), &patch).await?;
            } else {
                let form = json!({ "apiVersion": "v1", "kind": "ConfigMap", "data": { "owned": edit.to_string() } });
                maps.patch("m", &PatchParams::apply("rival").force(), &Patch::Apply(form)).await?;
            }
        }
        wait_for(scope, "configmap/m", "/data/owned", &json!("ours"))?;
        let reconciles = running.settled_after(seen)? - seen;
        let live = wait_for(scope, "configmap/m", "/data/owned", &json!("ours"))?;
        assert_eq!((&live["data"]["kept"], &live["data"]["foreign"]), (&json!("too"), &json!("48")));
        let applies = robot.writes(cluster, mark)?.len();
        assert!((1..=EDITS).contains(&applies), "{applies} applies for {EDITS} edits");
        // An event for each edit and each repair, at the most.
        assert!(reconciles <= EDITS + applies, "{reconciles} reconciles for {EDITS} edits and {applies} applies");

        let mark = cluster.audit_mark()?;
        patch(scope, "moody/m", &json!({ "metadata": { "annotations": { "example.com/note": "seen" } } }))?;
        running.settled_after(reconciles + seen)?;
        assert_eq!(robot.writes(cluster, mark)?, []);
        running.stop().await
    })
}

pub(crate) fn a_bad_key_is_retried_as_it_asks_and_holds_up_no_other(scope: &TestScope) -> Outcome {
    harness::block_on(async {
        let made = Arc::new(AtomicUsize::new(0));
        let operator = {
            let made = Arc::clone(&made);
            Moody::operator(async move |_| {
                made.fetch_add(1, Ordering::SeqCst);
                Ok(Moodies)
            })
        };
        let robot = Robot::new(scope, "moody", &[operator.declared().clone()], Reach::Namespace)?;
        let running = Running::start(&robot, Some(scope.namespace()), operator).await?;
        let moods = BTreeMap::from([
            ("t", Mood::Terminal),
            ("p", Mood::Panicking),
            ("q", Mood::Panicking),
            ("f", Mood::Failing),
        ]);
        apply(scope, &moods.iter().map(|(name, mood)| moody(name, *mood)).collect::<Vec<_>>())?;
        let calls = |name: &str| running.calls("moody", &format!("{}/{name}", scope.namespace()));
        eventually("retries", PATIENCE, || {
            let enough = ["p", "q", "f"].iter().all(|name| calls(name).begun >= 6);
            Ok(enough.then_some(()))
        })?;
        // As many keys panic as there are workers, and the others have their turn.
        apply(scope, &[moody("fine", Mood::Fine)])?;
        wait_for(scope, "configmap/fine", "/data/owned", &json!("ours"))?;
        assert_eq!(calls("t"), Calls { begun: 1, returned: 1 }, "a terminal error is not retried");
        assert_eq!((calls("p").returned, calls("q").returned), (0, 0), "a panic does not return");
        assert_eq!(calls("f").begun, calls("f").returned);
        assert_eq!(made.load(Ordering::SeqCst), 1);

        for name in ["t", "p", "q"] {
            patch(scope, &format!("moody/{name}"), &json!({ "spec": { "mood": "Fine" } }))?;
            wait_for(scope, &format!("configmap/{name}"), "/data/owned", &json!("ours"))?;
        }
        assert!(calls("t").begun >= 2 && calls("p").returned >= 1, "{:?} {:?}", calls("t"), calls("p"));
        running.stop().await
    })
}
