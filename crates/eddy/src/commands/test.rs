//! `eddy test`: the tests of a project, as guests beside the app, on a node in this process whose clock
//! they can put forward. Each test is a tenant of its own, so none sees what another one did.

use crate::args::TestArgs;
use crate::bundling::on_a_large_stack;
use crate::cache;
use crate::commands::deploy;
use crate::exit::Failed;
use crate::local;
use crate::output::Output;
use bytes::Bytes;
use eddy_api::{LogLine, Problem, rfc3339};
use eddy_bundle::{LIST_TESTS, RUN_TEST, TestFile, TestFiles};
use eddy_node::{CallOptions, Deployment, Node, NodeConfig, PageRequest, Reply, Session};
use eddy_types::manifest::{EnvValue, Timeout};
use eddy_types::{
    EddyError, ErrorCode, FunctionId, Manifest, Name, TenantId, TenantSpec, TimeoutSpec,
};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The name of the app that holds a file's tests.
const TESTS: &str = "__eddy_tests";
/// The longest that one test may take, in real time.
const LONGEST: Duration = Duration::from_secs(120);
/// Instances of the node: tests run one after the other.
const INSTANCES: u32 = 1000;

/// What `--json` prints.
#[derive(Serialize)]
struct Report {
    passed: usize,
    failed: usize,
    tests: Vec<Outcome>,
    /// Folders that could not be read: whether they hold tests is not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unread: Vec<String>,
}

/// How one test ended.
#[derive(Serialize)]
struct Outcome {
    file: String,
    name: String,
    ok: bool,
    milliseconds: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Problem>,
    /// What the test logged; the app's own log is not in it.
    logs: Vec<LogLine>,
    /// It did not end: it still computes, or holds the clock up for those after it.
    #[serde(skip)]
    hangs: bool,
}

pub(crate) async fn run(args: &TestArgs, output: &Output) -> Result<(), Failed> {
    let bundle = deploy::bundle(&args.path, output).await?;
    let app = local::deployment(bundle, output).await?;
    let path = args.path.clone();
    let TestFiles { files, unread } =
        on_a_large_stack(move || eddy_bundle::test_files(&path)).await??;
    for folder in &unread {
        output.say(format_args!(
            "{folder} cannot be read: its tests are left out"
        ));
    }
    if files.is_empty() {
        return Err(no_tests(args).into());
    }
    let data = tempfile::tempdir().map_err(|error| {
        let detail = format!("no folder can be made for the data of the node: {error}");
        EddyError::new(ErrorCode::StoreFailed, detail).hint("Check TMPDIR and its free space.")
    })?;
    let node = Node::start(config(data.path())).await?;
    let runner = Runner::new(node, app)?;
    let ran = runner.files(files, &args.filter, output).await;
    let closed = runner.node.shutdown(Duration::ZERO).await;
    let report = Report { unread, ..ran? };
    closed.map_err(Failed::stopped)?;
    if report.tests.is_empty() && !args.filter.is_empty() {
        return Err(none_named(&args.filter).into());
    }
    output.data(&report, || report.summary())?;
    match report.failed {
        0 => Ok(()),
        failed => Err(some_failed(failed, report.tests.len()).into()),
    }
}

/// A node whose clock tests can put forward.
fn config(data: &Path) -> NodeConfig {
    NodeConfig {
        simulated_time: true,
        max_instances: INSTANCES,
        // The next run begins with a new data folder, and most of the same code.
        code_cache: cache::code(),
        ..local::config(data)
    }
}

fn no_tests(args: &TestArgs) -> EddyError {
    let detail = format!("there are no test files in {}", args.path.display());
    EddyError::new(ErrorCode::InvalidArgument, detail).hint(
        "Write one whose name ends in .test.ts: import { test, assert } from \"eddy/test\"; \
         test(\"it works\", async (t) => { ... });",
    )
}

/// Nothing ran, and a slip of the hand should not look like tests that passed.
fn none_named(filter: &str) -> EddyError {
    EddyError::new(
        ErrorCode::InvalidArgument,
        format!("no test's name holds {filter:?}"),
    )
    .hint("`eddy test` without --filter runs them all and shows their names.")
}

fn some_failed(failed: usize, all: usize) -> EddyError {
    EddyError::new(
        ErrorCode::TestsFailed,
        format!("{failed} of {all} tests failed"),
    )
    .hint(
        "Above is what each of them expected. `--filter TEXT` runs those whose name holds a text.",
    )
}

