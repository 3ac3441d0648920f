//! Follows imports from the entry and compiles each module once.

use super::JsModule;
use super::common_js::{self, Default, Required};
use super::imports::{self, BadImport, Target};
use super::json;
use super::packages::{How, Packages};
use super::problem::{BundleError, MAX_PROBLEMS, Problem};
use super::project::{Budget, Project, SourceFile, is_of_package};
use super::source::{Kind, kind};
use super::transform::{self, Compiled, Exports, Meant, Wanted};
use eddy_types::ErrorCode;
use eddy_types::limits::MAX_MODULES;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

/// The modules that `entry` reaches: the entry first, then in the order they are met, those of packages last.
pub(crate) fn modules(
    project: &Project,
    entry: SourceFile,
    budget: &mut Budget,
) -> Result<Vec<JsModule>, BundleError> {
    check_entry(&entry)?;
    let mut graph = Graph::new(project);
    graph.meet(entry, None);
    let (mut modules, mut problems) = (Vec::new(), Vec::new());
    while let Some(file) = graph.waiting.pop_front() {
        let text = file.read_text(budget)?;
        match graph.module(&file, &text) {
            Ok(module) => modules.push(module),
            Err(found) => problems.extend(found),
        }
        if graph.count() > MAX_MODULES {
            let hint = "Bundle it into fewer files first, or split the app.";
            return Err(BundleError::too_many_modules(hint));
        }
        if problems.len() >= MAX_PROBLEMS {
            break;
        }
    }
    // The user's own first: their source maps come before those of packages, should there be too many.
    modules.sort_by_key(|module| is_of_package(Path::new(&module.name)));
    modules.extend(graph.in_between());
    BundleError::unless_sound(modules, problems)
}

/// What a file is to those that import it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Module,
    CommonJs,
    Json,
}

/// What is known of the modules so far.
struct Graph<'p> {
    project: &'p Project,
    packages: Packages,
    /// Each module, and the one that it was met in.
    met: BTreeMap<String, Option<String>>,
    waiting: VecDeque<SourceFile>,
    /// Of scripts, by name. What a file was taken for first it stays, also should a link to it be met later.
    formats: BTreeMap<String, Format>,
    /// What CommonJS modules export, by name: their own, and the modules whose names they export too.
    exports: BTreeMap<String, (BTreeSet<String>, Vec<String>)>,
    /// What is imported of CommonJS modules, by the name of the module in between.
    asked: BTreeMap<String, Asked>,
    /// The modules that CommonJS modules require.
    required: BTreeSet<String>,
    /// The modules with a default export.
    with_default: BTreeSet<String>,
    /// What packages import at run time and cannot be had, by the name of the module that says so.
    missing: BTreeMap<String, String>,
    /// Something imports what its package says is empty.
    nothing: bool,
}

/// A module between a CommonJS module and those that import it.
struct Asked {
    /// The CommonJS module.
    of: String,
    default: Default,
    names: BTreeSet<String>,
}

/// The module that stands for all that is empty.
const NOTHING: &str = "node_modules/(nothing)";
/// Modules that are told of the way to one.
const MAX_WAY: usize = 6;

impl<'p> Graph<'p> {
    fn new(project: &'p Project) -> Self {
        Self {
            project,
            packages: Packages::default(),
            met: BTreeMap::new(),
            waiting: VecDeque::new(),
            formats: BTreeMap::new(),
            exports: BTreeMap::new(),
            asked: BTreeMap::new(),
            required: BTreeSet::new(),
            with_default: BTreeSet::new(),
            missing: BTreeMap::new(),
            nothing: false,
        }
    }

    /// Modules that the graph has so far.
    fn count(&self) -> usize {
        self.met.len() + self.asked.len() + self.required.len() + self.missing.len()
    }

    fn meet(&mut self, file: SourceFile, importer: Option<&SourceFile>) {
        if !self.met.contains_key(&file.name) {
            let importer = importer.map(|file| file.name.clone());
            self.met.insert(file.name.clone(), importer);
            self.waiting.push_back(file);
        }
    }

    fn format(&mut self, file: &SourceFile) -> Format {
        match kind(&file.name) {
            Kind::Json => return Format::Json,
            Kind::CommonJs => return Format::CommonJs,
            _ => {}
        }
        if let Some(known) = self.formats.get(&file.name) {
            return *known;
        }
        let format = self.format_of_script(file);
        self.formats.insert(file.name.clone(), format);
        format
    }

