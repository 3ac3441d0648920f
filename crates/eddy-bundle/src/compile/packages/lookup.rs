//! One lookup: from the name in an import to a file, by the steps that Node.js and bundlers take.

use super::json::Json;
use super::targets::{self, Target};
use super::{FOLDER, Found, How, Packages, is_packages, node};
use crate::compile::imports::{BadImport, bad};
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::rc::Rc;

/// Builds that a package may have for places like this one, in no order: a package's own order
/// counts. What has the web's globals and no DOM comes closest; `node` is not among them.
const CONDITIONS: [&str; 4] = ["worker", "browser", "module", "production"];
/// Where packages without `exports` say what they are, the first that is there.
const MAIN_FIELDS: [&str; 3] = ["browser", "module", "main"];
/// The same for `require`, which expects what the file gives to `module.exports`.
const MAIN_FIELDS_OF_REQUIRE: [&str; 2] = ["browser", "main"];
/// What is tried after a path that names no file, in this order.
const EXTENSIONS: [&str; 7] = [".js", ".mjs", ".cjs", ".json", ".ts", ".mts", ".tsx"];
/// Steps from one name to another within a lookup, so that packages that name each other end.
const MAX_STEPS: u8 = 16;

/// One lookup.
pub(super) struct Lookup<'l> {
    packages: &'l Packages,
    root: &'l Path,
    specifier: &'l str,
    how: How,
    steps: u8,
}

impl<'l> Lookup<'l> {
    pub(super) fn new(
        packages: &'l Packages,
        root: &'l Path,
        specifier: &'l str,
        how: How,
    ) -> Self {
        Self {
            packages,
            root,
            specifier,
            how,
            steps: 0,
        }
    }

    /// What `name` means in a file of `folder`.
    pub(super) fn named(&mut self, folder: &Path, name: &str) -> Result<Found, BadImport> {
        self.step()?;
        if is_relative(name) {
            return self.relative(folder, name);
        }
        let scope = self.packages.scope(self.root, &folder.join("file"));
        if name.starts_with('#') {
            return self.own_import(scope, name);
        }
        if let Some((own, json)) = &scope {
            // A name that stands for itself is no replacement.
            if let Some(instead) = replaced(json, &[name])
                && !matches!(&instead, Json::Text(text) if text == name)
            {
                return self.instead(own, &instead);
            }
            if let Some(exports) = exports(json)
                && let Some(path) = sub_path(name, json.text("name").unwrap_or_default())
            {
                return self.exported(own, exports, &path);
            }
        }
        self.installed(folder, name)
    }

    fn step(&mut self) -> Result<(), BadImport> {
        self.steps += 1;
        match self.steps <= MAX_STEPS {
            true => Ok(()),
            false => Err(bad(
                format!(
                    "{:?} leads from one name to another without end",
                    self.specifier
                ),
                "Look into the \"browser\" and \"imports\" fields of the package's package.json.",
            )),
        }
    }

    fn relative(&mut self, folder: &Path, name: &str) -> Result<Found, BadImport> {
        self.step()?;
        let path = normal(&folder.join(name));
        let must_be_folder = name.ends_with('/') || name == "." || name.ends_with("..");
        match self.path(&path, must_be_folder) {
            Some(file) => self.of_browser(file),
            // What is not there may be left out or replaced all the same.
            None => match self.replacement(&path) {
                Some((own, instead)) => self.instead(&own, &instead),
                None => Err(bad(
                    format!("{name:?} names no file of its package"),
                    "Install the package again: it is not whole, or not made for bundlers.",
                )),
            },
        }
    }

    /// `#name`: what the package itself calls something.
    fn own_import(
        &mut self,
        scope: Option<(PathBuf, Rc<Json>)>,
        name: &str,
    ) -> Result<Found, BadImport> {
        let found = scope.and_then(|(own, json)| {
            let target = targets::keyed(json.field("imports")?, name, &self.conditions())?;
            Some((own, target))
        });
        match found {
            Some((own, Target::To(target))) => match is_relative(&target) {
                true => self.inside(&own, &target),
                false => self.named(&own, &target),
            },
            Some((_, Target::Nothing)) | None => Err(bad(
                format!("the package has no {name:?} here"),
                format!(
                    "Its \"imports\" say what there is, for one of: {}.",
                    self.told_conditions()
                ),
            )),
        }
    }

