//! Collects errors instead of stopping at the first, and suggests corrections of misspelt words.

use proc_macro2::{Span, TokenStream};
use quote::ToTokens;
use std::cell::RefCell;
use std::fmt::Display;

/// Collects the errors of one item. It is shared by reference, so that independent checks of the item can all report errors.
#[derive(Default)]
pub(crate) struct Errors(RefCell<Option<syn::Error>>);

impl Errors {
    pub(crate) fn push(&self, error: syn::Error) {
        match &mut *self.0.borrow_mut() {
            Some(all) => all.combine(error),
            none => *none = Some(error),
        }
    }

    /// Reports `message` at `span`.
    pub(crate) fn at(&self, span: Span, message: impl Display) {
        self.push(syn::Error::new(span, message));
    }

    /// Reports `message` at `tokens`.
    pub(crate) fn on(&self, tokens: impl ToTokens, message: impl Display) {
        self.push(syn::Error::new_spanned(tokens, message));
    }

    /// Returns the value, or reports the error.
    pub(crate) fn keep<T>(&self, result: syn::Result<T>) -> Option<T> {
        result.map_err(|error| self.push(error)).ok()
    }

    /// Adds the errors of a part of the item.
    pub(crate) fn append(&self, part: Errors) {
        if let Some(error) = part.0.into_inner() {
            self.push(error);
        }
    }

    pub(crate) fn any(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// Returns one `compile_error!` per error.
    pub(crate) fn into_tokens(self) -> TokenStream {
        self.0
            .into_inner()
            .map(|error| error.into_compile_error())
            .unwrap_or_default()
    }
}

/// Returns the error of a macro whose feature is disabled.
#[cfg(not(all(feature = "services", feature = "templates")))]
pub(crate) fn needs_feature(item: &str, feature: &str) -> TokenStream {
    let message = format!(
        "{item} needs the feature `{feature}` of the crate `brubeck`\n\
         help: add `{feature}` to the `features` of `brubeck` in Cargo.toml"
    );
    syn::Error::new(Span::call_site(), message).into_compile_error()
}

/// Returns the known word that is closest to `word`, if it is close enough to be a misspelling.
pub(crate) fn suggest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Returns the number of characters to insert, delete, replace, or swap with their neighbour, to turn one text into the other.
fn distance(a: &str, b: &str) -> usize {
    // A row has the distances between the characters of `a` so far and the beginnings of `b`. The matrix of all distances is computed row by
    // row; a swap needs the row before the last one.
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, right) in b.iter().enumerate() {
            let replaced = last[j] + usize::from(left != right);
            let mut least = replaced.min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *left == b[j - 1] && a[i - 1] == *right {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_close_words_only() {
        assert_eq!(suggest("metod", ["path", "method"]), Some("method"));
        assert_eq!(suggest("requst", ["request", "response"]), Some("request"));
        assert_eq!(suggest("colour", ["path", "method"]), None);
        assert_eq!(suggest("pst", ["put", "post"]), Some("post"));
        assert_eq!(suggest("feild", ["field", "fold"]), Some("field"));
        assert_eq!(suggest("ab", ["ba"]), Some("ba"));
    }

    #[test]
    fn reports_every_error() {
        let errors = Errors::default();
        assert!(!errors.any());
        errors.at(Span::call_site(), "one");
        errors.at(Span::call_site(), "two");
        assert!(errors.any());
        let text = errors.into_tokens().to_string();
        assert_eq!(text.matches("compile_error").count(), 2);
    }
}
