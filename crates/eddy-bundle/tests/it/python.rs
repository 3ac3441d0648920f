//! Python: which files are modules of the app, and what is shown of wrong ones.

use super::{bundle_files, error};
use eddy_bundle::{BundledCode, PythonModule};

/// The modules of the only component.
fn python(files: &[(&str, &str)], path: &str) -> Vec<PythonModule> {
    let bundle = bundle_files(files, path).expect("it bundles");
    match bundle.components.into_iter().next().map(|one| one.code) {
        Some(BundledCode::Python { modules }) => modules,
        other => panic!("not Python: {other:?}"),
    }
}

fn named(modules: &[PythonModule]) -> Vec<String> {
    modules
        .iter()
        .map(|module| format!("{} {}", module.name, module.path))
        .collect()
}

#[test]
fn imports_are_followed_through_the_project_and_vendor() {
    let main = "
import json, lib.one
from shop import cart
from shop.stock import *
from lib.deep import nothing
import vendored.part
try:
    import missing
except ImportError:
    missing = None
def later():
    import lazily
";
    let files = [
        ("main.py", main),
        ("lib/one.py", ""),
        (
            "lib/deep/__init__.py",
            "from . import inner\nfrom .. import two",
        ),
        ("lib/deep/inner.py", "from ..one import x"),
        ("lib/two.py", ""),
        ("shop/__init__.py", ""),
        ("shop/cart.py", "from .stock import take"),
        ("shop/stock.py", ""),
        ("vendor/vendored/__init__.py", ""),
        ("vendor/vendored/part.py", "import lib.one, other"),
        ("vendor/other.py", ""),
        ("lazily.py", ""),
        ("unused.py", "this is not Python"),
    ];
    insta::assert_snapshot!(named(&python(&files, "main.py")).join("\n"), @r"
    main main.py
    lib.one lib/one.py
    shop shop/__init__.py
    shop.cart shop/cart.py
    shop.stock shop/stock.py
    lib.deep lib/deep/__init__.py
    vendored vendor/vendored/__init__.py
    vendored.part vendor/vendored/part.py
    lazily lazily.py
    lib.deep.inner lib/deep/inner.py
    lib.two lib/two.py
    other vendor/other.py
    ");
}

#[test]
fn an_entry_in_a_folder_finds_its_neighbours_and_the_project() {
    let files = [
        (
            "eddy.toml",
            "name = \"a\"\n[components.main]\npath = \"src/app.py\"",
        ),
        ("src/app.py", "import near, src.far"),
        ("src/near.py", ""),
        ("src/far.py", ""),
    ];
    let modules = python(&files, ".");
    let expected = ["app src/app.py", "near src/near.py", "src.far src/far.py"];
    assert_eq!(named(&modules), expected);
}

#[test]
fn a_folder_with_a_python_file_needs_no_components() {
    let files = [("eddy.toml", "name = \"a\""), ("main.py", "x = 1")];
    assert_eq!(named(&python(&files, ".")), ["main main.py"]);
}

#[test]
fn every_syntax_error_is_shown_with_its_place() {
    let files = [
        (
            "main.py",
            "import other\n\ndef greet(ctx, name):\n    return f\"Hello, {name}!\n",
        ),
        ("other.py", "class A:\n    def b(self\n        pass\n"),
    ];
    insta::assert_snapshot!(error(&files));
}

#[test]
fn an_entry_that_cannot_be_imported_is_refused() {
    let text = error(&[("my-app.py", "")]);
    assert!(text.starts_with("invalid-source\n"), "{text}");
    assert!(text.contains("`my-app` is no name of Python"), "{text}");
}
