//! Two namespaces of one name: one where the built-in controller works, one where this one does.
use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use controlplane::{ControlPlane, TestScope, eventually};
use serde_json::{Value, json};

use super::ours::{Ours, ours};
use super::state::State;

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// How long anything may take: generous, since two cores run several control planes at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The two.
pub(crate) struct Pair<'a> {
    theirs: &'a ControlPlane,
    ours: Arc<Ours>,
    namespace: &'a str,
}

impl<'a> Pair<'a> {
    pub(crate) fn new(scope: &'a TestScope) -> Outcome<Self> {
        let ours = ours()?;
        ours.cluster.kubectl(&["create", "namespace", scope.namespace()], "")?.success()?;
        Ok(Self { theirs: scope.control_plane(), ours, namespace: scope.namespace() })
    }

    pub(crate) fn ours(&self) -> &Ours {
        &self.ours
    }

    /// Runs a kubectl command in both.
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Outcome {
        self.input(arguments, "")
    }

    /// Creates an object in both.
    pub(crate) fn create(&self, object: &Value) -> Outcome {
        self.input(&["create", "-f", "-"], &object.to_string())
    }

    /// Changes a Deployment in both, by a strategic merge patch.
    pub(crate) fn patch(&self, object: &str, patch: &Value) -> Outcome {
        self.kubectl(&["patch", object, "-p", &patch.to_string()])
    }

    fn input(&self, arguments: &[&str], input: &str) -> Outcome {
        for cluster in self.both() {
            self.kubectl_at(cluster, arguments, input)?;
        }
        Ok(())
    }

    /// Runs a kubectl command in both and compares what it prints.
    pub(crate) fn prints_the_same(&self, arguments: &[&str]) -> Outcome<String> {
        let [theirs, ours] = self.both().map(|cluster| self.kubectl_at(cluster, arguments, ""));
        let (theirs, ours) = (theirs?, ours?);
        assert_eq!(theirs, ours, "{arguments:?}");
        Ok(ours)
    }

    /// Waits until `holds` in both and all that is compared is the same, but for Events.
    ///
    /// Say enough with `holds` to tell the end from the beginning: the two begin in the same state as well.
    pub(crate) fn same(&self, what: &str, holds: impl Fn(&State) -> bool) -> Outcome<State> {
        let end = eventually(&format!("the same end: {what}"), PATIENCE, || {
            let (mut theirs, mut ours) = self.states()?;
            theirs.events.clear();
            ours.events.clear();
            match (holds(&theirs), holds(&ours)) {
                (true, true) if theirs == ours => Ok(Some(ours)),
                (true, true) => Err(difference(&theirs, &ours).into()),
                (_, true) => Err(format!("the built-in controller is not there yet: {theirs:#?}").into()),
                _ => Err(format!("this controller is not there yet: {ours:#?}").into()),
            }
        })?;
        Ok(end)
    }

    /// Waits until both have told the same Events.
    pub(crate) fn same_events(&self) -> Outcome<Vec<String>> {
        Ok(eventually("the same Events", PATIENCE, || {
            let (theirs, ours) = self.states()?;
            if theirs.events == ours.events && !ours.events.is_empty() {
                return Ok(Some(ours.events));
            }
            Err(format!("{:#?} {:#?}", theirs.events, ours.events).into())
        })?)
    }

    /// Runs a command that needs the name of the ReplicaSet of a revision, which is another in each.
    pub(crate) fn at_revision(&self, revision: &str, arguments: &[&str]) -> Outcome {
        for cluster in self.both() {
            let path = "jsonpath={range .items[*]}{.metadata.annotations.deployment\\.kubernetes\\.io/revision} \
                        {.metadata.name}{\"\\n\"}{end}";
            let listed = self.kubectl_at(cluster, &["get", "replicasets", "-o", path], "")?;
            let found = listed.lines().find_map(|line| line.split_once(' ').filter(|(it, _)| *it == revision));
            let name = found.ok_or(format!("no revision {revision} in {listed}"))?.1;
            let arguments: Vec<String> = arguments.iter().map(|argument| argument.replace("{}", name)).collect();
            self.kubectl_at(cluster, &arguments.iter().map(String::as_str).collect::<Vec<_>>(), "")?;
        }
        Ok(())
    }

    /// Runs something in each.
    pub(crate) fn each(&self, run: impl Fn(&dyn Fn(&[&str], &str) -> Outcome<String>) -> Outcome) -> Outcome {
        for cluster in self.both() {
            run(&|arguments, input| self.kubectl_at(cluster, arguments, input))?;
        }
        Ok(())
    }

    fn kubectl_at(&self, cluster: &ControlPlane, arguments: &[&str], input: &str) -> Outcome<String> {
        let arguments = [&["-n", self.namespace], arguments].concat();
        Ok(cluster.kubectl(&arguments, input)?.success()?)
    }

    fn states(&self) -> Outcome<(State, State)> {
        Ok((State::read(self.theirs, self.namespace)?, State::read(&self.ours.cluster, self.namespace)?))
    }

    fn both(&self) -> [&ControlPlane; 2] {
        [self.theirs, &self.ours.cluster]
    }
}

/// A Deployment named `web` with `spec` merged over the usual one.
pub(crate) fn web(replicas: u32, spec: &Value) -> Value {
    let labels = json!({ "app": "web" });
    let container = json!({ "name": "web", "image": "web:1", "resources": { "requests": { "cpu": "1000m" } },
        "ports": [{ "containerPort": 80 }] });
    let template = json!({ "metadata": { "labels": labels }, "spec": { "containers": [container] } });
    let mut deployment = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": { "replicas": replicas, "selector": { "matchLabels": labels }, "template": template } });
    for (field, value) in spec.as_object().into_iter().flatten() {
        deployment["spec"][field] = value.clone();
    }
    deployment
}

/// A patch of the template: another image, and pods that become ready or never do.
pub(crate) fn template(image: &str, ready: bool) -> Value {
    let gates = if ready { json!(null) } else { json!([{ "conditionType": "example.com/never" }]) };
    json!({ "spec": { "template": { "spec": {
        "readinessGates": gates, "containers": [{ "name": "web", "image": image }],
    } } } })
}

fn difference(theirs: &State, ours: &State) -> String {
    let lines = |state: &State| format!("{state:#?}").lines().map(str::to_owned).collect::<Vec<_>>();
    let (theirs, ours) = (lines(theirs), lines(ours));
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        these.iter().filter(|line| !those.contains(line)).cloned().collect()
    };
    format!("only the built-in one: {:#?}\nonly this one: {:#?}", only(&theirs, &ours), only(&ours, &theirs))
}
