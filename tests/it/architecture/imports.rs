//! Every path into the crate that a source file holds: `use` declarations and paths in the code, macros included.

use std::collections::BTreeMap;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// A file of `src/`.
#[derive(Debug)]
pub(super) struct Source {
    /// Its path, from `src/` on.
    pub(super) file: String,
    /// Its module path: `["journal", "reader"]`; empty for `lib.rs`.
    module: Vec<String>,
    pub(super) imports: Vec<Import>,
    /// Names that it only hands on, with the path where each is.
    reexports: BTreeMap<String, Vec<String>>,
    /// The types and traits that it declares, outside of `impl` blocks.
    pub(super) types: Vec<String>,
}

/// A path into the crate.
#[derive(Debug, Clone)]
pub(super) struct Import {
    /// The path behind `crate::`.
    pub(super) path: Vec<String>,
}

impl Source {
    /// The top module of this file; none for `lib.rs` and `main.rs`.
    pub(super) fn module(&self) -> Option<&str> {
        self.module.first().map(String::as_str)
    }

    /// The file that holds what a path names. A name that a file only hands on is in the file from which it comes.
    pub(super) fn holding<'a>(sources: &'a [Self], path: &[String]) -> Option<&'a str> {
        let of = |path: &[String]| sources.iter().find(|source| source.module == path);
        let (source, rest) =
            (0..=path.len()).rev().find_map(|end| Some((of(&path[..end])?, &path[end..])))?;
        match rest.first().and_then(|name| source.reexports.get(name)) {
            Some(origin) => Self::holding(sources, origin),
            None => Some(&source.file),
        }
    }
}

/// All files of `src/` but for tests.
pub(super) fn sources() -> Vec<Source> {
    let mut sources = vec![];
    let mut folders = vec![Path::new("src").to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let is_source = path.extension().is_some_and(|ending| ending == "rs");
            if path.is_dir() && !["tests", "fuzzing"].contains(&name) {
                folders.push(path);
            } else if is_source && !name.starts_with("test") && name != "fixtures.rs" {
                sources.push(read(&path));
            }
        }
    }
    assert!(sources.len() > 100, "the files of src/ are found");
    sources
}

fn read(path: &Path) -> Source {
    let file = path.strip_prefix("src").unwrap().to_str().unwrap().to_owned();
    let parts = file.trim_end_matches(".rs").split('/');
    let module: Vec<String> =
        parts.filter(|part| !["mod", "lib", "main"].contains(part)).map(str::to_owned).collect();
    let is_folder = file.ends_with("mod.rs") || file == "lib.rs";
    let text = std::fs::read_to_string(path).unwrap();
    let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut reader =
        Reader { module: &module, is_folder, imports: vec![], reexports: BTreeMap::new(), types: vec![] };
    reader.read_types(&tokens);
    reader.read(tokens);
    let Reader { imports, reexports, types, .. } = reader;
    let imports = imports.into_iter().map(|path| Import { path }).collect();
    Source { file, module, imports, reexports, types }
}

struct Reader<'a> {
    module: &'a [String],
    is_folder: bool,
    imports: Vec<Vec<String>>,
    reexports: BTreeMap<String, Vec<String>>,
    types: Vec<String>,
}

