//! WIT documentation, which a component's types do not carry: the text of the `.wit` files in custom sections named
//! `pawl:wit` of the component, one file a section or all in one.
//!
//! Invariant: documentation only adds words to what the component's own types say. A section that is missing, too
//! long or not WIT leaves the words out; it is never an error and never changes a type.
//!
//! Three conventions beyond WIT, in doc comments:
//! - in a function's: a line `- name: text` documents the parameter of that name, for which WIT has no place; lines
//!   that follow, up to an empty one or the next `-`, belong to it;
//! - in a field's or a parameter's: a line `@pattern REGEX` is the JSON Schema `pattern` of that string;
//! - everything else is the description, as written.

use std::path::Path;

use wasmparser::{Parser, Payload};
use wit_parser::{
    Function, Interface, SourceMap, Type, TypeDefKind, UnresolvedPackage, UnresolvedPackageGroup, WorldItem,
};

use crate::error::Error;
use crate::section::{self, WIT as SECTION};

/// The longest WIT text that is read, in bytes.
const MAX_TEXT: usize = 256 << 10;
/// The most sections that are read.
const MAX_SECTIONS: usize = 64;
/// The longest description of a function, in characters. It goes into prompts.
const MAX_FUNCTION: usize = 2048;
/// The longest description of a parameter, field or type, in characters.
const MAX_ITEM: usize = 512;
/// The longest `@pattern`, in bytes.
const MAX_PATTERN: usize = 256;
/// How deep brackets may nest in it.
const MAX_NESTING: usize = 100;
/// Stack for parsing it, in bytes.
const PARSER_STACK: usize = 16 << 20;
/// How many aliases are followed from a name to its type.
const MAX_ALIASES: usize = 32;

/// A component file with the text of the `.wit` files of a folder inside: what is said there of its functions and types reaches
/// whoever is offered them. What was there of such text goes; no folder leaves none.
///
/// # Errors
/// `Error::Io` where a file cannot be read, `Error::NotAComponent` where the first is none.
pub fn embed_wit(component: &Path, folder: &Path) -> Result<Vec<u8>, Error> {
    let bytes =
        std::fs::read(component).map_err(|source| Error::Io { path: component.to_path_buf(), source })?;
    let texts = section::wit_texts(folder).map_err(|(path, source)| Error::Io { path, source })?;
    section::with_sections(&bytes, SECTION, &texts).map_err(|message| Error::NotAComponent {
        path: component.to_path_buf(),
        message: message.to_owned(),
    })
}

/// The documentation of one component.
#[derive(Default)]
pub(crate) struct Docs {
    packages: Vec<UnresolvedPackage>,
}

/// What is said of one item.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Doc {
    pub(crate) text: String,
    pub(crate) pattern: Option<String>,
}

