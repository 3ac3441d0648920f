//! What a Python file imports, and what is wrong with its syntax. The only user of ruff.

use super::super::problem::Problem;
use ruff_python_ast::visitor::{Visitor, walk_expr, walk_stmt};
use ruff_python_ast::{Expr, ExprCall, PythonVersion, Stmt};
use ruff_python_parser::{Mode, ParseOptions, parse_unchecked};
use ruff_text_size::{Ranged, TextRange};

/// The version of Python that the runtime has.
const VERSION: PythonVersion = PythonVersion::PY314;

/// Something that is imported.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Import {
    /// Leading dots: how many packages up it starts, from 1. 0 is from the top.
    pub(crate) level: u32,
    /// The module, without the dots.
    pub(crate) module: String,
    /// Names from it, which may be modules too.
    pub(crate) names: Vec<String>,
}

/// What the text of `name` imports, anywhere in it, and the first mistake in it: those after it are often only its
/// echo.
pub(crate) fn imports(name: &str, text: &str) -> (Vec<Import>, Option<Problem>) {
    let options = ParseOptions::from(Mode::Module).with_target_version(VERSION);
    let parsed = parse_unchecked(text, options);
    let at = |message: String, range: TextRange| {
        let span = range.start().to_usize()..range.end().to_usize();
        Problem::new(format!("SyntaxError: {message}")).at(name, text, span)
    };
    let error = parsed.errors().first();
    let error = error.map(|error| at(error.error.to_string(), error.location));
    let problem = error.or_else(|| {
        let unsupported = parsed.unsupported_syntax_errors().first()?;
        Some(at(unsupported.to_string(), unsupported.range()))
    });
    let mut found = Imports::default();
    if let Some(module) = parsed.syntax().as_module() {
        found.visit_body(&module.body);
    }
    (found.0, problem)
}

#[derive(Default)]
struct Imports(Vec<Import>);

impl<'a> Visitor<'a> for Imports {
    fn visit_stmt(&mut self, statement: &'a Stmt) {
        match statement {
            Stmt::Import(import) => self.0.extend(import.names.iter().map(|alias| Import {
                module: alias.name.to_string(),
                ..Import::default()
            })),
            Stmt::ImportFrom(import) => self.0.push(Import {
                level: import.level,
                module: import
                    .module
                    .as_ref()
                    .map_or_else(String::new, ToString::to_string),
                names: import
                    .names
                    .iter()
                    .map(|alias| alias.name.to_string())
                    .collect(),
            }),
            _ => walk_stmt(self, statement),
        }
    }

    fn visit_expr(&mut self, expression: &'a Expr) {
        if let Expr::Call(call) = expression
            && let Some(module) = imported_by_call(call)
        {
            self.0.push(Import {
                module,
                ..Import::default()
            });
        }
        walk_expr(self, expression);
    }
}

/// `import_module("name")` and `__import__("name")`, with the name written out.
fn imported_by_call(call: &ExprCall) -> Option<String> {
    let function = match &*call.func {
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        _ => return None,
    };
    let known = matches!(function, "import_module" | "__import__");
    match call.arguments.args.first() {
        Some(Expr::StringLiteral(text)) if known => Some(text.value.to_str().to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_are_found_wherever_they_stand() {
        let text = "import a.b, c\nfrom d import e, f as g\ndef h():\n    from ..i import *\n    import_module('j')\n";
        let (found, problem) = imports("main.py", text);
        assert_eq!(problem, None);
        let shown: Vec<_> = found
            .iter()
            .map(|one| format!("{} {} {:?}", one.level, one.module, one.names))
            .collect();
        assert_eq!(
            shown,
            [
                "0 a.b []",
                "0 c []",
                "0 d [\"e\", \"f\"]",
                "2 i [\"*\"]",
                "0 j []"
            ]
        );
    }

    #[test]
    fn a_syntax_error_has_its_place() {
        let (_, problem) = imports("main.py", "def f(:\n    pass\n");
        let place = problem.expect("it is wrong").place;
        assert_eq!(place, Some(("main.py".to_owned(), 1, 7)));
    }
}
