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
