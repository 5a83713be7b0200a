//! Kubeconfig files.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::json;

/// Writes a kubeconfig with one context, readable by its owner only.
///
/// It is JSON, which every reader of kubeconfigs accepts because JSON is YAML.
pub(crate) fn write(path: &Path, url: &str, authority: &Path, token: &str) -> io::Result<()> {
    let name = "controlplane";
    let content = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{ "name": name, "cluster": { "server": url, "certificate-authority": authority } }],
        "users": [{ "name": name, "user": { "token": token } }],
        "contexts": [{ "name": name, "context": { "cluster": name, "user": name } }],
        "current-context": name,
    });
    write_private(path, &format!("{content:#}\n"))
}

/// Writes a file that holds a secret.
pub(crate) fn write_private(path: &Path, content: &str) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    io::Write::write_all(&mut options.open(path)?, content.as_bytes())
}
