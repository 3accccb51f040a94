//! Inspects types by their tokens. Everything that a trait bound can decide is left to rustc.

use proc_macro2::{Delimiter, Group, Ident, Span, TokenStream, TokenTree};
use quote::{ToTokens, quote};
use syn::ext::IdentExt;
use syn::spanned::Spanned;
use syn::{GenericArgument, Path, PathArguments, Type, TypeReference};

/// Removes the invisible groups around a `macro_rules` fragment, and parentheses.
fn peeled(mut ty: &Type) -> &Type {
    loop {
        match ty {
            Type::Group(group) => ty = &group.elem,
            Type::Paren(paren) => ty = &paren.elem,
            _ => return ty,
        }
    }
}

/// Returns the `T` of `Option<T>`.
pub(crate) fn option(ty: &Type) -> Option<&Type> {
    match arguments(ty, "Option")?[..] {
        [inner] => Some(inner),
        _ => None,
    }
}

/// Returns the type arguments of a type whose last path segment is `name`.
pub(crate) fn arguments<'a>(ty: &'a Type, name: &str) -> Option<Vec<&'a Type>> {
    let Type::Path(path) = peeled(ty) else { return None };
    let last = path.path.segments.last()?;
    if last.ident != name {
        return None;
    }
    let PathArguments::AngleBracketed(given) = &last.arguments else {
        return None;
    };
    let types = given.args.iter().filter_map(|argument| match argument {
        GenericArgument::Type(ty) => Some(ty),
        _ => None,
    });
    Some(types.collect())
}

/// Returns whether the last path segment of a type is `name`.
pub(crate) fn is_named(ty: &Type, name: &str) -> bool {
    let Type::Path(path) = peeled(ty) else {
        return false;
    };
    path.path.segments.last().is_some_and(|last| last.ident == name)
}

/// Returns `true` if the type may be an alias of a `Result`: a path whose last segment is not a type of Rust that is in scope everywhere.
pub(crate) fn may_be_alias(ty: &Type) -> bool {
    const OTHERS: [&str; 5] = ["String", "Vec", "Option", "Box", "Json"];
    let Type::Path(path) = peeled(ty) else {
        return false;
    };
    let last = path.path.segments.last();
    last.is_some_and(|last| {
        let name = last.ident.to_string();
        !is_primitive(&name) && !OTHERS.contains(&&*name)
    })
}

/// Returns `true` for the name of a primitive type.
pub(crate) fn is_primitive(name: &str) -> bool {
    const PRIMITIVES: [&str; 17] = [
        "bool", "char", "str", "f32", "f64", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32",
        "u64", "u128", "usize",
    ];
    PRIMITIVES.contains(&name)
}

/// Returns what a name is that code of any module may use, also the code that derives and other macros generate: a primitive type, a type or
/// trait of the prelude, or a crate that is always there.
pub(crate) fn common_name(name: &str) -> Option<&'static str> {
    const PRELUDE: [&str; 36] = [
        "Option",
        "Result",
        "String",
        "Vec",
        "Box",
        "Send",
        "Sync",
        "Sized",
        "Copy",
        "Clone",
        "Drop",
        "Unpin",
        "Fn",
        "FnMut",
        "FnOnce",
        "AsyncFn",
        "AsyncFnMut",
        "AsyncFnOnce",
        "Iterator",
        "IntoIterator",
        "DoubleEndedIterator",
        "ExactSizeIterator",
        "Extend",
        "FromIterator",
        "From",
        "Into",
        "TryFrom",
        "TryInto",
        "AsRef",
        "AsMut",
        "Default",
        "ToString",
        "ToOwned",
        "PartialEq",
        "PartialOrd",
        "Future",
    ];
    if is_primitive(name) {
        return Some("primitive type");
    }
    if PRELUDE.contains(&name) {
        return Some("type of the prelude");
    }
    is_common_crate(name).then_some("crate")
}

/// Returns `true` for the name of a crate that paths in any module may begin with.
pub(crate) fn is_common_crate(name: &str) -> bool {
    matches!(name, "std" | "core" | "brubeck")
}

/// A kind of type whose values exist in one process only, or have no fixed size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LocalType {
    /// `dyn Trait`.
    Object,
    /// `*const T`.
    Pointer,
    /// `fn()`.
    Function,
    /// `str`, unless a smart pointer owns it.
    Str,
    /// `[T]`, unless a smart pointer owns it.
    Slice,
    /// `!`.
    Never,
    Rc,
}

