//! Finding the cluster, and what is said when it is not found.
use std::path::{Path, PathBuf};

use super::super::config::{Environment, Error};
use super::super::*;

const KUBECONFIG: &str = "apiVersion: v1
kind: Config
current-context: one
clusters:
- {name: c1, cluster: {server: 'https://one.example:6443'}}
- {name: c2, cluster: {server: 'https://two.example:6443'}}
contexts:
- {name: one, context: {cluster: c1, user: u}}
- {name: two, context: {cluster: c2, user: u, namespace: shop}}
- {name: lost, context: {cluster: nowhere, user: u}}
users:
- {name: u, user: {token: sesame}}
";

/// A folder of files that goes away with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let path = std::env::temp_dir().join(format!("kubewright-{}-{name}", std::process::id()));
        for (file, content) in files {
            let file = path.join(file);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, content).unwrap();
        }
        Self(path)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.join(file)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn chosen(kubeconfig: Option<&Path>, context: Option<&str>) -> ConfigOptions {
    ConfigOptions { kubeconfig: kubeconfig.map(Path::to_owned), context: context.map(str::to_owned) }
}

fn variable(paths: &[PathBuf]) -> Environment {
    Environment { kubeconfig: Some(std::env::join_paths(paths).unwrap()), ..Environment::default() }
}

async fn server(options: &ConfigOptions, environment: &Environment) -> String {
    options.load_from(environment).await.unwrap().cluster_url.to_string()
}

#[tokio::test]
async fn the_cluster_is_looked_for_where_kubectl_looks() {
    let other = KUBECONFIG.replace("one.example", "other.example");
    let folder = Folder::new("where", &[("a", KUBECONFIG), ("b", &other), (".kube/config", &other)]);
    let home = Environment { home: Some(folder.0.clone()), ..Environment::default() };
    let (one, two, other) = ("https://one.example:6443/", "https://two.example:6443/", "https://other.example:6443/");
    let (a, b, lost) = (folder.path("a"), folder.path("b"), folder.path("lost"));
    assert_eq!(server(&chosen(None, None), &home).await, other);
    assert_eq!(server(&chosen(None, None), &variable(&[a.clone(), b.clone()])).await, one, "the first file wins");
    assert_eq!(server(&chosen(None, None), &variable(&[lost, b.clone()])).await, other, "as kubectl skips files");
    assert_eq!(server(&chosen(Some(&a), None), &variable(std::slice::from_ref(&b))).await, one);
    assert_eq!(server(&chosen(Some(&a), Some("two")), &home).await, two);
    let empty = Environment { kubeconfig: Some("".into()), ..home };
    assert_eq!(server(&chosen(None, None), &empty).await, other, "an empty variable is none");
    let config = chosen(Some(&a), Some("two")).load_from(&Environment::default()).await.unwrap();
    assert_eq!(config.default_namespace, "shop");
}

#[tokio::test]
async fn configuration_errors_name_the_file_or_variable_and_what_to_do() {
    let broken = KUBECONFIG.replace("users:", "users: [");
    let no_context = KUBECONFIG.replace("current-context: one", "");
    let files = [
        ("good", KUBECONFIG),
        ("broken", &*broken),
        ("bare", &*no_context),
        ("text", "just: [some, text]"),
        ("bytes", "\u{0}"),
    ];
    let folder = Folder::new("errors", &files);
    let check = async |options: ConfigOptions, environment: Environment, words: &[&str]| {
        let error = options.load_from(&environment).await.unwrap_err();
        let message = error.to_string();
        for word in words {
            assert!(message.contains(word), "`{word}` in: {message}");
        }
        assert!(!format!("{message} {error:?}").contains("sesame"), "{message} {error:?}");
    };
    let (good, lost) = (folder.path("good"), folder.path("lost"));
    let path = |name: &str| folder.path(name).display().to_string();
    check(chosen(None, None), Environment::default(), &["KUBECONFIG", "~/.kube/config", "--kubeconfig"]).await;
    check(chosen(Some(&lost), None), Environment::default(), &[&path("lost"), "--kubeconfig", "does not exist"]).await;
    check(chosen(None, None), variable(&[lost]), &[&path("lost"), "KUBECONFIG", "does not exist"]).await;
    for name in ["broken", "bytes"] {
        let words = [&*path(name), "not a kubeconfig"];
        check(chosen(Some(&folder.path(name)), None), Environment::default(), &words).await;
    }
    let no_current = [&*path("bare"), "no current context", "--context"];
    check(chosen(Some(&folder.path("bare")), None), Environment::default(), &no_current).await;
    let unknown = [&*path("good"), "`three`", "one, two, lost"];
    check(chosen(Some(&good), Some("three")), Environment::default(), &unknown).await;
    check(chosen(Some(&good), Some("lost")), Environment::default(), &[&path("good"), "nowhere"]).await;
    check(chosen(Some(&folder.path("text")), None), Environment::default(), &[&path("text")]).await;
    let pod = Environment { in_pod: true, ..Environment::default() };
    check(chosen(None, None), pod, &["service account of this pod"]).await;
}