    /// A package by its name, from the nearest `node_modules`.
    fn installed(&mut self, folder: &Path, name: &str) -> Result<Found, BadImport> {
        if let Some(module) = name.strip_prefix("node:") {
            return Err(node::missing(self.specifier, module));
        }
        let package = package_of(name);
        let folders = folder.ancestors().filter(|folder| !is_packages(folder));
        let mut packages = folders.map(|folder| folder.join(FOLDER).join(package));
        let Some(own) = packages.find(|package| package.is_dir()) else {
            return Err(match node::is_module(name) {
                true => node::missing(self.specifier, name),
                false => not_installed(self.specifier, package),
            });
        };
        if !own.starts_with(self.root) {
            return Err(outside(self.specifier));
        }
        // pnpm and workspaces link to where a package is; its own packages are found from there.
        let own = fs::canonicalize(&own).unwrap_or(own);
        self.packages.found_at(&own, self.root);
        let path = sub_path(name, package).unwrap_or_else(|| ".".to_owned());
        let json = self.packages.json(&own);
        if let Some(exports) = json.as_deref().and_then(exports) {
            return self.exported(&own, exports, &path);
        }
        let found = match path.as_str() {
            "." => self.main(&own, json.as_deref()),
            path => self.path(&normal(&own.join(path)), path.ends_with('/')),
        };
        match found {
            Some(file) => self.of_browser(file),
            None => Err(bad(
                format!(
                    "{:?} names no file of the package {package}",
                    self.specifier
                ),
                "Install the package again, or import what it has.",
            )),
        }
    }

    fn exported(&mut self, own: &Path, exports: &Json, path: &str) -> Result<Found, BadImport> {
        match targets::exported(exports, path, &self.conditions()) {
            Some(Target::To(target)) => self.inside(own, &target),
            Some(Target::Nothing) | None => Err(bad(
                format!("the package has nothing for {:?} here", self.specifier),
                format!(
                    "Its \"exports\" say what there is, for one of: {}.",
                    self.told_conditions()
                ),
            )),
        }
    }

    /// A path that `exports` or `imports` give: exactly this file of the package in `own`.
    fn inside(&mut self, own: &Path, target: &str) -> Result<Found, BadImport> {
        let file = normal(&own.join(target));
        let stays = target.starts_with("./") && file.starts_with(own);
        match stays && file.is_file() {
            true => self.of_browser(file),
            false => Err(bad(
                format!(
                    "{:?} leads to {target}, which the package does not have",
                    self.specifier
                ),
                "Install the package again.",
            )),
        }
    }

    /// The file that stands for a whole package, or for a folder in it.
    fn main(&self, own: &Path, json: Option<&Json>) -> Option<PathBuf> {
        let fields = match self.how {
            How::Import => &MAIN_FIELDS[..],
            How::Require => &MAIN_FIELDS_OF_REQUIRE,
        };
        let named = fields.iter().filter_map(|field| json?.text(field));
        let found = named.filter(|path| !path.is_empty()).find_map(|path| {
            let path = normal(&own.join(path));
            with_extension(&path).or_else(|| with_extension(&path.join("index")))
        });
        found.or_else(|| with_extension(&own.join("index")))
    }

    /// The file that a path means, as `require` looks for it.
    fn path(&self, path: &Path, must_be_folder: bool) -> Option<PathBuf> {
        let file = match must_be_folder {
            true => None,
            false => with_extension(path),
        };
        file.or_else(|| match path.is_dir() {
            true => self.main(path, self.packages.json(path).as_deref()),
            false => None,
        })
    }

    /// The file, or what its package has instead of it where there is no Node.js.
    fn of_browser(&mut self, file: PathBuf) -> Result<Found, BadImport> {
        match self.replacement(&file) {
            Some((own, instead)) => self.instead(&own, &instead),
            None => Ok(Found::File(file)),
        }
    }

