//! One control plane a process, divided among its tests.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::control_plane::{ControlPlane, Options, StartError};
use crate::kubectl::{KubectlError, Output};
use crate::random;

/// A test's own part of the shared control plane: a namespace and an API group that no other test has.
///
/// Dropping it deletes the namespace, without waiting for the end of that.
#[derive(Debug)]
pub struct TestScope {
    control_plane: Arc<ControlPlane>,
    id: String,
    namespace: String,
}

/// The shared control plane could not be started, or has ended.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SharedError {
    /// It could not be started. The start is tried once a process.
    #[error(transparent)]
    Start(Arc<StartError>),
    /// The harness has already ended it.
    #[error("the shared control plane has ended with the tests")]
    Ended,
}

/// A test scope could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScopeError {
    /// There is no control plane.
    #[error(transparent)]
    Shared(#[from] SharedError),
    /// Its namespace could not be created.
    #[error("create the test's namespace")]
    Namespace(#[source] KubectlError),
}

/// Returns the control plane that the tests of this process share, starting it at the first call.
///
/// # Errors
/// When it cannot be started: the first call's error, every time.
pub fn shared() -> Result<Arc<ControlPlane>, SharedError> {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Shared::NotStarted = *shared {
        *shared = match ControlPlane::start(Options::default()) {
            Ok(control_plane) => Shared::Running(Arc::new(control_plane)),
            Err(error) => Shared::Failed(Arc::new(error)),
        };
    }
    match &*shared {
        Shared::Running(control_plane) => Ok(Arc::clone(control_plane)),
        Shared::Failed(error) => Err(SharedError::Start(Arc::clone(error))),
        Shared::NotStarted | Shared::Ended => Err(SharedError::Ended),
    }
}

/// Ends the shared control plane: a static is never dropped.
pub(crate) fn end_shared() {
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    *shared = Shared::Ended;
}

impl TestScope {
    /// Makes a scope on the shared control plane, and prints `test` with the scope's names.
    ///
    /// # Errors
    /// When there is no control plane, or the namespace cannot be created.
    pub fn new(test: &str) -> Result<Self, ScopeError> {
        let control_plane = shared()?;
        let id = format!("{}-{}", run_id(), SCOPES.fetch_add(1, Ordering::Relaxed));
        let namespace = format!("test-{id}");
        eprintln!("{test}: namespace {namespace}");
        let created = control_plane.kubectl(&["create", "namespace", &namespace], "").and_then(Output::success);
        created.map_err(ScopeError::Namespace)?;
        Ok(Self { control_plane, id, namespace })
    }

    /// Returns the control plane, which other tests use at the same time.
    pub fn control_plane(&self) -> &ControlPlane {
        &self.control_plane
    }

    /// Returns what makes this scope's names unique, as in `5f0c1e-3`: lower-case letters, digits and a dash.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the name of the scope's namespace, which exists.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns an API group that no other test uses.
    pub fn group(&self) -> String {
        format!("test-{}.kubewright.dev", self.id)
    }

    /// Runs the bundled kubectl as the administrator in the scope's namespace: see [`ControlPlane::kubectl`].
    ///
    /// # Errors
    /// When kubectl cannot be run. That it fails is told by [`Output::success`].
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> Result<Output, KubectlError> {
        let arguments = [&["--namespace", self.namespace.as_str()], arguments].concat();
        self.control_plane.kubectl(&arguments, input)
    }
}

impl Drop for TestScope {
    fn drop(&mut self) {
        // The control plane ends soon anyway; a test that killed it has nothing to delete from.
        let _ = self.control_plane.kubectl(&["delete", "namespace", &self.namespace, "--wait=false"], "");
    }
}

enum Shared {
    NotStarted,
    Running(Arc<ControlPlane>),
    Failed(Arc<StartError>),
    Ended,
}

static SHARED: Mutex<Shared> = Mutex::new(Shared::NotStarted);
static SCOPES: AtomicU32 = AtomicU32::new(1);

/// What makes the names of this process differ from those of others.
fn run_id() -> &'static str {
    static RUN_ID: OnceLock<String> = OnceLock::new();
    RUN_ID.get_or_init(|| random::hexadecimal(3))
}
