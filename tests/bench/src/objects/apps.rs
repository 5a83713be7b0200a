//! A hundred applications, each with containers, environment and volumes of its own, and the namespaces it runs in.
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use super::random::Random;

/// How many applications there are.
const APPS: usize = 100;

/// How many namespaces there are.
const NAMESPACES: usize = 50;

/// How many nodes there are.
const NODES: usize = 500;

/// What the objects of a cluster have in common.
pub(super) struct Catalogue {
    pub(super) apps: Vec<App>,
    pub(super) nodes: Vec<Node>,
}

/// One application: what all its pods and widgets share.
pub(super) struct App {
    pub(super) name: String,
    pub(super) namespaces: Vec<String>,
    pub(super) containers: Vec<Container>,
    /// The JSON of volumes other than that of the service account's token, each followed by a comma.
    pub(super) volumes: String,
    /// The JSON of labels beyond those of every application, each behind a comma.
    pub(super) labels: String,
    pub(super) service_account: String,
    pub(super) grace: usize,
    pub(super) variables: Vec<(String, String)>,
}

/// One container of an application.
pub(super) struct Container {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) digest: String,
    /// The JSON between the image and the volume mounts.
    pub(super) middle: String,
    /// The JSON of mounts, each followed by a comma.
    pub(super) mounts: String,
    /// The JSON behind the mounts.
    pub(super) end: String,
}

/// A machine.
pub(super) struct Node {
    pub(super) name: String,
    pub(super) address: String,
    pub(super) network: String,
}

const NOUNS: [&str; 20] = [
    "cart", "search", "billing", "ledger", "catalog", "mail", "auth", "images", "orders", "stock", "prices", "reviews",
    "events", "audit", "routing", "quotes", "tickets", "profile", "feeds", "reports",
];
const ROLES: [&str; 10] =
    ["api", "worker", "web", "cache", "indexer", "gateway", "cron", "consumer", "sync", "exporter"];
const VARIABLES: [&str; 24] = [
    "LOG_LEVEL",
    "REGION",
    "DATABASE_URL",
    "CACHE_URL",
    "QUEUE_NAME",
    "TIMEOUT_MS",
    "MAX_CONNECTIONS",
    "FEATURE_FLAGS",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "SENTRY_ENVIRONMENT",
    "HTTP_PORT",
    "GRPC_PORT",
    "TENANT",
    "BUCKET",
    "RETRY_LIMIT",
    "POOL_SIZE",
    "TZ",
    "GOMAXPROCS",
    "JAVA_OPTS",
    "NODE_OPTIONS",
    "SECRET_PATH",
    "CONFIG_FILE",
    "SHARD_COUNT",
    "BATCH",
];
const SIDECARS: [&str; 4] = ["istio-proxy", "log-shipper", "vault-agent", "metrics-exporter"];
const TEAMS: [&str; 8] = ["checkout", "discovery", "growth", "identity", "payments", "platform", "supply", "support"];

pub(super) fn catalogue(random: &mut Random) -> Catalogue {
    let namespaces: Vec<String> =
        (0..NAMESPACES).map(|at| format!("{}-{:02}", TEAMS[at % TEAMS.len()], at / TEAMS.len())).collect();
    let nodes = (0..NODES).map(|_| node(random)).collect();
    let apps = (0..APPS).map(|at| app(at, &namespaces, random)).collect();
    Catalogue { apps, nodes }
}

fn node(random: &mut Random) -> Node {
    let address = random.address("10.20");
    let name = format!("ip-{}.eu-west-1.compute.internal", address.replace('.', "-"));
    Node { name, address, network: format!("10.{}", random.between(64, 127)) }
}

