//! Functions and their lengths.

use proc_macro2::Span;
use syn::visit::{self, Visit};

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Where its `fn` stands, from 1.
    pub(crate) line: usize,
    /// From `fn` to the closing brace, both included.
    pub(crate) length: usize,
}

/// All functions of `file`, nested ones too.
pub(crate) fn functions(file: &syn::File) -> Vec<Function> {
    let mut finder = Finder::default();
    finder.visit_file(file);
    finder.0
}

#[derive(Default)]
struct Finder(Vec<Function>);

impl Finder {
    fn add(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let line = signature.fn_token.span.start().line;
        let last: Span = body.brace_token.span.close();
        self.0.push(Function { name: signature.ident.to_string(), line, length: last.end().line + 1 - line });
    }
}

impl<'a> Visit<'a> for Finder {
    fn visit_item_fn(&mut self, function: &'a syn::ItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'a syn::ImplItemFn) {
        self.add(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'a syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.add(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}

#[test]
fn lengths_run_from_the_signature_to_the_brace() {
    let text =
        "/// doc\nfn one() {}\nimpl X {\n  pub fn\n  three() { \"}\";\n  }\n}\ntrait T { fn none(); fn some() {} }\n";
    let found = functions(&syn::parse_file(text).unwrap());
    let found: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.line, f.length)).collect();
    assert_eq!(found, [("one", 2, 1), ("three", 4, 3), ("some", 8, 1)]);
}