impl Docs {
    /// The documentation inside a component file.
    pub(crate) fn read(component: &[u8]) -> Docs {
        let mut sources = SourceMap::default();
        let (mut bytes, mut sections) = (0_usize, 0);
        for payload in Parser::new(0).parse_all(component) {
            let Ok(Payload::CustomSection(section)) = payload else { continue };
            if section.name() != SECTION {
                continue;
            }
            sections += 1;
            if sections > MAX_SECTIONS {
                tracing::warn!("more than {MAX_SECTIONS} sections {SECTION}; the others are left out");
                break;
            }
            bytes = bytes.saturating_add(section.data().len());
            match std::str::from_utf8(section.data()) {
                Ok(text) if bytes <= MAX_TEXT && nesting(text) <= MAX_NESTING => {
                    sources.push(Path::new(&format!("{bytes}.wit")), text)
                }
                _ => tracing::warn!(
                    "section {SECTION} is not UTF-8, over {MAX_TEXT} bytes or nested too deeply; descriptions are left out"
                ),
            }
        }
        if bytes == 0 {
            return Docs::default();
        }
        // The parser recurses and is not ours, so it gets a stack of its own, and its panic is only an error.
        let parse = || sources.parse().map_err(|(sources, error)| error.render(&sources));
        let thread = std::thread::Builder::new().stack_size(PARSER_STACK);
        let parsed = std::thread::scope(|scope| match thread.spawn_scoped(scope, parse) {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err("the parser failed".to_owned())),
            Err(error) => Err(error.to_string()),
        });
        match parsed {
            Ok(UnresolvedPackageGroup { main, mut nested, .. }) => {
                nested.insert(0, main);
                Docs { packages: nested }
            }
            Err(error) => {
                tracing::warn!("section {SECTION} is no WIT; descriptions are left out: {error}");
                Docs::default()
            }
        }
    }

    #[cfg(feature = "fuzzing")]
    pub(crate) fn packages(&self) -> usize {
        self.packages.len()
    }

    /// A function of an exported interface (`ns:package/name@version`, or a plain name), or of the world itself.
    pub(crate) fn function(&self, interface: Option<&str>, name: &str) -> FunctionDocs<'_> {
        let found = match interface {
            Some(interface) => self.in_interface(interface, name),
            None => self.packages.iter().find_map(|package| {
                let mut exports = package.worlds.iter().flat_map(|(_, world)| world.exports.values());
                exports.find_map(|item| match item {
                    WorldItem::Function(function) if function.name == name => Some((package, function)),
                    _ => None,
                })
            }),
        };
        FunctionDocs {
            found,
            comment: found.map(|(_, function)| Comment::parse(function)).unwrap_or_default(),
        }
    }

    fn in_interface(&self, export: &str, name: &str) -> Option<(&UnresolvedPackage, &Function)> {
        let (package_name, interface_name) = match export.split_once('/') {
            Some((package, interface)) => (Some(package), interface.split('@').next().unwrap_or(interface)),
            None => (None, export),
        };
        self.packages
            .iter()
            .filter(|package| {
                let own = format!("{}:{}", package.name.namespace, package.name.name);
                package_name.is_none_or(|wanted| wanted == own)
            })
            .find_map(|package| {
                let named =
                    package.interfaces.iter().find(|(_, i)| i.name.as_deref() == Some(interface_name));
                let interface =
                    named.map(|(_, interface)| interface).or_else(|| inline(package, interface_name))?;
                Some((package, interface.functions.get(name)?))
            })
    }
}

/// `export NAME: interface { … }` within a world.
fn inline<'a>(package: &'a UnresolvedPackage, name: &str) -> Option<&'a Interface> {
    let mut exports = package.worlds.iter().flat_map(|(_, world)| &world.exports);
    exports.find_map(|(key, item)| match (key, item) {
        (wit_parser::WorldKey::Name(key), WorldItem::Interface { id, .. }) if key == name => {
            Some(&package.interfaces[*id])
        }
        _ => None,
    })
}

/// What is said of one function.
pub(crate) struct FunctionDocs<'a> {
    found: Option<(&'a UnresolvedPackage, &'a Function)>,
    comment: Comment,
}

impl<'a> FunctionDocs<'a> {
    /// The description, without the lines about parameters.
    pub(crate) fn text(&self) -> String {
        bounded(&self.comment.text, MAX_FUNCTION)
    }

    /// A parameter and its type.
    pub(crate) fn parameter(&self, name: &str) -> (Doc, TypeDocs<'a>) {
        let doc = self.comment.parameters.iter().find(|(known, _)| known == name);
        let doc = doc.map(|(_, text)| Doc::parse(Some(text))).unwrap_or_default();
        let ty = self.found.and_then(|(package, function)| {
            let parameter = function.params.iter().find(|parameter| parameter.name == name)?;
            Some((package, parameter.ty))
        });
        (doc, TypeDocs(ty))
    }

    /// The type of the result.
    pub(crate) fn result(&self) -> TypeDocs<'a> {
        TypeDocs(self.found.and_then(|(package, function)| Some((package, function.result?))))
    }
}

/// A place in the WIT text that runs beside a place in the component's types.
#[derive(Clone, Copy)]
pub(crate) struct TypeDocs<'a>(Option<(&'a UnresolvedPackage, Type)>);

