//! Operators in this process, under service accounts that have the declared roles and nothing else.
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use controlplane::audit::AuditMark;
use controlplane::{AuditEntry, ControlPlane, TestScope, eventually};
use kubewright::cli::IntoOperators;
use kubewright::client::ConfigOptions;
use kubewright::declare::rbac::{Account, Declared, rbac};
use kubewright::kube::Config;
use kubewright::kube::config::{KubeConfigOptions, Kubeconfig};
use kubewright::manager::{Manager, Stop};
use kubewright::reconcile::ReconcileFn;
use kubewright::{Client, InformerFactory, Setup};
use serde_json::{Value, json};
use tokio::task::JoinSet;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How long anything may take: generous, since two cores run several trials at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How many looks in a row must find nothing new before operators count as quiet: 0.7 s.
const QUIET_LOOKS: u32 = 70;

/// A service account that operators run as.
pub(crate) struct Robot {
    user: String,
    kubeconfig: PathBuf,
}

/// What a robot watches.
#[derive(Clone, Copy)]
pub(crate) enum Reach {
    /// The namespace of the trial.
    Namespace,
    /// Everything.
    Cluster,
}

impl Robot {
    /// Applies the CRDs and the roles of `operators` without a warning, and makes an account that has just these roles.
    pub(crate) fn new(scope: &TestScope, name: &str, operators: &[Declared], reach: Reach) -> Outcome<Self> {
        let crds: Vec<Value> = operators.iter().map(|operator| json!(operator.crd())).collect();
        apply(scope, &crds)?;
        for crd in &crds {
            let name = format!("crd/{}", crd["metadata"]["name"].as_str().unwrap_or_default());
            scope.kubectl(&["wait", "--for=condition=Established", &name, "--timeout=60s"], "")?.success()?;
        }
        let account = Account {
            name: format!("{name}-{}", scope.id()),
            service_account: name.to_owned(),
            namespace: scope.namespace().to_owned(),
            watch_namespace: matches!(reach, Reach::Namespace).then(|| scope.namespace().to_owned()),
        };
        let rbac = rbac(operators, &account);
        let cluster = rbac.cluster.iter().flat_map(|(role, binding)| [json!(role), json!(binding)]);
        let namespaced = rbac.namespaced.iter().flat_map(|(role, binding)| [json!(role), json!(binding)]);
        apply(scope, &cluster.chain(namespaced).collect::<Vec<_>>())?;
        Self::bare(scope, name)
    }

    /// Makes an account that may read and write ConfigMaps and Secrets of the trial's namespace.
    pub(crate) fn reader(scope: &TestScope) -> Outcome<Self> {
        scope.kubectl(&["create", "role", "reader", "--verb=*", "--resource=configmaps,secrets"], "")?.success()?;
        let account = format!("--serviceaccount={}:reader", scope.namespace());
        scope.kubectl(&["create", "rolebinding", "reader", "--role=reader", &account], "")?.success()?;
        Self::bare(scope, "reader")
    }

    fn bare(scope: &TestScope, name: &str) -> Outcome<Self> {
        scope.kubectl(&["create", "serviceaccount", name], "")?.success()?;
        let token = scope.control_plane().service_account_token(scope.namespace(), name)?;
        let kubeconfig = scope.control_plane().kubeconfig_for_token(&token)?;
        Ok(Self { user: format!("system:serviceaccount:{}:{name}", scope.namespace()), kubeconfig })
    }

    /// Returns a client of this account.
    pub(crate) async fn client(&self) -> Outcome<Client> {
        Ok(Client::from_options(&ConfigOptions { kubeconfig: Some(self.kubeconfig.clone()), context: None }).await?)
    }

    /// Returns a client of this account that asks at `url`: that of a proxy.
    pub(crate) async fn client_at(&self, url: &str) -> Outcome<Client> {
        let file = Kubeconfig::read_from(&self.kubeconfig)?;
        let mut config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
        config.cluster_url = url.parse()?;
        Ok(Client::from_config(config)?)
    }

    /// Returns what this account asked for since `mark`.
    pub(crate) fn requests(&self, cluster: &ControlPlane, mark: AuditMark) -> Outcome<Vec<AuditEntry>> {
        Ok(cluster.audit_since(mark)?.into_iter().filter(|entry| entry.user == self.user).collect())
    }

    /// Returns what this account wrote, or tried to write, since `mark`.
    pub(crate) fn writes(&self, cluster: &ControlPlane, mark: AuditMark) -> Outcome<Vec<AuditEntry>> {
        let mut requests = self.requests(cluster, mark)?;
        requests.retain(|entry| !matches!(entry.verb.as_str(), "get" | "list" | "watch"));
        Ok(requests)
    }
}

/// Returns a client of the administrator.
pub(crate) async fn administrator(scope: &TestScope) -> Outcome<Client> {
    let kubeconfig = Some(scope.control_plane().kubeconfig_path().to_owned());
    Ok(Client::from_options(&ConfigOptions { kubeconfig, context: None }).await?)
}

/// Applies objects with kubectl, in the trial's namespace unless any names its own, and on the server: an embedded PodTemplateSpec is too large for an annotation. A warning is
/// a failure.
pub(crate) fn apply(scope: &TestScope, objects: &[Value]) -> Outcome {
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string();
    let arguments = ["apply", "--server-side", "-f", "-"];
    // kubectl refuses objects of another namespace than the one it is told.
    let placed = objects.iter().any(|object| object["metadata"]["namespace"].is_string());
    let output =
        if placed { scope.control_plane().kubectl(&arguments, &list)? } else { scope.kubectl(&arguments, &list)? };
    let warnings = output.stderr.clone();
    output.success()?;
    if warnings.is_empty() { Ok(()) } else { Err(format!("kubectl apply warned: {warnings}").into()) }
}