fn app(at: usize, namespaces: &[String], random: &mut Random) -> App {
    let name = format!("{}-{}", NOUNS[at % NOUNS.len()], ROLES[at / NOUNS.len() + 5 * (at % 2)]);
    let places = random.between(1, 5);
    let namespaces = (0..places).map(|_| random.pick(namespaces).clone()).collect();
    let mut volumes = Vec::new();
    for volume in 0..random.between(0, 3) {
        volumes.push(format!("{}-{volume}", random.pick(&["config", "data", "tmp", "certs", "secrets"])));
    }
    let variables = variables(&name, 2..=7, random);
    let mut containers = vec![container(&name, &name, &variables, &volumes, random)];
    for sidecar in SIDECARS {
        if random.percent(5) {
            let few = self::variables(sidecar, 0..=4, random);
            containers.push(container(sidecar, sidecar, &few, &[], random));
        }
    }
    let mut labels = String::new();
    for label in ["tier", "track", "cost-center", "sidecar.istio.io/inject", "app.kubernetes.io/component"] {
        if random.percent(40) {
            let value = *random.pick(&["a", "stable", "canary", "true", "cc-4711", "backend"]);
            // Writing to a String does not fail.
            let _ = write!(labels, r#","{label}":"{value}""#);
        }
    }
    App {
        namespaces,
        containers,
        volumes: volumes.iter().map(|volume| volume_json(&name, volume, random)).collect(),
        labels,
        service_account: if random.percent(60) { name.clone() } else { "default".to_owned() },
        grace: *random.pick(&[30, 30, 30, 60, 120]),
        variables,
        name,
    }
}

/// Draws an environment; each name is in it once.
fn variables(app: &str, count: RangeInclusive<usize>, random: &mut Random) -> Vec<(String, String)> {
    let count = random.between(*count.start(), *count.end());
    let drawn: BTreeMap<_, _> = (0..count).map(|_| variable(app, random)).collect();
    drawn.into_iter().collect()
}

fn variable(app: &str, random: &mut Random) -> (String, String) {
    let name = (*random.pick(&VARIABLES)).to_owned();
    let value = match random.between(0, 4) {
        0 => random.between(1, 20_000).to_string(),
        1 => format!("http://{}.{app}.svc.cluster.local:{}", random.suffix(6), random.between(1024, 9999)),
        2 => (*random.pick(&["info", "debug", "true", "false", "eu-west-1", "production"])).to_owned(),
        3 => random.hex(24),
        _ => format!("{app}-{}", random.suffix(8)),
    };
    (name, value)
}

fn volume_json(app: &str, volume: &str, random: &mut Random) -> String {
    match random.between(0, 2) {
        0 => format!(r#"{{"name":"{volume}","configMap":{{"name":"{app}-{volume}","defaultMode":420}}}},"#),
        1 => format!(
            r#"{{"name":"{volume}","secret":{{"secretName":"{app}-{}","defaultMode":420}}}},"#,
            random.suffix(6)
        ),
        _ => format!(r#"{{"name":"{volume}","emptyDir":{{"sizeLimit":"{}Mi"}}}},"#, random.between(1, 64) * 16),
    }
}

fn container(
    name: &str,
    image: &str,
    variables: &[(String, String)],
    volumes: &[String],
    random: &mut Random,
) -> Container {
    let port = random.between(1024, 9999);
    let mut middle = String::new();
    if random.percent(30) {
        let _ = write!(middle, r#""args":["--config=/etc/{name}/config.yaml","--v={}"],"#, random.between(0, 4));
    }
    let _ = write!(middle, r#""ports":[{{"name":"http","containerPort":{port},"protocol":"TCP"}}],"#);
    middle.push_str(
        r#""env":[{"name":"POD_NAME","valueFrom":{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.name"}}}"#,
    );
    for (name, value) in variables {
        let _ = write!(middle, r#",{{"name":"{name}","value":"{value}"}}"#);
    }
    let (cpu, memory) = (random.between(1, 20) * 50, random.between(1, 32) * 64);
    let _ = write!(
        middle,
        r#"],"resources":{{"limits":{{"cpu":"{}m","memory":"{memory}Mi"}},"requests":{{"cpu":"{cpu}m","memory":"{memory}Mi"}}}},"#,
        cpu * 2
    );
    let mounts = volumes.iter().map(|volume| format!(r#"{{"name":"{volume}","mountPath":"/var/{name}/{volume}"}},"#));
    let mut end = String::new();
    for probe in ["livenessProbe", "readinessProbe"] {
        if random.percent(70) {
            let (path, period) = (random.pick(&["/healthz", "/livez", "/ready", "/ping"]), random.between(1, 6) * 5);
            let _ = write!(
                end,
                r#""{probe}":{{"httpGet":{{"path":"{path}","port":{port},"scheme":"HTTP"}},"timeoutSeconds":1,"periodSeconds":{period},"successThreshold":1,"failureThreshold":3}},"#
            );
        }
    }
    end.push_str(r#""terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","imagePullPolicy":"IfNotPresent""#);
    if random.percent(50) {
        end.push_str(r#","securityContext":{"capabilities":{"drop":["ALL"]},"runAsNonRoot":true,"allowPrivilegeEscalation":false}"#);
    }
    Container {
        name: name.to_owned(),
        image: format!(
            "registry.example.com/{image}:v{}.{}.{}",
            random.between(1, 4),
            random.between(0, 30),
            random.between(0, 9)
        ),
        digest: random.hex(64),
        middle,
        mounts: mounts.collect(),
        end,
    }
}
