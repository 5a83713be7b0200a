//! The listener for probes and scrapes: livez and readyz in kube-apiserver's text form, metrics in Prometheus'. It is given
//! the checks and the counts, and decides nothing.
use std::fmt::{self, Write};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::RawQuery;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;

use crate::metrics::{CONTENT_TYPE, Snapshot};

/// Where probes are answered unless an option says otherwise: controller-runtime's `--health-probe-bind-address`.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 8081);

/// The option that sets the address, as messages name it.
pub const ADDRESS_FLAG: &str = "--health-probe-bind-address";

/// The result of one check, at the time of asking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What was checked, such as `website/deployments.apps/v1`.
    pub name: String,
    /// Why it failed and what to do, if it did.
    pub result: Result<(), String>,
}

impl Check {
    /// Reports a check that passed.
    pub fn ok(name: impl Into<String>) -> Self {
        Self { name: name.into(), result: Ok(()) }
    }

    /// Reports a check that failed, and what to do.
    pub fn failed(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { name: name.into(), result: Err(reason.into()) }
    }
}

/// Answers one probe: called for each request, so it must neither wait nor ask anybody.
pub type Probe = Arc<dyn Fn() -> Vec<Check> + Send + Sync>;

/// Answers one scrape: called for each request, so it must neither wait nor ask anybody.
pub type Scrape = Arc<dyn Fn() -> Snapshot + Send + Sync>;

/// The endpoints, served by [`Admin::serve`].
#[derive(Clone)]
pub struct Probes {
    /// Whether the process is to be restarted when a check fails.
    pub livez: Probe,
    /// Whether the process can do its work.
    pub readyz: Probe,
    /// What everything that counts shows now.
    pub metrics: Scrape,
}

impl Probes {
    /// Makes the routes `/livez` and `/readyz`: 200 when every check passes; otherwise 503, and one line for each
    /// reason. With `?verbose` every check has its line. And `/metrics`, in Prometheus' text form.
    fn router(self) -> Router {
        let route = |name: &'static str, probe: Probe| {
            get(move |RawQuery(query): RawQuery| {
                let answer = answer(name, &probe(), is_verbose(query.as_deref()));
                std::future::ready(answer)
            })
        };
        let metrics = self.metrics;
        let scrape = get(move || std::future::ready(([(header::CONTENT_TYPE, CONTENT_TYPE)], metrics().text())));
        Router::new()
            .route("/livez", route("livez", self.livez))
            .route("/readyz", route("readyz", self.readyz))
            .route("/metrics", scrape)
    }
}

/// A bound listener that nobody answers yet.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
}

impl Admin {
    /// Takes `address`; port 0 takes any free port.
    ///
    /// # Errors
    /// [`Error::Bind`] names the address and the option to change.
    pub async fn bind(address: SocketAddr) -> Result<Self, Error> {
        let listener = TcpListener::bind(address).await.map_err(|source| Error::Bind { address, source })?;
        Ok(Self { listener })
    }

    /// Returns the address that was taken.
    ///
    /// # Errors
    /// When the operating system does not tell.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `stop` is ready and the requests at hand are answered.
    ///
    /// # Errors
    /// [`Error::Serve`] when the listener breaks.
    pub async fn serve(self, probes: Probes, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
        axum::serve(self.listener, probes.router()).with_graceful_shutdown(stop).await.map_err(Error::Serve)
    }
}

/// Why the probes cannot be answered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address cannot be taken.
    #[error("cannot listen on {address} for probes: choose another address with {ADDRESS_FLAG}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
    /// The listener broke.
    #[error("the listener for probes broke")]
    Serve(#[source] io::Error),
}

fn is_verbose(query: Option<&str>) -> bool {
    query.unwrap_or_default().split('&').any(|pair| pair.split('=').next() == Some("verbose"))
}

