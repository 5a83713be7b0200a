//! The runtime that ours is measured on.
use tokio::runtime::{Builder, Runtime};

/// How many threads it has.
#[derive(clap::Args, Clone, Copy, Debug)]
pub struct Threads {
    /// Worker threads of the runtime that ours is measured on; one for each processor unless told, and with zero everything
    /// runs on one thread
    #[arg(long, global = true)]
    threads: Option<usize>,
}

impl Threads {
    /// Builds it.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn runtime(self) -> std::io::Result<Runtime> {
        let mut builder = match self.threads {
            Some(0) => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        if let Some(threads @ 1..) = self.threads {
            builder.worker_threads(threads);
        }
        builder.enable_all().build()
    }

    /// Returns what makes another process of this program have the same.
    pub fn arguments(self) -> Vec<String> {
        self.threads.map(|threads| format!("--threads={threads}")).into_iter().collect()
    }
}
