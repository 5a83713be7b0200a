//! The website operator as a process of its own, under a service account that has the printed role and nothing else.
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use controlplane::{ControlPlane, eventually};

/// The binary under test.
pub(crate) const WEBSITE: &str = env!("CARGO_BIN_EXE_website");

/// How long anything may take: generous, since two cores run several control planes at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// A running operator. Dropping it kills the process.
pub(crate) struct Operator {
    child: Child,
    log: Arc<Mutex<Vec<serde_json::Value>>>,
    reader: Option<JoinHandle<()>>,
}

impl Operator {
    /// Starts `website run` with `kubeconfig` and `arguments`.
    pub(crate) fn start(kubeconfig: &Path, arguments: &[&str]) -> Outcome<Self> {
        let mut child = Command::new(WEBSITE)
            .args(["run", "--log-format", "json", "--log-level", "kubewright=debug"])
            .args(["--health-probe-bind-address", "127.0.0.1:0"])
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .env_remove("RUST_LOG")
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = Arc::new(Mutex::new(Vec::new()));
        let pipe = child.stderr.take().ok_or("the operator has no standard error")?;
        let lines = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let entry = serde_json::from_str(&line).unwrap_or(serde_json::Value::String(line));
                lines.lock().unwrap().push(entry);
            }
        });
        Ok(Self { child, log, reader: Some(reader) })
    }

    /// Waits until `/readyz` answers 200.
    pub(crate) fn ready(&self) -> Outcome {
        eventually("the operator to be ready", PATIENCE, || Ok((self.readyz()?.0 == 200).then_some(())))?;
        Ok(())
    }

    /// Asks `/readyz`: the status code and the body.
    pub(crate) fn readyz(&self) -> Outcome<(u16, String)> {
        let address = self.address()?;
        get(&address, "/readyz?verbose")
    }

    /// Counts the finished reconciles of `namespace/name` so far.
    pub(crate) fn reconciles(&self, key: &str) -> usize {
        self.logged(|entry| entry["fields"]["message"] == "reconciled" && entry["span"]["object"] == key)
    }

    /// Counts the log entries that `matches`.
    pub(crate) fn logged(&self, matches: impl Fn(&serde_json::Value) -> bool) -> usize {
        self.log.lock().unwrap().iter().filter(|entry| matches(entry)).count()
    }

    /// Returns the whole log, for messages of failing tests.
    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().iter().map(|entry| format!("{entry}\n")).collect()
    }

    /// Sends SIGTERM and returns the exit code.
    pub(crate) fn terminate(mut self) -> Outcome<Option<i32>> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status()?;
        let status = eventually("the operator to end", PATIENCE, || Ok(self.child.try_wait()?))?;
        Ok(status.code())
    }

    fn address(&self) -> Outcome<String> {
        let log = self.log.lock().unwrap();
        let address = log.iter().find_map(|entry| entry["fields"]["address"].as_str());
        Ok(address.ok_or("the operator has not logged its probe address yet")?.to_owned())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// Installs the printed CRD and role for a service account in `namespace`, and returns a kubeconfig of that account.
pub(crate) fn install(cluster: &ControlPlane, namespace: &str, rbac: &[&str]) -> Outcome<std::path::PathBuf> {
    apply_without_warning(cluster, &printed(&["crds"])?)?;
    cluster.kubectl(&["wait", "--for=condition=Established", "crd/websites.demo.kubewright.dev"], "")?.success()?;
    cluster.kubectl(&["create", "serviceaccount", "website", "-n", namespace], "")?.success()?;
    let mut arguments = vec!["rbac", "--service-account", "website", "--namespace", namespace];
    arguments.extend(rbac);
    apply_without_warning(cluster, &printed(&arguments)?)?;
    let token = cluster.service_account_token(namespace, "website")?;
    Ok(cluster.kubeconfig_for_token(&token)?)
}

/// Runs the binary and returns what it printed.
pub(crate) fn printed(arguments: &[&str]) -> Outcome<String> {
    let output = Command::new(WEBSITE).args(arguments).output()?;
    if !output.status.success() {
        return Err(format!("website {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?)
}

/// Applies manifests with kubectl. A warning is a failure.
pub(crate) fn apply_without_warning(cluster: &ControlPlane, manifests: &str) -> Outcome {
    let output = cluster.kubectl(&["apply", "-f", "-"], manifests)?;
    let warnings = output.stderr.clone();
    output.success()?;
    if warnings.is_empty() { Ok(()) } else { Err(format!("kubectl apply warned: {warnings}\n{manifests}").into()) }
}

fn get(address: &str, path: &str) -> Outcome<(u16, String)> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let code = answer.split(' ').nth(1).ok_or("no status line")?.parse()?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Ok((code, body))
}