    fn format_of_script(&self, file: &SourceFile) -> Format {
        // The user's own code has one way to be written, and so has TypeScript where a package is linked.
        let own = match file.is_of_package() {
            true => file.name.ends_with(".mjs"),
            false => !file.name.ends_with(".js") || !self.packages.is_linked(file),
        };
        if own {
            return Format::Module;
        }
        match file.read_text(&mut Budget::default()) {
            Ok(text) if transform::is_module(&file.name, &text) => Format::Module,
            Ok(_) if !self.packages.says_module(self.project, file) => Format::CommonJs,
            // What cannot be read is told when its turn comes.
            _ => Format::Module,
        }
    }

    /// One module; the files it asks for are met.
    fn module(&mut self, file: &SourceFile, text: &str) -> Result<JsModule, Vec<Problem>> {
        let name = &file.name;
        let format = self.format(file);
        if format == Format::Json {
            return json::module(name, text);
        }
        let common_js = format == Format::CommonJs;
        let import = |wanted: Wanted<'_>| self.wanted(file, wanted);
        let compiled = transform::compile(name, text, common_js, import)?;
        for (of, name) in &compiled.asked {
            if let Some(asked) = self.asked.get_mut(of) {
                asked.names.insert(name.clone());
            }
        }
        if common_js {
            return Ok(self.common_js(file, compiled));
        }
        if compiled.has_default {
            self.with_default.insert(name.clone());
        }
        Ok(JsModule {
            name: name.clone(),
            source: compiled.code,
            source_map: Some(compiled.map),
        })
    }

    fn common_js(&mut self, file: &SourceFile, compiled: Compiled) -> JsModule {
        let name = &file.name;
        let required = compiled.required.into_iter();
        let required: Vec<_> = required
            .map(|specifier| {
                let means = self.require(file, &specifier);
                (specifier, means)
            })
            .collect();
        let Exports { names, of } = compiled.exports;
        let also = required
            .iter()
            .filter_map(|(specifier, means)| match means {
                Required::CommonJs(name) if of.contains(specifier) => Some(name.clone()),
                _ => None,
            });
        self.exports.insert(name.clone(), (names, also.collect()));
        JsModule {
            name: name.clone(),
            source: common_js::module(name, &compiled.code, &required),
            source_map: common_js::shifted(&compiled.map),
        }
    }

    fn resolve(
        &mut self,
        importer: &SourceFile,
        specifier: &str,
        how: How,
    ) -> Result<Target, BadImport> {
        let target = imports::resolve(self.project, &self.packages, importer, specifier, how);
        target.map_err(|bad| match importer.package() {
            Some(package) => BadImport {
                message: format!("{} (for the package {package})", bad.message),
                hint: format!("{}\n    The way there: {}", bad.hint, self.way(importer)),
            },
            None => bad,
        })
    }

    /// How the entry comes to a module, for people.
    fn way(&self, to: &SourceFile) -> String {
        let mut way = vec![to.name.as_str()];
        while let Some(Some(importer)) = self.met.get(way[way.len() - 1]) {
            way.push(importer);
        }
        way.reverse();
        if way.len() > MAX_WAY {
            let last = way.split_off(way.len() - (MAX_WAY - 2));
            way.truncate(2);
            way.push("...");
            way.extend(last);
        }
        way.join(" > ")
    }

    /// What an import means. What packages import at run time and cannot be had is told there, as with `require`:
    /// many never come to it, or catch the error.
    fn wanted(&mut self, importer: &SourceFile, wanted: Wanted<'_>) -> Result<Meant, BadImport> {
        let bad = match wanted {
            Wanted::Always(specifier) => return self.import(importer, specifier),
            Wanted::WhenRun(Some(specifier)) => match self.import(importer, specifier) {
                Ok(meant) => return Ok(meant),
                Err(bad) => bad,
            },
            Wanted::WhenRun(None) => imports::computed(),
        };
        if !self.packages.own(importer) {
            return Err(bad);
        }
        let name = format!("{}?missing={}", importer.name, self.missing.len());
        let why = format!("{}. {}", bad.message, bad.hint);
        self.missing.insert(name.clone(), why);
        Ok(Meant {
            name,
            common_js: false,
        })
    }

