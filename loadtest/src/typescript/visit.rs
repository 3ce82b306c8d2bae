//! Finds what to take out.

use std::collections::HashSet;

use oxc_allocator::Vec as ArenaVec;
use oxc_ast::ast;
use oxc_ast_visit::{Visit, walk};
use oxc_span::{GetSpan as _, Span};

use super::{
    edits::Edits,
    enums,
    imports::{Import, erase_exports, is_type},
};

/// Words before the name of a class's member that only types know.
const MODIFIERS: [&str; 7] =
    ["public", "private", "protected", "readonly", "override", "abstract", "declare"];

/// Goes through a program and notes what becomes blank.
pub(super) struct Eraser<'s> {
    edits: Edits<'s>,
    imports: Vec<Import>,
    /// Names that code uses.
    used: HashSet<String>,
    /// Names of types declared here.
    types: HashSet<String>,
    refused: Option<(String, usize)>,
}

impl<'s> Eraser<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Self {
            edits: Edits::new(source),
            imports: Vec::new(),
            used: HashSet::new(),
            types: HashSet::new(),
            refused: None,
        }
    }

    /// The JavaScript, or what was refused and where.
    pub(super) fn finish(mut self) -> Result<String, (String, usize)> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        for import in &self.imports {
            import.erase(&mut self.edits, &self.used);
        }
        Ok(self.edits.apply())
    }

    fn refuse(&mut self, what: &str, span: Span) {
        self.refuse_because(format!("{what} are not supported by weir-load"), span);
    }

    fn refuse_because(&mut self, problem: String, span: Span) {
        if self.refused.is_none() {
            self.refused = Some((problem, span.start as usize));
        }
    }

    fn blank(&mut self, span: Span) {
        self.edits.blank(span.start, span.end);
    }

    fn blank_statement(&mut self, span: Span) {
        self.edits.blank_statement(span.start, span.end);
    }

    /// Whether all of a declaration is for types.
    fn is_erased(it: &ast::Declaration<'_>) -> bool {
        match it {
            ast::Declaration::VariableDeclaration(it) => it.declare,
            ast::Declaration::FunctionDeclaration(it) => it.declare || it.body.is_none(),
            ast::Declaration::ClassDeclaration(it) => it.declare,
            ast::Declaration::TSEnumDeclaration(it) => it.declare,
            ast::Declaration::TSNamespaceDeclaration(it) => it.declare,
            ast::Declaration::TSTypeAliasDeclaration(_)
            | ast::Declaration::TSInterfaceDeclaration(_)
            | ast::Declaration::TSExternalModuleDeclaration(_)
            | ast::Declaration::TSGlobalDeclaration(_) => true,
            ast::Declaration::TSImportEqualsDeclaration(it) => is_type(it.import_kind),
        }
    }

    /// Assigns the parameters of a constructor that are properties too.
    fn assign_properties(&mut self, it: &ast::Function<'_>) {
        let Some(body) = &it.body else { return };
        let mut code = String::new();
        for parameter in &it.params.items {
            let name = parameter.pattern.get_binding_identifier().filter(|_| {
                parameter.accessibility.is_some() || parameter.readonly || parameter.r#override
            });
            if let Some(name) = name {
                code.push_str(&format!(" this.{0} = {0};", name.name));
            }
        }
        let is_super = |statement: &&ast::Statement<'_>| match statement {
            ast::Statement::ExpressionStatement(it) => match &it.expression {
                ast::Expression::CallExpression(call) => call.callee.is_super(),
                _ => false,
            },
            _ => false,
        };
        let call = body.statements.iter().find(is_super);
        let at = call.map_or(body.span.start + 1, |call| call.span().end);
        if !code.is_empty() {
            let code = if call.is_some() { format!(";{code}") } else { code };
            self.edits.replace(at, at, code);
        }
    }
}