impl<'a> TypeDocs<'a> {
    /// What is said of the type itself: at the first of its names that says anything.
    pub(crate) fn doc(&self) -> Doc {
        let mut here = self.0;
        for _ in 0..MAX_ALIASES {
            let Some((package, Type::Id(id))) = here else { break };
            let definition = &package.types[id];
            if definition.docs.contents.is_some() {
                return Doc::parse(definition.docs.contents.as_deref());
            }
            here = match definition.kind {
                TypeDefKind::Type(ty) => Some((package, ty)),
                _ => None,
            };
        }
        Doc::default()
    }

    /// A field of a record.
    pub(crate) fn field(&self, name: &str) -> (Doc, TypeDocs<'a>) {
        let found = self.definition().and_then(|(package, kind)| match kind {
            TypeDefKind::Record(record) => {
                record.fields.iter().find(|field| field.name == name).map(|field| (package, field))
            }
            _ => None,
        });
        match found {
            Some((package, field)) => {
                (Doc::parse(field.docs.contents.as_deref()), TypeDocs(Some((package, field.ty))))
            }
            None => (Doc::default(), TypeDocs(None)),
        }
    }

    /// A case of a variant or an enum, or a flag.
    pub(crate) fn case(&self, name: &str) -> (Doc, TypeDocs<'a>) {
        let Some((package, kind)) = self.definition() else { return (Doc::default(), TypeDocs(None)) };
        let (docs, ty) = match kind {
            TypeDefKind::Variant(variant) => {
                let case = variant.cases.iter().find(|case| case.name == name);
                (case.map(|case| &case.docs), case.and_then(|case| case.ty))
            }
            TypeDefKind::Enum(wanted) => {
                (wanted.cases.iter().find(|case| case.name == name).map(|case| &case.docs), None)
            }
            TypeDefKind::Flags(flags) => {
                (flags.flags.iter().find(|flag| flag.name == name).map(|flag| &flag.docs), None)
            }
            _ => (None, None),
        };
        let doc = Doc::parse(docs.and_then(|docs| docs.contents.as_deref()));
        (doc, TypeDocs(ty.map(|ty| (package, ty))))
    }

    /// The type within a list or an option, or the nth of a tuple; 0 and 1 of a result are `ok` and `err`.
    pub(crate) fn inner(&self, index: usize) -> TypeDocs<'a> {
        TypeDocs(self.definition().and_then(|(package, kind)| {
            let ty = match (kind, index) {
                (TypeDefKind::List(ty) | TypeDefKind::Option(ty), 0) => Some(*ty),
                (TypeDefKind::Tuple(tuple), index) => tuple.types.get(index).copied(),
                (TypeDefKind::Result(result), 0) => result.ok,
                (TypeDefKind::Result(result), 1) => result.err,
                _ => None,
            };
            Some((package, ty?))
        }))
    }

    /// The type behind its names.
    fn definition(&self) -> Option<(&'a UnresolvedPackage, &'a TypeDefKind)> {
        let (package, mut ty) = self.0?;
        for _ in 0..MAX_ALIASES {
            let Type::Id(id) = ty else { return None };
            match &package.types[id].kind {
                TypeDefKind::Type(aliased) => ty = *aliased,
                kind => return Some((package, kind)),
            }
        }
        None
    }
}

impl Doc {
    fn parse(comment: Option<&str>) -> Doc {
        let mut pattern = None;
        let mut lines = Vec::new();
        for line in comment.unwrap_or_default().lines() {
            match line.trim().strip_prefix("@pattern ") {
                Some(regex) if regex.len() <= MAX_PATTERN => pattern = Some(regex.trim().to_owned()),
                Some(_) => {}
                None => lines.push(line),
            }
        }
        Doc { text: bounded(lines.join("\n").trim(), MAX_ITEM), pattern }
    }

