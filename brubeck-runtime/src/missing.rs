//! Placeholders for public items whose feature is disabled. Using one is a compile error that names the feature.
//!
//! Each feature has a trait that no type implements. Each placeholder has a function or an impl with this trait as a bound, so
//! the compiler reports the message of the trait where the item is used.

#![allow(missing_docs, unreachable_code, unused_imports)]

use crate::app::App;
use crate::extract::{Context, FromMessage};
use crate::handler::{Application, Connection, OpenConnection};
use crate::response::{IntoReply, Rejection, Response};
use futures_util::future::BoxFuture;
use std::convert::Infallible;
use std::marker::PhantomData;
use std::sync::Arc;

/// Declares the trait of a feature. The texts are literals, because an attribute cannot compute them.
macro_rules! needs {
    ($name:ident, $feature:tt, $message:tt, $label:tt, $note:tt) => {
        #[cfg(not(feature = $feature))]
        #[diagnostic::on_unimplemented(message = $message, label = $label, note = $note)]
        pub trait $name {
            fn never() -> Infallible;
        }
    };
}

needs!(
    NeedsAxum,
    "axum",
    "the extractors of axum need the feature `axum` of the crate `brubeck`",
    "the feature `axum` is disabled",
    "add `axum` to the `features` of `brubeck` in Cargo.toml"
);
needs!(
    NeedsFiles,
    "files",
    "files need the feature `files` of the crate `brubeck`",
    "the feature `files` is disabled",
    "add `files` to the `features` of `brubeck` in Cargo.toml"
);
needs!(
    NeedsHttp,
    "http",
    "the embedded HTTP server needs the feature `http` of the crate `brubeck`",
    "the feature `http` is disabled",
    "add `http` to the `features` of `brubeck` in Cargo.toml"
);
needs!(
    NeedsLegacy,
    "legacy",
    "services in the dialects of the Python original need the feature `legacy` of the crate `brubeck`",
    "the feature `legacy` is disabled",
    "add `legacy` to the `features` of `brubeck` in Cargo.toml"
);
needs!(
    NeedsMongrel2,
    "mongrel2",
    "Mongrel2 needs the feature `mongrel2` of the crate `brubeck`",
    "the feature `mongrel2` is disabled",
    "add `mongrel2` to the `features` of `brubeck` in Cargo.toml"
);
needs!(
    NeedsMultipart,
    "multipart",
    "multipart forms need the feature `multipart` of the crate `brubeck`",
    "the feature `multipart` is disabled",
    "add `multipart` to the `features` of `brubeck` in Cargo.toml"
);
needs!(
    NeedsServices,
    "services",
    "services need the feature `services` of the crate `brubeck`",
    "the feature `services` is disabled",
    "add `services` to the `features` of `brubeck` in Cargo.toml"
);
needs!(
    NeedsTemplates,
    "templates",
    "templates need the feature `templates` of the crate `brubeck`",
    "the feature `templates` is disabled",
    "add `templates` to the `features` of `brubeck` in Cargo.toml"
);
needs!(
    NeedsTls,
    "tls",
    "TLS needs the feature `tls` of the crate `brubeck`",
    "the feature `tls` is disabled",
    "add `tls` to the `features` of `brubeck` in Cargo.toml"
);

/// Declares a placeholder of a connection, with its constructors.
macro_rules! connection {
    ($name:ident, $feature:tt, $needs:ident, $($constructor:ident($($argument:ident),*)),*) => {
        #[cfg(not(feature = $feature))]
        #[derive(Debug)]
        pub struct $name(Infallible);

        #[cfg(not(feature = $feature))]
        impl $name {
            $(
                pub fn $constructor<A: $needs, $($argument),*>(_: A, $(_: $argument),*) -> $name {
                    match A::never() {}
                }
            )*
        }

        #[cfg(not(feature = $feature))]
        impl Connection for $name {
            fn open(
                self: Box<Self>,
                _: Arc<dyn Application>,
            ) -> BoxFuture<'static, crate::Result<OpenConnection>> {
                match self.0 {}
            }
        }
    };
}

connection!(Http, "http", NeedsHttp, bind(), unix());
connection!(LegacyService, "legacy", NeedsLegacy, connect(B, C));
connection!(Mongrel2, "mongrel2", NeedsMongrel2, new(B));
connection!(Service, "services", NeedsServices, bind(B));

/// Declares a placeholder of an extractor.
macro_rules! extractor {
    ($name:ident $(<$inner:ident>)?, $feature:tt, $needs:ident) => {
        #[cfg(not(feature = $feature))]
        #[derive(Debug)]
        pub struct $name $(<$inner>)?(Infallible $(, PhantomData<$inner>)?);

        #[cfg(not(feature = $feature))]
        impl<$($inner: Send,)? S: $needs + Send + Sync + 'static> FromMessage<S> for $name $(<$inner>)? {
            type Rejection = Rejection;

            async fn from_message(_: &Context<S>) -> Result<Self, Rejection> {
                match S::never() {}
            }
        }
    };
}

extractor!(Axum<T>, "axum", NeedsAxum);
extractor!(AxumBody<T>, "axum", NeedsAxum);
extractor!(Multipart, "multipart", NeedsMultipart);

#[cfg(not(feature = "files"))]
#[derive(Debug)]
pub struct File(Infallible);

#[cfg(not(feature = "files"))]
impl File {
    pub fn new<A: NeedsFiles>(_: A) -> File {
        match A::never() {}
    }

    #[must_use]
    pub fn download<A>(self, _: A) -> File {
        match self.0 {}
    }
}

#[cfg(not(feature = "files"))]
impl IntoReply for File {
    fn into_reply(self) -> Response {
        match self.0 {}
    }
}

#[cfg(not(feature = "templates"))]
#[derive(Debug)]
pub struct Page<T>(pub T);

#[cfg(not(feature = "templates"))]
impl<T: NeedsTemplates> IntoReply for Page<T> {
    fn into_reply(self) -> Response {
        match T::never() {}
    }
}

impl<S: 'static> App<S> {
    #[cfg(not(feature = "files"))]
    pub fn files<A: NeedsFiles, B>(self, _: A, _: B) -> App<S> {
        match A::never() {}
    }

    #[cfg(not(feature = "templates"))]
    pub fn templates<A: NeedsTemplates>(self, _: A) -> App<S> {
        match A::never() {}
    }
}

#[cfg(feature = "http")]
impl crate::Http {
    #[cfg(not(feature = "tls"))]
    pub fn tls<A: NeedsTls, B>(self, _: A, _: B) -> crate::Http {
        match A::never() {}
    }
}