/// Writes what kube-apiserver's probes write; reasons are told, as whoever reaches this port may read the logs, too.
fn answer(probe: &str, checks: &[Check], verbose: bool) -> (StatusCode, String) {
    let passed = checks.iter().all(|check| check.result.is_ok());
    let status = if passed { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if passed && !verbose {
        return (status, "ok".to_owned());
    }
    let mut body = String::new();
    for check in checks {
        // Writing to a string cannot fail.
        let _ = match &check.result {
            Ok(()) if verbose => writeln!(body, "[+]{} ok", check.name),
            Ok(()) => Ok(()),
            // Reasons may quote the API server, line breaks included.
            Err(reason) => writeln!(body, "[-]{} failed: {}", check.name, reason.replace(char::is_control, " ")),
        };
    }
    let _ = writeln!(body, "{probe} check {}", if passed { "passed" } else { "failed" });
    (status, body)
}

impl fmt::Debug for Probes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metric;
    use axum::body::Body;
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tower::ServiceExt;

    fn probes(readyz: Vec<Check>) -> Probes {
        let metrics = Arc::new(|| {
            let mut snapshot = Snapshot::default();
            snapshot.counter(Metric { name: "asked_total", help: "Asked." }, &[("name", "a")], 7);
            snapshot
        });
        Probes { livez: Arc::new(|| vec![Check::ok("loop")]), readyz: Arc::new(move || readyz.clone()), metrics }
    }

    async fn ask(probes: &Probes, path: &str) -> (u16, String) {
        let request = Request::get(path).body(Body::empty()).unwrap();
        let response = probes.clone().router().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readyz_lists_reasons_and_all_checks_when_verbose() {
        let check = async |checks: Vec<Check>, path: &str, status: u16, body: &str| {
            assert_eq!(ask(&probes(checks), path).await, (status, body.to_owned()), "{path}");
        };
        let fine = vec![Check::ok("a"), Check::ok("b")];
        check(fine.clone(), "/readyz", 200, "ok").await;
        check(fine.clone(), "/readyz?verbose", 200, "[+]a ok\n[+]b ok\nreadyz check passed\n").await;
        check(fine.clone(), "/readyz?x=1&verbose=true", 200, "[+]a ok\n[+]b ok\nreadyz check passed\n").await;
        check(fine, "/readyz?verbosely", 200, "ok").await;
        check(vec![], "/readyz", 200, "ok").await;
        let broken = vec![Check::ok("a"), Check::failed("b", "forbidden:\napply the role"), Check::failed("c", "late")];
        let reasons = "[-]b failed: forbidden: apply the role\n[-]c failed: late\nreadyz check failed\n";
        check(broken.clone(), "/readyz", 503, reasons).await;
        check(broken.clone(), "/readyz?verbose", 503, &format!("[+]a ok\n{reasons}")).await;
        check(broken, "/livez?verbose", 200, "[+]loop ok\nlivez check passed\n").await;
    }

    #[tokio::test]
    async fn metrics_are_text_that_says_so() {
        let expected = "# HELP asked_total Asked.\n# TYPE asked_total counter\nasked_total{name=\"a\"} 7\n";
        assert_eq!(ask(&probes(vec![]), "/metrics").await, (200, expected.to_owned()));
        let request = Request::get("/metrics").body(Body::empty()).unwrap();
        let response = probes(vec![]).router().oneshot(request).await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/plain; version=0.0.4; charset=utf-8");
    }

    #[tokio::test]
    async fn other_paths_and_methods_are_refused() {
        let probes = probes(vec![]);
        assert_eq!(ask(&probes, "/metric").await.0, 404);
        let request = Request::post("/readyz").body(Body::empty()).unwrap();
        assert_eq!(probes.router().oneshot(request).await.unwrap().status().as_u16(), 405);
    }

    #[tokio::test]
    async fn a_free_port_is_served_and_a_taken_one_is_an_error_that_names_address_and_flag() {
        let admin = Admin::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = admin.local_addr().unwrap();
        let error = Admin::bind(address).await.unwrap_err().to_string();
        assert!(error.contains(&address.to_string()) && error.contains(ADDRESS_FLAG), "{error}");

        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = admin.serve(probes(vec![Check::failed("a", "late")]), async {
            let _ = stopped.await;
        });
        let client = async {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            stop.send(()).unwrap();
            answer
        };
        let (served, answer) = tokio::join!(server, client);
        served.unwrap();
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("[-]a failed: late"), "{answer}");
    }
}
