//! The arguments of every attribute: `"^/"`, `key`, `key = value` and the path of an operation.
//!
//! A [`Grammar`] lists the keys of an attribute. The errors are the same for all attributes: one at the user's token, which names the key.

use crate::crate_path::CratePath;
use crate::error::{Errors, suggest};
use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Attribute, Expr, Ident, Lit, LitInt, LitStr, Meta, Path, Token};

/// The keys that an attribute accepts.
pub(crate) struct Grammar {
    /// The name of the attribute.
    pub(crate) attribute: &'static str,
    pub(crate) keys: &'static [Key],
    /// A value without a key belongs to the first key.
    pub(crate) first_without_key: bool,
    /// The path of an operation is accepted.
    pub(crate) takes_operation: bool,
    /// Returns the error for a word that is not a key here, but that the user has a reason to expect.
    pub(crate) elsewhere: fn(attribute: &str, word: &str) -> Option<String>,
}

#[derive(Clone, Copy)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) wants: Wants,
    /// A value as the user writes it, for the help of an error. Empty for a flag.
    pub(crate) example: &'static str,
}

/// The kind of value that a key wants.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wants {
    /// A string literal.
    Text,
    /// A string literal that contains an integer and a unit.
    Duration,
    /// An integer of at least 1.
    Count,
    /// No value.
    Flag,
    /// A list of string literals.
    Texts,
    /// The path of the crate `brubeck`.
    Crate,
}

/// The key that every attribute has.
pub(crate) const CRATE: Key = Key::new("crate", Wants::Crate, "jazz");

enum Value {
    Text(LitStr),
    Count(LitInt),
    Flag,
    Texts(Vec<LitStr>),
    Crate(CratePath),
    /// Invalid; the error was reported.
    Broken,
}

/// The parsed arguments of an attribute.
#[derive(Default)]
pub(crate) struct Arguments {
    values: Vec<(&'static str, Value)>,
    /// The operation of a contract.
    pub(crate) operation: Option<Path>,
    /// Every key as written, also if it is unknown or has no value, for completion in an editor.
    pub(crate) words: Vec<Ident>,
    /// Set if some arguments were not parsed, because of a syntax error.
    pub(crate) is_cut: bool,
}

impl Grammar {
    /// Returns a grammar in which every value has a key.
    pub(crate) const fn new(attribute: &'static str, keys: &'static [Key]) -> Grammar {
        Grammar {
            attribute,
            keys,
            first_without_key: false,
            takes_operation: false,
            elsewhere: |_, _| None,
        }
    }