    /// What the `browser` field of its package says of a path, with the package's folder.
    fn replacement(&self, path: &Path) -> Option<(PathBuf, Json)> {
        let (own, json) = self.packages.scope(self.root, path)?;
        let inside = path.strip_prefix(&own).ok()?.to_str()?;
        let inside = inside.replace('\\', "/");
        let stem = EXTENSIONS.iter().find_map(|end| inside.strip_suffix(end));
        let stem = stem.unwrap_or(&inside);
        let keys = [&inside, &format!("./{inside}"), stem, &format!("./{stem}")];
        let instead = replaced(&json, &keys)?;
        // One that is there for itself is no replacement.
        let itself = matches!(&instead, Json::Text(text) if keys.contains(&text.as_str()));
        (!itself).then_some((own, instead))
    }

    /// What a `browser` field gives: a file of the package, another package, or nothing.
    fn instead(&mut self, own: &Path, instead: &Json) -> Result<Found, BadImport> {
        match instead {
            Json::Text(name) if is_relative(name) => self.relative(own, name),
            Json::Text(name) => self.named(own, name),
            _ => Ok(Found::Nothing),
        }
    }

    fn conditions(&self) -> [&'static str; 5] {
        let [worker, browser, module, production] = CONDITIONS;
        let how = match self.how {
            How::Import => "import",
            How::Require => "require",
        };
        [worker, browser, module, production, how]
    }

    fn told_conditions(&self) -> String {
        format!("{}, default", self.conditions().join(", "))
    }
}

/// The `exports` of a package that has some.
fn exports(json: &Json) -> Option<&Json> {
    json.field("exports")
        .filter(|exports| **exports != Json::Null)
}

/// What the `browser` field has for one of these keys.
fn replaced(json: &Json, keys: &[&str]) -> Option<Json> {
    let browser = json.field("browser")?;
    keys.iter().find_map(|key| browser.field(key)).cloned()
}

fn is_relative(name: &str) -> bool {
    matches!(name, "." | "..") || name.starts_with("./") || name.starts_with("../")
}

/// `@scope/name` of `@scope/name/path`, `name` of `name/path`.
fn package_of(name: &str) -> &str {
    let slashes = if name.starts_with('@') { 2 } else { 1 };
    let end = name.match_indices('/').nth(slashes - 1);
    end.map_or(name, |(end, _)| &name[..end])
}

/// What `exports` calls `name`, a name that begins with that of its package: `.` or `./path`.
fn sub_path(name: &str, package: &str) -> Option<String> {
    if package.is_empty() {
        return None;
    }
    match name.strip_prefix(package)? {
        "" => Some(".".to_owned()),
        rest => rest.starts_with('/').then(|| format!(".{rest}")),
    }
}

/// The path itself, or with an extension.
fn with_extension(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_owned());
    }
    let with = |extension: &&str| {
        let mut name = path.as_os_str().to_owned();
        name.push(extension);
        PathBuf::from(name)
    };
    EXTENSIONS.iter().map(with).find(|path| path.is_file())
}

/// The path without `.` and `..`. The folders in it are not links: importers have theirs resolved.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

fn not_installed(specifier: &str, package: &str) -> BadImport {
    // No package has such a name, and many editors make such paths.
    if specifier.starts_with("@/") || specifier.starts_with('~') {
        return bad(
            format!("there is no package for {specifier:?} in {FOLDER}"),
            "`paths` of tsconfig.json are not followed: import the file by its relative path, which begins with \"./\" or \
             \"../\".",
        );
    }
    bad(
        format!("there is no package for {specifier:?} in {FOLDER}"),
        format!(
            "Install it in the project's folder: `npm install`, or `npm install {package}` if package.json does not \
             list it yet. If you meant a file, begin with \"./\"."
        ),
    )
}

fn outside(specifier: &str) -> BadImport {
    bad(
        format!("the package of {specifier:?} is outside the project folder"),
        "Install it in the folder that is deployed, or deploy the folder above with an eddy.toml in it.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_package_is_what_npm_installs() {
        for (name, package, path) in [
            ("zod", "zod", "."),
            ("lodash/chunk", "lodash", "./chunk"),
            ("@scope/name/deep/path", "@scope/name", "./deep/path"),
            ("@scope", "@scope", "."),
        ] {
            assert_eq!(package_of(name), package);
            assert_eq!(sub_path(name, package).as_deref(), Some(path));
        }
        assert_eq!(sub_path("zodiac", "zod"), None);
    }
}
