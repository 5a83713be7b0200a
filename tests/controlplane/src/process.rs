//! One server process: its log, its end, and what it said.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// Lines of a log that an error shows.
const TAIL_LINES: usize = 25;

/// A running program of the control plane binary. Dropping kills it and waits for its end.
///
/// The program's standard input stays open as long as this value lives; the program ends itself when it closes, which
/// the kernel does however this process dies.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    log: PathBuf,
}

/// A server process did not do what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProcessError {
    /// The program could not be started at all.
    #[error("start {name}")]
    Spawn {
        /// The program.
        name: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The program ended although nobody asked it to.
    #[error("{name} ended ({status}); its log ends with:\n{log}")]
    Ended {
        /// The program.
        name: &'static str,
        /// How it ended.
        status: String,
        /// The last lines of its log.
        log: String,
    },
    /// The program did not answer.
    #[error("{name} said nothing about {awaited:?} within {within:?}; its log ends with:\n{log}")]
    Silent {
        /// The program.
        name: &'static str,
        /// The line waited for.
        awaited: &'static str,
        /// How long was waited.
        within: Duration,
        /// The last lines of its log.
        log: String,
    },
    /// The program could not be told something.
    #[error("tell {name} {order:?}")]
    Tell {
        /// The program.
        name: &'static str,
        /// The order.
        order: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Process {
    /// Starts program `name` of `binary`; standard error is appended to `<directory>/<name>.log`.
    pub(crate) fn spawn<S: AsRef<OsStr>, V: AsRef<OsStr>>(
        binary: &Path,
        name: &'static str,
        arguments: impl IntoIterator<Item = S>,
        variables: impl IntoIterator<Item = (&'static str, V)>,
        directory: &Path,
    ) -> Result<Self, ProcessError> {
        let log = directory.join(format!("{name}.log"));
        let spawn = || -> io::Result<(Child, ChildStdin, Receiver<String>)> {
            let output = File::options().create(true).append(true).open(&log)?;
            let mut command = Command::new(binary);
            command.arg(name).args(arguments).envs(variables).current_dir(directory);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(output);
            // Servers of a terminal's foreground group would end at Ctrl-C before their owner could say in which order.
            #[cfg(unix)]
            std::os::unix::process::CommandExt::process_group(&mut command, 0);
            let mut child = command.spawn()?;
            let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
                return Err(io::Error::other("the child has no pipes"));
            };
            Ok((child, input, lines(output)))
        };
        let (child, input, lines) = spawn().map_err(|source| ProcessError::Spawn { name, source })?;
        Ok(Self { name, child, input, lines, log })
    }

    /// Writes `order` as a line to the program's standard input.
    pub(crate) fn tell(&mut self, order: &'static str) -> Result<(), ProcessError> {
        writeln!(self.input, "{order}").and_then(|()| self.input.flush()).map_err(|source| ProcessError::Tell {
            name: self.name,
            order,
            source,
        })
    }

    /// Waits until the program prints the line `awaited`.
    pub(crate) fn hear(&mut self, awaited: &'static str, within: Duration) -> Result<(), ProcessError> {
        let deadline = crate::wait::Deadline::after(within);
        loop {
            match self.lines.recv_timeout(deadline.remaining()) {
                Ok(line) if line == awaited => return Ok(()),
                Ok(_) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(self.ended()),
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(ProcessError::Silent { name: self.name, awaited, within, log: self.log_tail() });
                }
            }
        }
    }

    /// Returns the number that the system knows the program by.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Returns an error if the program has ended.
    pub(crate) fn check(&mut self) -> Result<(), ProcessError> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            Ok(Some(_)) | Err(_) => Err(self.ended()),
        }
    }

    /// Returns whether the program has ended well; that it ended otherwise is an error.
    pub(crate) fn succeeded(&mut self) -> Result<bool, ProcessError> {
        match self.child.try_wait() {
            Ok(None) => Ok(false),
            Ok(Some(status)) if status.success() => Ok(true),
            Ok(Some(_)) | Err(_) => Err(self.ended()),
        }
    }

    /// Waits for the end of a program that is ending, and says how it ended.
    fn ended(&mut self) -> ProcessError {
        let status = match self.child.wait() {
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        ProcessError::Ended { name: self.name, status, log: self.log_tail() }
    }

    fn log_tail(&self) -> String {
        tail(&self.log)
    }
}

impl Process {
    /// Kills the program and waits for its end.
    pub(crate) fn kill(&mut self) {
        // Both fail only if the process has already ended, which is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Returns the last lines of a text file, or why it cannot be read.
pub(crate) fn tail(path: &Path) -> String {
    let content = match fs::read(path) {
        Ok(content) => String::from_utf8_lossy(&content).into_owned(),
        Err(error) => return format!("(no log: {error})"),
    };
    let lines: Vec<&str> = content.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Reads lines in a thread that ends with the writer, so that waiting for one can be given up.
fn lines(output: impl io::Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
