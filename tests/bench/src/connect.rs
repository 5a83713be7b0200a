//! Clients of the server that is measured, and what is asked of it beside the API.
use std::path::{Path, PathBuf};

use http::Request;
use kube::client::Body;
use kubewright::client::ConfigOptions;
use kubewright::reflector::{ApiListerWatcher, FirstSync};
use kubewright::{Client, InformerFactory};

use crate::Result;

/// Which server to measure against.
#[derive(clap::Args, Clone, Debug)]
#[group(required = true, multiple = false)]
pub struct Server {
    /// URL of a server of prepared objects
    #[arg(long)]
    pub url: Option<String>,
    /// Kubeconfig of a cluster that holds objects already; nothing is triggered there
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
}

/// How the initial state is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strategy {
    /// As a watch that begins with it.
    Stream,
    /// As a list in pages.
    List,
}

impl Strategy {
    /// Both, which is what is measured unless one is chosen.
    const BOTH: [Self; 2] = [Self::Stream, Self::List];

    /// Returns the chosen one, or both.
    pub fn chosen(only: Option<&Self>) -> &[Self] {
        only.map_or(&Self::BOTH, std::slice::from_ref)
    }

    /// Returns its name, as on command lines and in lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stream => "stream",
            Self::List => "list",
        }
    }
}

/// What objects travel in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// What every server and every kind can.
    #[default]
    Json,
    /// What an API server can with its built-in kinds.
    Protobuf,
}

impl Encoding {
    /// Returns its name, as on command lines and in lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Protobuf => "protobuf",
        }
    }
}

impl From<kubewright::reflector::Encoding> for Encoding {
    fn from(encoding: kubewright::reflector::Encoding) -> Self {
        match encoding {
            kubewright::reflector::Encoding::Protobuf => Self::Protobuf,
            kubewright::reflector::Encoding::Json => Self::Json,
        }
    }
}

impl Server {
    /// Names a server of prepared objects.
    pub fn at(url: &str) -> Self {
        Self { url: Some(url.to_owned()), kubeconfig: None }
    }

    /// Names the cluster of a kubeconfig.
    pub fn of(kubeconfig: &Path) -> Self {
        Self { url: None, kubeconfig: Some(kubeconfig.to_owned()) }
    }

    /// Returns the option that [`Server::place`] is the value of.
    pub fn option(&self) -> &'static str {
        if self.url.is_some() { "--url" } else { "--kubeconfig" }
    }

    /// Returns the URL or the path, as the peers take it on their command lines.
    ///
    /// # Errors
    /// When the path is no text.
    pub fn place(&self) -> Result<&str> {
        let path = || self.kubeconfig.as_deref().and_then(Path::to_str);
        Ok(self.url.as_deref().or_else(path).ok_or("the path of the kubeconfig is no UTF-8: use another")?)
    }

    /// Connects to it.
    ///
    /// # Errors
    /// When there is no such kubeconfig, or the URL is none.
    pub async fn client(&self) -> Result<Client> {
        match &self.url {
            Some(url) => {
                let uri = url.parse().map_err(|error| format!("--url {url}: {error}"))?;
                Ok(Client::from_config(kube::Config::new(uri))?)
            }
            None => {
                let options = ConfigOptions { kubeconfig: self.kubeconfig.clone(), ..ConfigOptions::default() };
                Ok(Client::from_options(&options).await?)
            }
        }
    }

    /// Says whether events can be asked for.
    pub fn has_trigger(&self) -> bool {
        self.url.is_some()
    }
}

/// Makes a factory whose informers begin by `strategy`.
pub fn factory(client: &Client, strategy: Strategy) -> InformerFactory {
    let client = client.clone();
    let first_sync = match strategy {
        Strategy::Stream => FirstSync::WatchList,
        Strategy::List => FirstSync::List,
    };
    InformerFactory::from_lister_watchers(move |target| {
        ApiListerWatcher::new(client.clone(), target.clone()).with_first_sync(first_sync)
    })
}

/// Asks for so many events on every open watch.
///
/// # Errors
/// When the server does not know the request.
pub async fn trigger(client: &Client, events: usize) -> Result<()> {
    post(client, &format!("/trigger?m={events}")).await
}

/// Sends a request of the benchmark's own.
///
/// # Errors
/// When the server does not know the request.
pub async fn post(client: &Client, path: &str) -> Result<()> {
    let request = Request::post(path).body(Body::empty())?;
    let answer = client.kube().send(request).await?;
    if answer.status().is_success() { Ok(()) } else { Err(format!("POST {path}: {}", answer.status()).into()) }
}

/// What a server holds of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Present {
    /// How many objects.
    pub objects: usize,
    /// At which version.
    pub version: u64,
}

/// Asks how many objects there are, by a list of one.
///
/// # Errors
/// When the answer is no list.
pub async fn count(client: &Client, path: &str) -> Result<Present> {
    let request = Request::get(format!("{path}?limit=1")).body(Vec::new())?;
    let list: serde_json::Value = client.kube().request(request).await?;
    let metadata = &list["metadata"];
    let listed = list["items"].as_array().map_or(0, Vec::len);
    let remaining = metadata["remainingItemCount"].as_u64().unwrap_or(0);
    let version = metadata["resourceVersion"].as_str().ok_or("the list has no version")?.parse()?;
    Ok(Present { objects: listed + usize::try_from(remaining)?, version })
}
