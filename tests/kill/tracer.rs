//! strace on a running relay: what it calls, in order, or calls that fail or kill.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::support::{PATIENCE, Served};

/// A running strace.
pub(crate) struct Tracer {
    child: Child,
    trace: PathBuf,
}

impl Tracer {
    /// Attaches to every thread; on return all of them are traced.
    pub(crate) fn attach(served: &Served, options: &[&str]) -> Self {
        let trace = served.directory().join("trace");
        let child = Command::new("strace")
            .args(["-f", "-y", "-qq", "-s", "48", "-o"])
            .arg(&trace)
            .args(options)
            .args(["-p", &served.pid().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("strace is installed");
        let tracer = Self { child, trace };
        let until = Instant::now() + PATIENCE;
        while !is_traced(served.pid()) {
            assert!(Instant::now() < until, "strace did not attach");
            sleep(Duration::from_millis(10));
        }
        // A call that a thread sleeps in was begun before and ends untraced; none of those writes.
        tracer
    }

    /// Everything it has seen, after the relay died or was left.
    pub(crate) fn trace(mut self) -> String {
        let _ = Command::new("kill")
            .args(["-INT", &self.child.id().to_string()])
            .stderr(Stdio::null())
            .status();
        let until = Instant::now() + PATIENCE;
        while self.child.try_wait().unwrap().is_none() && Instant::now() < until {
            sleep(Duration::from_millis(10));
        }
        fs::read_to_string(&self.trace).unwrap_or_default()
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines, with what strace tore apart because another thread came between: the call stands where it began, without a
/// result, and whole where it ended.
pub(crate) fn joined(trace: &str) -> Vec<String> {
    let mut begun: HashMap<&str, &str> = HashMap::new();
    let mut lines = Vec::new();
    for line in trace.lines() {
        let (pid, call) = line.split_once(' ').unwrap_or((line, ""));
        let call = call.trim_start();
        if let Some(start) = call.strip_suffix(" <unfinished ...>") {
            begun.insert(pid, start);
        } else if let Some((_, end)) = call.split_once(" resumed>")
            && let Some(start) = begun.remove(pid)
        {
            lines.push(format!("{pid} {start}{end}"));
            continue;
        }
        lines.push(line.to_owned());
    }
    lines
}

fn is_traced(pid: u32) -> bool {
    let tasks = PathBuf::from(format!("/proc/{pid}/task"));
    let Ok(entries) = fs::read_dir(&tasks) else {
        return false;
    };
    entries
        .filter_map(Result::ok)
        .all(|task| has_tracer(&task.path()))
}

fn has_tracer(task: &Path) -> bool {
    let status = fs::read_to_string(task.join("status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"))
        .is_some_and(|tracer| tracer.trim() != "0")
}
