//! Processes that are measured or help to measure: started, watched, and killed by their own id on
//! every way out. Nothing here knows what they are.

use anyhow::{Context as _, Result, bail};
use std::ffi::OsStr;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a process may take to open its port.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running process with its folder; killed and removed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    // After the child: the folder goes when nobody writes to it.
    folder: Option<TempDir>,
    other: Option<Box<Self>>,
}

impl Server {
    /// Starts it and waits until `address` takes connections. What it says goes to a file in `folder`.
    pub(crate) async fn start(
        mut command: Command,
        address: SocketAddr,
        folder: TempDir,
    ) -> Result<Self> {
        let log = folder.path().join("output.log");
        let output = std::fs::File::create(&log)?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        let mut server = Self {
            child: spawn(&mut command)?,
            address,
            folder: Some(folder),
            other: None,
        };
        let began = Instant::now();
        while TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err() {
            let ended = server.child.try_wait()?;
            if ended.is_some() || began.elapsed() > PATIENCE {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                let end = said.len().saturating_sub(400);
                let tail = said.get(end..).unwrap_or_default();
                bail!("{command:?} does not serve ({ended:?}): {tail}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }

    /// One that told by itself where it listens.
    pub(crate) fn running(child: Child, address: SocketAddr) -> Self {
        Self {
            child,
            address,
            folder: None,
            other: None,
        }
    }

    /// Keeps another process as long as this one.
    pub(crate) fn with_other(mut self, other: Self) -> Self {
        self.other = Some(Box::new(other));
        self
    }

    /// Hands it the folder that goes with it.
    pub(crate) fn with_folder(mut self, folder: TempDir) -> Self {
        self.folder = Some(folder);
        self
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident(&self) -> Result<u64> {
        self.memory("status", "VmRSS:")
    }

    /// Memory that is its own, in bytes: a page that stands in several places counts once (PSS). The image of
    /// a guest's memory is mapped by each instance of it, and `VmRSS` counts it for each.
    pub(crate) fn proportional(&self) -> Result<u64> {
        self.memory("smaps_rollup", "Pss:")
    }

    /// A number of KiB that the kernel tells of the process, in bytes.
    fn memory(&self, file: &str, name: &str) -> Result<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.pid()))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.with_context(|| format!("no {name}"))?;
        let kib: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib * 1024)
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<()> {
        signal("-TERM", self.pid())?;
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            if began.elapsed() > PATIENCE {
                bail!("process {} does not stop", self.pid());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a command; an error names it.
pub(crate) fn spawn(command: &mut Command) -> Result<Child> {
    command
        .spawn()
        .with_context(|| format!("{command:?} does not start"))
}

/// Sends a signal such as `-TERM` to one process.
pub(crate) fn signal(name: &str, pid: u32) -> Result<()> {
    let status = Command::new("kill")
        .args([name, &pid.to_string()])
        .status()?;
    if !status.success() {
        bail!("kill {name} {pid}: {status}");
    }
    Ok(())
}

/// What a command prints; an error when it fails.
pub(crate) fn output<I, S>(program: &Path, args: I) -> Result<String>
where
    I: IntoIterator<Item = S>,
    S: AsRef<OsStr>,
{
    let out = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} does not start", program.display()))?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        bail!("{}: {} {said}", program.display(), out.status);
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// A free loopback port, for programs that cannot take one by themselves. Somebody else may be
/// quicker; then the program says so and the row fails.
pub(crate) fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A new folder beside the build, and so on a real disk: /tmp may be memory, where a flush is free.
pub(crate) fn folder() -> Result<TempDir> {
    let own = std::env::current_exe()?;
    let target = own
        .ancestors()
        .nth(2)
        .context("the build folder lies two above the program")?;
    Ok(tempfile::Builder::new()
        .prefix("bench-")
        .tempdir_in(target)?)
}
