//! What a CommonJS module exports, as far as its code shows: the forms that people and compilers write. And whether
//! a module has a default.

use oxc::ast::ast::{
    Argument, AssignmentExpression, CallExpression, ExportSpecifier, Expression, MemberExpression,
    ObjectPropertyKind, Program, Statement,
};
use oxc::ast_visit::{Visit, walk};
use std::collections::BTreeSet;

/// Names that a CommonJS module exports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Exports {
    /// `exports.name = ...` and the like.
    pub(crate) names: BTreeSet<String>,
    /// Specifiers of modules whose names are its own: `module.exports = require("./other")`.
    pub(crate) of: BTreeSet<String>,
}

/// What the program exports.
pub(super) fn of(program: &Program<'_>) -> Exports {
    let mut exports = Exports::default();
    exports.visit_program(program);
    exports
}

/// Whether the module has a default export.
pub(super) fn has_default(program: &Program<'_>) -> bool {
    program.body.iter().any(|statement| match statement {
        Statement::ExportDefaultDeclaration(_) => true,
        Statement::ExportNamedDeclaration(it) => names_default(&it.specifiers),
        Statement::ExportFromDeclaration(it) => names_default(&it.specifiers),
        Statement::ExportAllDeclaration(it) => {
            let exported = it.exported.as_ref();
            exported.is_some_and(|name| name.name() == "default")
        }
        _ => false,
    })
}

fn names_default(specifiers: &[ExportSpecifier<'_>]) -> bool {
    specifiers
        .iter()
        .any(|one| one.exported.name() == "default")
}

impl Exports {
    /// What becomes all that is exported.
    fn whole(&mut self, value: &Expression<'_>) {
        match value {
            Expression::ObjectExpression(object) => {
                for property in &object.properties {
                    match property {
                        ObjectPropertyKind::ObjectProperty(it) if !it.computed => {
                            self.names
                                .extend(it.key.static_name().map(|name| name.into_owned()));
                        }
                        ObjectPropertyKind::ObjectProperty(_) => {}
                        ObjectPropertyKind::SpreadProperty(it) => {
                            self.of.extend(required(&it.argument));
                        }
                    }
                }
            }
            other => self.of.extend(required(other)),
        }
    }
}

impl<'a> Visit<'a> for Exports {
    fn visit_assignment_expression(&mut self, it: &AssignmentExpression<'a>) {
        let target = it.left.as_simple_assignment_target();
        if let Some(member) = target.and_then(|target| target.as_member_expression()) {
            if is_module_exports(member) {
                self.whole(&it.right);
            } else if is_exports(member.object()) {
                self.names
                    .extend(member.static_property_name().map(ToString::to_string));
            }
        }
        walk::walk_assignment_expression(self, it);
    }

    fn visit_call_expression(&mut self, it: &CallExpression<'a>) {
        let function = match &it.callee {
            Expression::Identifier(callee) => Some(callee.name.as_str()),
            Expression::StaticMemberExpression(callee) => Some(callee.property.name.as_str()),
            _ => None,
        };
        let arguments = it.arguments.iter().map(Argument::as_expression);
        let arguments: Vec<_> = arguments.take(2).flatten().collect();
        match (function, &arguments[..]) {
            (Some("defineProperty"), [of, Expression::StringLiteral(name)]) if is_exports(of) => {
                self.names.insert(name.value.to_string());
            }
            // What TypeScript makes of `export *`.
            (Some("__exportStar" | "__export"), [module, ..]) => {
                self.of.extend(required(module));
            }
            _ => {}
        }
        walk::walk_call_expression(self, it);
    }
}

/// `exports` or `module.exports`.
fn is_exports(expression: &Expression<'_>) -> bool {
    match expression {
        Expression::Identifier(it) => it.name == "exports",
        other => other.as_member_expression().is_some_and(is_module_exports),
    }
}

fn is_module_exports(member: &MemberExpression<'_>) -> bool {
    let module = matches!(member.object(), Expression::Identifier(it) if it.name == "module");
    module
        && member
            .static_property_name()
            .is_some_and(|name| name == "exports")
}

/// The specifier of `require("specifier")`.
fn required(expression: &Expression<'_>) -> Option<String> {
    match expression {
        Expression::CallExpression(call) if call.callee_name() == Some("require") => {
            match &call.arguments[..] {
                [Argument::StringLiteral(specifier)] => Some(specifier.value.to_string()),
                _ => None,
            }
        }
        _ => None,
    }
}
