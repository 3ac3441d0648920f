//! Runs a page: its files are written and its commands run, in order, in a folder of the page's own, against a node
//! of its own.

use super::compare::same;
use super::console::{Step, steps};
use super::page::{Block, Page, Use, root};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// The port that pages name.
const SHOWN: &str = ":7400";
/// Nothing listens on it: it is reserved and never given out.
const NOBODY: u16 = 1;

/// How `sh` ends when there is no program of a name, and what to do about that.
const NO_PROGRAM: i32 = 127;
const INSTALLS: &str =
    "`cargo xtask tools` installs what builds C and Zig; `-E 'not test(native::)'` leaves them out";

/// Runs all of a page; a block that is not as it says is a failure, with its line.
pub(super) fn page(path: &str) {
    let page = Page::read(path);
    let mut session = Session::new(&page);
    for block in &page.blocks {
        if let Err(error) = session.block(block) {
            let line = block.line;
            panic!("{path}:{line}: {error}");
        }
    }
}

struct Session {
    /// Where the page's commands begin.
    folder: PathBuf,
    /// What is kept between commands: variables, the current folder, what runs on.
    state: PathBuf,
    /// Whether the page starts its node itself.
    own_node: bool,
    url: String,
    running: Vec<Running>,
}

/// A command that goes on while later ones run. Killed when dropped.
struct Running {
    child: Child,
    printed: PathBuf,
    node: bool,
}

impl Session {
    /// In a folder that is always the same, so that what cargo keeps of its projects does not grow.
    fn new(page: &Page) -> Self {
        let name = page.path.trim_end_matches(".md").replace('/', "-");
        let all = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join("book")
            .join(name);
        let _ = fs::remove_dir_all(&all);
        let (folder, state) = (all.join("page"), all.join("state"));
        fs::create_dir_all(&folder).expect("a folder");
        fs::create_dir_all(&state).expect("a folder");
        fs::write(state.join("variables"), "").expect("written");
        let text = folder.to_str().expect("UTF-8");
        fs::write(state.join("folder"), text).expect("written");
        let of = |block: &Block| match block.purpose() {
            Ok(Use::Run { .. }) => steps(&block.text).iter().any(Step::is_node),
            _ => false,
        };
        Self {
            folder,
            state,
            own_node: page.blocks.iter().any(of),
            url: format!("http://127.0.0.1:{NOBODY}"),
            running: Vec::new(),
        }
    }

    fn block(&mut self, block: &Block) -> Result<(), String> {
        match block.purpose()? {
            Use::Run { no_node } => {
                if !no_node && !self.own_node && self.running.is_empty() {
                    self.start("eddy up", "Eddy is up[..]\n...")?;
                }
                steps(&block.text)
                    .iter()
                    .try_for_each(|step| self.step(step))
            }
            Use::File { path, append } => self.write(&path, append, &block.text),
            _ => Ok(()),
        }
    }

    fn write(&self, path: &str, append: bool, text: &str) -> Result<(), String> {
        let path = self.folder.join(path);
        let before = match append {
            true => fs::read_to_string(&path).map_err(|error| error.to_string())? + "\n",
            false => String::new(),
        };
        fs::create_dir_all(path.parent().expect("a file is in a folder"))
            .and_then(|()| fs::write(&path, before + &self.real(text)))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        let wrong = |error| format!("$ {}\n{error}", step.command);
        if step.stays() {
            self.start(&step.command, &step.expected).map_err(wrong)?;
        } else if !step.command.is_empty() {
            self.command(step).map_err(wrong)?;
            if step.command.contains("$NODE_PID") {
                self.killed().map_err(wrong)?;
            }
        }
        match &step.interrupted {
            Some(expected) => self.interrupt(expected).map_err(wrong),
            None => Ok(()),
        }
    }

    /// Runs a command that ends by itself.
    fn command(&self, step: &Step) -> Result<(), String> {
        let Output { status, stdout, .. } = self.shell(&step.command).output().expect("sh runs");
        let printed = self.shown(&String::from_utf8_lossy(&stdout));
        if status.code() == Some(NO_PROGRAM) {
            return Err(format!("{printed}\n{INSTALLS}"));
        }
        if status.success() == step.fails() {
            return Err(format!("{status}\n{printed}"));
        }
        match step.expected.is_empty() {
            true => Ok(()),
            false => same(&printed, &step.expected),
        }
    }

    /// Starts a command that stays, and waits until it has printed this.
    fn start(&mut self, command: &str, expected: &str) -> Result<(), String> {
        let node = !command.starts_with("eddy logs");
        let mut command = format!("exec {command}");
        if node && !command.contains("--listen") {
            command += " --listen 127.0.0.1:0";
        }
        if node && !self.own_node {
            command += " --data \"$STATE\"/data";
        }
        let printed = self.state.join(format!("printed-{}", self.running.len()));
        let file = fs::File::create(&printed).expect("made");
        let child = self.shell(&command).stdout(file).spawn().expect("sh runs");
        self.running.push(Running {
            child,
            printed,
            node,
        });
        self.wait(expected)
    }

