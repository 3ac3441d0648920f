//! Imports rewritten to the names of modules, what is asked of CommonJS noted, and what the runtime cannot run
//! refused.

use super::{File, Meant, Wanted};
use crate::compile::imports::BadImport;
use crate::compile::problem::Problem;
use oxc::allocator::Allocator;
use oxc::ast::ast::{
    Argument, CallExpression, Decorator, ExportAllDeclaration, ExportFromDeclaration, Expression,
    ImportDeclaration, ImportDeclarationSpecifier, ImportExpression, JSXElement, JSXFragment,
    Program, Statement, StaticMemberExpression, StringLiteral,
};
use oxc::ast::builder::AstBuilder;
use oxc::ast_visit::{VisitMut, walk_mut};
use oxc::semantic::{IsGlobalReference as _, Scoping};
use oxc::span::{GetSpan as _, Span};
use oxc::str::Str;
use std::collections::{BTreeMap, BTreeSet};

/// What the transformer imports where a feature needs code at run time.
const HELPERS: &str = "@oxc-project/runtime/helpers/";

/// Rewrites import specifiers to module names; finds what the runtime cannot run.
pub(super) struct Rewrite<'f, 'a, R> {
    file: File<'f>,
    allocator: &'a Allocator,
    common_js: bool,
    resolve: R,
    scoping: &'f Scoping,
    pub(super) problems: Vec<Problem>,
    asked: Vec<(String, String)>,
    required: BTreeSet<String>,
    /// Local names of whole namespaces: the module of each once its import was seen.
    namespaces: BTreeMap<String, Option<String>>,
    /// What is asked of these: `ns.member`.
    members: Vec<(String, String)>,
}

/// The local names of `import * as name`.
fn namespaces(program: &Program<'_>) -> BTreeMap<String, Option<String>> {
    let imports = program.body.iter().filter_map(|statement| match statement {
        Statement::ImportDeclaration(import) => import.specifiers.as_ref(),
        _ => None,
    });
    let all = imports.flatten().filter_map(|specifier| match specifier {
        ImportDeclarationSpecifier::ImportNamespaceSpecifier(it) => Some(it.local.name.to_string()),
        _ => None,
    });
    all.map(|name| (name, None)).collect()
}

