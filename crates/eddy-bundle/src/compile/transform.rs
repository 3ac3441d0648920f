//! One TypeScript or JavaScript module to plain JavaScript (ES2023) with a source map, its
//! imports rewritten. The only user of oxc.

use super::imports::BadImport;
use super::problem::Problem;
use oxc::allocator::Allocator;
use oxc::ast::ast::{
    Decorator, ExportAllDeclaration, ExportFromDeclaration, Expression, ImportDeclaration,
    ImportExpression, JSXElement, JSXFragment, Program, StringLiteral,
};
use oxc::ast_visit::{VisitMut, walk_mut};
use oxc::codegen::{Codegen, CodegenOptions, CommentOptions, IndentChar};
use oxc::diagnostics::{OxcDiagnostic, Severity};
use oxc::parser::Parser;
use oxc::semantic::{Scoping, SemanticBuilder};
use oxc::span::{SourceType, Span};
use oxc::str::Str;
use oxc::transformer::{ESTarget, JsxOptions, TransformOptions, Transformer};
use std::path::Path;

/// JavaScript, and the source map (JSON) back to what it was made from.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) code: String,
    pub(crate) map: String,
}

/// Compiles the module `name`. `resolve` gives the module name that an import specifier means.
pub(crate) fn compile(
    name: &str,
    text: &str,
    resolve: impl FnMut(&str) -> Result<String, BadImport>,
) -> Result<Compiled, Vec<Problem>> {
    let allocator = Allocator::default();
    let file = File { name, text };
    let kind = SourceType::from_path(name)
        .map_err(|error| vec![Problem::new(format!("{name}: {error}"))])?;
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
    let mut rewrite = Rewrite {
        file,
        allocator: &allocator,
        resolve,
        problems: Vec::new(),
    };
    rewrite.visit_program(&mut program);
    match rewrite.problems.is_empty() {
        true => Ok(print(name, &program, scoping)),
        false => Err(rewrite.problems),
    }
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

/// What the transformer imports where a feature needs code at run time.
const HELPERS: &str = "@oxc-project/runtime/helpers/";

/// Rewrites import specifiers to module names; finds what the runtime cannot run.
struct Rewrite<'f, 'a, R> {
    file: File<'f>,
    allocator: &'a Allocator,
    resolve: R,
    problems: Vec<Problem>,
}

impl<'a, R: FnMut(&str) -> Result<String, BadImport>> Rewrite<'_, 'a, R> {
    fn specifier(&mut self, literal: &mut StringLiteral<'a>) {
        if let Some(helper) = literal.value.strip_prefix(HELPERS) {
            let name = self.file.name;
            let problem = Problem::new(format!("{name} uses syntax newer than ES2023 ({helper})"));
            let hint = "It cannot be compiled yet. Instead of `using`, write try and finally.";
            return self.problems.push(problem.hint(hint));
        }
        match (self.resolve)(literal.value.as_str()) {
            Ok(name) => {
                literal.value = Str::from_str_in(&name, &self.allocator);
                literal.raw = None;
            }
            Err(bad) => {
                self.problems
                    .push(self.file.at(literal.span, bad.message).hint(bad.hint));
            }
        }
    }

    fn refuse(&mut self, span: Span, message: &str, hint: &str) {
        self.problems.push(self.file.at(span, message).hint(hint));
    }

    fn refuse_jsx(&mut self, span: Span) {
        self.refuse(
            span,
            "JSX is not supported",
            "Build the text or the objects by hand.",
        );
    }
}

impl<'a, R: FnMut(&str) -> Result<String, BadImport>> VisitMut<'a> for Rewrite<'_, 'a, R> {
    fn visit_import_declaration(&mut self, it: &mut ImportDeclaration<'a>) {
        self.specifier(&mut it.source);
        // `with { type: "json" }` has done its work: the target is JavaScript now.
        it.with_clause = None;
    }

    fn visit_export_from_declaration(&mut self, it: &mut ExportFromDeclaration<'a>) {
        self.specifier(&mut it.source);
        it.with_clause = None;
    }

    fn visit_export_all_declaration(&mut self, it: &mut ExportAllDeclaration<'a>) {
        self.specifier(&mut it.source);
        it.with_clause = None;
    }

    fn visit_import_expression(&mut self, it: &mut ImportExpression<'a>) {
        match &mut it.source {
            Expression::StringLiteral(literal) => {
                self.specifier(literal);
                it.options = None;
            }
            _ => self.refuse(
                it.span,
                "the module of a dynamic import is not known before the code runs",
                "Name it by a plain string: `import(\"./lib\")`.",
            ),
        }
    }

    fn visit_jsx_element(&mut self, it: &mut JSXElement<'a>) {
        self.refuse_jsx(it.span);
    }

    fn visit_jsx_fragment(&mut self, it: &mut JSXFragment<'a>) {
        self.refuse_jsx(it.span);
    }

    fn visit_decorator(&mut self, it: &mut Decorator<'a>) {
        self.refuse(
            it.span,
            "decorators are not supported",
            "Call the function yourself where the class is used.",
        );
        walk_mut::walk_decorator(self, it);
    }
}

fn print(name: &str, program: &Program<'_>, scoping: Scoping) -> Compiled {
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
    Compiled {
        code: printed.code,
        map: map.unwrap_or_default(),
    }
}
