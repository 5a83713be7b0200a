//! A world with one Deployment: what the API server, the ReplicaSet controller and the kubelet would do, in numbers.
use std::ops::Range;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use serde_json::{Value, json};

use super::*;

/// How many old revisions are kept.
pub(super) const HISTORY: usize = 2;

/// How many templates there are to choose from.
const IMAGES: u8 = 3;

#[derive(Clone, Copy, Debug)]
pub(super) enum Updates {
    Rolling { surge: i32, unavailable: i32 },
    Recreate,
}

/// Any that validation allows, in numbers.
pub(super) fn rolling() -> impl Strategy<Value = Updates> {
    let both = (0..5_i32, 0..5_i32).prop_filter("nothing could move", |(surge, unavailable)| surge + unavailable > 0);
    both.prop_map(|(surge, unavailable)| Updates::Rolling { surge, unavailable })
}

/// What can happen next.
#[derive(Clone, Copy, Debug)]
pub(super) enum Action {
    /// The controller takes a pass.
    Pass,
    /// A ReplicaSet's controller makes and ends pods.
    Pods(usize),
    /// A pod of a ReplicaSet gets well.
    Ready(usize),
    /// A pod of a ReplicaSet falls ill.
    Ill(usize),
    /// The user asks for a template.
    Image(u8),
    /// The user asks for a size.
    Scale(i32),
    /// The user pauses, or lets go on.
    Pause(bool),
    /// Pods of a template never get well any more, or do.
    Broken(u8, bool),
}

pub(super) fn actions(count: Range<usize>) -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        8 => Just(Action::Pass),
        6 => (0..4_usize).prop_map(Action::Pods),
        6 => (0..4_usize).prop_map(Action::Ready),
        1 => (0..4_usize).prop_map(Action::Ill),
        1 => (0..IMAGES).prop_map(Action::Image),
        1 => (0..12_i32).prop_map(Action::Scale),
        1 => any::<bool>().prop_map(Action::Pause),
        1 => (0..IMAGES, any::<bool>()).prop_map(|(image, broken)| Action::Broken(image, broken)),
    ];
    vec(action, count)
}

/// A ReplicaSet and its pods: which of them are available.
#[derive(Debug)]
struct Owned {
    set: ReplicaSet,
    pods: Vec<bool>,
}

#[derive(Debug)]
pub(super) struct World {
    deployment: Deployment,
    owned: Vec<Owned>,
    broken: [bool; IMAGES as usize],
    made: usize,
    second: i64,
}

/// The template with this image.
pub(super) fn template(image: u8) -> Value {
    let containers = json!([{ "name": "web", "image": format!("web:{image}") }]);
    json!({ "metadata": { "labels": { "app": "web" } }, "spec": { "containers": containers } })
}

impl World {
    pub(super) fn new(replicas: i32, strategy: Updates) -> Self {
        let strategy = match strategy {
            Updates::Recreate => json!({ "type": "Recreate" }),
            Updates::Rolling { surge, unavailable } => {
                json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": surge, "maxUnavailable": unavailable } })
            }
        };
        let deployment = serde_json::from_value(json!({
            "metadata": { "name": "web", "namespace": "test", "uid": "u-1", "generation": 1 },
            "spec": { "replicas": replicas, "strategy": strategy, "selector": { "matchLabels": { "app": "web" } },
                "template": template(0), "progressDeadlineSeconds": 600, "revisionHistoryLimit": HISTORY },
        }));
        Self {
            deployment: deployment.unwrap(),
            owned: Vec::new(),
            broken: [false; IMAGES as usize],
            made: 0,
            second: 0,
        }
    }

    pub(super) fn deployment(&self) -> &Deployment {
        &self.deployment
    }

    pub(super) fn sets(&self) -> impl Iterator<Item = &ReplicaSet> {
        self.owned.iter().map(|owned| &owned.set)
    }

    /// What the controller would see now.
    pub(super) fn observed(&self) -> Observed {
        let running = self.owned.iter().filter(|owned| !owned.pods.is_empty());
        Observed {
            deployment: Arc::new(self.deployment.clone()),
            sets: self.sets().cloned().map(Arc::new).collect(),
            running: running.map(|owned| owned.set.uid().to_owned()).collect(),
            now: Timestamp::from_second(self.second).unwrap(),
        }
    }

