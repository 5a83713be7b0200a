//! `controlplane demo`: the website example on a real control plane, from nothing to a running operator.

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Duration;

use controlplane::{ControlPlane, Options, eventually};

use super::running::Claim;
use super::up::until_interrupted;

/// How long each step of the demonstration may take on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where the operator's account lives, and where the sample goes.
const NAMESPACE: &str = "default";
const READY: &str = "jsonpath={.status.conditions[?(@.type==\"Ready\")].status}";

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

pub(super) fn run() -> Outcome<ExitCode> {
    let claim = Claim::new()?;
    say("Building the website operator (examples/01-website)");
    let website = Website::build()?;
    say("Starting etcd, kube-apiserver, kube-controller-manager, kube-scheduler and a fake kubelet");
    let cluster = ControlPlane::start(Options::default().without_audit())?;
    claim.publish(cluster.kubeconfig_path())?;
    let demo = Demo { cluster: &cluster, website: &website };

    let kubeconfig = demo.install()?;
    let operator = demo.operator(&kubeconfig)?;
    demo.apply_sample()?;
    demo.repair()?;
    demo.roll()?;

    println!("{}", closing(&cluster, &operator));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(until_interrupted(&cluster))?;
    Ok(ExitCode::SUCCESS)
}

struct Demo<'a> {
    cluster: &'a ControlPlane,
    website: &'a Website,
}

impl Demo<'_> {
    /// Installs what the operator prints, and returns a kubeconfig of its service account.
    fn install(&self) -> Outcome<PathBuf> {
        say("website crds | kubectl apply -f -");
        self.show(&["apply", "-f", "-"], &self.website.print(&["crds"])?)?;
        self.show(&["wait", "--for=condition=Established", "crd/websites.demo.kubewright.dev"], "")?;
        say("website rbac | kubectl apply -f -     # computed from the types: these verbs on these kinds, and no more");
        self.show(&["create", "serviceaccount", "website", "-n", NAMESPACE], "")?;
        self.show(&["apply", "-f", "-"], &self.website.print(&["rbac", "--namespace", NAMESPACE])?)?;
        let token = self.cluster.service_account_token(NAMESPACE, "website")?;
        Ok(self.cluster.kubeconfig_for_token(&token)?)
    }

    fn operator(&self, kubeconfig: &Path) -> Outcome<Operator> {
        say("website run     # as that service account");
        let log = self.cluster.directory().join("website.log");
        let child = Command::new(&self.website.binary)
            .args(["run", "--health-probe-bind-address", "127.0.0.1:0"])
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log)?)
            .spawn()?;
        Ok(Operator { child, log })
    }

    fn apply_sample(&self) -> Outcome {
        say("kubectl apply -f examples/01-website/website.yaml");
        self.show(&["apply", "-f", "-"], &std::fs::read_to_string(example().join("website.yaml"))?)?;
        eventually("the website to be Ready", PATIENCE, || {
            let ready = self.get(&["website/hello", "-o", READY])?;
            Ok((ready == "True").then_some(()))
        })?;
        self.show(&["get", "website,deployment,service,pods"], "")
    }

    fn repair(&self) -> Outcome {
        say("kubectl delete service hello     # the operator puts it back");
        let uid = self.get(&["service/hello", "-o", "jsonpath={.metadata.uid}"])?;
        self.show(&["delete", "service/hello"], "")?;
        eventually("the service to come back", PATIENCE, || {
            let now = self.get(&["service/hello", "-o", "jsonpath={.metadata.uid}"])?;
            Ok((now != uid).then_some(()))
        })?;
        self.show(&["get", "service/hello"], "")
    }

    fn roll(&self) -> Outcome {
        say("kubectl patch configmap hello …     # new content: the pods that serve it are rolled");
        let template = "jsonpath={.spec.template.metadata.annotations}";
        let before = self.get(&["deployment/hello", "-o", template])?;
        self.show(&["patch", "configmap/hello", "-p", r#"{"data": {"index.html": "<h1>Hello again</h1>"}}"#], "")?;
        eventually("the pods to be rolled", PATIENCE, || {
            let now = self.get(&["deployment/hello", "-o", template])?;
            Ok((now != before).then_some(()))
        })?;
        self.show(&["rollout", "status", "deployment/hello", "--timeout=60s"], "")
    }

    fn get(&self, arguments: &[&str]) -> Outcome<String> {
        let arguments = [&["get", "-n", NAMESPACE], arguments].concat();
        Ok(self.cluster.kubectl(&arguments, "")?.success()?)
    }

    /// Runs kubectl and shows what it prints.
    fn show(&self, arguments: &[&str], input: &str) -> Outcome {
        let output = self.cluster.kubectl(arguments, input)?.success()?;
        output.lines().for_each(|line| println!("  {line}"));
        Ok(())
    }
}

/// The example's binary.
struct Website {
    binary: PathBuf,
}

impl Website {
    fn build() -> Outcome<Self> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let output = Command::new(cargo)
            .args(["build", "--package", "website", "--message-format", "json-render-diagnostics"])
            .current_dir(example())
            .stderr(Stdio::inherit())
            .output()?;
        if !output.status.success() {
            return Err("cargo build --package website failed: see above".into());
        }
        let messages = String::from_utf8(output.stdout)?;
        let artifact = |line: &str| {
            serde_json::from_str::<serde_json::Value>(line).ok()?.get("executable")?.as_str().map(PathBuf::from)
        };
        let binary = messages.lines().rev().find_map(artifact).ok_or("cargo built no website binary")?;
        Ok(Self { binary })
    }

    fn print(&self, arguments: &[&str]) -> Outcome<String> {
        let output = Command::new(&self.binary).args(arguments).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            return Err(format!("website {} failed: see above", arguments.join(" ")).into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The running operator. Dropping it kills it; it ends with the demonstration.
struct Operator {
    child: Child,
    log: PathBuf,
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/01-website")
}

fn say(step: &str) {
    println!("\n▸ {step}");
}

fn closing(cluster: &ControlPlane, operator: &Operator) -> String {
    format!(
        "\nThe operator keeps running. In another terminal:\n\n  \
         export KUBECONFIG={kubeconfig}\n  \
         cargo run -q -p controlplane -- kubectl get websites    # or your own kubectl\n  \
         cargo run -q -p controlplane -- kubectl delete website hello\n  \
         tail -f {log}\n\n\
         Ctrl-C ends it and removes everything.",
        kubeconfig = cluster.kubeconfig_path().display(),
        log = operator.log.display(),
    )
}