/// Runs tests on a node.
struct Runner {
    node: Arc<Node>,
    session: Session,
    app: Deployment,
    /// What the app lists, its tenants may reach and know.
    grants: TenantSpec,
    /// How long a test may take, in real time.
    longest: Duration,
}

impl Runner {
    fn new(node: Arc<Node>, app: Deployment) -> Result<Self, EddyError> {
        let manifest = &app.manifest;
        let secrets = manifest.env.values().filter_map(|value| match value {
            EnvValue::Secret { secret } => serde_json::from_value(secret.clone().into()).ok(),
            EnvValue::Text(_) => None,
        });
        let grants = TenantSpec {
            hosts: Some(manifest.capabilities.hosts.clone()),
            secrets: secrets.collect(),
            ..TenantSpec::default()
        };
        Ok(Self {
            session: node.session(None, None)?,
            node,
            app,
            grants,
            longest: LONGEST,
        })
    }

    async fn files(
        &self,
        files: Vec<TestFile>,
        filter: &str,
        output: &Output,
    ) -> Result<Report, Failed> {
        let mut tests: Vec<Outcome> = Vec::new();
        'files: for file in files {
            output.say(&file.name);
            let listing = self.tenant("list", tests.len(), &file).await?;
            let names = self.invoke(&listing, LIST_TESTS, &()).await?;
            let names = names
                .ok_or_else(|| self.too_long(&format!(" to list the tests of {}", file.name)))?;
            let names: Vec<String> = serde_json::from_slice(&names.outcome?).unwrap_or_default();
            for name in names.into_iter().filter(|name| name.contains(filter)) {
                let test = self.test(tests.len(), &file, name).await?;
                output.say(test.line());
                let hangs = test.hangs;
                tests.push(test);
                if hangs {
                    break 'files;
                }
            }
        }
        let failed = tests.iter().filter(|test| !test.ok).count();
        Ok(Report {
            passed: tests.len() - failed,
            failed,
            tests,
            unread: Vec::new(),
        })
    }

    async fn test(&self, number: usize, file: &TestFile, name: String) -> Result<Outcome, Failed> {
        let tenant = self.tenant("test", number, file).await?;
        #[allow(clippy::disallowed_methods, reason = "how long a test took is shown")]
        let began = Instant::now();
        let reply = self.invoke(&tenant, RUN_TEST, &name).await?;
        let took = began.elapsed().as_millis();
        let hangs = reply.is_none();
        let (error, logs) = match reply {
            None => {
                let error = self.too_long(", and the run ends with it");
                (Some(Problem::from(&error)), Vec::new())
            }
            Some(reply) => {
                let record = self.node.invocation(&tenant, reply.invocation);
                self.forget(&tenant).await?;
                let error = reply.outcome.as_ref().err().map(Problem::from);
                (error, record.map(|record| record.logs).unwrap_or_default())
            }
        };
        let logs = logs.into_iter().map(|line| LogLine {
            at: rfc3339(line.at),
            level: line.level.to_owned(),
            message: line.message,
        });
        Ok(Outcome {
            file: file.name.clone(),
            name,
            ok: error.is_none(),
            milliseconds: u64::try_from(took).unwrap_or(u64::MAX),
            error,
            logs: logs.collect(),
            hangs,
        })
    }

    /// A tenant with the app and the tests of a file.
    async fn tenant(
        &self,
        what: &str,
        number: usize,
        file: &TestFile,
    ) -> Result<TenantId, EddyError> {
        let tenant = TenantId::new(&format!("{what}-{number}"))?;
        let grants = self.grants.clone();
        self.node
            .set_tenant(&self.session, &tenant, |_| grants)
            .await?;
        self.node.deploy(&tenant, self.app.clone()).await?;
        let tests = Deployment {
            manifest: self.manifest_of_tests()?,
            components: vec![(Name::new("tests")?, local::code(file.code.clone(), None)?)],
        };
        self.node.deploy(&tenant, tests).await?;
        Ok(tenant)
    }

    /// Takes away what a test leaves: its timers and messages would go on with the next one's clock.
    async fn forget(&self, tenant: &TenantId) -> Result<(), EddyError> {
        let app = self.node.app(tenant, &self.app.manifest.name)?;
        for agent_type in app.agents.keys() {
            let mut page = PageRequest::default();
            loop {
                let found = self.node.agents(tenant, agent_type, "", &page).await?;
                for info in found.items {
                    let options = CallOptions::default();
                    self.node.delete_agent(info.agent, options).await?;
                }
                page.cursor = found.next;
                if page.cursor.is_none() {
                    break;
                }
            }
        }
        self.node
            .delete_app(tenant, &self.app.manifest.name)
            .await?;
        self.node.delete_app(tenant, &Name::new(TESTS)?).await
    }

    /// Tests may reach and know what the app may. Without a limit of time: their deadline would pass when
    /// the clock is put forward.
    fn manifest_of_tests(&self) -> Result<Manifest, EddyError> {
        let mut manifest = Manifest::named(Name::new(TESTS)?);
        manifest.defaults.functions.timeout = Some(Timeout(TimeoutSpec::None));
        manifest.capabilities = self.app.manifest.capabilities.clone();
        manifest.env = self.app.manifest.env.clone();
        Ok(manifest)
    }

    /// None when it takes too long.
    async fn invoke(
        &self,
        tenant: &TenantId,
        function: &str,
        argument: &impl Serialize,
    ) -> Result<Option<Reply>, EddyError> {
        let function = FunctionId {
            tenant: tenant.clone(),
            name: Name::new(function)?,
        };
        let argument = serde_json::to_vec(argument)
            .map_err(|error| EddyError::internal(format!("a name does not encode: {error}")))?;
        let work = self
            .node
            .invoke(function, Bytes::from(argument), CallOptions::default());
        match tokio::time::timeout(self.longest, work).await {
            Ok(reply) => reply.map(Some),
            Err(_) => Ok(None),
        }
    }

    fn too_long(&self, what: &str) -> EddyError {
        let longest = humantime::format_duration(self.longest);
        EddyError::new(
            ErrorCode::DeadlineExceeded,
            format!("it took longer than {longest}{what}"),
        )
        .hint("Look for something that it awaits and that never comes.")
    }
}