    /// Changes the spec of the Deployment.
    pub(super) fn change(&mut self, fields: &Value) {
        let mut deployment = json!(self.deployment);
        for (field, value) in fields.as_object().unwrap() {
            deployment["spec"][field] = value.clone();
        }
        self.deployment = serde_json::from_value(deployment).unwrap();
        *self.deployment.metadata.generation.get_or_insert(0) += 1;
    }

    /// Adds a ReplicaSet with the template of image `at`, of the revision after that, whose pods are as many as it wants.
    pub(super) fn add_set(&mut self, at: usize, desired: i32, available: i32) {
        let deployment = &self.deployment.metadata;
        let set = json!({
            "metadata": { "name": format!("set-{at}"), "namespace": deployment.namespace, "annotations": {
                "deployment.kubernetes.io/revision": (at + 1).to_string(),
                "deployment.kubernetes.io/desired-replicas": "4", "deployment.kubernetes.io/max-replicas": "5",
            } },
            "spec": { "replicas": desired, "selector": {}, "template": template(u8::try_from(at).unwrap()) },
        });
        self.insert(serde_json::from_value(set).unwrap());
        let owned = self.owned.last_mut().unwrap();
        owned.pods = (0..desired).map(|pod| pod < available).collect();
        owned.report();
        // As if the rollout before had arrived, if all are.
        let status = self.deployment.status.get_or_insert_default();
        status.observed_generation = self.deployment.metadata.generation;
        let counts = (Some(desired), Some(desired), Some(available));
        (status.replicas, status.updated_replicas, status.available_replicas) = counts;
        let condition = conditions::new(PROGRESSING, "True", reason::SET_UPDATED, String::new(), Timestamp::UNIX_EPOCH);
        conditions::set(status, condition);
    }

    /// Does one thing and checks what must hold after it.
    pub(super) fn act(&mut self, action: &Action) -> Result<(), TestCaseError> {
        self.second += 1;
        match *action {
            Action::Pass => drop(self.pass()?),
            Action::Pods(at) => self.pick(at, Owned::settle),
            Action::Ready(at) => self.ready(at),
            Action::Ill(at) => self.pick(at, |owned| owned.pods.iter_mut().take(1).for_each(|pod| *pod = false)),
            Action::Image(image) => self.change(&json!({ "template": template(image) })),
            Action::Scale(replicas) => self.change(&json!({ "replicas": replicas })),
            // One that is paused scales whatever is newest up, old pods or not: as upstream.
            Action::Pause(_) if !Limits::of(&self.deployment.spec).rolling => {}
            Action::Pause(paused) => self.change(&json!({ "paused": paused })),
            Action::Broken(image, broken) => self.broken[usize::from(image)] = broken,
        }
        let templates = self.owned.iter().filter(|owned| !owned.pods.is_empty()).count();
        let rolling = Limits::of(&self.deployment.spec).rolling;
        prop_assert!(rolling || templates <= 1, "pods of {templates} templates at once");
        Ok(())
    }

    /// From now on nobody interferes, and every pod of the template that is asked for gets well. What is ill of the
    /// others stays so, and must not hold the rollout up.
    pub(super) fn calm(&mut self) {
        self.broken[usize::from(image_of(&self.deployment.spec.template))] = false;
        self.change(&json!({ "paused": false }));
    }

    /// Lets everybody act once. Says whether nothing has changed.
    pub(super) fn round(&mut self) -> Result<bool, TestCaseError> {
        let before = self.sizes();
        let wrote = self.pass()?;
        for at in 0..self.owned.len() {
            self.act(&Action::Pods(at))?;
            let pods = self.owned.iter().rev().nth(at).map_or(0, |owned| owned.pods.len());
            for _ in 0..pods {
                self.act(&Action::Ready(at))?;
            }
        }
        Ok(!wrote && before == self.sizes())
    }

    fn sizes(&self) -> Vec<(i32, Vec<bool>)> {
        self.owned.iter().map(|owned| (owned.set.desired(), owned.pods.clone())).collect()
    }

