//! The API server's audit log: which requests reached it, from whom, and how they ended.
//!
//! The log is what tests count requests by, because no client can forget to report a request to it. The server writes
//! an event when it has received a request, before it answers, and another when it has answered; both are in the log
//! before the server goes on ("blocking" mode). Reading is therefore exact: see [`ControlPlane::audit`].
//!
//! [`ControlPlane::audit`]: crate::ControlPlane::audit

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::PathBuf;

use serde_json::Value;

/// One request that reached the API server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// Names the request.
    pub audit_id: String,
    /// Who asked, as in `system:serviceaccount:shop:operator`.
    pub user: String,
    /// What the client calls itself.
    pub user_agent: String,
    /// The verb of the API: `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`, `deletecollection`.
    pub verb: String,
    /// The API group; empty for the core group and for what is no resource.
    pub group: String,
    /// The plural name of the resource; empty for what is no resource, as `/version`.
    pub resource: String,
    /// As in `status`; empty for the object itself.
    pub subresource: String,
    /// Empty for cluster-scoped objects and for requests across namespaces.
    pub namespace: String,
    /// Empty when the request names no object; a create names it in its body only.
    pub name: String,
    /// Path and query.
    pub uri: String,
    /// The HTTP status of the answer; 0 while there is none.
    pub code: u16,
    /// How far the request got. A watch stays at [`Stage::ResponseStarted`] until it ends.
    pub stage: Stage,
    /// When the server received it, RFC 3339 with microseconds.
    pub received: String,
}

/// How far a request got, as the audit log calls it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Stage {
    /// The server has read its head and knows who asks.
    RequestReceived,
    /// The server has sent the head of an answer that goes on: a watch.
    ResponseStarted,
    /// The answer is complete.
    ResponseComplete,
    /// The server failed while answering.
    Panic,
}

/// A point in the audit log: requests received before it are behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AuditMark(pub(crate) usize);