impl Outcome {
    fn line(&self) -> String {
        let Self {
            name, milliseconds, ..
        } = self;
        let Some(error) = &self.error else {
            return format!("  ok    {name} ({milliseconds} ms)");
        };
        let mut text = format!("  FAIL  {name} ({milliseconds} ms)");
        for line in error.detail.lines() {
            text += &format!("\n          {line}");
        }
        let stack = error
            .guest
            .as_ref()
            .and_then(|guest| guest.stack.as_deref());
        // Lines of the harness say nothing.
        let own = |line: &&str| !line.contains("__eddy_test");
        for line in stack.unwrap_or_default().lines().filter(own) {
            text += &format!("\n            {}", line.trim());
        }
        for line in &self.logs {
            text += &format!("\n          {}: {}", line.level, line.message);
        }
        text
    }
}

impl Report {
    fn summary(&self) -> String {
        match self.failed {
            0 => format!("{} passed", self.passed),
            failed => format!("{} passed, {failed} failed", self.passed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "import { fn } from 'eddy'; export const f = fn(() => 1);";
    const TESTS: &str = r#"import { test } from "eddy/test";
test("passes", () => {});
test("hangs", () => new Promise((done) => setTimeout(done, 3600_000)));
test("comes after it", () => {});
"#;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_test_that_hangs_is_named_and_those_before_it_are_told() {
        let dir = tempfile::tempdir().expect("a folder");
        let project = dir.path().join("project");
        std::fs::create_dir(&project).expect("made");
        let files = [
            ("eddy.toml", "name = \"x\""),
            ("index.ts", APP),
            ("x.test.ts", TESTS),
        ];
        for (name, text) in files {
            std::fs::write(project.join(name), text).expect("written");
        }
        let output = Output::new(true);
        let bundle = deploy::bundle(&project, &output).await.expect("it bundles");
        let app = local::deployment(bundle, &output).await.expect("no Python");
        let found = eddy_bundle::test_files(&project).expect("it is a project");
        let node = Node::start(config(&dir.path().join("data"))).await;
        let mut runner = Runner::new(node.expect("it starts"), app).expect("a runner");
        runner.longest = Duration::from_secs(5);
        let report = runner
            .files(found.files, "", &output)
            .await
            .expect("a report");
        let closed = runner.node.shutdown(Duration::ZERO).await;
        closed.expect("it stops");
        let told = |test: &Outcome| (test.name.clone(), test.ok);
        let told: Vec<_> = report.tests.iter().map(told).collect();
        assert_eq!(
            told,
            [("passes".to_owned(), true), ("hangs".to_owned(), false)]
        );
        assert_eq!((report.passed, report.failed), (1, 1));
        let line = report.tests[1].line();
        assert!(
            line.ends_with("it took longer than 5s, and the run ends with it"),
            "{line}"
        );
    }
}
