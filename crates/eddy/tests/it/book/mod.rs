//! The book and the README: every block in them is run, or read and checked, and every page and link is there.
//!
//! What is done with a block says its info string, see [`page::Use`]; one that says nothing of the kind is a
//! failure. CONTRIBUTING.md tells authors.

mod check;
mod compare;
mod console;
mod links;
mod page;
mod run;
mod wording;

use page::{Page, Use, pages_in};

/// Pages that run something: each is a test.
macro_rules! pages {
    ($($name:ident: $path:literal,)+) => {
        pub(super) const PAGES: &[&str] = &[$($path),+];
        $(
            #[test]
            fn $name() {
                super::run::page($path);
            }
        )+
    };
}

mod runs {
    pages! {
        readme: "README.md",
        getting_started: "docs/getting-started.md",
        tour_typescript: "docs/tour-typescript.md",
        tour_rust: "docs/tour-rust.md",
        operations: "docs/operations.md",
        http: "docs/http.md",
        cli: "docs/cli.md",
        security: "docs/security.md",
        testing: "docs/testing.md",
        consistency: "docs/consistency.md",
        data_in_use: "docs/errors/data-in-use.md",
        insecure_listen: "docs/errors/insecure-listen.md",
        journal_corrupt: "docs/errors/journal-corrupt.md",
        listen_failed: "docs/errors/listen-failed.md",
        node_unreachable: "docs/errors/node-unreachable.md",
        tests_failed: "docs/errors/tests-failed.md",
    }
}

/// By a name of their own, so that they can be left out where there is no Python.
mod python {
    pages! {
        tour: "docs/tour-python.md",
    }
}

/// What needs compilers that `cargo xtask tools` installs.
mod native {
    pages! {
        c: "docs/c.md",
        zig: "docs/zig.md",
    }
}

/// The pages of the book, and the README.
fn pages() -> Vec<Page> {
    let mut paths = pages_in("docs");
    paths.retain(|path| path != "docs/SUMMARY.md");
    paths.push("README.md".to_owned());
    paths.iter().map(|path| Page::read(path)).collect()
}

/// The files below `folder` that a page has its readers write, as they are in the end.
pub(crate) fn files(page: &str, folder: &str) -> Vec<(String, String)> {
    let blocks = Page::read(page).blocks.into_iter();
    let files = blocks.filter_map(|block| match block.purpose() {
        Ok(Use::File { path, append }) => {
            assert!(!append, "{page}: {path} is not written as a whole");
            Some((path.strip_prefix(folder)?.to_owned(), block.text))
        }
        _ => None,
    });
    files.collect()
}

#[test]
fn every_block_says_what_it_is_for_and_what_is_only_read_is_right() {
    let mut wrong = Vec::new();
    for page in pages() {
        for block in &page.blocks {
            if let Err(error) = check::block(&page, block) {
                wrong.push(format!("{}:{}: {error}", page.path, block.line));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_page_that_runs_something_is_run() {
    let mut running: Vec<_> = pages()
        .into_iter()
        .filter(|page| page.blocks.iter().any(runs_or_writes))
        .map(|page| page.path)
        .collect();
    let mut run = [runs::PAGES, python::PAGES, native::PAGES].concat();
    run.sort_unstable();
    running.sort();
    assert_eq!(run, running);
}

/// A file that is written is for the commands below it.
fn runs_or_writes(block: &page::Block) -> bool {
    matches!(block.purpose(), Ok(Use::Run { .. } | Use::File { .. }))
}

#[test]
fn what_cannot_be_run_here_is_little() {
    let ignored = pages().into_iter().flat_map(|page| {
        let blocks = page.blocks.into_iter();
        let ignored = blocks.filter(|block| matches!(block.purpose(), Ok(Use::Ignored)));
        let named = ignored.map(|block| format!("{}: {}", page.path, block.title()));
        named.collect::<Vec<_>>()
    });
    insta::assert_snapshot!(ignored.collect::<Vec<_>>().join("\n"));
}
