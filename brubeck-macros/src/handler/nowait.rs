//! What a handler sends without waiting, as far as its text says: an application that would lose the answers does not
//! start.

use proc_macro2::{Delimiter, Literal, TokenStream, TokenTree};
use quote::quote;
use std::collections::BTreeSet;
use syn::LitStr;

/// The calls of a body that end in `.nowait()`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct NowaitCalls {
    /// The methods they are made of: one of them may be an operation of a contract.
    pub(super) methods: BTreeSet<String>,
    /// The paths that are written in `.request("..")`.
    pub(super) paths: BTreeSet<String>,
}

impl NowaitCalls {
    pub(super) fn of(body: TokenStream) -> NowaitCalls {
        let mut sends = NowaitCalls::default();
        sends.read(body);
        sends
    }

    fn read(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (i, token) in tokens.iter().enumerate() {
            if let TokenTree::Group(group) = token {
                self.read(group.stream());
            }
            if is_nowait(tokens.get(i..).unwrap_or_default()) {
                self.read_chain(tokens.get(..i).unwrap_or_default());
            }
        }
    }

    /// Goes back over `.echo(..)?.timeout(..)` for as long as it is one chain of calls.
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

    /// The constant of the handler, whose arguments say which contracts they call.
    pub(super) fn constant(&self, operations: &[TokenStream]) -> TokenStream {
        if self.methods.is_empty() {
            return TokenStream::new();
        }
        let methods = self.methods.iter().map(|method| Literal::string(method));
        let paths = self.paths.iter().map(|path| Literal::string(path));
        quote! {
            const NOWAIT_CALLS: ::brubeck::__private::NowaitCalls = ::brubeck::__private::NowaitCalls {
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

    fn sends(body: TokenStream) -> (Vec<String>, Vec<String>) {
        let NowaitCalls { methods, paths } = NowaitCalls::of(body);
        (methods.into_iter().collect(), paths.into_iter().collect())
    }

    #[test]
    fn a_call_of_a_contract_is_seen_with_all_that_is_said_of_it() {
        let (methods, paths) = sends(quote!({
            other.user(1).await?;
            if late {
                slow.echo(TEXT.into()).timeout(secs(1)).nowait();
            }
        }));
        assert_eq!(
            (methods, paths),
            (vec!["deadline".to_owned(), "echo".to_owned()], vec![])
        );
    }

    #[test]
    fn a_path_that_is_written_out_is_seen() {
        let (_, paths) = sends(quote! {
            services.register(address, secret)?.request("/slow").argument("text", 1).nowait().await?;
            services.register(address, secret)?.request(path()).nowait();
            services.register(address, secret)?.request("/awaited").await?;
        });
        assert_eq!(paths, ["/slow"]);
    }

    #[test]
    fn what_is_no_call_is_nothing() {
        assert_eq!(
            sends(quote!(nowait(); lock.nowait; slow.nowait(5); call.nowait())),
            (vec![], vec![])
        );
    }
}
