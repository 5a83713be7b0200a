//! Which control plane `up` has started: one a user, found through a locked file in the cache directory.
//!
//! The lock says whether it runs, because the system drops it with the process; the file says where it is.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use controlplane::binary::{self, BuildError};

/// The claim to be the control plane of this user; given up when dropped.
#[derive(Debug)]
pub(super) struct Claim {
    file: File,
    note: PathBuf,
}

/// The state of `up` could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum RunningError {
    /// Nobody has started one.
    #[error("no control plane is up: start one with `cargo run -p controlplane -- up`")]
    NotUp,
    /// There is one already.
    #[error("a control plane is already up; use it with KUBECONFIG={}", kubeconfig.display())]
    AlreadyUp {
        /// The way to it.
        kubeconfig: PathBuf,
    },
    /// There is one that has not noted where it is.
    #[error("another control plane is starting")]
    Starting,
    /// There is no place to note it.
    #[error(transparent)]
    Directory(#[from] BuildError),
    /// The note could not be read or written.
    #[error("note the running control plane in {}", path.display())]
    Note {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Claim {
    /// Claims to be the control plane of this user.
    pub(super) fn new() -> Result<Self, RunningError> {
        let (lock, note) = paths()?;
        let at = |source| RunningError::Note { path: lock.clone(), source };
        if let Some(directory) = lock.parent() {
            fs::create_dir_all(directory).map_err(at)?;
        }
        let file = File::options().create(true).truncate(false).write(true).open(&lock).map_err(at)?;
        match file.try_lock() {
            Ok(()) => {
                // One that was killed has left its note behind.
                let _ = fs::remove_file(&note);
                Ok(Self { file, note })
            }
            Err(TryLockError::WouldBlock) => Err(match noted(&note) {
                Ok(kubeconfig) => RunningError::AlreadyUp { kubeconfig },
                Err(_) => RunningError::Starting,
            }),
            Err(TryLockError::Error(source)) => Err(at(source)),
        }
    }

    /// Tells `kubectl` how to reach the control plane.
    pub(super) fn publish(&self, kubeconfig: &Path) -> Result<(), RunningError> {
        let content = kubeconfig.to_string_lossy();
        fs::write(&self.note, &*content).map_err(|source| RunningError::Note { path: self.note.clone(), source })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Without the note nobody is told of a control plane that is ending; with it, kubectl says that it is gone.
        let _ = fs::remove_file(&self.note);
        let _ = self.file.unlock();
    }
}

/// Returns the kubeconfig of the control plane that is up.
pub(super) fn kubeconfig() -> Result<PathBuf, RunningError> {
    let (_, note) = paths()?;
    noted(&note).ok().filter(|kubeconfig| kubeconfig.exists()).ok_or(RunningError::NotUp)
}

fn noted(note: &Path) -> Result<PathBuf, RunningError> {
    let content = fs::read_to_string(note).map_err(|source| RunningError::Note { path: note.to_owned(), source })?;
    Ok(PathBuf::from(content))
}

fn paths() -> Result<(PathBuf, PathBuf), RunningError> {
    let directory = binary::cache_directory()?;
    Ok((directory.join("up.lock"), directory.join("up.kubeconfig-path")))
}
