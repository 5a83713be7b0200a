//! The server processes, their flags and the order they start in.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::error::{StartError, port_taken};
use super::options::{Audit, Options};
use crate::certificates::Certificates;
use crate::kubeconfig;
use crate::process::{self, Process, ProcessError};
use crate::random;
use crate::wait::{self, Deadline};

const ETCD: &str = "etcd";
const APISERVER: &str = "kube-apiserver";
const CONTROLLER_MANAGER: &str = "kube-controller-manager";
const GARBAGE_COLLECTOR: &str = "garbage-collector";
const SCHEDULER: &str = "kube-scheduler";
const KUBELET: &str = "kubelet";
const WAIT_READY: &str = "wait-ready";

const NODE: &str = "fake-node";
const ADMIN: &str = "admin";
/// The kubelet finishes a request under way (5 s at most) before it says that it is paused.
const KUBELET_ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// Where a control plane keeps its files and what it listens on.
#[derive(Debug)]
pub(super) struct Layout {
    directory: TempDir,
    binary: PathBuf,
    options: Options,
    certificates: Certificates,
    kubeconfig: PathBuf,
    url: String,
    port: u16,
}

/// The running processes; fields are dropped from the first to the last, so that nobody misses a server.
#[derive(Debug)]
pub(super) struct Servers {
    kubelet: Process,
    scheduler: Process,
    controller_manager: Process,
    garbage_collector: Option<Process>,
    apiserver: Option<Process>,
    etcd: Process,
}