    fn import(&mut self, importer: &SourceFile, specifier: &str) -> Result<Meant, BadImport> {
        let meant = |name: String| Meant {
            name,
            common_js: false,
        };
        let name = match self.resolve(importer, specifier, How::Import)? {
            Target::BuiltIn => return Ok(meant(specifier.to_owned())),
            Target::Support(module) => return Ok(meant(module.to_owned())),
            Target::Nothing => {
                self.nothing = true;
                NOTHING.to_owned()
            }
            Target::File(file) => {
                let (format, name) = (self.format(&file), file.name.clone());
                self.meet(file, Some(importer));
                if format != Format::CommonJs {
                    return Ok(meant(name));
                }
                name
            }
        };
        let default = self.default_for(importer);
        let facade = common_js::facade_name(&name, default);
        self.asked.entry(facade.clone()).or_insert_with(|| Asked {
            of: name,
            default,
            names: BTreeSet::new(),
        });
        Ok(Meant {
            name: facade,
            common_js: true,
        })
    }

    /// What the importer takes the default of CommonJS for: Node.js has its rule only for what is a module
    /// without looking into it.
    fn default_for(&self, importer: &SourceFile) -> Default {
        let of_node = self.packages.own(importer)
            && (importer.name.ends_with(".mjs")
                || self.packages.says_module(self.project, importer));
        match of_node {
            true => Default::OfNode,
            false => Default::OfBundlers,
        }
    }

    fn require(&mut self, importer: &SourceFile, specifier: &str) -> Required {
        let file = match self.resolve(importer, specifier, How::Require) {
            Ok(Target::BuiltIn) => return Required::Module(specifier.to_owned()),
            Ok(Target::Support(module)) => return Required::Module(module.to_owned()),
            Ok(Target::Nothing) => return Required::Nothing,
            Ok(Target::File(file)) => file,
            Err(BadImport { message, hint }) => {
                return Required::Missing(format!("require of {message}. {hint}"));
            }
        };
        let (format, name) = (self.format(&file), file.name.clone());
        self.meet(file, Some(importer));
        match format {
            Format::CommonJs => Required::CommonJs(name),
            Format::Module => {
                self.required.insert(name.clone());
                Required::Module(common_js::required_name(&name))
            }
            Format::Json => Required::Json(name),
        }
    }

    /// The modules between CommonJS modules and others, and those that stand for what is not there.
    fn in_between(&self) -> Vec<JsModule> {
        let made = |name: &str, source: String| JsModule {
            name: name.to_owned(),
            source,
            source_map: None,
        };
        let facades = self.asked.iter().map(|(name, asked)| {
            let shown = self.exported(&asked.of);
            let source = common_js::facade(&asked.of, asked.default, &asked.names, &shown);
            made(name, source)
        });
        let required = self.required.iter().map(|name| {
            let source = common_js::required(name, self.with_default.contains(name));
            made(&common_js::required_name(name), source)
        });
        let missing = self.missing.iter();
        let missing = missing.map(|(name, why)| made(name, common_js::missing(why)));
        let nothing = self
            .nothing
            .then(|| made(NOTHING, common_js::module(NOTHING, "", &[])));
        let others = required.chain(missing).chain(nothing);
        facades.chain(others).collect()
    }

    /// The names that a CommonJS module exports, those of others included.
    fn exported(&self, module: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut seen = BTreeSet::from([module]);
        let mut waiting = vec![module];
        while let Some((own, also)) = waiting.pop().and_then(|module| self.exports.get(module)) {
            names.extend(own.iter().cloned());
            waiting.extend(
                also.iter()
                    .map(String::as_str)
                    .filter(|name| seen.insert(name)),
            );
        }
        names
    }
}

fn check_entry(entry: &SourceFile) -> Result<(), BundleError> {
    if kind(&entry.name) == Kind::Script {
        return Ok(());
    }
    Err(Problem::new(format!(
        "{} is neither TypeScript, JavaScript, Python nor WebAssembly",
        entry.name
    ))
    .hint("The code of a component is a .ts, .tsx, .mts, .js, .mjs, .jsx, .py or .wasm file.")
    .fail(ErrorCode::InvalidSource))
}