    /// Parses arguments up to the first syntax error. Reports that error, and every invalid argument before it.
    pub(crate) fn parse(&self, tokens: TokenStream, errors: &Errors) -> Arguments {
        let mut arguments = Arguments::default();
        let result = (|input: ParseStream<'_>| self.read(&mut arguments, input, errors)).parse2(tokens);
        arguments.is_cut |= errors.keep(result).is_none();
        arguments
    }

    /// Parses the arguments of attributes such as `#[state(skip)]`. Several attributes of this name are read like one.
    pub(crate) fn parse_attributes(&self, attributes: &[Attribute], errors: &Errors) -> Arguments {
        let mut tokens = TokenStream::new();
        for attribute in attributes
            .iter()
            .filter(|attribute| attribute.path().is_ident(self.attribute))
        {
            let given = match &attribute.meta {
                Meta::List(list) => list.tokens.clone(),
                Meta::Path(_) => TokenStream::new(),
                Meta::NameValue(pair) => {
                    let (name, value) = (self.attribute, pair.value.to_token_stream());
                    errors.on(
                        attribute,
                        format!(
                            "`#[{name}]` takes its arguments in parentheses\nhelp: write `#[{name}({})]`",
                            if self.first_without_key {
                                value.to_string()
                            } else {
                                self.keys.first().map(Key::written).unwrap_or_default()
                            }
                        ),
                    );
                    if self.first_without_key {
                        value
                    } else {
                        TokenStream::new()
                    }
                }
            };
            if !tokens.is_empty() {
                <Token![,]>::default().to_tokens(&mut tokens);
            }
            tokens.extend(given);
        }
        self.parse(tokens, errors)
    }

    fn read(&self, arguments: &mut Arguments, input: ParseStream<'_>, errors: &Errors) -> syn::Result<()> {
        while !input.is_empty() {
            let is_word = input.peek(Ident::peek_any) && !input.peek(Lit);
            if is_word && is_pair(input) {
                self.read_pair(arguments, input, errors)?;
            } else if input.peek(Token![::]) || is_word && !input.peek2(Token![!]) {
                self.read_word(arguments, input.call(Path::parse_mod_style)?, errors);
            } else {
                self.read_value(arguments, input, errors)?;
            }
            // The tokens after a mistake are a part of it.
            if errors.any() && !input.is_empty() && !input.peek(Token![,]) {
                skip_value(input);
                arguments.is_cut = true;
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(())
    }

    /// Reads a value without a key.
    fn read_value(
        &self,
        arguments: &mut Arguments,
        input: ParseStream<'_>,
        errors: &Errors,
    ) -> syn::Result<()> {
        let value: Expr = input.parse()?;
        let Some(first) = self.keys.first().filter(|_| self.first_without_key) else {
            errors.on(
                &value,
                format!(
                    "expected a key\nhelp: `#[{}]` accepts {}",
                    self.attribute,
                    self.list("", "and")
                ),
            );
            return Ok(());
        };
        if arguments.has(first.name) {
            errors.on(&value, duplicate(first.name));
            return Ok(());
        }
        let text = text(&value);
        if text.is_none() {
            let (name, attribute) = (first.name, self.attribute);
            errors.on(
                &value,
                format!("the {name} must be a string literal: an attribute cannot read constants\nhelp: write `#[{attribute}({})]`", first.example),
            );
        }
        arguments.set(first, text.map_or(Value::Broken, Value::Text));
        Ok(())
    }

    /// Reads `key = value`, and reports `key: value` and `key(value)`.
    fn read_pair(
        &self,
        arguments: &mut Arguments,
        input: ParseStream<'_>,
        errors: &Errors,
    ) -> syn::Result<()> {
        let word = input.call(Ident::parse_any)?;
        arguments.words.push(word.clone());
        let separator = input.span();
        let has_equals = input.parse::<Option<Token![=]>>()?.is_some();
        let is_missing = input.is_empty() || input.peek(Token![,]);
        let start = input.span();
        let value = input.fork().parse::<Expr>().ok().filter(|_| has_equals);
        // A value that is not an expression is skipped, so that the keys after it are parsed, too.
        match &value {
            Some(_) => drop(input.parse::<Expr>()?),
            None => skip_value(input),
        }
        let Some(key) = self.key(&word) else {
            errors.on(&word, self.unknown(&word));
            return Ok(());
        };
        if arguments.has(key.name) {
            errors.on(&word, duplicate(key.name));
            return Ok(());
        }
        let value = match value.map(peeled) {
            Some(value) => key
                .read(&value)
                .map_err(|text| syn::Error::new_spanned(value, text)),
            None if key.wants == Wants::Flag => Err(syn::Error::new(word.span(), key.mismatch())),
            None if is_missing => Err(syn::Error::new(word.span(), needs_value(key))),
            None if has_equals => Err(syn::Error::new(start, key.mismatch())),
            None => Err(syn::Error::new(
                separator,
                format!(
                    "`{}` is given its value with `=`\nhelp: write `{}`",
                    key.name,
                    key.written()
                ),
            )),
        };
        arguments.set(key, errors.keep(value).unwrap_or(Value::Broken));
        Ok(())
    }

    /// Reads a key without a value, or an operation.
    fn read_word(&self, arguments: &mut Arguments, path: Path, errors: &Errors) {
        // Keys are single identifiers, so a path of several segments is an operation.
        let word = path.get_ident().cloned();
        let key = word.as_ref().and_then(|word| self.key(word));
        if let (Some(word), Some(key)) = (&word, key) {
            arguments.words.push(word.clone());
            if arguments.has(key.name) {
                errors.on(word, duplicate(key.name));
                return;
            }
            let is_flag = key.wants == Wants::Flag;
            if !is_flag {
                errors.on(word, needs_value(key));
            }
            arguments.set(key, if is_flag { Value::Flag } else { Value::Broken });
            return;
        }
        // With a path there cannot be an operation, so this is a misspelt key.
        let has_first = self.keys.first().is_some_and(|first| arguments.has(first.name));
        match word {
            Some(word)
                if !self.takes_operation
                    || has_first
                    || (self.elsewhere)(self.attribute, &word.unraw().to_string()).is_some() =>
            {
                errors.on(&word, self.unknown(&word));
                arguments.words.push(word);
            }
            None if !self.takes_operation => {
                errors.on(
                    &path,
                    format!(
                        "expected a key\nhelp: `#[{}]` accepts {}",
                        self.attribute,
                        self.list("", "and")
                    ),
                );
            }
            _ if arguments.operation.is_some() => errors.on(
                &path,
                "a handler serves one operation\nhelp: write a function for each operation",
            ),
            _ => arguments.operation = Some(path),
        }
    }

    fn key(&self, word: &Ident) -> Option<&'static Key> {
        let word = word.unraw().to_string();
        self.keys.iter().find(|key| key.name == word)
    }

    fn unknown(&self, word: &Ident) -> String {
        let word = word.unraw().to_string();
        if let Some(text) = (self.elsewhere)(self.attribute, &word) {
            return text;
        }
        let close = self.suggested(&word);
        let help = match (close, self.keys) {
            (Some(close), _) => format!("\nhelp: did you mean `{close}`?"),
            (None, [key]) if key.wants == Wants::Flag => {
                format!("\nhelp: write `#[{}({})]`", self.attribute, key.written())
            }
            _ => String::new(),
        };
        format!(
            "unknown key `{word}`; expected {}{help}",
            self.list(close.unwrap_or_default(), "or")
        )
    }

    /// Returns the key that the user probably means: a similar one, or the one that has the word as its name in other frameworks.
    fn suggested(&self, word: &str) -> Option<&'static str> {
        let meaning = match word {
            "slots" | "workers" | "parallel" => "concurrency",
            "within" | "deadline" | "timeout_ms" => "timeout",
            "route" | "url" | "uri" => "path",
            "verb" => "method",
            "sync" | "spawn_blocking" => "blocking",
            other => other,
        };
        suggest(meaning, self.keys.iter().map(|key| key.name))
    }

    /// Returns the keys for an error, `first` at the beginning.
    fn list(&self, first: &str, conjunction: &str) -> String {
        let mut names: Vec<&str> = self.keys.iter().map(|key| key.name).collect();
        names.sort_by_key(|name| *name != first);
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        match names.split_last() {
            Some((last, [])) => last.clone(),
            Some((last, others)) => format!("{} {conjunction} {last}", others.join(", ")),
            None => String::new(),
        }
    }
}

impl Key {
    pub(crate) const fn new(name: &'static str, wants: Wants, example: &'static str) -> Key {
        Key { name, wants, example }
    }

