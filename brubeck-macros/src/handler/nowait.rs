//! Finds calls that end in `.nowait()` in the body of a handler. When the application starts, it checks that each of them has a
//! response handler.
//!
//! The scan reads tokens, without types. It misses a call that is kept in a variable, is made in another function or has a computed
//! path. Such a call is checked when it is made: without a response handler it is not sent.

use proc_macro2::{Delimiter, Literal, TokenStream, TokenTree};
use quote::quote;
use std::collections::BTreeSet;
use syn::LitStr;

/// The calls of a body that end in `.nowait()`, as far as its tokens show them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct NowaitCallScan {
    /// The methods in the call chains. One of them may be an operation of a contract.
    pub(super) methods: BTreeSet<String>,
    /// The string literals in `.request("..")`.
    pub(super) paths: BTreeSet<String>,
}

impl NowaitCallScan {
    pub(super) fn of(body: TokenStream) -> NowaitCallScan {
        let mut scan = NowaitCallScan::default();
        scan.read(body);
        scan
    }

    fn read(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (i, token) in tokens.iter().enumerate() {
            // Blocks, closures and arguments of macros are groups.
            if let TokenTree::Group(group) = token {
                self.read(group.stream());
            }
            if is_nowait(tokens.get(i..).unwrap_or_default()) {
                self.read_chain(tokens.get(..i).unwrap_or_default());
            }
        }
    }

    /// Reads a chain of calls such as `.echo(..)?.timeout(..)` backwards.
    fn read_chain(&mut self, mut before: &[TokenTree]) {
        loop {
            before = match before {
                [rest @ .., TokenTree::Punct(question)] if question.as_char() == '?' => rest,
                [rest @ .., TokenTree::Punct(dot), TokenTree::Ident(name)]
                    if dot.as_char() == '.' && name == "await" =>
                {
                    rest
                }
                [
                    rest @ ..,
                    TokenTree::Punct(dot),
                    TokenTree::Ident(name),
                    TokenTree::Group(arguments),
                ] if dot.as_char() == '.' && arguments.delimiter() == Delimiter::Parenthesis => {
                    self.methods
                        .insert(name.to_string().trim_start_matches("r#").to_owned());
                    if name == "request"
                        && let Ok(path) = syn::parse2::<LitStr>(arguments.stream())
                    {
                        self.paths.insert(path.value());
                    }
                    rest
                }
                _ => return,
            };
        }
    }

    /// Returns the definition of `RouteHandler::NOWAIT_CALLS`, or nothing if the body has no such call. `operations` has an expression
    /// for each extractor of the handler: the operations that the extractor can call.
    pub(super) fn constant(&self, operations: &[TokenStream]) -> TokenStream {
        if self.methods.is_empty() {
            return TokenStream::new();
        }
        let methods = self.methods.iter().map(|method| Literal::string(method));
        let paths = self.paths.iter().map(|path| Literal::string(path));
        quote! {
            const NOWAIT_CALLS: priv::NowaitCalls = priv::NowaitCalls {
                methods: &[#(#methods),*],
                operations: &[#(#operations),*],
                paths: &[#(#paths),*],
            };
        }
    }
}

fn is_nowait(tokens: &[TokenTree]) -> bool {
    matches!(
        tokens,
        [TokenTree::Punct(dot), TokenTree::Ident(name), TokenTree::Group(arguments), ..]
            if dot.as_char() == '.' && name == "nowait" && arguments.stream().is_empty()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan(body: TokenStream) -> (Vec<String>, Vec<String>) {
        let NowaitCallScan { methods, paths } = NowaitCallScan::of(body);
        (methods.into_iter().collect(), paths.into_iter().collect())
    }

    #[test]
    fn finds_the_methods_of_a_call_chain() {
        let (methods, paths) = scan(quote!({
            other.user(1).await?;
            if late {
                slow.echo(TEXT.into()).timeout(secs(1)).nowait();
            }
        }));
        assert_eq!(
            (methods, paths),
            (vec!["echo".to_owned(), "timeout".to_owned()], vec![])
        );
    }

    #[test]
    fn finds_paths_that_are_literals() {
        let (_, paths) = scan(quote! {
            services.register(address, secret)?.request("/slow").argument("text", 1).nowait().await?;
            services.register(address, secret)?.request(path()).nowait();
            services.register(address, secret)?.request("/awaited").await?;
        });
        assert_eq!(paths, ["/slow"]);
    }

    #[test]
    fn ignores_other_uses_of_the_name() {
        assert_eq!(
            scan(quote!(nowait(); lock.nowait; slow.nowait(5))),
            (vec![], vec![])
        );
    }

    #[test]
    fn misses_call_that_is_kept_in_a_variable() {
        assert_eq!(
            scan(quote!(let call = slow.echo(1); call.nowait())),
            (vec![], vec![])
        );
    }
}
