//! What a control plane is started with.

use std::time::Duration;

/// How a control plane is started. [`Options::default`] runs everything.
#[derive(Debug, Clone)]
#[must_use]
pub struct Options {
    disabled_controllers: Vec<String>,
    audit: Audit,
    ready_within: Duration,
}

/// Whether requests are logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Audit {
    On,
    Off,
}

impl Options {
    /// Leaves a controller of kube-controller-manager out, by the name its `--controllers` flag knows, as in
    /// `deployment-controller`.
    pub fn without_controller(mut self, name: impl Into<String>) -> Self {
        self.disabled_controllers.push(name.into());
        self
    }

    /// Keeps no audit log, for a control plane that runs long.
    pub fn without_audit(mut self) -> Self {
        self.audit = Audit::Off;
        self
    }

    /// Gives the API server this long to become ready; one minute unless told.
    pub fn ready_within(mut self, duration: Duration) -> Self {
        self.ready_within = duration;
        self
    }

    pub(super) fn audit(&self) -> Audit {
        self.audit
    }

    pub(super) fn time_to_ready(&self) -> Duration {
        self.ready_within
    }

    /// The value of kube-controller-manager's `--controllers`.
    pub(super) fn controllers(&self) -> String {
        // There is no network to give addresses of nodes out for; the garbage collector runs in its own process.
        let always_off = ["node-ipam-controller", GARBAGE_COLLECTOR];
        let off = always_off.into_iter().chain(self.disabled_controllers.iter().map(String::as_str));
        off.fold(String::from("*"), |flag, name| format!("{flag},-{name}"))
    }

    pub(super) fn collects_garbage(&self) -> bool {
        !self.disabled_controllers.iter().any(|name| name == GARBAGE_COLLECTOR)
    }
}

const GARBAGE_COLLECTOR: &str = "garbage-collector-controller";

impl Default for Options {
    fn default() -> Self {
        Self { disabled_controllers: Vec::new(), audit: Audit::On, ready_within: Duration::from_secs(60) }
    }
}