    pub(crate) const fn flag(name: &'static str) -> Key {
        Key::new(name, Wants::Flag, "")
    }

    /// Reads a value, or returns the text of the error.
    fn read(&self, value: &Expr) -> Result<Value, String> {
        let read = match self.wants {
            Wants::Text | Wants::Duration => text(value).map(Value::Text),
            Wants::Count => count(value).map(Value::Count),
            Wants::Flag => None,
            Wants::Texts => texts(value).map(Value::Texts),
            Wants::Crate => CratePath::from_value(value).map(Value::Crate),
        };
        read.ok_or_else(|| self.mismatch())
    }

    /// Returns the error for a value of another kind.
    fn mismatch(&self) -> String {
        let name = self.name;
        match self.wants {
            Wants::Text => format!(
                "`{name}` must be a string literal: an attribute cannot read constants\nhelp: write `{}`",
                self.written()
            ),
            Wants::Duration => format!(
                "`{name}` must be a string literal with an integer and a unit, which is `ms`, `s` or `m` (minutes)\nhelp: write `{}`",
                self.written()
            ),
            Wants::Count => format!(
                "`{name}` must be an integer from 1 to {}: the number of calls that may run at once\nhelp: write `{}`",
                u32::MAX,
                self.written()
            ),
            Wants::Flag => format!("`{name}` takes no value\nhelp: write `{name}` alone, or remove it"),
            Wants::Texts => format!(
                "`{name}` must be a list of string literals\nhelp: write `{}`",
                self.written()
            ),
            Wants::Crate => format!(
                "`{name}` must be the path of the crate brubeck\nhelp: write `{}` if Cargo.toml has `jazz = {{ package = \"brubeck-rs\", .. }}`",
                self.written()
            ),
        }
    }

