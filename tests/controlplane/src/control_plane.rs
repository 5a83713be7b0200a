//! A running control plane.

mod error;
mod history;
mod options;
mod servers;

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use self::error::StartError;
use self::error::port_taken;
pub use self::history::Backup;
pub use self::options::Options;
use self::servers::{Layout, Servers};
use crate::audit::{AuditEntry, AuditError, AuditLog, AuditMark};
use crate::binary;
use crate::kubeconfig;
use crate::kubectl::{self, KubectlError, Output};
use crate::process::ProcessError;
use crate::random;
use crate::wait::{Deadline, eventually, pause};

/// How long requests that were received before a mark may take to end.
const AUDIT_WITHIN: Duration = Duration::from_secs(30);
/// How often a start is repeated when another process took the port between our look and our use.
const PORT_ATTEMPTS: usize = 5;

/// A running control plane: etcd, kube-apiserver, kube-controller-manager, kube-scheduler and a fake kubelet with one
/// node, on loopback only.
///
/// Dropping it kills the servers and removes their files. They also end, and the files go, when this process ends in
/// any other way. All methods take `&self` and may be called from any thread; they block.
#[derive(Debug)]
pub struct ControlPlane {
    servers: Mutex<Servers>,
    audit: Option<Mutex<AuditLog>>,
    kubeconfigs: Mutex<HashMap<String, PathBuf>>,
    layout: Layout,
}