/// Returns the first part of a type that cannot be sent to another process.
pub(crate) fn local(ty: &Type) -> Option<LocalType> {
    fn part(ty: &Type, is_sized: bool) -> Option<LocalType> {
        match peeled(ty) {
            Type::TraitObject(_) => Some(LocalType::Object),
            Type::Ptr(_) => Some(LocalType::Pointer),
            Type::FnPtr(_) => Some(LocalType::Function),
            Type::Never(_) => Some(LocalType::Never),
            Type::Slice(slice) => is_sized
                .then_some(LocalType::Slice)
                .or_else(|| part(&slice.elem, true)),
            Type::Array(array) => part(&array.elem, true),
            Type::Tuple(tuple) => tuple.elems.iter().find_map(|ty| part(ty, true)),
            Type::Path(path) => {
                if is_sized && path.qself.is_none() && path.path.is_ident("str") {
                    return Some(LocalType::Str);
                }
                let last = path.path.segments.last()?;
                if last.ident == "Rc" {
                    return Some(LocalType::Rc);
                }
                // These own values without a fixed size, and are sent as their values.
                let owns_unsized = ["Box", "Arc", "Cow"].iter().any(|name| last.ident == name);
                let PathArguments::AngleBracketed(given) = &last.arguments else {
                    return None;
                };
                given.args.iter().find_map(|argument| match argument {
                    GenericArgument::Type(ty) => part(ty, !owns_unsized),
                    _ => None,
                })
            }
            _ => None,
        }
    }
    part(ty, true)
}

/// Returns the span of the last path segment of a type, or of the first token of a type that is not a path. Spans of several tokens can be
/// joined on nightly only.
pub(crate) fn span(ty: &Type) -> Span {
    match peeled(ty) {
        Type::Path(path) => path_span(&path.path),
        other => first_span(other.to_token_stream()),
    }
}

pub(crate) fn path_span(path: &Path) -> Span {
    path.segments
        .last()
        .map_or_else(|| path.span(), |last| last.ident.span())
}

fn first_span(tokens: TokenStream) -> Span {
    tokens
        .into_iter()
        .next()
        .map_or_else(Span::call_site, |token| token.span())
}

/// Formats a type for an error.
pub(crate) fn text(ty: &Type) -> String {
    let mut text = ty.to_token_stream().to_string();
    for (spaced, tight) in [
        (" :: ", "::"),
        (" < ", "<"),
        (" <", "<"),
        ("< ", "<"),
        (" >", ">"),
        (" ,", ","),
        ("& ", "&"),
        ("* const ", "*const "),
        ("* mut ", "*mut "),
        (" ;", ";"),
    ] {
        text = text.replace(spaced, tight);
    }
    text
}