    /// Returns the key with its example, as the user writes it.
    fn written(&self) -> String {
        match self.wants {
            Wants::Flag => self.name.to_owned(),
            _ => format!("{} = {}", self.name, self.example),
        }
    }
}

impl Arguments {
    /// Returns `true` if the key is given, also if its value is invalid.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.values.iter().any(|(key, _)| *key == name)
    }

    fn set(&mut self, key: &'static Key, value: Value) {
        self.values.push((key.name, value));
    }

    fn value(&self, name: &str) -> Option<&Value> {
        self.values
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&LitStr> {
        match self.value(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn count(&self, name: &str) -> Option<&LitInt> {
        match self.value(name)? {
            Value::Count(count) => Some(count),
            _ => None,
        }
    }

    pub(crate) fn texts(&self, name: &str) -> &[LitStr] {
        match self.value(name) {
            Some(Value::Texts(texts)) => texts,
            _ => &[],
        }
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Flag))
    }

    /// Returns the path of brubeck.
    pub(crate) fn crate_path(&self) -> CratePath {
        match self.value(CRATE.name) {
            Some(Value::Crate(path)) => path.clone(),
            _ => CratePath::default(),
        }
    }
}

/// Returns `true` if the next tokens are a word and its value.
fn is_pair(input: ParseStream<'_>) -> bool {
    input.peek2(Token![=])
        || input.peek2(Token![:]) && !input.peek2(Token![::])
        || input.peek2(syn::token::Paren)
}

/// Skips the tokens up to the next comma.
fn skip_value(input: ParseStream<'_>) {
    while !input.is_empty() && !input.peek(Token![,]) {
        if input.parse::<TokenTree>().is_err() {
            return;
        }
    }
}

/// Removes the invisible groups around a `macro_rules` fragment.
fn peeled(mut value: Expr) -> Expr {
    while let Expr::Group(group) = value {
        value = *group.expr;
    }
    value
}

fn text(value: &Expr) -> Option<LitStr> {
    match value {
        Expr::Lit(lit) => match &lit.lit {
            Lit::Str(text) => Some(text.clone()),
            _ => None,
        },
        Expr::Group(group) => text(&group.expr),
        _ => None,
    }
}

fn count(value: &Expr) -> Option<LitInt> {
    let lit = syn::parse2::<LitInt>(value.to_token_stream()).ok()?;
    let number = lit.base10_parse::<u32>().ok()?;
    (number > 0).then_some(lit)
}

fn texts(value: &Expr) -> Option<Vec<LitStr>> {
    match value {
        Expr::Array(array) => array.elems.iter().map(text).collect(),
        _ => None,
    }
}

fn needs_value(key: &Key) -> String {
    format!("`{}` needs a value\nhelp: write `{}`", key.name, key.written())
}

fn duplicate(word: &str) -> String {
    format!("`{word}` is given twice\nhelp: remove one of them")
}

#[cfg(test)]
mod tests;
