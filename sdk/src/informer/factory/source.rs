//! Where the objects of an informer come from.
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::delta::DeltaSender;
use crate::reflector::{ListerWatcher, Reflector, ReflectorStatus, Target};

/// Opens streams of deltas: reflectors in earnest, scripts in tests.
pub(crate) trait Source: Send + Sync + 'static {
    /// Returns what fills `deltas` with the objects of `target`, to be run until dropped, and its status.
    fn open(&self, target: &Target, deltas: DeltaSender) -> Opened;
}

/// A stream of deltas that has not begun yet.
pub(crate) struct Opened {
    /// Runs the stream; never ends by itself.
    pub(crate) run: BoxFuture<'static, ()>,
    /// What it is doing.
    pub(crate) status: watch::Receiver<ReflectorStatus>,
}

/// A reflector over what `0` makes for each target.
pub(super) struct Reflected<F>(pub(super) F);

impl<F, L> Source for Reflected<F>
where
    F: Fn(&Target) -> L + Send + Sync + 'static,
    L: ListerWatcher,
{
    fn open(&self, target: &Target, deltas: DeltaSender) -> Opened {
        let (reflector, status) = Reflector::new(target.clone(), (self.0)(target), deltas);
        Opened { run: Box::pin(reflector.run()), status }
    }
}