impl<'f, 'a, R: FnMut(Wanted<'_>) -> Result<Meant, BadImport>> Rewrite<'f, 'a, R> {
    pub(super) fn new(
        file: File<'f>,
        allocator: &'a Allocator,
        common_js: bool,
        resolve: R,
        program: &Program<'a>,
        scoping: &'f Scoping,
    ) -> Self {
        Self {
            file,
            allocator,
            common_js,
            resolve,
            scoping,
            problems: Vec::new(),
            asked: Vec::new(),
            required: BTreeSet::new(),
            namespaces: namespaces(program),
            members: Vec::new(),
        }
    }

    /// Puts the module's name in the place of what names it. Answers with the name when it stands for
    /// a CommonJS module.
    fn specifier(&mut self, literal: &mut StringLiteral<'a>) -> Option<String> {
        if let Some(helper) = literal.value.strip_prefix(HELPERS) {
            let name = self.file.name;
            let problem = Problem::new(format!("{name} uses syntax newer than ES2023 ({helper})"));
            let hint = "It cannot be compiled yet. Instead of `using`, write try and finally.";
            self.problems.push(problem.hint(hint));
            return None;
        }
        let wanted = Wanted::Always(literal.value.as_str());
        let Meant { name, common_js } = self.meant(wanted, literal.span)?;
        literal.value = Str::from_str_in(&name, &self.allocator);
        literal.raw = None;
        common_js.then_some(name)
    }

    /// What an import at this place means, unless it is refused.
    fn meant(&mut self, wanted: Wanted<'_>, span: Span) -> Option<Meant> {
        match (self.resolve)(wanted) {
            Ok(meant) => Some(meant),
            Err(bad) => {
                self.refuse(span, &bad.message, &bad.hint);
                None
            }
        }
    }

    fn imports(&mut self, of: &str, specifiers: &[ImportDeclarationSpecifier<'a>]) {
        for specifier in specifiers {
            match specifier {
                ImportDeclarationSpecifier::ImportSpecifier(it) => {
                    self.asked
                        .push((of.to_owned(), it.imported.name().to_string()));
                }
                ImportDeclarationSpecifier::ImportDefaultSpecifier(_) => {}
                ImportDeclarationSpecifier::ImportNamespaceSpecifier(it) => {
                    let local = it.local.name.to_string();
                    self.namespaces.insert(local, Some(of.to_owned()));
                }
            }
        }
    }

    /// What was asked for, by import and by `require`.
    pub(super) fn asked(self) -> (Vec<(String, String)>, BTreeSet<String>) {
        let namespaces = self.namespaces;
        let members = self
            .members
            .into_iter()
            .filter_map(|(local, member)| Some((namespaces.get(&local)?.clone()?, member)));
        (
            self.asked.into_iter().chain(members).collect(),
            self.required,
        )
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

impl<'a, R: FnMut(Wanted<'_>) -> Result<Meant, BadImport>> VisitMut<'a> for Rewrite<'_, 'a, R> {
    fn visit_import_declaration(&mut self, it: &mut ImportDeclaration<'a>) {
        let common_js = self.specifier(&mut it.source);
        if let (Some(of), Some(specifiers)) = (common_js, &it.specifiers) {
            self.imports(&of, specifiers);
        }
        // `with { type: "json" }` has done its work: the target is JavaScript now.
        it.with_clause = None;
    }

    fn visit_export_from_declaration(&mut self, it: &mut ExportFromDeclaration<'a>) {
        if let Some(of) = self.specifier(&mut it.source) {
            let names = it.specifiers.iter().map(|one| one.local.name().to_string());
            self.asked.extend(names.map(|name| (of.clone(), name)));
        }
        it.with_clause = None;
    }

    fn visit_export_all_declaration(&mut self, it: &mut ExportAllDeclaration<'a>) {
        // Of CommonJS these are the names that its code shows.
        let _ = self.specifier(&mut it.source);
        it.with_clause = None;
    }

    fn visit_import_expression(&mut self, it: &mut ImportExpression<'a>) {
        let (specifier, span) = match &it.source {
            Expression::StringLiteral(literal) => (Some(literal.value), literal.span),
            _ => (None, it.span),
        };
        let wanted = Wanted::WhenRun(specifier.as_ref().map(Str::as_str));
        if let Some(Meant { name, .. }) = self.meant(wanted, span) {
            let name = Str::from_str_in(&name, &self.allocator);
            let builder = AstBuilder::new(self.allocator);
            it.source = Expression::new_string_literal(span, name, None, &builder);
            it.options = None;
        }
    }

    fn visit_call_expression(&mut self, it: &mut CallExpression<'a>) {
        if self.common_js
            && it.callee_name() == Some("require")
            && let [Argument::StringLiteral(literal)] = &it.arguments[..]
        {
            self.required.insert(literal.value.to_string());
        }
        walk_mut::walk_call_expression(self, it);
    }

    fn visit_static_member_expression(&mut self, it: &mut StaticMemberExpression<'a>) {
        if let Expression::Identifier(object) = &it.object
            && self.namespaces.contains_key(object.name.as_str())
        {
            let member = (object.name.to_string(), it.property.name.to_string());
            self.members.push(member);
        }
        walk_mut::walk_static_member_expression(self, it);
    }

    fn visit_expression(&mut self, it: &mut Expression<'a>) {
        if is_node_env(it, self.scoping) {
            let builder = AstBuilder::new(self.allocator);
            *it = Expression::new_string_literal(it.span(), "production", None, &builder);
            return;
        }
        walk_mut::walk_expression(self, it);
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

/// `process.env.NODE_ENV`, by which packages choose their checks; not where `process` is a name of the file.
fn is_node_env(expression: &Expression<'_>, scoping: &Scoping) -> bool {
    let Some(env) = object_of(expression, "NODE_ENV") else {
        return false;
    };
    match object_of(env, "env").map(Expression::get_inner_expression) {
        Some(Expression::Identifier(process)) => {
            process.name == "process" && process.is_global_reference(scoping)
        }
        _ => false,
    }
}

/// What `expression` takes the property `name` of, if it does: `object.name`, `object?.name`, `object["name"]`.
fn object_of<'e, 'a>(expression: &'e Expression<'a>, name: &str) -> Option<&'e Expression<'a>> {
    let member = expression.get_member_expr()?;
    (member.static_property_name() == Some(name)).then(|| member.object())
}