    /// What is said here, and where nothing is said, what `other` says.
    pub(crate) fn or(self, other: Doc) -> Doc {
        let text = if self.text.is_empty() { other.text } else { self.text };
        Doc { text, pattern: self.pattern.or(other.pattern) }
    }
}

/// A function's doc comment, taken apart.
#[derive(Default)]
struct Comment {
    text: String,
    parameters: Vec<(String, String)>,
}

impl Comment {
    fn parse(function: &Function) -> Comment {
        let mut comment = Comment::default();
        let mut current: Option<usize> = None;
        for line in function.docs.contents.as_deref().unwrap_or_default().lines() {
            let named = line.trim().strip_prefix("- ").and_then(|rest| rest.split_once(':'));
            let named =
                named.map(|(name, text)| (name.trim().trim_matches('`').trim_start_matches('%'), text));
            match named.filter(|(name, _)| function.params.iter().any(|parameter| parameter.name == *name)) {
                Some((name, text)) => {
                    comment.parameters.push((name.to_owned(), text.trim().to_owned()));
                    current = Some(comment.parameters.len() - 1);
                }
                None if line.trim().is_empty() || line.trim_start().starts_with("- ") => {
                    current = None;
                    comment.push(line);
                }
                None => match current {
                    Some(index) => {
                        let text = &mut comment.parameters[index].1;
                        text.push('\n');
                        text.push_str(line.trim());
                    }
                    None => comment.push(line),
                },
            }
        }
        comment.text = comment.text.trim().to_owned();
        comment
    }

    fn push(&mut self, line: &str) {
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}

/// How deep the brackets of a WIT text nest, comments left out.
fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest, mut comment) = (0_usize, 0, 0_usize);
    let mut rest = text.as_bytes();
    while let [byte, after @ ..] = rest {
        rest = after;
        match (byte, after.first()) {
            (b'/', Some(b'*')) => (comment, rest) = (comment + 1, &after[1..]),
            (b'*', Some(b'/')) if comment > 0 => (comment, rest) = (comment - 1, &after[1..]),
            _ if comment > 0 => {}
            (b'/', Some(b'/')) => {
                let line = after.iter().position(|byte| *byte == b'\n').unwrap_or(after.len());
                rest = &after[line..];
            }
            (b'-', Some(b'>')) => rest = &after[1..],
            (b'<' | b'(' | b'{', _) => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            (b'>' | b')' | b'}', _) => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// At most `characters` of the text, cut with an ellipsis; control characters become spaces.
fn bounded(text: &str, characters: usize) -> String {
    let clean = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
    match text.char_indices().nth(characters) {
        None => text.chars().map(clean).collect(),
        Some((end, _)) => text[..end].chars().map(clean).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting_counts_brackets_outside_comments() {
        assert_eq!(nesting("interface i { f: func(a: list<list<u8>>) -> list<u8>; }"), 4);
        assert_eq!(nesting("{ // <<<<\n/* <<< /* < */ <<< */ } // {{{"), 1);
        assert_eq!(nesting("/* { */ {{ /* } */ { /"), 3);
        assert_eq!(nesting(&"list<".repeat(50_000)), 50_000);
        assert_eq!(nesting(&"list< /* > */".repeat(5_000)), 5_000);
    }

    #[test]
    fn wit_that_would_exhaust_the_parser_is_left_out() {
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        let deep = format!("package a:b; interface i {{ type t = {}u8", "list<".repeat(40_000));
        crate::testing::section(&mut component, SECTION, deep.as_bytes());
        assert!(Docs::read(&component).packages.is_empty());
        let mut aliases = "package a:b; interface i { type t0 = u8;".to_owned();
        for n in 1..8_000 {
            aliases += &format!("type t{n} = t{};", n - 1);
        }
        aliases += "f: func(x: t7999); } world w { export i; }";
        let mut component = b"\0asm\x0d\0\x01\0".to_vec();
        crate::testing::section(&mut component, SECTION, aliases.as_bytes());
        let docs = Docs::read(&component);
        assert_eq!(docs.function(Some("a:b/i"), "f").parameter("x").0, Doc::default());
    }
}