    /// Takes a pass, and says whether it wrote anything.
    fn pass(&mut self) -> Result<bool, TestCaseError> {
        let limits = Limits::of(&self.deployment.spec);
        let total = |world: &Self| world.sets().map(Replicas::desired).sum::<i32>();
        let kept = |world: &Self| world.sets().map(|set| set.available().min(set.desired())).sum::<i32>();
        let (total_before, kept_before) = (total(self), kept(self));
        let observed = self.observed();
        let paused = self.deployment.spec.paused == Some(true);
        let rolls = limits.rolling && !paused && !Draft::new(&observed).is_scaled();
        let plan = plan(&observed);
        let status = Some(plan.status.clone());
        let wrote = !plan.writes.is_empty() || status != self.deployment.status;
        for write in plan.writes {
            self.write(write)?;
        }
        self.deployment.status = status;
        prop_assert!(total(self) <= total_before.max(limits.max_total()), "{} pods, {limits:?}", total(self));
        let must_stay = kept_before.min(limits.min_available());
        prop_assert!(!rolls || kept(self) >= must_stay, "{} pods stay of {kept_before}, {limits:?}", kept(self));
        Ok(wrote)
    }

    fn write(&mut self, write: Write) -> Result<(), TestCaseError> {
        match write {
            Write::Create(set) => {
                let name = set.name().to_owned();
                prop_assert!(self.sets().all(|known| known.name() != name), "{name} is made twice");
                self.insert(*set);
            }
            Write::Delete(set) => {
                let at = self.owned.iter().position(|owned| owned.set.uid() == set.uid()).unwrap();
                prop_assert!(self.owned.remove(at).pods.is_empty(), "{} is deleted with pods", set.name());
            }
            Write::Change(set, change) => {
                let owned = self.owned.iter_mut().find(|owned| owned.set.uid() == set.uid()).unwrap();
                prop_assert!(change != Change::default());
                owned.set.spec.replicas = change.replicas.or(owned.set.spec.replicas);
                owned.set.spec.min_ready_seconds = change.min_ready_seconds.or(owned.set.spec.min_ready_seconds);
                owned.set.metadata.annotations.get_or_insert_default().extend(change.annotations);
                *owned.set.metadata.generation.get_or_insert(0) += 1;
            }
        }
        Ok(())
    }

    fn insert(&mut self, mut set: ReplicaSet) {
        self.made += 1;
        set.metadata.uid = Some(format!("set-{}", self.made));
        set.metadata.generation = Some(1);
        let created = Timestamp::from_second(i64::try_from(self.made).unwrap()).unwrap();
        set.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(created));
        self.owned.push(Owned { set, pods: Vec::new() });
    }

    fn pick(&mut self, at: usize, act: impl FnOnce(&mut Owned)) {
        if let Some(owned) = self.owned.iter_mut().rev().nth(at) {
            act(owned);
            owned.report();
        }
    }

    fn ready(&mut self, at: usize) {
        let broken = self.broken;
        self.pick(at, |owned| {
            let template = owned.set.spec.template.as_ref().unwrap();
            if !broken[usize::from(image_of(template))] {
                owned.pods.iter_mut().filter(|pod| !**pod).take(1).for_each(|pod| *pod = true);
            }
        });
    }
}

impl Owned {
    /// Makes and ends pods until there are as many as wanted, ill ones first.
    fn settle(&mut self) {
        self.pods.sort_unstable_by_key(|available| !available);
        self.pods.resize(usize::try_from(self.set.desired()).unwrap(), false);
        self.set.status.get_or_insert_default().observed_generation = self.set.metadata.generation;
    }

    fn report(&mut self) {
        let available = i32::try_from(self.pods.iter().filter(|available| **available).count()).unwrap();
        let status = self.set.status.get_or_insert_default();
        status.replicas = i32::try_from(self.pods.len()).unwrap();
        (status.ready_replicas, status.available_replicas) = (Some(available), Some(available));
        status.observed_generation = status.observed_generation.or(Some(1));
    }
}

fn image_of(template: &PodTemplateSpec) -> u8 {
    let image = template.spec.as_ref().and_then(|spec| spec.containers.first()?.image.clone());
    image.and_then(|image| image.strip_prefix("web:")?.parse().ok()).unwrap()
}
