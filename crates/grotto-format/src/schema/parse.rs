//! Reads the schema language.
//!
//! Owns: characters, words and the grammar; the result is a list of declarations. Never checks
//! what names mean (see `resolve`). Spec: `docs/format/spec.md`, section "Schema".
//!
//! ```text
//! City @PrimaryKey(geonameid) { long geonameid; String country; ListOfString names; }
//! String { string value; }          // a wrapper: stored once, shared by all who refer to it
//! ListOfString List<String>;
//! SetOfCity Set<City> @HashKey(geonameid);
//! MapOfCity Map<String, City> @HashKey(value);
//! ```

use super::declare::{Declaration, DeclaredField, DeclaredKind, Name, is_name_char};
use super::{FieldType, Schema, resolve};

/// Longest schema text, in bytes.
pub const MAX_TEXT: usize = 1 << 20;

/// Why a schema is not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SchemaError {
    /// Line, from 1; 0 when the schema does not come from a text.
    pub line: u32,
    /// Column in characters, from 1; 0 when the schema does not come from a text.
    pub column: u32,
    /// What was expected and what was found.
    pub message: String,
}

impl std::fmt::Display for SchemaError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.line {
            0 => write!(f, "schema: {}", self.message),
            line => write!(
                f,
                "schema line {line}, column {}: {}",
                self.column, self.message
            ),
        }
    }
}

impl From<SchemaError> for grotto_error::Error {
    fn from(error: SchemaError) -> Self {
        Self::showing(grotto_error::ErrorKind::Invalid, error)
    }
}

impl SchemaError {
    /// An error about a declared name, at its place.
    pub(super) fn at(name: &Name, message: String) -> Self {
        Self {
            line: name.line,
            column: name.column,
            message,
        }
    }
}

pub(super) fn parse(text: &str) -> Result<Schema, SchemaError> {
    if text.len() > MAX_TEXT {
        let message = format!(
            "expected at most {MAX_TEXT} bytes of text, found {}",
            text.len()
        );
        return Err(SchemaError {
            line: 1,
            column: 1,
            message,
        });
    }
    let mut parser = Parser::new(text)?;
    let mut declarations = Vec::new();
    while parser.word != Word::End {
        declarations.push(parser.declaration()?);
    }
    if declarations.is_empty() {
        return Err(parser.unexpected("a type declaration"));
    }
    resolve::resolve(&declarations)
}

/// The smallest unit of the language.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Word<'t> {
    Name(&'t str),
    Mark(char),
    End,
}