/// The audit log could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// The log file could not be read.
    #[error("read the audit log {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line of the log is no event.
    #[error("read an event of the audit log")]
    Event(#[from] serde_json::Error),
    /// The request that marks the end of the log was refused.
    #[error("mark the audit log")]
    Mark(#[from] crate::kubectl::KubectlError),
    /// Requests received before the mark did not end.
    #[error("the audit log is incomplete")]
    Incomplete(#[from] crate::wait::NotInTime),
    /// The control plane was started without an audit log.
    #[error("this control plane keeps no audit log: start it without Options::without_audit")]
    Off,
}

/// Reads the log as it grows: one entry a request, in the order in which the server received them.
#[derive(Debug)]
pub(crate) struct AuditLog {
    path: PathBuf,
    position: u64,
    entries: Vec<AuditEntry>,
    by_id: HashMap<String, usize>,
    /// Requests before this index were received by a server that has since been killed: they never end.
    lost: usize,
}

impl AuditLog {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, position: 0, entries: Vec::new(), by_id: HashMap::new(), lost: 0 }
    }

    pub(crate) fn entries(&self) -> &[AuditEntry] {
        &self.entries
    }

    /// Reads what has been written since the last call. A last line without its end is left for the next.
    pub(crate) fn read(&mut self) -> Result<(), AuditError> {
        let at = |source| AuditError::Read { path: self.path.clone(), source };
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            // The server creates the file with its first event.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(at(error)),
        };
        file.seek(SeekFrom::Start(self.position)).map_err(at)?;
        let mut reader = BufReader::new(file);
        let mut line = String::new();
        loop {
            line.clear();
            let length =
                reader.read_line(&mut line).map_err(|source| AuditError::Read { path: self.path.clone(), source })?;
            if !line.ends_with('\n') {
                return Ok(());
            }
            self.position += length as u64;
            self.add(&line)?;
        }
    }

    /// Says that the server is gone: what it has not answered stays unanswered, and half an event stays half.
    pub(crate) fn server_gone(&mut self) -> Result<(), AuditError> {
        self.read()?;
        self.lost = self.entries.len();
        Ok(())
    }

    /// Says that a new server will append: skips what the old one left of a last line.
    pub(crate) fn skip_torn_line(&mut self) -> io::Result<()> {
        match std::fs::metadata(&self.path) {
            Ok(metadata) => File::options().write(true).open(&self.path)?.set_len(self.position.min(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Returns the index of the marking request once it and everything received before it have ended; watches need
    /// only have begun.
    pub(crate) fn complete_until(&self, marker: &str) -> Option<usize> {
        let end = self.entries.iter().rposition(|entry| entry.uri == marker)?;
        let started = self.entries.get(self.lost..=end)?;
        started.iter().all(|entry| entry.stage > Stage::RequestReceived).then_some(end)
    }

    fn add(&mut self, line: &str) -> Result<(), AuditError> {
        let event: Value = serde_json::from_str(line)?;
        let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let audit_id = text("/auditID");
        let stage = match text("/stage").as_str() {
            "RequestReceived" => Stage::RequestReceived,
            "ResponseStarted" => Stage::ResponseStarted,
            "Panic" => Stage::Panic,
            _ => Stage::ResponseComplete,
        };
        let code = event.pointer("/responseStatus/code").and_then(Value::as_u64).unwrap_or(0);
        let entry = AuditEntry {
            user: text("/user/username"),
            user_agent: text("/userAgent"),
            verb: text("/verb"),
            group: text("/objectRef/apiGroup"),
            resource: text("/objectRef/resource"),
            subresource: text("/objectRef/subresource"),
            namespace: text("/objectRef/namespace"),
            name: text("/objectRef/name"),
            uri: text("/requestURI"),
            code: u16::try_from(code).unwrap_or(0),
            stage,
            received: text("/requestReceivedTimestamp"),
            audit_id: audit_id.clone(),
        };
        match self.by_id.get(&audit_id) {
            Some(&index) => self.entries[index] = entry,
            None => {
                self.by_id.insert(audit_id, self.entries.len());
                self.entries.push(entry);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(lines: &str) -> (tempfile::TempDir, AuditLog) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("audit.log");
        std::fs::write(&path, lines).unwrap();
        let mut log = AuditLog::new(path);
        log.read().unwrap();
        (directory, log)
    }

    fn event(id: &str, stage: &str, uri: &str) -> String {
        format!("{{\"auditID\":\"{id}\",\"stage\":\"{stage}\",\"requestURI\":\"{uri}\",\"verb\":\"get\"}}\n")
    }

    #[test]
    fn a_request_is_one_entry_with_its_last_stage() {
        let (_directory, log) = log(&[
            event("a", "RequestReceived", "/a"),
            event("b", "RequestReceived", "/b"),
            event("a", "ResponseComplete", "/a"),
        ]
        .concat());
        let stages: Vec<_> = log.entries().iter().map(|entry| (entry.audit_id.as_str(), entry.stage)).collect();
        assert_eq!(stages, [("a", Stage::ResponseComplete), ("b", Stage::RequestReceived)]);
    }

    #[test]
    fn the_log_is_complete_only_when_all_before_the_marker_have_ended() {
        let unfinished = [
            event("w", "RequestReceived", "/watch"),
            event("w", "ResponseStarted", "/watch"),
            event("a", "RequestReceived", "/a"),
            event("m", "RequestReceived", "/m"),
            event("m", "ResponseComplete", "/m"),
            event("z", "RequestReceived", "/z"),
        ]
        .concat();
        assert_eq!(log(&unfinished).1.complete_until("/m"), None);
        let finished = unfinished + &event("a", "ResponseComplete", "/a");
        assert_eq!(log(&finished).1.complete_until("/m"), Some(2));
    }

    #[test]
    fn a_killed_server_answers_no_more() {
        let (_directory, mut log) = log(&(event("a", "RequestReceived", "/a") + "{\"auditID\":\"half"));
        log.server_gone().unwrap();
        log.skip_torn_line().unwrap();
        let marker = event("m", "RequestReceived", "/m") + &event("m", "ResponseComplete", "/m");
        io::Write::write_all(&mut File::options().append(true).open(&log.path).unwrap(), marker.as_bytes()).unwrap();
        log.read().unwrap();
        assert_eq!(log.complete_until("/m"), Some(1));
        assert_eq!(log.entries()[0].stage, Stage::RequestReceived);
    }
}