impl Layout {
    /// Chooses a free port and writes the files that the servers read.
    pub(super) fn new(binary: PathBuf, options: Options) -> Result<Self, StartError> {
        let directory = tempfile::Builder::new().prefix("controlplane-").tempdir()?;
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let layout = Self {
            certificates: Certificates::generate(directory.path())?,
            kubeconfig: directory.path().join("kubeconfig"),
            url: format!("https://127.0.0.1:{port}"),
            directory,
            binary,
            options,
            port,
        };
        layout.write_users()?;
        fs::write(layout.path("audit-policy.json"), AUDIT_POLICY)?;
        Ok(layout)
    }

    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn binary(&self) -> &Path {
        &self.binary
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    pub(super) fn authority(&self) -> &Path {
        &self.certificates.authority
    }

    /// Where requests are logged, if they are.
    pub(super) fn audit_log(&self) -> Option<PathBuf> {
        (self.options.audit() == Audit::On).then(|| self.path("audit.log"))
    }

    /// Writes a token for the administrator and one for each component, so that the audit log tells them apart. All
    /// are administrators: what the components may do is not what is tested here.
    fn write_users(&self) -> io::Result<()> {
        let mut tokens = String::new();
        for user in [ADMIN, CONTROLLER_MANAGER, SCHEDULER, KUBELET] {
            let token = random::hexadecimal(16);
            let name = if user == ADMIN { String::from(user) } else { format!("system:{user}") };
            tokens.push_str(&format!("{token},{name},{user},system:masters\n"));
            kubeconfig::write(&self.kubeconfig_of(user), &self.url, self.authority(), &token)?;
        }
        kubeconfig::write_private(&self.path("tokens.csv"), &tokens)
    }

    /// Where etcd listens for clients.
    pub(super) fn etcd_socket(&self) -> PathBuf {
        self.path("etcd.sock")
    }

    fn kubeconfig_of(&self, user: &str) -> PathBuf {
        if user == ADMIN { self.kubeconfig.clone() } else { self.path(&format!("{user}.kubeconfig")) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn spawn(&self, program: &'static str, flags: &[(&str, &str)]) -> Result<Process, ProcessError> {
        let arguments = flags.iter().map(|(name, value)| format!("--{name}={value}"));
        // etcd is the first to start: if this process dies, etcd removes the files.
        let variables = (program == ETCD).then(|| ("CONTROLPLANE_REMOVE_AT_EXIT", self.directory()));
        Process::spawn(&self.binary, program, arguments, variables, self.directory())
    }
}

impl Servers {
    /// Starts etcd and the API server together, and the others when the API server is ready: before, they would only
    /// wait for it, and some of them for whole seconds.
    pub(super) fn start(layout: &Layout) -> Result<Self, StartError> {
        let mut etcd = start_etcd(layout)?;
        let mut apiserver = start_apiserver(layout)?;
        wait_ready(layout, [&mut etcd, &mut apiserver])?;

        let controller_manager = start_controller_manager(layout)?;
        let garbage_collector = start_garbage_collector(layout)?;
        let scheduler = start_scheduler(layout)?;
        let mut kubelet = start_kubelet(layout)?;
        kubelet.hear("ready", layout.options.time_to_ready())?;
        let mut servers =
            Self { kubelet, scheduler, controller_manager, garbage_collector, apiserver: Some(apiserver), etcd };
        servers.check()?;
        Ok(servers)
    }

    pub(super) fn check(&mut self) -> Result<(), ProcessError> {
        let always = [&mut self.etcd, &mut self.controller_manager, &mut self.scheduler, &mut self.kubelet];
        always.into_iter().chain(&mut self.apiserver).chain(&mut self.garbage_collector).try_for_each(Process::check)
    }

    pub(super) fn apiserver_id(&self) -> Option<u32> {
        self.apiserver.as_ref().map(Process::id)
    }

    pub(super) fn kill_apiserver(&mut self) {
        self.apiserver = None;
    }

    pub(super) fn start_apiserver(&mut self, layout: &Layout) -> Result<(), StartError> {
        if self.apiserver.is_some() {
            return Ok(());
        }
        let deadline = Deadline::after(layout.options.time_to_ready());
        loop {
            let mut apiserver = start_apiserver(layout)?;
            match wait_ready(layout, [&mut self.etcd, &mut apiserver]) {
                Ok(()) => {
                    self.apiserver = Some(apiserver);
                    return Ok(());
                }
                // A connection of another process may have been given our port while nobody listened on it.
                Err(StartError::Process(ProcessError::Ended { log, .. })) if port_taken(&log) && !deadline.passed() => {
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Stops etcd, lets `change` at its data, and starts it again. The API server must not run.
    pub(super) fn change_etcd<T>(
        &mut self,
        layout: &Layout,
        change: impl FnOnce(&Path) -> io::Result<T>,
    ) -> Result<T, StartError> {
        self.etcd.kill();
        let changed = change(&layout.path(ETCD))?;
        self.etcd = start_etcd(layout)?;
        Ok(changed)
    }

    pub(super) fn pause_kubelet(&mut self) -> Result<(), ProcessError> {
        self.kubelet.tell("pause")?;
        self.kubelet.hear("paused", KUBELET_ANSWERS_WITHIN)
    }

    pub(super) fn resume_kubelet(&mut self) -> Result<(), ProcessError> {
        self.kubelet.tell("resume")?;
        self.kubelet.hear("resumed", KUBELET_ANSWERS_WITHIN)
    }
}

fn start_etcd(layout: &Layout) -> Result<Process, ProcessError> {
    // Sockets in the directory instead of ports: nobody else can take them or connect to them.
    let client = socket(layout, "etcd.sock");
    let peer = socket(layout, "etcd-peer.sock");
    layout.spawn(
        ETCD,
        &[
            ("data-dir", &text(&layout.path("etcd"))),
            ("unsafe-no-fsync", "true"),
            ("listen-client-urls", &client),
            ("advertise-client-urls", &client),
            ("listen-peer-urls", &peer),
            ("initial-advertise-peer-urls", &peer),
            ("initial-cluster", &format!("default={peer}")),
            // One member elects itself; the default waits a second for others to object.
            ("heartbeat-interval", "10"),
            ("election-timeout", "100"),
            ("log-level", "warn"),
        ],
    )
}

fn start_apiserver(layout: &Layout) -> Result<Process, ProcessError> {
    let certificates = &layout.certificates;
    let (etcd, port) = (socket(layout, "etcd.sock"), layout.port.to_string());
    let (tokens, policy, audit_log) =
        (layout.path("tokens.csv"), layout.path("audit-policy.json"), layout.path("audit.log"));
    let (tokens, policy, audit_log) = (text(&tokens), text(&policy), text(&audit_log));
    let mut flags: Vec<(&str, &str)> = vec![
        ("etcd-servers", &etcd),
        ("bind-address", "127.0.0.1"),
        ("advertise-address", "127.0.0.1"),
        // An EndpointSlice must not name a loopback address, so the server's own cannot be published.
        ("endpoint-reconciler-type", "none"),
        ("secure-port", &port),
        ("service-cluster-ip-range", "10.96.0.0/16"),
        ("authorization-mode", "RBAC"),
        ("token-auth-file", &tokens),
        // Pods get no tokens mounted: there are no containers to use them.
        ("disable-admission-plugins", "ServiceAccount"),
        ("service-account-issuer", "https://kubernetes.default.svc"),
        ("allow-privileged", "true"),
    ];
    let certificates = [
        ("tls-cert-file", text(&certificates.serving_certificate)),
        ("tls-private-key-file", text(&certificates.serving_key)),
        ("service-account-signing-key-file", text(&certificates.service_account_private_key)),
        ("service-account-key-file", text(&certificates.service_account_public_key)),
    ];
    flags.extend(certificates.iter().map(|(name, value)| (*name, value.as_str())));
    if layout.options.audit() == Audit::On {
        flags.extend([
            ("audit-policy-file", policy.as_str()),
            ("audit-log-path", audit_log.as_str()),
            // The event is written before the request goes on: see the module audit.
            ("audit-log-mode", "blocking"),
            // In megabytes: the log is read as one file, so that it must not be rotated.
            ("audit-log-maxsize", "100000"),
        ]);
    }
    layout.spawn(APISERVER, &flags)
}

fn start_controller_manager(layout: &Layout) -> Result<Process, ProcessError> {
    layout.spawn(
        CONTROLLER_MANAGER,
        &[
            ("kubeconfig", &text(&layout.kubeconfig_of(CONTROLLER_MANAGER))),
            ("controllers", &layout.options.controllers()),
            ("leader-elect", "false"),
            ("secure-port", "0"),
            ("service-account-private-key-file", &text(&layout.certificates.service_account_private_key)),
            ("root-ca-file", &text(layout.authority())),
            // The defaults protect a server that many share; many tests share this one.
            ("kube-api-qps", "1000"),
            ("kube-api-burst", "2000"),
        ],
    )
}

fn start_garbage_collector(layout: &Layout) -> Result<Option<Process>, ProcessError> {
    let kubeconfig = text(&layout.kubeconfig_of(CONTROLLER_MANAGER));
    let start = || layout.spawn(GARBAGE_COLLECTOR, &[("kubeconfig", &kubeconfig)]);
    layout.options.collects_garbage().then(start).transpose()
}

fn start_scheduler(layout: &Layout) -> Result<Process, ProcessError> {
    let kubeconfig = text(&layout.kubeconfig_of(SCHEDULER));
    let flags = [
        ("kubeconfig", kubeconfig.as_str()),
        ("leader-elect", "false"),
        ("secure-port", "0"),
        ("kube-api-qps", "1000"),
        ("kube-api-burst", "2000"),
    ];
    layout.spawn(SCHEDULER, &flags)
}

fn start_kubelet(layout: &Layout) -> Result<Process, ProcessError> {
    layout.spawn(KUBELET, &[("kubeconfig", &text(&layout.kubeconfig_of(KUBELET))), ("node", NODE)])
}

/// Returns when the API server is ready, or when it or etcd has ended.
fn wait_ready(layout: &Layout, servers: [&mut Process; 2]) -> Result<(), StartError> {
    let within = layout.options.time_to_ready();
    let deadline = Deadline::after(within);
    let mut ready = layout.spawn(WAIT_READY, &[("kubeconfig", &text(layout.kubeconfig()))])?;
    let [etcd, apiserver] = servers;
    while !ready.succeeded()? {
        etcd.check()?;
        apiserver.check()?;
        if deadline.passed() {
            return Err(StartError::NotReady { within, log: process::tail(&layout.path("kube-apiserver.log")) });
        }
        wait::pause();
    }
    Ok(())
}

fn socket(layout: &Layout, name: &str) -> String {
    format!("unix://{}", layout.path(name).display())
}

/// Paths here are made of the temporary directory's and of ours.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Everything is logged, without bodies: they may hold secrets.
const AUDIT_POLICY: &str = r#"{"apiVersion":"audit.k8s.io/v1","kind":"Policy","rules":[{"level":"Metadata"}]}"#;