struct Parser<'t> {
    rest: &'t str,
    /// Place of the next unread character.
    line: u32,
    column: u32,
    /// The word to be read next, and its place.
    word: Word<'t>,
    word_line: u32,
    word_column: u32,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str) -> Result<Self, SchemaError> {
        let mut parser = Self {
            rest: text,
            line: 1,
            column: 1,
            word: Word::End,
            word_line: 1,
            word_column: 1,
        };
        parser.advance()?;
        Ok(parser)
    }

    /// Steps over `length` bytes and counts lines and columns.
    fn skip(&mut self, length: usize) -> &'t str {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .unwrap_or((self.rest, ""));
        for c in taken.chars() {
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.rest = rest;
        taken
    }

    fn skip_blank(&mut self) -> Result<(), SchemaError> {
        loop {
            let blank = self.rest.len() - self.rest.trim_start().len();
            self.skip(blank);
            if self.rest.starts_with("//") {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.skip(end);
            } else if self.rest.starts_with("/*") {
                let Some(end) = self.rest[2..].find("*/") else {
                    return Err(SchemaError {
                        line: self.line,
                        column: self.column,
                        message: "expected \"*/\" after this comment, found end of text".into(),
                    });
                };
                self.skip(end + 4);
            } else {
                return Ok(());
            }
        }
    }

    /// Reads the next word.
    fn advance(&mut self) -> Result<(), SchemaError> {
        self.skip_blank()?;
        (self.word_line, self.word_column) = (self.line, self.column);
        let name = self
            .rest
            .find(|c| !is_name_char(c))
            .unwrap_or(self.rest.len());
        self.word = match self.rest.chars().next() {
            None => Word::End,
            Some(first) if name == 0 || first.is_ascii_digit() => {
                self.skip(first.len_utf8());
                Word::Mark(first)
            }
            Some(_) => Word::Name(self.skip(name)),
        };
        Ok(())
    }

    fn unexpected(&self, expected: &str) -> SchemaError {
        let found = match self.word {
            Word::Name(name) => format!("\"{}\"", shortened(name)),
            Word::Mark(mark) => format!("\"{}\"", mark.escape_debug()),
            Word::End => "end of text".to_owned(),
        };
        SchemaError {
            line: self.word_line,
            column: self.word_column,
            message: format!("expected {expected}, found {found}"),
        }
    }

    fn name(&mut self, expected: &str) -> Result<Name, SchemaError> {
        let Word::Name(text) = self.word else {
            return Err(self.unexpected(expected));
        };
        let name = Name {
            text: text.to_owned(),
            line: self.word_line,
            column: self.word_column,
        };
        self.advance()?;
        Ok(name)
    }

    fn is(&self, mark: char) -> bool {
        self.word == Word::Mark(mark)
    }

    fn mark(&mut self, mark: char) -> Result<(), SchemaError> {
        if !self.is(mark) {
            return Err(self.unexpected(&format!("\"{mark}\"")));
        }
        self.advance()
    }

    fn declaration(&mut self) -> Result<Declaration, SchemaError> {
        let name = self.name("a type name")?;
        let kind = match self.word {
            Word::Mark('{') => self.object(None)?,
            Word::Mark('@') => self.object_with_key()?,
            Word::Name("List") => self.list()?,
            Word::Name("Set") => self.set()?,
            Word::Name("Map") => self.map()?,
            _ => {
                return Err(self.unexpected("\"{\", \"@PrimaryKey\", \"List\", \"Set\" or \"Map\""));
            }
        };
        Ok(Declaration { name, kind })
    }

    fn object_with_key(&mut self) -> Result<DeclaredKind, SchemaError> {
        let key = self.annotation("PrimaryKey")?;
        if let Word::Name("List" | "Set" | "Map") = self.word {
            return Err(self.unexpected("\"{\", because only object types have a primary key"));
        }
        self.object(Some(key))
    }

    fn object(&mut self, primary_key: Option<Vec<Name>>) -> Result<DeclaredKind, SchemaError> {
        self.mark('{')?;
        let mut fields = Vec::new();
        while !self.is('}') {
            let ty = self.name("a field type or \"}\"")?;
            let name = self.name("a field name")?;
            self.mark(';')?;
            fields.push(DeclaredField { name, ty });
        }
        self.mark('}')?;
        Ok(DeclaredKind::Object {
            fields,
            primary_key,
        })
    }

    fn list(&mut self) -> Result<DeclaredKind, SchemaError> {
        self.advance()?;
        self.mark('<')?;
        let element = self.element()?;
        self.mark('>')?;
        if self.is('@') {
            return Err(self.unexpected("\";\", because a list has no key"));
        }
        self.mark(';')?;
        Ok(DeclaredKind::List { element })
    }

    fn set(&mut self) -> Result<DeclaredKind, SchemaError> {
        self.advance()?;
        self.mark('<')?;
        let element = self.element()?;
        self.mark('>')?;
        let hash_key = self.hash_key()?;
        self.mark(';')?;
        Ok(DeclaredKind::Set { element, hash_key })
    }

    fn map(&mut self) -> Result<DeclaredKind, SchemaError> {
        self.advance()?;
        self.mark('<')?;
        let key = self.element()?;
        self.mark(',')?;
        let value = self.element()?;
        self.mark('>')?;
        let hash_key = self.hash_key()?;
        self.mark(';')?;
        Ok(DeclaredKind::Map {
            key,
            value,
            hash_key,
        })
    }

    fn element(&mut self) -> Result<Name, SchemaError> {
        self.name("the name of a type")
    }

    fn hash_key(&mut self) -> Result<Option<Vec<Name>>, SchemaError> {
        if self.is('@') {
            self.annotation("HashKey").map(Some)
        } else {
            Ok(None)
        }
    }

    /// `@Name(path, path)`
    fn annotation(&mut self, expected: &str) -> Result<Vec<Name>, SchemaError> {
        self.mark('@')?;
        if self.word != Word::Name(expected) {
            return Err(self.unexpected(&format!("\"{expected}\"")));
        }
        self.advance()?;
        self.mark('(')?;
        let mut paths = vec![self.path()?];
        while self.is(',') {
            if paths.len() == resolve::MAX_KEY_PATHS {
                let most = format!("at most {} paths in a key", resolve::MAX_KEY_PATHS);
                return Err(self.unexpected(&most));
            }
            self.advance()?;
            paths.push(self.path()?);
        }
        self.mark(')')?;
        Ok(paths)
    }

    fn path(&mut self) -> Result<Name, SchemaError> {
        let mut path = self.name("a field path")?;
        while self.is('.') {
            self.advance()?;
            let step = self.name("a field name")?;
            path.text.push('.');
            path.text.push_str(&step.text);
        }
        Ok(path)
    }
}

/// At most 40 characters of a name, for a message.
pub(super) fn shortened(name: &str) -> String {
    match name.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}

/// What a message says about a name that is a scalar type where a declared type is needed.
pub(super) fn scalar_hint(name: &str) -> Option<String> {
    FieldType::from_keyword(name)?;
    let mut wrapper = name.to_owned();
    wrapper[..1].make_ascii_uppercase();
    Some(format!(
        " (declare {wrapper} {{ {name} value; }} and use {wrapper})"
    ))
}
