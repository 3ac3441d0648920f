//! Which files are the tests of a path.

use super::project;
use eddy_bundle::{TestFiles, test_files};
use std::fs;
use std::path::Path;

const TEST: &str = "import { test } from 'eddy/test'; test('x', () => {});";

fn names(found: &TestFiles) -> Vec<&str> {
    found.files.iter().map(|file| &*file.name).collect()
}

#[test]
fn those_of_a_folder_are_below_it_and_those_of_a_file_beside_it() {
    let folder = project(&[
        ("eddy.toml", "name = 'x'"),
        ("index.ts", ""),
        ("b.test.ts", TEST),
        ("a/deep/c.test.mjs", TEST),
        ("node_modules/p/p.test.js", TEST),
        (".hidden/h.test.ts", TEST),
    ]);
    for whole in [folder.path().to_owned(), folder.path().join("eddy.toml")] {
        let found = test_files(&whole).expect("it is a project");
        assert_eq!(names(&found), ["a/deep/c.test.mjs", "b.test.ts"]);
    }
    let single = test_files(&folder.path().join("index.ts")).expect("it is a file");
    assert_eq!(names(&single), ["b.test.ts"]);
}

/// A folder that nobody can read: its path is longer than the system takes. Modes would not keep root out.
fn out_of_reach(root: &Path) {
    let long = ["d".repeat(200), "e".repeat(200)].map(|name| {
        let parts = std::iter::repeat_n(name, 15);
        parts.collect::<Vec<_>>()
    });
    let [here, there] = long.map(|parts| parts.join("/"));
    fs::create_dir_all(root.join(&here)).expect("made");
    fs::create_dir_all(root.join(&there)).expect("made");
    let top = &there[..200];
    fs::rename(root.join(top), root.join(here).join(top)).expect("moved");
}

#[test]
fn folders_that_cannot_be_read_are_left_out_and_named() {
    let folder = project(&[
        ("eddy.toml", "name = 'x'"),
        ("index.ts", ""),
        ("z.test.ts", TEST),
    ]);
    out_of_reach(folder.path());
    let found = test_files(folder.path()).expect("it is a project");
    assert_eq!(names(&found), ["z.test.ts"]);
    let [unread] = &found.unread[..] else {
        panic!("{:?}", found.unread);
    };
    assert!(
        unread.starts_with("dddd") && unread.ends_with("eeee"),
        "{unread}"
    );
}

#[test]
fn too_many_are_refused_with_something_that_can_be_done() {
    let folder = project(&[("eddy.toml", "name = 'x'"), ("index.ts", "")]);
    for n in 0..=1000 {
        fs::write(folder.path().join(format!("{n}.test.ts")), "").expect("written");
    }
    let error = test_files(folder.path()).expect_err("there are 1001");
    assert_eq!(error.code, eddy_types::ErrorCode::LimitExceeded);
    assert!(
        error.to_string().contains("a file may hold many tests"),
        "{error}"
    );
}
