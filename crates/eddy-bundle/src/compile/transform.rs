//! One TypeScript or JavaScript module to plain JavaScript (ES2023) with a source map, its
//! imports rewritten. The only user of oxc.

mod exports;
mod rewrite;

use super::imports::BadImport;
use super::problem::Problem;
pub(crate) use exports::Exports;
use oxc::allocator::Allocator;
use oxc::ast::ast::Program;
use oxc::ast_visit::VisitMut as _;
use oxc::codegen::{Codegen, CodegenOptions, CommentOptions, IndentChar};
use oxc::diagnostics::{OxcDiagnostic, Severity};
use oxc::parser::Parser;
use oxc::semantic::{Scoping, SemanticBuilder};
use oxc::span::{SourceType, Span};
use oxc::transformer::{ESTarget, JsxOptions, TransformOptions, Transformer};
use rewrite::Rewrite;
use std::collections::BTreeSet;
use std::path::Path;

/// JavaScript, and the source map (JSON) back to what it was made from.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) code: String,
    pub(crate) map: String,
    /// Names that it imports of CommonJS modules, each with the module's name as `resolve` gave it.
    pub(crate) asked: Vec<(String, String)>,
    /// What it asks for with `require`.
    pub(crate) required: BTreeSet<String>,
    /// What it exports, when it is CommonJS.
    pub(crate) exports: Exports,
    /// Whether it has a default export, when it is none.
    pub(crate) has_default: bool,
}

/// What is imported, as the code has it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted<'s> {
    /// In any case, by this specifier.
    Always(&'s str),
    /// When the code comes to it, by this specifier unless it is computed.
    WhenRun(Option<&'s str>),
}

/// What an import specifier means.
pub(crate) struct Meant {
    /// The module's name.
    pub(crate) name: String,
    /// It stands for a CommonJS module, whose names nobody knows before it runs.
    pub(crate) common_js: bool,
}

/// Whether a file of a package is a module: it imports or exports something. One that does not parse is
/// taken for one, so that the error is told.
pub(crate) fn is_module(name: &str, text: &str) -> bool {
    let allocator = Allocator::default();
    let kind = SourceType::from_path(name).unwrap_or_default();
    let parsed = Parser::new(&allocator, text, kind.with_unambiguous(true)).parse();
    parsed.panicked || parsed.module_record.has_module_syntax
}

/// Compiles the module `name`, which is written as CommonJS or with `import` and `export`. `resolve` gives
/// the module name that an import means.
pub(crate) fn compile(
    name: &str,
    text: &str,
    common_js: bool,
    resolve: impl FnMut(Wanted<'_>) -> Result<Meant, BadImport>,
) -> Result<Compiled, Vec<Problem>> {
    let allocator = Allocator::default();
    let file = File { name, text };
    let kind = SourceType::from_path(name)
        .map_err(|error| vec![Problem::new(format!("{name}: {error}"))])?;
    let kind = kind.with_commonjs(common_js);
    let parsed = Parser::new(&allocator, text, kind).parse();
    let mut problems = file.errors(&parsed.diagnostics.into_vec());
    if parsed.panicked {
        // The parser says why, but an empty list must never pass for success.
        if problems.is_empty() {
            problems.push(Problem::new(format!("{name} cannot be parsed")));
        }
        return Err(problems);
    }
    let mut program = parsed.program;
    let semantic = SemanticBuilder::new()
        .with_check_syntax_error(true)
        .with_enum_eval(true)
        .build(&program);
    problems.extend(file.errors(&semantic.diagnostics.into_vec()));
    if !problems.is_empty() {
        return Err(problems);
    }
    let scoping = semantic.semantic.into_scoping();
    let scoping = file.transform(&allocator, &mut program, scoping)?;
    let exports = match common_js {
        true => exports::of(&program),
        false => Exports::default(),
    };
    let has_default = exports::has_default(&program);
    let mut rewrite = Rewrite::new(file, &allocator, common_js, resolve, &program, &scoping);
    rewrite.visit_program(&mut program);
    if common_js {
        program.hashbang = None;
    }
    if !rewrite.problems.is_empty() {
        return Err(rewrite.problems);
    }
    let (asked, required) = rewrite.asked();
    let (code, map) = print(name, &program, scoping);
    Ok(Compiled {
        code,
        map,
        asked,
        required,
        exports,
        has_default,
    })
}

#[derive(Clone, Copy)]
struct File<'f> {
    name: &'f str,
    text: &'f str,
}

impl File<'_> {
    /// Errors among `diagnostics`; warnings pass.
    fn errors(self, diagnostics: &[OxcDiagnostic]) -> Vec<Problem> {
        let errors = diagnostics
            .iter()
            .filter(|one| one.severity == Severity::Error);
        errors.map(|one| self.problem(one)).collect()
    }

    fn problem(self, diagnostic: &OxcDiagnostic) -> Problem {
        let mut problem = Problem::new(diagnostic.message.to_string());
        if let Some(label) = diagnostic.labels.first() {
            let start = label.offset() as usize;
            problem = problem.at(self.name, self.text, start..start + label.len() as usize);
        }
        problem.hint = diagnostic.help.as_ref().map(ToString::to_string);
        problem
    }

    fn at(self, span: Span, message: impl Into<String>) -> Problem {
        Problem::new(message).at(self.name, self.text, span.start as usize..span.end as usize)
    }

    /// Takes types, enums, namespaces and parameter properties out.
    fn transform<'a>(
        self,
        allocator: &'a Allocator,
        program: &mut Program<'a>,
        scoping: Scoping,
    ) -> Result<Scoping, Vec<Problem>> {
        let options = TransformOptions {
            jsx: JsxOptions::disable(),
            ..ESTarget::ES2023.into()
        };
        let done = Transformer::new(allocator, Path::new(self.name), &options)
            .build_with_scoping(scoping, program);
        let problems = self.errors(&done.diagnostics.into_vec());
        if problems.is_empty() {
            Ok(done.scoping)
        } else {
            Err(problems)
        }
    }
}

fn print(name: &str, program: &Program<'_>, scoping: Scoping) -> (String, String) {
    let options = CodegenOptions {
        comments: CommentOptions::disabled(),
        source_map_path: Some(name.into()),
        indent_char: IndentChar::Space,
        indent_width: 2,
        ..CodegenOptions::default()
    };
    let printed = Codegen::new()
        .with_options(options)
        .with_scoping(Some(scoping))
        .build(program);
    let map = printed.map.map(|mut map| {
        // The text is the user's; positions are all that a node needs.
        map.set_source_contents(vec![None]);
        map.to_json_string()
    });
    (printed.code, map.unwrap_or_default())
}