impl<'a> Visit<'a> for Eraser<'_> {
    fn visit_program(&mut self, it: &ast::Program<'a>) {
        for statement in &it.body {
            match statement {
                ast::Statement::TSTypeAliasDeclaration(it) => {
                    self.types.insert(it.id.name.to_string());
                }
                ast::Statement::TSInterfaceDeclaration(it) => {
                    self.types.insert(it.id.name.to_string());
                }
                _ => {}
            }
        }
        walk::walk_program(self, it);
    }

    fn visit_identifier_reference(&mut self, it: &ast::IdentifierReference<'a>) {
        if !self.used.contains(it.name.as_str()) {
            self.used.insert(it.name.to_string());
        }
    }

    fn visit_declaration(&mut self, it: &ast::Declaration<'a>) {
        if Self::is_erased(it) {
            return self.blank_statement(it.span());
        }
        match it {
            ast::Declaration::TSNamespaceDeclaration(it) => {
                self.refuse("namespaces with code", it.span);
            }
            ast::Declaration::TSImportEqualsDeclaration(it) => {
                self.refuse("imports by 'import ... ='", it.span);
            }
            ast::Declaration::TSEnumDeclaration(it) => match enums::code(&self.edits, it) {
                Ok(code) => {
                    self.edits.replace(it.span.start, it.span.end, code);
                    walk::walk_ts_enum_declaration(self, it);
                }
                Err(why) => self.refuse_because(why.into(), it.span),
            },
            it => walk::walk_declaration(self, it),
        }
    }

    fn visit_import_declaration(&mut self, it: &ast::ImportDeclaration<'a>) {
        if is_type(it.import_kind) {
            return self.blank_statement(it.span);
        }
        self.imports.extend(Import::of(it));
    }

    fn visit_export_declaration(&mut self, it: &ast::ExportDeclaration<'a>) {
        if Self::is_erased(&it.declaration) {
            return self.blank_statement(it.span);
        }
        walk::walk_export_declaration(self, it);
    }

    fn visit_export_named_declaration(&mut self, it: &ast::ExportNamedDeclaration<'a>) {
        if is_type(it.export_kind) {
            return self.blank_statement(it.span);
        }
        erase_exports(&mut self.edits, &it.specifiers, &self.types);
        for specifier in it.specifiers.iter().filter(|it| !is_type(it.export_kind)) {
            self.used.insert(specifier.local.name().to_string());
        }
    }

    fn visit_export_from_declaration(&mut self, it: &ast::ExportFromDeclaration<'a>) {
        if is_type(it.export_kind) {
            return self.blank_statement(it.span);
        }
        erase_exports(&mut self.edits, &it.specifiers, &HashSet::new());
    }

    fn visit_export_all_declaration(&mut self, it: &ast::ExportAllDeclaration<'a>) {
        if is_type(it.export_kind) {
            self.blank_statement(it.span);
        }
    }

    fn visit_export_default_declaration(&mut self, it: &ast::ExportDefaultDeclaration<'a>) {
        match &it.declaration {
            ast::ExportDefaultDeclarationKind::TSInterfaceDeclaration(_) => {
                return self.blank_statement(it.span);
            }
            ast::ExportDefaultDeclarationKind::FunctionDeclaration(function)
                if function.body.is_none() =>
            {
                return self.blank_statement(it.span);
            }
            _ => {}
        }
        walk::walk_export_default_declaration(self, it);
    }

    fn visit_ts_export_assignment(&mut self, it: &ast::TSExportAssignment<'a>) {
        self.refuse("exports by 'export ='", it.span);
    }

    fn visit_ts_namespace_export_declaration(
        &mut self,
        it: &ast::TSNamespaceExportDeclaration<'a>,
    ) {
        self.blank_statement(it.span);
    }

    fn visit_decorator(&mut self, it: &ast::Decorator<'a>) {
        self.refuse("decorators", it.span);
    }

    fn visit_ts_type_annotation(&mut self, it: &ast::TSTypeAnnotation<'a>) {
        self.blank(it.span);
    }

    fn visit_ts_type_parameter_declaration(&mut self, it: &ast::TSTypeParameterDeclaration<'a>) {
        self.blank(it.span);
    }

    fn visit_ts_type_parameter_instantiation(
        &mut self,
        it: &ast::TSTypeParameterInstantiation<'a>,
    ) {
        self.blank(it.span);
    }

    fn visit_ts_this_parameter(&mut self, it: &ast::TSThisParameter<'a>) {
        self.edits.blank(it.span.start, self.edits.behind_comma(it.span.end));
    }

    fn visit_formal_parameter(&mut self, it: &ast::FormalParameter<'a>) {
        let pattern = it.pattern.span();
        self.edits.blank_words(it.span.start, pattern.start, &MODIFIERS);
        if it.optional {
            let end = it.type_annotation.as_ref().map_or(it.span.end, |it| it.span.start);
            self.edits.blank_word(pattern.end, end.max(pattern.end + 1), "?");
        }
        walk::walk_formal_parameter(self, it);
    }

    fn visit_variable_declarator(&mut self, it: &ast::VariableDeclarator<'a>) {
        if it.definite {
            self.edits.blank_word(it.id.span().end, it.span.end, "!");
        }
        walk::walk_variable_declarator(self, it);
    }

    fn visit_arrow_function_expression(&mut self, it: &ast::ArrowFunctionExpression<'a>) {
        // `=>` must be on the line of the bracket before it.
        if let Some(returns) = &it.return_type {
            let (bracket, end) = (it.params.span.end - 1, returns.span.end);
            if self.edits.text(bracket, end).contains('\n') {
                self.edits.blank_up_to(bracket, end, ')');
            }
        }
        walk::walk_arrow_function_expression(self, it);
    }

    fn visit_class(&mut self, it: &ast::Class<'a>) {
        if it.r#abstract {
            self.edits.blank_word(it.span.start, it.body.span.start, "abstract");
        }
        if let (Some(first), Some(last)) = (it.implements.first(), it.implements.last()) {
            let before = self.edits.text(it.span.start, first.span.start);
            let at = before.rfind("implements").unwrap_or(before.len());
            self.edits.blank(it.span.start + at as u32, last.span.end);
        }
        walk::walk_class(self, it);
    }

    fn visit_ts_class_implements_list(&mut self, _: &ArenaVec<'a, ast::TSClassImplements<'a>>) {}

    fn visit_class_element(&mut self, it: &ast::ClassElement<'a>) {
        let is_erased = match it {
            ast::ClassElement::TSIndexSignature(_) => true,
            ast::ClassElement::MethodDefinition(it) => it.value.body.is_none(),
            ast::ClassElement::PropertyDefinition(it) => {
                it.declare || it.r#type == ast::PropertyDefinitionType::TSAbstractPropertyDefinition
            }
            ast::ClassElement::StaticBlock(_) | ast::ClassElement::AccessorProperty(_) => false,
        };
        if is_erased {
            return self.blank_statement(it.span());
        }
        walk::walk_class_element(self, it);
    }

    fn visit_method_definition(&mut self, it: &ast::MethodDefinition<'a>) {
        let key = it.key.span();
        self.edits.blank_words(it.span.start, key.start, &MODIFIERS);
        if it.optional {
            self.edits.blank_word(key.end, it.value.params.span.start, "?");
        }
        if it.kind == ast::MethodDefinitionKind::Constructor {
            self.assign_properties(&it.value);
        }
        walk::walk_method_definition(self, it);
    }

    fn visit_property_definition(&mut self, it: &ast::PropertyDefinition<'a>) {
        let key = it.key.span();
        self.edits.blank_words(it.span.start, key.start, &MODIFIERS);
        let end = match (&it.type_annotation, &it.value) {
            (Some(it), _) => it.span.start,
            (None, Some(value)) => value.span().start,
            (None, None) => it.span.end,
        };
        if it.optional {
            self.edits.blank_word(key.end, end, "?");
        }
        if it.definite {
            self.edits.blank_word(key.end, end, "!");
        }
        walk::walk_property_definition(self, it);
    }

    fn visit_ts_as_expression(&mut self, it: &ast::TSAsExpression<'a>) {
        self.edits.blank(it.expression.span().end, it.span.end);
        self.visit_expression(&it.expression);
    }

    fn visit_ts_satisfies_expression(&mut self, it: &ast::TSSatisfiesExpression<'a>) {
        self.edits.blank(it.expression.span().end, it.span.end);
        self.visit_expression(&it.expression);
    }

    fn visit_ts_non_null_expression(&mut self, it: &ast::TSNonNullExpression<'a>) {
        self.edits.blank(it.expression.span().end, it.span.end);
        self.visit_expression(&it.expression);
    }

    fn visit_ts_type_assertion(&mut self, it: &ast::TSTypeAssertion<'a>) {
        self.edits.blank(it.span.start, it.expression.span().start);
        self.visit_expression(&it.expression);
    }
}
