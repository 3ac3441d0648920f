//! Every page is in the book, and no link leads nowhere.

use super::page::{Page, pages_in, root};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

#[test]
fn the_summary_lists_every_page_once() {
    let listed = Page::read("docs/SUMMARY.md").links;
    let mut wrong: Vec<_> = pages_in("docs");
    wrong.retain(|path| path != "docs/SUMMARY.md");
    for link in listed {
        let path = format!("docs/{link}");
        match wrong.iter().position(|page| *page == path) {
            Some(at) => drop(wrong.remove(at)),
            None => wrong.push(path + ", which is there twice or nowhere"),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_link_leads_nowhere() {
    let mut paths = pages_in("docs");
    for folder in ["crates/eddy-client", "examples", "guests", "sdk"] {
        paths.extend(pages_in(folder));
    }
    let top = [
        "README.md",
        "ARCHITECTURE.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
    ];
    paths.extend(top.map(str::to_owned));
    paths.retain(|path| !path.contains("/target/") && !path.contains("/.eddy/"));
    let pages: BTreeMap<_, _> = paths
        .iter()
        .map(|path| (path.clone(), Page::read(path)))
        .collect();
    let mut wrong = Vec::new();
    for page in pages.values() {
        for link in &page.links {
            if let Err(error) = leads_somewhere(page, link, &pages) {
                wrong.push(format!("{}: {link}: {error}", page.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn leads_somewhere(page: &Page, link: &str, pages: &BTreeMap<String, Page>) -> Result<(), String> {
    if link.starts_with("https://") {
        return Ok(());
    }
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = match path {
        "" => page.path.clone(),
        path => resolved(&page.path, path)?,
    };
    if page.path.starts_with("docs/") && !target.starts_with("docs/") {
        leaves_the_book(&target)?;
    }
    if !root().join(&target).exists() {
        return Err("there is no such file".to_owned());
    }
    match (anchor, pages.get(&target)) {
        ("", _) => Ok(()),
        (anchor, Some(page)) if page.anchors.iter().any(|id| id == anchor) => Ok(()),
        (_, Some(page)) => Err(format!("its headings are {}", page.anchors.join(", "))),
        (_, None) => Err("only pages have headings".to_owned()),
    }
}

/// Files beside the pages are copied beside the book; pages that are not in it would not be there.
fn leaves_the_book(target: &str) -> Result<(), String> {
    let steps = std::fs::read_to_string(root().join("xtask/src/steps.rs")).expect("it is there");
    match target.ends_with(".md") || !steps.contains(&format!("\"{target}\",")) {
        true => Err("`cargo xtask book` does not bring this file along".to_owned()),
        false => Ok(()),
    }
}

/// A link's path, relative to the root.
fn resolved(page: &str, path: &str) -> Result<String, String> {
    let folder = Path::new(page).parent().expect("a page is in a folder");
    let mut all = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::ParentDir if !all.pop() => return Err("it leaves the project".to_owned()),
            Component::ParentDir | Component::CurDir => {}
            part => all.push(part),
        }
    }
    Ok(all.to_str().expect("UTF-8").to_owned())
}