/// How often a key was reconciled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls {
    /// Begun.
    pub(crate) begun: usize,
    /// Returned, well or not. What panicked did not return.
    pub(crate) returned: usize,
}

/// Operators that run. Dropping it ends them at once.
pub(crate) struct Running {
    calls: Arc<Mutex<BTreeMap<String, Calls>>>,
    stop: Stop,
    tasks: JoinSet<Result<(), kubewright::manager::Error>>,
}

impl Running {
    /// Runs `operators` as `robot`, over `namespace` or everything. Needs a tokio runtime.
    pub(crate) async fn start(robot: &Robot, namespace: Option<&str>, operators: impl IntoOperators) -> Outcome<Self> {
        let client = robot.client().await?;
        let factory = InformerFactory::new(client.clone());
        let factory = namespace.map_or_else(|| factory.clone(), |namespace| factory.clone().in_namespace(namespace));
        Self::with(client, factory, operators).await
    }

    /// Runs `operators` with the informers of `factory`.
    pub(crate) async fn with(client: Client, factory: InformerFactory, operators: impl IntoOperators) -> Outcome<Self> {
        let calls = Arc::<Mutex<BTreeMap<String, Calls>>>::default();
        let mut manager = Manager::new(factory.clone());
        for operator in operators.into_operators() {
            let name = operator.declared().name;
            let made = operator.controller(Setup::new(client.clone(), factory.clone())).await;
            let (controller, reconcile) = made.map_err(|error| error.to_string())?;
            manager = manager.controller(controller, counted(name, reconcile, Arc::clone(&calls)));
        }
        let stop = manager.stop_handle();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { manager.run().await.map(drop) });
        Ok(Self { calls, stop, tasks })
    }

    /// Returns how often `key` was reconciled by the operator `name`.
    pub(crate) fn calls(&self, name: &str, key: &str) -> Calls {
        self.calls.lock().unwrap().get(&format!("{name} {key}")).copied().unwrap_or_default()
    }

    /// Waits until nothing has been reconciled for a while, and returns how many reconciles there were so far.
    pub(crate) fn settled(&self) -> Outcome<usize> {
        let total = || {
            let calls = self.calls.lock().unwrap();
            (calls.values().map(|calls| calls.begun).sum::<usize>(), calls.values().map(|calls| calls.returned).sum())
        };
        let mut last = ((0, 0), 0);
        Ok(eventually("the operators to be quiet", PATIENCE, || {
            let now: (usize, usize) = total();
            last = if now == last.0 { (now, last.1 + 1) } else { (now, 0) };
            Ok((last.1 >= QUIET_LOOKS).then_some(now.0))
        })?)
    }

    /// Waits until more than `before` reconciles have begun, and until there are no more to come.
    pub(crate) fn settled_after(&self, before: usize) -> Outcome<usize> {
        eventually("a reconcile", PATIENCE, || {
            let begun: usize = self.calls.lock().unwrap().values().map(|calls| calls.begun).sum();
            Ok((begun > before).then_some(()))
        })?;
        self.settled()
    }

    /// Stops gracefully.
    pub(crate) async fn stop(mut self) -> Outcome {
        self.stop.stop();
        while let Some(end) = self.tasks.join_next().await {
            end??;
        }
        Ok(())
    }
}

fn counted(name: &'static str, reconcile: ReconcileFn, calls: Arc<Mutex<BTreeMap<String, Calls>>>) -> ReconcileFn {
    Arc::new(move |key| {
        let (entry, calls) = (format!("{name} {key}"), Arc::clone(&calls));
        calls.lock().unwrap().entry(entry.clone()).or_default().begun += 1;
        let reconcile = reconcile(key);
        Box::pin(async move {
            let result = reconcile.await;
            calls.lock().unwrap().entry(entry).or_default().returned += 1;
            result
        })
    })
}

/// Reads one object as JSON; `None` where it does not exist.
pub(crate) fn read(scope: &TestScope, object: &str) -> Outcome<Option<Value>> {
    let text = scope.kubectl(&["get", object, "--ignore-not-found", "-o", "json", "--show-managed-fields"], "")?;
    let text = text.success()?;
    Ok(if text.is_empty() { None } else { Some(serde_json::from_str(&text)?) })
}

/// Waits until the value at `pointer` of an object is `expected`, and returns the object.
pub(crate) fn wait_for(scope: &TestScope, object: &str, pointer: &str, expected: &Value) -> Outcome<Value> {
    let found = eventually(&format!("{object} {pointer} to be {expected}"), PATIENCE, || {
        let live = read(scope, object)?.ok_or("it does not exist")?;
        let value = live.pointer(pointer).cloned().unwrap_or_default();
        if value == *expected { Ok(Some(live)) } else { Err(format!("it is {value}").into()) }
    })?;
    Ok(found)
}

/// Waits until an object is gone.
pub(crate) fn wait_gone(scope: &TestScope, object: &str) -> Outcome {
    eventually(&format!("{object} to be gone"), PATIENCE, || Ok(read(scope, object)?.is_none().then_some(())))?;
    Ok(())
}

/// Sends a merge patch as the administrator.
pub(crate) fn patch(scope: &TestScope, object: &str, patch: &Value) -> Outcome {
    scope.kubectl(&["patch", object, "--type=merge", "-p", &patch.to_string()], "")?.success()?;
    Ok(())
}