impl ControlPlane {
    /// Starts a control plane and returns when the API server is ready and the node is Ready.
    ///
    /// The first start on a machine builds the servers: see [`binary::binary`]. Later ones take a few seconds.
    ///
    /// # Errors
    /// [`BuildError::Unavailable`](binary::BuildError::Unavailable) on a machine without Go; otherwise what failed, with the end of the failed server's
    /// log.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let binary = binary::binary()?;
        let mut attempts = PORT_ATTEMPTS;
        let (layout, servers) = loop {
            attempts -= 1;
            let layout = Layout::new(binary.clone(), options.clone())?;
            match Servers::start(&layout) {
                Ok(servers) => break (layout, servers),
                Err(StartError::Process(ProcessError::Ended { log, .. })) if attempts > 0 && port_taken(&log) => {}
                Err(error) => return Err(error),
            }
        };
        let audit = layout.audit_log().map(|path| Mutex::new(AuditLog::new(path)));
        Ok(Self { servers: Mutex::new(servers), audit, kubeconfigs: Mutex::default(), layout })
    }

    /// Returns the address of the API server, as in `https://127.0.0.1:40123`. It stays when the server is restarted.
    pub fn url(&self) -> &str {
        self.layout.url()
    }

    /// Returns the path of the administrator's kubeconfig.
    pub fn kubeconfig_path(&self) -> &Path {
        self.layout.kubeconfig()
    }

    /// Returns the directory of logs, keys and data. It goes with the control plane.
    pub fn directory(&self) -> &Path {
        self.layout.directory()
    }

    /// Returns the path of the binary that is all the servers and kubectl.
    pub fn binary(&self) -> &Path {
        self.layout.binary()
    }

    /// Writes a kubeconfig for the bearer of `token`, and returns its path. It goes with the control plane.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn kubeconfig_for_token(&self, token: &str) -> io::Result<PathBuf> {
        let mut written = lock(&self.kubeconfigs);
        if let Some(path) = written.get(token) {
            return Ok(path.clone());
        }
        let path = self.directory().join(format!("kubeconfig-{}", written.len() + 1));
        kubeconfig::write(&path, self.url(), self.layout.authority(), token)?;
        written.insert(token.to_owned(), path.clone());
        Ok(path)
    }

    /// Runs the bundled kubectl as the administrator, with `input` as its standard input.
    ///
    /// `--kubeconfig` among the arguments makes it somebody else.
    ///
    /// # Errors
    /// When kubectl cannot be run. That it fails is told by [`Output::success`].
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<Output, KubectlError> {
        kubectl::run(kubectl::command(self.binary(), self.kubeconfig_path()), arguments, input)
    }

    /// Returns a token of a service account, valid for a day.
    ///
    /// # Errors
    /// When the API server refuses it, as for an account that does not exist.
    pub fn service_account_token(&self, namespace: &str, name: &str) -> Result<String, KubectlError> {
        let arguments = ["create", "token", name, "--namespace", namespace, "--duration", "24h"];
        Ok(self.kubectl(&arguments, "")?.success()?.trim().to_owned())
    }

    /// Returns the requests received so far, one entry each, in the order in which the server received them.
    ///
    /// Exact: every request that was answered before this call is there, and all that are there have ended, except
    /// watches, which need only have begun. The call itself sends one request as the administrator, which is left out.
    ///
    /// # Errors
    /// When the server is not running, or a request received before this call does not end within 30 s.
    pub fn audit(&self) -> Result<Vec<AuditEntry>, AuditError> {
        self.audit_since(AuditMark(0))
    }

    /// Returns a mark after all requests that were answered before this call.
    ///
    /// # Errors
    /// As [`ControlPlane::audit`].
    pub fn audit_mark(&self) -> Result<AuditMark, AuditError> {
        let (_log, end) = self.read_audit()?;
        Ok(AuditMark(end + 1))
    }

    /// Returns the requests received since `mark`, as [`ControlPlane::audit`] does.
    ///
    /// # Errors
    /// As [`ControlPlane::audit`].
    pub fn audit_since(&self, mark: AuditMark) -> Result<Vec<AuditEntry>, AuditError> {
        let (log, end) = self.read_audit()?;
        let since = log.entries().get(mark.0..end).unwrap_or_default();
        Ok(since.iter().filter(|entry| !entry.uri.starts_with(MARKER)).cloned().collect())
    }

    /// Returns the number of the API server's process, to see what it takes of the machine; none while it does not run.
    pub fn apiserver_id(&self) -> Option<u32> {
        lock(&self.servers).apiserver_id()
    }

    /// Kills the API server at once, as a crash does. The other servers keep running, and retry.
    ///
    /// # Errors
    /// When what the server has written to the audit log cannot be read.
    pub fn kill_apiserver(&self) -> Result<(), StartError> {
        lock(&self.servers).kill_apiserver();
        if let Some(audit) = &self.audit {
            let mut log = lock(audit);
            log.server_gone()?;
            log.skip_torn_line()?;
        }
        Ok(())
    }

    /// Starts the API server again on the same address, and returns when it is ready. Does nothing when it runs.
    ///
    /// # Errors
    /// When it ends, or is not ready in time.
    pub fn start_apiserver(&self) -> Result<(), StartError> {
        lock(&self.servers).start_apiserver(&self.layout)
    }

    /// Kills the API server, and starts it again `lasting` later: an outage in real time, as clients see it.
    ///
    /// # Errors
    /// As [`ControlPlane::kill_apiserver`] and [`ControlPlane::start_apiserver`].
    pub fn apiserver_outage(&self, lasting: Duration) -> Result<(), StartError> {
        self.kill_apiserver()?;
        let end = Deadline::after(lasting);
        while !end.passed() {
            pause();
        }
        self.start_apiserver()
    }

    /// Makes etcd forget every version but the present ones, at once instead of after the five minutes that the API server
    /// keeps. An API server that runs may still know them.
    ///
    /// # Errors
    /// When etcd does not answer, or refuses.
    pub fn compact(&self) -> io::Result<()> {
        history::compact(&self.layout.etcd_socket())
    }

    /// Copies etcd's data as it is now. The API server and etcd are away meanwhile.
    ///
    /// # Errors
    /// As [`ControlPlane::start_apiserver`], and when files cannot be copied.
    pub fn back_up(&self) -> Result<Backup, StartError> {
        self.change_etcd(Backup::of)
    }

    /// Brings etcd back to what it was at `backup`, as after a loss: later writes never happened, and their versions are
    /// given to others. The API server and etcd are away meanwhile.
    ///
    /// # Errors
    /// As [`ControlPlane::back_up`].
    pub fn restore(&self, backup: &Backup) -> Result<(), StartError> {
        self.change_etcd(|data| backup.restore(data))
    }

    fn change_etcd<T>(&self, change: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, StartError> {
        self.kill_apiserver()?;
        let changed = lock(&self.servers).change_etcd(&self.layout, change)?;
        self.start_apiserver()?;
        Ok(changed)
    }

    /// Makes the fake kubelet change nothing more, except that it renews its Lease. Returns when changes under way
    /// have ended.
    ///
    /// # Errors
    /// When the fake kubelet does not answer.
    pub fn pause_kubelet(&self) -> Result<(), ProcessError> {
        lock(&self.servers).pause_kubelet()
    }

    /// Lets the fake kubelet go on.
    ///
    /// # Errors
    /// When the fake kubelet does not answer.
    pub fn resume_kubelet(&self) -> Result<(), ProcessError> {
        lock(&self.servers).resume_kubelet()
    }

    /// Fails when a server has ended by itself, with the end of its log.
    ///
    /// # Errors
    /// See above.
    pub fn check(&self) -> Result<(), ProcessError> {
        lock(&self.servers).check()
    }

    /// Sends a request that nobody else sends, and reads the log until that request and all before it have ended.
    fn read_audit(&self) -> Result<(MutexGuard<'_, AuditLog>, usize), AuditError> {
        let audit = self.audit.as_ref().ok_or(AuditError::Off)?;
        let marker = format!("{MARKER}{}", random::hexadecimal(8));
        self.kubectl(&["get", "--raw", &marker], "")?.success()?;
        let mut log = lock(audit);
        let end = eventually("the requests before a mark to end", AUDIT_WITHIN, || {
            log.read()?;
            Ok(log.complete_until(&marker))
        })?;
        Ok((log, end))
    }
}

const MARKER: &str = "/version?audit-mark=";

/// A panicked trial leaves the servers as they were: its lock is taken over.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
