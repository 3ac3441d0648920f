//! What `eddy deploy` says when the Python runtime cannot be built. Needs neither Python nor a network: the
//! interpreters here are scripts.

use crate::binary::{Ran, command};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Deploys a Python file with this script as the interpreter; none for a name that is nowhere.
fn deploy_with(interpreter: Option<&str>) -> (Ran, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let (app, cache) = (dir.path().join("hello.py"), dir.path().join("cache"));
    fs::write(&app, "").unwrap();
    let python = dir.path().join("python");
    if let Some(script) = interpreter {
        fs::write(&python, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&python, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let output = command(&["deploy", app.to_str().unwrap()])
        .env("EDDY_CACHE_DIR", &cache)
        .env("EDDY_PYTHON", &python)
        .output()
        .unwrap();
    let shown = |text: Vec<u8>| {
        let text = String::from_utf8(text).unwrap();
        text.replace(dir.path().to_str().unwrap(), "DIR")
    };
    let ran = Ran {
        code: output.status.code().unwrap(),
        stdout: shown(output.stdout),
        stderr: shown(output.stderr),
    };
    (ran, left_in(&cache.join("python")))
}

fn left_in(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn each_way_to_have_no_python_says_what_to_do() {
    let interpreters = [
        None,
        Some("echo Perl"),
        Some("echo 3.6"),
        Some("echo 3.12; exit 1"),
    ];
    let mut text = String::new();
    for interpreter in interpreters {
        let (ran, _) = deploy_with(interpreter);
        assert_eq!(ran.code, 2, "{}", ran.stderr);
        assert_eq!(ran.stdout, "");
        text += &format!("{}\n", ran.stderr);
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_failed_installation_is_shown_and_leaves_nothing_that_counts() {
    // Makes an environment whose own interpreter cannot install anything.
    let script = r#"case "$*" in
*"-m venv"*) mkdir -p "$4/bin" && printf '#!/bin/sh\necho no route to the index >&2\nexit 1\n' > "$4/bin/python" && chmod +x "$4/bin/python";;
*) echo 3.12;;
esac"#;
    let (ran, left) = deploy_with(Some(script));
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    insta::assert_snapshot!(ran.stderr);
    // Under its temporary name: the next run begins anew.
    assert_eq!(left, ["installing.tmp", "lock"]);
}