#[tokio::test]
async fn a_broken_kubeconfig_is_never_passed_over_for_the_pod() {
    let folder = Folder::new("pod", &[(".kube/config", "contexts: 5")]);
    let environment = Environment { home: Some(folder.0.clone()), in_pod: true, kubeconfig: None };
    let error = chosen(None, None).load_from(&environment).await.unwrap_err();
    assert!(matches!(error, Error::Unusable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_context_that_was_asked_for_is_never_passed_over_for_the_pod() {
    let pod = Environment { in_pod: true, ..Environment::default() };
    let error = chosen(None, Some("staging")).load_from(&pod).await.unwrap_err().to_string();
    assert!(error.contains("`staging`") && error.contains("--kubeconfig"), "{error}");
}

#[tokio::test]
async fn credentials_in_the_url_of_a_server_are_not_told() {
    let secret = KUBECONFIG.replace("https://one", "https://admin:sesame@one");
    let folder = Folder::new("url", &[("a", &secret)]);
    let client = Client::from_options(&chosen(Some(&folder.path("a")), None)).await.unwrap();
    assert_eq!(client.url(), "https://one.example:6443");
}

#[tokio::test]
async fn a_certificate_that_is_none_is_an_error_of_the_configuration() {
    let bad = KUBECONFIG
        .replace("{server: 'https://one", "{certificate-authority: /nonexistent/ca.crt, server: 'https://one");
    let folder = Folder::new("certificate", &[("a", &bad)]);
    let error = Client::from_options(&chosen(Some(&folder.path("a")), None)).await.unwrap_err();
    assert!(error.to_string().contains("/nonexistent/ca.crt"), "{error}");
}

/// A kubeconfig whose exec plugin is a line of shell. It prints a token, whatever else it does.
fn with_plugin(line: &str) -> String {
    let exec = format!(
        "{{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: /bin/sh, args: ['-c', '{line}']}}"
    );
    KUBECONFIG.replace("{token: sesame}", &format!("{{exec: {exec}}}"))
}

#[tokio::test]
async fn what_an_exec_plugin_prints_is_not_told_when_it_fails() {
    let check = async |name: &str, kubeconfig: String, expected: &str| {
        let folder = Folder::new(name, &[("a", &kubeconfig)]);
        let error = Client::from_options(&chosen(Some(&folder.path("a")), None)).await.unwrap_err();
        assert!(error.is_unauthorized() && error.to_string().contains(expected), "{error}");
        assert!(!format!("{error} {error:?}").contains("sesame"), "{error:?}");
    };
    check("exit", with_plugin("echo sesame; echo sesame >&2; exit 3"), "failed with exit status: 3").await;
    check("form", with_plugin("echo [sesame"), "holds no credentials").await;
    check("none", with_plugin("echo {kind: ExecCredential, sesame: 1}"), "holds no credentials").await;
    check("absent", with_plugin("").replace("/bin/sh", "/nonexistent/sesame"), "could not be started").await;
    let file = KUBECONFIG.replace("token: sesame", "tokenFile: /nonexistent/token");
    check("file", file, "/nonexistent/token cannot be read").await;
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_is_no_broken_connection() {
    let folder = Folder::new("renewed", &[("count", "")]);
    let count = folder.path("count").display().to_string();
    let status = "{\"kind\":\"ExecCredential\",\"status\":{\"token\":\"sesame\",\"expirationTimestamp\":\"2020-01-01T00:00:00Z\"}}";
    // The first time it gives a token that has expired, and then it fails.
    let line = format!("if [ -s {count} ]; then echo sesame; exit 3; fi; echo x > {count}; echo \"$STATUS\"");
    let exec = with_plugin(&line)
        .replace("command: /bin/sh", &format!("env: [{{name: STATUS, value: '{status}'}}], command: /bin/sh"));
    let kubeconfig = Folder::new("renewed-kubeconfig", &[("a", &exec)]);
    let client = Client::from_options(&chosen(Some(&kubeconfig.path("a")), None)).await.unwrap();
    let error = client.read(super::get()).await.unwrap_err();
    assert!(matches!(error, crate::client::Error::Credentials { .. }), "{error:?}");
    assert!(!error.is_outcome_unknown(), "it was never sent");
    assert!(!format!("{error} {error:?}").contains("sesame"), "{error:?}");
}
