//! Finds the cluster as kubectl does, and says which file or variable is wrong when it can not.
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

/// Where to look for the cluster: what `--kubeconfig` and `--context` chose. The default looks where kubectl looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigOptions {
    /// A kubeconfig to use instead of `KUBECONFIG` and `~/.kube/config`.
    pub kubeconfig: Option<PathBuf>,
    /// A context to use instead of the current one.
    pub context: Option<String>,
}

impl ConfigOptions {
    /// Loads the configuration: the chosen kubeconfig, else the files of `KUBECONFIG`, else `~/.kube/config`, else the
    /// service account of the pod.
    ///
    /// Unlike kubectl it never falls through from a kubeconfig that was asked for and can not be used: acting on
    /// another cluster than the one meant is worse than stopping.
    ///
    /// # Errors
    /// [`Error`] names the file, variable or context, and what to do.
    pub async fn load(&self) -> Result<kube::Config, Error> {
        self.load_from(&Environment::current()).await
    }

    pub(super) async fn load_from(&self, environment: &Environment) -> Result<kube::Config, Error> {
        let Some(found) = self.locate(environment)? else {
            if let Some(context) = &self.context {
                return Err(Error::ContextWithoutKubeconfig { context: context.clone() });
            }
            return kube::Config::incluster().map_err(|error| Error::InCluster { problem: error.to_string() });
        };
        let kubeconfig = found.read()?;
        if let Some(context) = self.context.as_ref().or(kubeconfig.current_context.as_ref())
            && !kubeconfig.contexts.iter().any(|known| &known.name == context)
        {
            let known = kubeconfig.contexts.iter().map(|known| known.name.clone()).collect();
            return Err(Error::UnknownContext { context: context.clone(), file: found.to_string(), known });
        }
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| found.explain(&error))
    }

    /// Decides which files to read; `None` means the service account of the pod.
    fn locate(&self, environment: &Environment) -> Result<Option<Found>, Error> {
        if let Some(path) = &self.kubeconfig {
            let found = Found { paths: vec![path.clone()], origin: "--kubeconfig" };
            return if path.exists() { Ok(Some(found)) } else { Err(found.missing()) };
        }
        let named: Vec<PathBuf> = environment.kubeconfig.iter().flat_map(std::env::split_paths).collect();
        let named: Vec<PathBuf> = named.into_iter().filter(|path| !path.as_os_str().is_empty()).collect();
        if !named.is_empty() {
            let existing: Vec<PathBuf> = named.iter().filter(|path| path.exists()).cloned().collect();
            return if existing.is_empty() {
                Err(Found { paths: named, origin: "KUBECONFIG" }.missing())
            } else {
                Ok(Some(Found { paths: existing, origin: "KUBECONFIG" }))
            };
        }
        let home = environment.home.as_ref().map(|home| home.join(".kube").join("config"));
        match home.filter(|path| path.exists()) {
            Some(path) => Ok(Some(Found { paths: vec![path], origin: "the default path" })),
            None if environment.in_pod => Ok(None),
            None => Err(Error::NotFound),
        }
    }
}

/// What of the process environment decides, as a value so that tests can choose it.
#[derive(Clone, Debug, Default)]
pub(super) struct Environment {
    pub(super) kubeconfig: Option<OsString>,
    pub(super) home: Option<PathBuf>,
    pub(super) in_pod: bool,
}

impl Environment {
    fn current() -> Self {
        Self {
            kubeconfig: std::env::var_os("KUBECONFIG"),
            home: std::env::home_dir(),
            in_pod: std::env::var_os("KUBERNETES_SERVICE_HOST").is_some(),
        }
    }
}

/// Kubeconfig files, and what named them.
#[derive(Debug)]
struct Found {
    paths: Vec<PathBuf>,
    origin: &'static str,
}

impl Found {
    fn missing(&self) -> Error {
        Error::Missing { file: self.to_string(), origin: self.origin }
    }

    fn read(&self) -> Result<Kubeconfig, Error> {
        let mut merged = Kubeconfig::default();
        for path in &self.paths {
            let one = Kubeconfig::read_from(path).map_err(|error| unreadable(path, &error))?;
            merged = merged.merge(one).map_err(|error| self.explain(&error))?;
        }
        Ok(merged)
    }

    fn explain(&self, error: &KubeconfigError) -> Error {
        match error {
            KubeconfigError::CurrentContextNotSet => Error::NoContext { file: self.to_string() },
            other => Error::Unusable { file: self.to_string(), problem: other.to_string() },
        }
    }
}

impl std::fmt::Display for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (at, path) in self.paths.iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            write!(f, "{separator}{}", path.display())?;
        }
        Ok(())
    }
}

/// A YAML error is reported by its place only: its text may quote the file, and the file holds credentials.
fn unreadable(path: &Path, error: &KubeconfigError) -> Error {
    let problem = match error {
        KubeconfigError::Parse(error) => match error.location() {
            Some(at) => format!("it is not a kubeconfig: line {}, column {}", at.line(), at.column()),
            None => "it is not a kubeconfig".to_owned(),
        },
        KubeconfigError::ReadConfig(error, _) => error.to_string(),
        other => other.to_string(),
    };
    Error::Unusable { file: path.display().to_string(), problem }
}

/// Why no cluster could be found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No kubeconfig was named, the default one does not exist, and this is not a pod.
    #[error(
        "no cluster is configured: KUBECONFIG is not set, ~/.kube/config does not exist and this is not a pod; \
         set KUBECONFIG or pass --kubeconfig"
    )]
    NotFound,
    /// A kubeconfig that was asked for does not exist.
    #[error("the kubeconfig {file} named by {origin} does not exist: correct the path")]
    Missing {
        /// The file, or the files.
        file: String,
        /// The flag or variable that names it.
        origin: &'static str,
    },
    /// A kubeconfig exists and can not be used.
    #[error("the kubeconfig {file} can not be used: {problem}")]
    Unusable {
        /// The file, or the files.
        file: String,
        /// What is wrong with it; never its content.
        problem: String,
    },
    /// The kubeconfig does not say which context is current.
    #[error("the kubeconfig {file} has no current context: pass --context or run `kubectl config use-context`")]
    NoContext {
        /// The file, or the files.
        file: String,
    },
    /// The chosen context is not in the kubeconfig.
    #[error("the kubeconfig {file} has no context `{context}`: choose one of [{}]", known.join(", "))]
    UnknownContext {
        /// The context that was asked for.
        context: String,
        /// The file, or the files.
        file: String,
        /// The contexts that exist.
        known: Vec<String>,
    },
    /// A context was chosen, and there is no kubeconfig that could have one.
    #[error(
        "there is no kubeconfig with a context `{context}`, only the service account of this pod: pass --kubeconfig, or \
         leave --context out"
    )]
    ContextWithoutKubeconfig {
        /// The context that was asked for.
        context: String,
    },
    /// This is a pod, and its service account can not be used.
    #[error(
        "the service account of this pod can not be used: {problem}; is automountServiceAccountToken switched off?"
    )]
    InCluster {
        /// What is wrong with it.
        problem: String,
    },
    /// The configuration was found and no connection can be made from it.
    #[error("no connection to {url} can be made from this configuration: {problem}")]
    Connection {
        /// URL of the API server.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
}
