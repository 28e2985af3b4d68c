//! One Rust source: its text, its syntax tree, and which of it is test code.

use std::collections::BTreeSet;

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use syn::visit_mut::{self, VisitMut};
use syn::{Attribute, ImplItem, Item};

/// A word, mark or bracket of the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// From 1.
    pub(crate) line: usize,
}

/// A parsed source file.
pub(crate) struct Source {
    /// Relative to the repository's root.
    pub(crate) path: String,
    pub(crate) text: String,
    /// The whole file.
    pub(crate) tree: syn::File,
    /// The file without its test code.
    pub(crate) product: syn::File,
}

impl Source {
    /// Panics with the path if the file is not Rust.
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let tree = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut product = tree.clone();
        if is_test_path(path) {
            product.items.clear()
        } else {
            WithoutTests.visit_file_mut(&mut product)
        }
        Self { path: path.to_owned(), text: text.to_owned(), tree, product }
    }

    /// Drops the product half if the file, or a folder above it, is one of the test modules `tests`
    /// (paths without `.rs`).
    pub(crate) fn mark_test_file(&mut self, tests: &BTreeSet<String>) {
        let stem = self.path.trim_end_matches(".rs");
        if tests.iter().any(|test| stem == test || stem.starts_with(&format!("{test}/"))) {
            self.product.items.clear();
        }
    }

    /// First component of the path.
    pub(crate) fn crate_name(&self) -> &str {
        self.path.split('/').next().unwrap_or_default()
    }

    /// Tokens outside tests, in order, brackets included.
    pub(crate) fn product_tokens(&self) -> Vec<Token> {
        tokens(&self.product)
    }

    /// Tokens of the whole file.
    pub(crate) fn all_tokens(&self) -> Vec<Token> {
        tokens(&self.tree)
    }
}

/// The package of tests, and the `tests` and `benches` folders of the others, are tests altogether.
fn is_test_path(path: &str) -> bool {
    let mut folders = path.split('/');
    folders.next() == Some("tests") || matches!(folders.next(), Some("tests" | "benches"))
}

/// Whether the attributes say that this exists only in test builds.
pub(crate) fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let condition = attribute.to_token_stream().to_string().replace(' ', "");
        condition.starts_with("#[cfg(test)") || condition.starts_with("#[cfg(all(test") || condition == "#[test]"
    })
}

struct WithoutTests;

impl VisitMut for WithoutTests {
    fn visit_file_mut(&mut self, file: &mut syn::File) {
        file.items.retain(|item| !is_test_only(attributes(item)));
        visit_mut::visit_file_mut(self, file);
    }

    fn visit_item_mod_mut(&mut self, module: &mut syn::ItemMod) {
        if let Some((_, items)) = &mut module.content {
            items.retain(|item| !is_test_only(attributes(item)));
        }
        visit_mut::visit_item_mod_mut(self, module);
    }

    fn visit_item_impl_mut(&mut self, block: &mut syn::ItemImpl) {
        block.items.retain(|item| !matches!(item, ImplItem::Fn(function) if is_test_only(&function.attrs)));
        visit_mut::visit_item_impl_mut(self, block);
    }
}

/// Attributes of the kinds of items that are made conditional on `test`.
fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn tokens(file: &syn::File) -> Vec<Token> {
    let mut tokens = Vec::new();
    flatten(file.to_token_stream(), &mut tokens);
    tokens
}

fn flatten(stream: TokenStream, tokens: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        match tree {
            TokenTree::Group(group) => {
                let (open, close) = brackets(group.delimiter());
                tokens.push(Token { text: open.into(), line });
                flatten(group.stream(), tokens);
                tokens.push(Token { text: close.into(), line: group.span_close().end().line });
            }
            tree => tokens.push(Token { text: tree.to_string(), line }),
        }
    }
}

fn brackets(delimiter: Delimiter) -> (&'static str, &'static str) {
    match delimiter {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    }
}

/// Paths (without `.rs`) of the files that this one declares as `#[cfg(test)] mod name;`.
pub(crate) fn file_modules_for_tests(source: &Source) -> Vec<String> {
    let modules = source.tree.items.iter().filter_map(|item| match item {
        Item::Mod(module) if module.content.is_none() && is_test_only(&module.attrs) => Some(module),
        _ => None,
    });
    modules.map(|module| child_path(&source.path, module)).collect()
}

fn child_path(parent: &str, module: &syn::ItemMod) -> String {
    let (folder, file) = parent.rsplit_once('/').unwrap_or(("", parent));
    if let Some(path) = explicit_path(&module.attrs) {
        return format!("{folder}/{}", path.trim_end_matches(".rs"));
    }
    match file {
        "mod.rs" | "lib.rs" | "main.rs" => format!("{folder}/{}", module.ident),
        _ => format!("{folder}/{}/{}", file.trim_end_matches(".rs"), module.ident),
    }
}

/// The value of `#[path = "..."]`.
fn explicit_path(attributes: &[Attribute]) -> Option<String> {
    let attribute = attributes.iter().find(|attribute| attribute.path().is_ident("path"))?;
    Some(attribute.to_token_stream().to_string().split('"').nth(1)?.to_owned())
}

#[test]
fn test_code_is_told_from_product_code() {
    let text = "fn a() {} #[cfg(test)] mod tests { fn b() {} } #[cfg(test)] use c; \
                impl X { #[cfg(test)] fn d() {} fn e() {} } #[cfg(not(test))] fn f() {} mod m { #[test] fn g() {} }";
    let words = Source::parse("proxy/src/x.rs", text).product_tokens();
    let names: Vec<&str> = words.iter().map(|token| token.text.as_str()).filter(|word| word.len() == 1).collect();
    for (name, product) in
        [("a", true), ("b", false), ("c", false), ("d", false), ("e", true), ("f", true), ("g", false)]
    {
        assert_eq!(names.contains(&name), product, "{name}");
    }
}

#[test]
fn whole_files_can_be_test_code() {
    assert!(Source::parse("proxy/tests/x.rs", "fn a() {}").product_tokens().is_empty());
    let parent =
        Source::parse("router/src/x.rs", "#[cfg(test)] mod tests; #[cfg(test)] #[path = \"y_tests.rs\"] mod z;");
    let tests: BTreeSet<String> = file_modules_for_tests(&parent).into_iter().collect();
    assert_eq!(tests, BTreeSet::from(["router/src/x/tests".to_owned(), "router/src/y_tests".to_owned()]));
    let mut child = Source::parse("router/src/x/tests/deeper.rs", "fn a() {}");
    assert!(!child.product_tokens().is_empty());
    child.mark_test_file(&tests);
    assert!(child.product_tokens().is_empty());
}