/// Rewrites a type or path for use in a child module: `self::T` becomes `super::T`.
pub(crate) fn within_module(ty: &impl ToTokens) -> TokenStream {
    fn moved(tokens: TokenStream) -> TokenStream {
        // `self` and `super` are relative at the start of a path only, that is, not after `::`.
        let mut after_colon = false;
        let moved = tokens.into_iter().map(|token| {
            let starts_path = !std::mem::replace(&mut after_colon, false);
            match token {
                TokenTree::Ident(ident) if starts_path && ident == "self" => {
                    let outer = Ident::new("super", ident.span());
                    quote!(#outer)
                }
                TokenTree::Ident(ident) if starts_path && ident == "super" => quote!(#ident::#ident),
                TokenTree::Group(group) => {
                    let mut inner = Group::new(group.delimiter(), moved(group.stream()));
                    inner.set_span(group.span());
                    quote!(#inner)
                }
                TokenTree::Punct(punct) => {
                    after_colon = punct.as_char() == ':';
                    quote!(#punct)
                }
                other => quote!(#other),
            }
        });
        moved.collect()
    }
    moved(ty.to_token_stream())
}

/// Returns `true` if the type contains `impl Trait`.
pub(crate) fn mentions_impl(ty: &Type) -> bool {
    fn any(tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Ident(ident) => ident == "impl",
            TokenTree::Group(group) => any(group.stream()),
            _ => false,
        })
    }
    any(ty.to_token_stream())
}

/// Returns `true` if the tokens contain this word, which is not in the path of something else.
pub(crate) fn mentions(tokens: impl ToTokens, word: &str) -> bool {
    fn any(tokens: TokenStream, word: &str) -> bool {
        // A lifetime is an apostrophe and a name.
        let mut after_colon = false;
        tokens.into_iter().any(|token| {
            let starts_path = !std::mem::replace(
                &mut after_colon,
                matches!(&token, TokenTree::Punct(punct) if matches!(punct.as_char(), ':' | '\'')),
            );
            match token {
                TokenTree::Ident(ident) => starts_path && ident == word,
                TokenTree::Group(group) => any(group.stream(), word),
                _ => false,
            }
        })
    }
    any(tokens.to_token_stream(), word)
}

/// Returns `true` if a path in the tokens begins with this name and has more segments. The request builder of a handler,
/// `slow::request`, does not count.
pub(crate) fn begins_path(tokens: &impl ToTokens, name: &str) -> bool {
    fn any(tokens: TokenStream, name: &str) -> bool {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let is_punct = |index: Option<usize>, char: char| {
            let token = index.and_then(|index| tokens.get(index));
            matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == char)
        };
        tokens.iter().enumerate().any(|(index, token)| match token {
            TokenTree::Ident(ident) => {
                let (before, second_before) = (index.checked_sub(1), index.checked_sub(2));
                let is_segment = is_punct(before, ':') && is_punct(second_before, ':');
                let is_method = is_punct(before, '.') && !is_punct(second_before, '.');
                let is_lifetime = is_punct(before, '\'');
                let continues = is_punct(Some(index + 1), ':') && is_punct(Some(index + 2), ':');
                let is_builder =
                    matches!(tokens.get(index + 3), Some(TokenTree::Ident(next)) if next == "request");
                continues && !is_segment && !is_method && !is_lifetime && !is_builder && ident.unraw() == name
            }
            TokenTree::Group(group) => any(group.stream(), name),
            _ => false,
        })
    }
    any(tokens.to_token_stream(), name)
}

/// Returns the fix for an error text if the type borrows something that is not `'static`, and `None` otherwise.
pub(crate) fn borrowed(ty: &Type) -> Option<String> {
    if let Type::Reference(reference) = peeled(ty) {
        if reference
            .lifetime
            .as_ref()
            .is_none_or(|lifetime| lifetime.ident != "static")
        {
            return Some(owned(reference));
        }
        return borrowed(&reference.elem);
    }
    borrows(ty.to_token_stream()).then(|| "a type without lifetimes".to_owned())
}

/// Returns the fix for an error text if the type is or contains a reference, also if it is `'static`: no such value can be read from a
/// message.
pub(crate) fn reference(ty: &Type) -> Option<String> {
    fn any(tokens: TokenStream) -> bool {
        tokens.into_iter().any(|token| match token {
            TokenTree::Punct(punct) => punct.as_char() == '&',
            TokenTree::Group(group) => any(group.stream()),
            _ => false,
        })
    }
    match peeled(ty) {
        Type::Reference(reference) => Some(owned(reference)),
        // The arguments of a function type are not values.
        other => (local(other).is_none() && any(other.to_token_stream()))
            .then(|| "a type without references".to_owned()),
    }
}

fn owned(reference: &TypeReference) -> String {
    match text(&reference.elem).as_str() {
        "str" => "`String`".to_owned(),
        "[u8]" => "`Bytes`".to_owned(),
        other => format!("`{other}`"),
    }
}

fn borrows(tokens: TokenStream) -> bool {
    let mut tokens = tokens.into_iter().peekable();
    let mut names_function = false;
    while let Some(token) = tokens.next() {
        match token {
            // A lifetime is two tokens, an apostrophe and its name.
            TokenTree::Punct(punct) if punct.as_char() == '\'' => {
                let named = tokens.next();
                if named.is_some_and(|name| name.to_string() != "static") {
                    return true;
                }
            }
            // A reference with a lifetime is decided by the lifetime; one without it borrows.
            TokenTree::Punct(punct) if punct.as_char() == '&' => {
                let lifetime =
                    matches!(tokens.peek(), Some(TokenTree::Punct(next)) if next.as_char() == '\'');
                if !lifetime {
                    return true;
                }
            }
            // Elided lifetimes in the arguments of a function type belong to the function type.
            TokenTree::Group(group)
                if !(names_function && group.delimiter() == Delimiter::Parenthesis)
                    && borrows(group.stream()) =>
            {
                return true;
            }
            TokenTree::Ident(ident) => {
                names_function = matches!(
                    ident.to_string().as_str(),
                    "fn" | "Fn" | "FnMut" | "FnOnce" | "for"
                );
                continue;
            }
            _ => {}
        }
        names_function = false;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use syn::parse_quote;

    #[test]
    fn option_is_recognized_by_its_last_segment() {
        let ty: Type = parse_quote!(::std::option::Option<Vec<u8>>);
        assert_eq!(option(&ty).map(text).as_deref(), Some("Vec<u8>"));
        let ty: Type = parse_quote!(Vec<u8>);
        assert!(option(&ty).is_none());
    }

    #[test]
    fn suggests_an_owned_type_only_for_a_type_that_borrows() {
        let fix = |ty: Type| borrowed(&ty);
        assert_eq!(fix(parse_quote!(&str)).as_deref(), Some("`String`"));
        assert_eq!(fix(parse_quote!(&'a [u8])).as_deref(), Some("`Bytes`"));
        assert_eq!(fix(parse_quote!(&mut Db)).as_deref(), Some("`Db`"));
        assert!(fix(parse_quote!(Option<&str>)).is_some());
        assert!(fix(parse_quote!(Page<'_>)).is_some());
        assert!(fix(parse_quote!((u8, &str))).is_some());
        assert!(fix(parse_quote!(State<&'static str>)).is_none());
        assert!(fix(parse_quote!(&'static str)).is_none());
        assert!(fix(parse_quote!(State<fn(&str) -> u8>)).is_none());
        assert!(fix(parse_quote!(State<Arc<dyn Fn(&str)>>)).is_none());
        assert!(fix(parse_quote!(Json<Vec<u8>>)).is_none());
    }

    #[test]
    fn finds_types_that_cannot_be_sent() {
        let found = |ty: Type| local(&ty);
        assert_eq!(found(parse_quote!(Vec<Box<dyn Send>>)), Some(LocalType::Object));
        assert_eq!(found(parse_quote!((u8, *const u8))), Some(LocalType::Pointer));
        assert_eq!(found(parse_quote!([fn(); 2])), Some(LocalType::Function));
        assert_eq!(found(parse_quote!(Option<str>)), Some(LocalType::Str));
        assert_eq!(found(parse_quote!([u8])), Some(LocalType::Slice));
        assert_eq!(found(parse_quote!(std::rc::Rc<u8>)), Some(LocalType::Rc));
        assert_eq!(found(parse_quote!(Box<[u8]>)), None);
        assert_eq!(found(parse_quote!(Cow<'static, str>)), None);
        assert_eq!(found(parse_quote!(HashMap<String, [u8; 2]>)), None);
    }

    #[test]
    fn finds_names_that_a_type_depends_on() {
        let found = |ty: Type, word: &str| mentions(ty, word);
        assert!(found(parse_quote!(bytes::Bytes), "bytes"));
        assert!(found(parse_quote!(Vec<(u8, [user; 2])>), "user"));
        assert!(found(parse_quote!(Option<_>), "_"));
        assert!(found(parse_quote!(Self::Item), "Self"));
        assert!(!found(parse_quote!(::bytes::Bytes), "bytes"));
        assert!(!found(parse_quote!(for<'a> fn(&'a u8)), "a"));
        assert!(!found(parse_quote!(a::bytes), "bytes"));
    }

    #[test]
    fn rewrites_paths_for_a_child_module() {
        let moved = |ty: Type| within_module(&ty).to_string().replace(' ', "");
        assert_eq!(moved(parse_quote!(self::a::T)), "super::a::T");
        assert_eq!(moved(parse_quote!(Vec<super::T>)), "Vec<super::super::T>");
        assert_eq!(
            moved(parse_quote!((crate::T, [self::U; 2]))),
            "(crate::T,[super::U;2])"
        );
        assert_eq!(moved(parse_quote!(super::super::T)), "super::super::super::T");
    }

    #[test]
    fn formats_types_as_written() {
        let ty: Type = parse_quote!(std::collections::HashMap<String, Vec<u8>>);
        assert_eq!(text(&ty), "std::collections::HashMap<String, Vec<u8>>");
    }
}
