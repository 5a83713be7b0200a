//! What an administrator does to etcd: compact its history, back it up, bring a backup back.

use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

/// How long etcd may take to answer.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// A copy of etcd's data as it was at one moment. It goes with the control plane.
#[derive(Debug)]
pub struct Backup {
    directory: PathBuf,
}

impl Backup {
    /// Copies the data of an etcd that does not run.
    pub(super) fn of(data: &Path) -> io::Result<Self> {
        let directory = data.with_extension("backup");
        replace(&directory, data)?;
        Ok(Self { directory })
    }

    /// Puts the copy where an etcd that does not run has its data.
    pub(super) fn restore(&self, data: &Path) -> io::Result<()> {
        replace(data, &self.directory)
    }
}

fn replace(target: &Path, source: &Path) -> io::Result<()> {
    match fs::remove_dir_all(target) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => copy(target, source),
    }
}

fn copy(target: &Path, source: &Path) -> io::Result<()> {
    fs::create_dir(target)?;
    for entry in fs::read_dir(source)? {
        let entry = entry?;
        let copied = target.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&copied, &entry.path())?;
        } else {
            fs::copy(entry.path(), copied)?;
        }
    }
    Ok(())
}

/// Makes the etcd behind `socket` forget every version but the present ones.
pub(super) fn compact(socket: &Path) -> io::Result<()> {
    // Any key will do: every answer names the revision of the whole.
    let answer = ask(socket, "/v3/kv/range", &json!({ "key": "AA==" }))?;
    let revision =
        answer.pointer("/header/revision").cloned().ok_or_else(|| io::Error::other("etcd names no revision"))?;
    ask(socket, "/v3/kv/compaction", &json!({ "revision": revision, "physical": true })).map(drop)
}

/// Sends one request to etcd's JSON gateway.
fn ask(socket: &Path, path: &str, question: &Value) -> io::Result<Value> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(ANSWERS_WITHIN))?;
    let body = question.to_string();
    write!(
        stream,
        "POST {path} HTTP/1.0\r\nHost: etcd\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    if head.split(' ').nth(1) != Some("200") {
        return Err(io::Error::other(format!("etcd answered {path} with {answer}")));
    }
    serde_json::from_str(body).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_is_brought_back_whole_and_what_came_since_is_gone() {
        let directory = tempfile::tempdir().expect("a directory");
        let data = directory.path().join("etcd");
        fs::create_dir_all(data.join("member/wal")).expect("folders");
        fs::write(data.join("member/wal/0"), "before").expect("a file");
        let backup = Backup::of(&data).expect("it is copied");
        fs::write(data.join("member/wal/0"), "after").expect("a file");
        fs::write(data.join("member/wal/1"), "after").expect("a file");
        backup.restore(&data).expect("it is brought back");
        assert_eq!(fs::read_to_string(data.join("member/wal/0")).expect("a file"), "before");
        assert!(!data.join("member/wal/1").exists());
    }
}
