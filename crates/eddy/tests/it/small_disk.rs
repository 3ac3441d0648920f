//! A small disk of a test's own: a tmpfs inside a mount namespace, which ends with the test.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Set it where mounting is impossible: the test that needs a small disk then says so and passes.
pub const NO_MOUNT: &str = "EDDY_TEST_NO_MOUNT";

/// Keeps the mount namespace alive. Processes enter it by [`SmallDisk::runner`].
pub struct SmallDisk {
    holder: Child,
    enter: &'static [&'static str],
}

impl SmallDisk {
    /// Mounts `megabytes` at `dir`: as root, or in a user namespace that maps to root.
    pub fn mount(dir: &Path, megabytes: u32) -> Option<Self> {
        let ways: [(&[&str], &[&str]); 2] = [
            (&["--mount"], &["--mount"]),
            (
                &["--user", "--map-root-user", "--mount"],
                &["--user", "--preserve-credentials", "--mount"],
            ),
        ];
        ways.into_iter()
            .find_map(|(unshare, enter)| Self::hold(dir, megabytes, unshare, enter))
    }

    fn hold(
        dir: &Path,
        megabytes: u32,
        unshare: &[&str],
        enter: &'static [&'static str],
    ) -> Option<Self> {
        let script = format!(
            "mount -t tmpfs -o size={megabytes}m tmpfs \"$0\" && echo mounted && exec sleep 600"
        );
        let mut holder = Command::new("unshare")
            .args(unshare)
            .args(["sh", "-c", &script])
            .arg(dir)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let stdout = holder.stdout.take()?;
        let _ = BufReader::new(stdout).read_line(&mut line);
        let disk = Self { holder, enter };
        (line.trim() == "mounted").then_some(disk)
    }

    /// What to put before a command that shall see the disk.
    pub fn runner(&self) -> Vec<String> {
        let target = self.holder.id().to_string();
        let mut runner: Vec<String> = vec!["nsenter".to_owned(), "--target".to_owned(), target];
        runner.extend(self.enter.iter().map(|&word| word.to_owned()));
        runner
    }

    /// Gives the disk another size.
    pub fn resize(&self, dir: &Path, megabytes: u32) {
        let runner = self.runner();
        let resized = Command::new(&runner[0])
            .args(&runner[1..])
            .args(["mount", "-o", &format!("remount,size={megabytes}m")])
            .arg(dir)
            .status();
        assert!(resized.is_ok_and(|status| status.success()));
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