impl Reader<'_> {
    /// The declarations at the top level of a file.
    fn read_types(&mut self, tokens: &TokenStream) {
        let tokens: Vec<TokenTree> = tokens.clone().into_iter().collect();
        for pair in tokens.windows(2) {
            if let [TokenTree::Ident(keyword), TokenTree::Ident(name)] = pair
                && ["struct", "enum", "trait", "type"].contains(&keyword.to_string().as_str())
            {
                self.types.push(name.to_string());
            }
        }
    }

    fn read(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            if is_of_tests(&tokens[at..]) {
                at = end_of_item(&tokens, at + 2);
            } else if let Some(length) = self.reexport(&tokens[at..]) {
                at += length;
            } else if let Some(base) = self.base(&tokens, at) {
                let (paths, length) = paths_behind(&tokens[at + 1..]);
                self.imports.extend(paths.into_iter().map(|path| [base.clone(), path].concat()));
                at += 1 + length;
            } else {
                if let TokenTree::Group(group) = &tokens[at] {
                    self.read(group.stream());
                }
                at += 1;
            }
        }
        self.imports.retain(|path| !path.is_empty());
    }

    /// `pub use child::Name;` in a folder's own file hands a name on. It is no use of the child.
    fn reexport(&mut self, tokens: &[TokenTree]) -> Option<usize> {
        if !self.is_folder || !is_ident(tokens.first()?, "pub") {
            return None;
        }
        let restricted =
            matches!(tokens.get(1)?, TokenTree::Group(group) if group.delimiter() == Delimiter::Parenthesis);
        let at = if restricted { 2 } else { 1 };
        if !is_ident(tokens.get(at)?, "use") {
            return None;
        }
        let end = tokens.iter().position(|token| is_punct(token, ';'))?;
        let (paths, _) = paths_behind_name(&tokens[at + 1..end]);
        for path in paths {
            let inside =
                if path.first().is_some_and(|first| first == "self") { &path[1..] } else { &path[..] };
            let name = path.last()?.clone();
            self.reexports.insert(name, [self.module, inside].concat());
        }
        Some(end + 1)
    }

    /// The module in which a path begins, where the token begins one: `crate`, `self` and `super`, each before `::`.
    fn base(&self, tokens: &[TokenTree], at: usize) -> Option<Vec<String>> {
        let is_path = |at: usize| {
            tokens.get(at + 1).is_some_and(|token| is_punct(token, ':'))
                && tokens.get(at + 2).is_some_and(|token| is_punct(token, ':'))
        };
        if !is_path(at) {
            return None;
        }
        let depth = self.module.len();
        match &tokens[at] {
            TokenTree::Ident(ident) if ident == "crate" => Some(vec![]),
            TokenTree::Ident(ident) if ident == "self" => Some(self.module.to_vec()),
            TokenTree::Ident(ident) if ident == "super" => {
                Some(self.module[..depth.checked_sub(1)?].to_vec())
            }
            _ => None,
        }
    }
}

/// `#[cfg(test)]` stands before something.
fn is_of_tests(tokens: &[TokenTree]) -> bool {
    match tokens {
        [TokenTree::Punct(hash), TokenTree::Group(group), ..] if hash.as_char() == '#' => {
            group.stream().to_string().replace(' ', "") == "cfg(test)"
        }
        _ => false,
    }
}

/// Behind the item that begins at `at`: its block, or its semicolon.
fn end_of_item(tokens: &[TokenTree], at: usize) -> usize {
    let is_end = |token: &TokenTree| match token {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        other => is_punct(other, ';'),
    };
    tokens[at..].iter().position(is_end).map_or(tokens.len(), |length| at + length + 1)
}

/// The paths that follow `::`, of which there are several where a group in braces follows, and how many tokens they take.
fn paths_behind(tokens: &[TokenTree]) -> (Vec<Vec<String>>, usize) {
    match tokens {
        [colon, other, rest @ ..] if is_punct(colon, ':') && is_punct(other, ':') => {
            let (paths, length) = paths_behind_name(rest);
            (paths, length + 2)
        }
        _ => (vec![vec![]], 0),
    }
}

/// The paths that begin with a name or with a group in braces.
fn paths_behind_name(tokens: &[TokenTree]) -> (Vec<Vec<String>>, usize) {
    match tokens.first() {
        Some(TokenTree::Ident(ident)) => {
            let (paths, length) = paths_behind(&tokens[1..]);
            let name = ident.to_string();
            (paths.into_iter().map(|path| [vec![name.clone()], path].concat()).collect(), length + 1)
        }
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
            let inside: Vec<TokenTree> = group.stream().into_iter().collect();
            let each = inside.split(|token| is_punct(token, ','));
            (each.filter(|each| !each.is_empty()).flat_map(|each| paths_behind_name(each).0).collect(), 1)
        }
        _ => (vec![vec![]], 0),
    }
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}
