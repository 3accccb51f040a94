//! Names of handlers that hide something else. A handler is also a type, so its name hides a type, a module or a crate of the same name in
//! its module, which a function alone does not.

use crate::item::{ItemFn, argument_types};
use crate::types;
use proc_macro2::{TokenStream, TokenTree};
use syn::Path;
use syn::ext::IdentExt;

/// A thing that the type of a handler hides.
pub(super) enum Hidden {
    /// A name that all code may use, also that of derives and macros.
    Common(&'static str),
    /// The module of its own operation, or something else at the start of its path.
    Contract,
    /// A type, module or crate in the signature.
    InSignature,
    /// A type, module or crate at the start of a path in the body.
    InBody,
}

impl Hidden {
    /// Returns what the handler hides from itself or from all other code, or `None` if nothing is known.
    pub(super) fn by(function: &ItemFn, operation: Option<&Path>) -> Option<Hidden> {
        let name = function.name().unraw().to_string();
        if operation.is_some_and(|operation| types::begins_path(operation, &name)) {
            return Some(Hidden::Contract);
        }
        let mut types = argument_types(&function.sig).chain(function.returned());
        if types.any(|ty| types::mentions(ty, &function.name().to_string())) {
            return Some(Hidden::InSignature);
        }
        if let Some(kind) = types::common_name(&name) {
            return Some(Hidden::Common(kind));
        }
        let body = function.body().clone();
        (types::begins_path(&body, &name) && !is_defined(body, &name)).then_some(Hidden::InBody)
    }

    pub(super) fn message(&self, function: &ItemFn) -> String {
        let name = function.name();
        match self {
            Hidden::Common(kind) => format!(
                "the handler `{name}` hides the {kind} `{name}` from its module, because a handler is also a type\n\
                 help: rename the handler"
            ),
            Hidden::Contract => format!(
                "the handler `{name}` hides the module `{name}` of its operation, because a handler is also a type\n\
                 help: rename the handler"
            ),
            Hidden::InSignature => format!(
                "the handler `{name}` hides something of the same name that its signature uses, because a handler is also a type\n\
                 help: rename the handler"
            ),
            Hidden::InBody => format!(
                "the handler `{name}` hides something of the same name that its body uses, because a handler is also a type\n\
                 help: write `::{name}::..` if it is a crate, or rename the handler"
            ),
        }
    }

    /// Returns `true` if a type with the name of the handler would be reason for more errors.
    pub(super) fn is_outside_of_body(&self) -> bool {
        !matches!(self, Hidden::InBody)
    }
}

/// Returns `true` if the tokens define an item of this name, or import one by it.
fn is_defined(tokens: TokenStream, name: &str) -> bool {
    let mut defines = false;
    tokens.into_iter().any(|token| match token {
        TokenTree::Ident(ident) => {
            let is_defined = defines && ident.unraw() == name;
            defines = matches!(
                ident.to_string().as_str(),
                "mod" | "struct" | "enum" | "union" | "trait" | "type" | "as" | "use"
            );
            is_defined
        }
        TokenTree::Group(group) => is_defined(group.stream(), name),
        _ => {
            defines = false;
            false
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn hides(tokens: TokenStream) -> bool {
        types::begins_path(&tokens, "bytes") && !is_defined(tokens, "bytes")
    }

    #[test]
    fn finds_a_path_that_begins_with_the_name_of_the_handler() {
        assert!(hides(quote!(bytes::Bytes::new())));
        assert!(hides(quote!(let x: bytes::Bytes = y;)));
        assert!(hides(quote!(call(&[r#bytes::SIZE]))));
        assert!(!hides(quote!(::bytes::Bytes::new())));
        assert!(!hides(quote!(axum::bytes::Bytes::new())));
        assert!(!hides(quote!(x.bytes().len())));
        assert!(!hides(quote!(bytes(1))));
        assert!(!hides(quote!(bytes::request(1))));
        assert!(!hides(quote!(use other as bytes;, bytes::Bytes::new())));
    }
}