    /// Ctrl-C for what was started last; waits for its end.
    fn interrupt(&mut self, expected: &str) -> Result<(), String> {
        let mut running = self.running.pop().expect("something runs");
        let before = running.text().len();
        let id = running.child.id().to_string();
        let _ = Command::new("kill").args(["-INT", &id]).status();
        let status = running.ended()?;
        let text = running.text();
        match (status.success(), expected.is_empty()) {
            (false, _) => Err(format!("{status}\n{text}")),
            (true, true) => Ok(()),
            (true, false) => same(&self.shown(&text[before..]), expected),
        }
    }

    /// A node that was killed: until it is gone, its folder is locked.
    fn killed(&mut self) -> Result<(), String> {
        let node = self.running.iter().rposition(|running| running.node);
        let mut node = self.running.remove(node.expect("a node runs"));
        node.ended().map(drop)
    }

    /// Until what runs on has printed what is expected. The bound is generous because the machine may be slow.
    fn wait(&mut self, expected: &str) -> Result<(), String> {
        let mut last = Ok(());
        for _ in 0..2400 {
            let running = self.running.last_mut().expect("something runs");
            let ended = running.child.try_wait().expect("it can be asked");
            let text = running.text();
            let is_node = running.node;
            if is_node && let Some(url) = url(&text) {
                self.url = url;
            }
            let known = !is_node || url(&text).is_some();
            last = match expected.is_empty() {
                true => Ok(()),
                false => same(&self.shown(&text), expected),
            };
            if let Some(status) = ended {
                return Err(format!("it ended, {status}\n{text}"));
            }
            if known && last.is_ok() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        last.and(Err("it does not say where it is".to_owned()))
    }

    /// `sh` with a command, after what the commands before left: folder and variables.
    fn shell(&self, command: &str) -> Command {
        let command = self.real(command);
        let script = format!(
            "exec 2>&1\n. \"$STATE\"/variables\nexport EDDY_URL='{}' NODE_PID='{}'\ncd \"$(cat \"$STATE\"/folder)\"\n\
             {command}\ncode=$?\nexport -p >\"$STATE\"/variables\npwd >\"$STATE\"/folder\nexit $code",
            self.url,
            self.node_id()
        );
        let mut sh = Command::new("sh");
        sh.args(["-c", &script]);
        let binary = Path::new(env!("CARGO_BIN_EXE_eddy"));
        let folder = binary
            .parent()
            .expect("the binary is in a folder")
            .display();
        let path = std::env::var("PATH").unwrap_or_default();
        let tools = tools().display().to_string();
        sh.env("PATH", format!("{folder}:{tools}:{path}"))
            .env("STATE", &self.state)
            .env("EDDY_SOURCE", root())
            // Guests in Rust are built once for all tests.
            .env("CARGO_TARGET_DIR", crate::behaviour::guest_target())
            .env("EDDY_CODE_CACHE", crate::node::code_cache())
            .env("COLUMNS", "100")
            .env("NO_COLOR", "1");
        for name in ["LOG", "TLS_CA", "TOKEN", "TOKEN_FILE", "TENANT", "FAULT_FS"] {
            sh.env_remove(format!("EDDY_{name}"));
        }
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TERM_COLOR"] {
            sh.env_remove(name);
        }
        sh.stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        sh
    }

    /// The process of the node, if there is one.
    fn node_id(&self) -> String {
        let node = self.running.iter().rfind(|running| running.node);
        node.map(|node| node.child.id().to_string())
            .unwrap_or_default()
    }

    /// A page's text with the node's own port.
    fn real(&self, text: &str) -> String {
        text.replace(SHOWN, self.port())
    }

    /// What was printed with the port that pages name.
    fn shown(&self, text: &str) -> String {
        let folder = self.folder.to_str().expect("UTF-8");
        let text = text.replace(folder, "/home/ada");
        let hosts = ["127.0.0.1", "localhost", "0.0.0.0"].into_iter();
        hosts.fold(text, |text, host| {
            text.replace(&format!("{host}{}", self.port()), &format!("{host}{SHOWN}"))
        })
    }

    fn port(&self) -> &str {
        let colon = self.url.rfind(':').expect("a URL with a port");
        &self.url[colon..]
    }
}

/// Where `cargo xtask tools` installs compilers.
pub(super) fn tools() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent();
    target
        .expect("a folder in the build folder")
        .join("tools/bin")
}

/// Where a node says that it is.
fn url(printed: &str) -> Option<String> {
    let (_, rest) = printed.split_once("Eddy is up at ")?;
    Some(rest.split_whitespace().next()?.to_owned())
}

impl Running {
    fn text(&self) -> String {
        fs::read_to_string(&self.printed).unwrap_or_default()
    }

    fn ended(&mut self) -> Result<ExitStatus, String> {
        for _ in 0..1200 {
            if let Some(status) = self.child.try_wait().expect("it can be asked") {
                return Ok(status);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Err(format!("it does not end\n{}", self.text()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
