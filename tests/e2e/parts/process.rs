//! Processes that never outlive the test process, however it ends.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::wait;

/// A small shell stands between the test and the process. Its standard input is a pipe that nobody writes to: it ends
/// when the test process drops it or dies, and then the process is killed. The first argument is a folder to remove at
/// the end, or empty. The shell ends when the process has ended, with its exit code.
const GUARD: &str = r#"
scratch=$1; shift
trap : INT HUP
exec 3<&0
"$@" 3<&- >&2 &
pid=$!
{ cat <&3 >/dev/null; kill -KILL "$pid"; } 2>/dev/null &
watch=$!
exec 3<&-
echo "$pid"
exec >&-
while :; do wait "$pid"; code=$?; kill -0 "$pid" 2>/dev/null || break; done
kill "$watch" 2>/dev/null
[ -z "$scratch" ] || rm -rf "$scratch"
exit "$code"
"#;

/// A running process with its output in a file.
pub(crate) struct Process {
    name: String,
    pid: u32,
    guard: Child,
    /// Closing it kills the process.
    lifeline: Option<ChildStdin>,
    log: PathBuf,
}

impl Process {
    /// Starts `program`; standard output and error are appended to `log`.
    pub(crate) fn start(name: &str, program: &Path, args: &[&str], folder: &Path, log: &Path) -> Process {
        Process::spawn(name, program, args, folder, log, None)
    }

    /// Starts `program` and removes `scratch` when it has ended: for processes that end with the test process, where
    /// nobody is left to clean up.
    pub(crate) fn start_then_remove(
        name: &str,
        program: &Path,
        args: &[&str],
        folder: &Path,
        log: &Path,
        scratch: &Path,
    ) -> Process {
        Process::spawn(name, program, args, folder, log, Some(scratch))
    }

    fn spawn(
        name: &str,
        program: &Path,
        args: &[&str],
        folder: &Path,
        log: &Path,
        scratch: Option<&Path>,
    ) -> Process {
        let output = File::options().create(true).append(true).open(log).unwrap();
        let mut guard = Command::new("sh")
            .args(["-c", GUARD, name])
            .arg(scratch.unwrap_or(Path::new("")))
            .arg(program)
            .args(args)
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(guard.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let pid = line.trim().parse().unwrap();
        let lifeline = guard.stdin.take();
        Process {
            name: name.to_owned(),
            pid,
            guard,
            lifeline,
            log: log.to_owned(),
        }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal by name: `TERM`, `KILL`, `HUP`.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("sh")
            .args([
                "-c",
                r#"kill -s "$1" "$2""#,
                "kill",
                signal,
                &self.pid.to_string(),
            ])
            .status()
            .unwrap();
        assert!(
            sent.success(),
            "{} ({}) cannot be sent {signal}",
            self.name,
            self.pid
        );
    }

    /// How it ended, or `None` while it runs.
    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.guard.try_wait().unwrap()
    }

    /// Waits until it has ended, and returns its exit code (128 and more: by a signal).
    #[track_caller]
    pub(crate) fn wait_for_end(&mut self, within: Duration) -> i32 {
        let ended = wait::within_time(within, || self.ended());
        match ended {
            Some(status) => status.code().unwrap_or(-1),
            None => panic!("{} has not ended within {within:?}:\n{}", self.name, self.log()),
        }
    }

    /// Everything it wrote.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // Not asserted: a test that is failing already must not abort.
        let _ = self.guard.wait();
    }
}
