//! Placeholders for public items whose feature is disabled. Using one is a compile error that names the feature.
//!
//! Each feature has a trait that no type implements. A placeholder has this trait as a bound, so the compiler reports the message
//! of the trait where the item is used. There are placeholders for the types of the prelude and for methods of types that
//! exist without the feature. Other items are exported with `#[cfg(feature = ..)]`: the compiler names the feature in the error
//! of the path.
//!
//! The bounds are on `&'a ()` for every `'a`, because the compiler rejects a bound without a parameter that no type can meet. A constructor
//! returns [`Missing`](NeedsHttp::Missing), a type that cannot be resolved, so the methods that follow it are not errors as well.

#![allow(missing_docs, unreachable_code, unused_imports)]

use crate::app::App;
use crate::extract::{Context, FromMessage, UploadError};
use crate::handler::{Application, Connection, OpenConnection};
use crate::response::{IntoReply, Rejection, Response};
use crate::rpc::api::{Client, Dialect, ServiceAddress, Services};
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
            type Missing;
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
    "the dialects of the Python original need the feature `legacy` of the crate `brubeck`",
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
    NeedsSystemd,
    "systemd",
    "sockets of systemd need the feature `systemd` of the crate `brubeck`",
    "the feature `systemd` is disabled",
    "add `systemd` to the `features` of `brubeck` in Cargo.toml"
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

/// Declares a placeholder of a type, with its constructors and methods.
macro_rules! placeholder {
    (
        $name:ident, $feature:tt, $needs:ident,
        [$($constructor:ident($($argument:ident),*))*]
        $($method:ident($($value:ident),*))*
    ) => {
        #[cfg(not(feature = $feature))]
        #[derive(Clone, Debug)]
        pub struct $name(Infallible);

        #[cfg(not(feature = $feature))]
        #[allow(clippy::new_ret_no_self)]
        impl $name {
            $(
                pub fn $constructor<$($argument),*>($(_: $argument),*) -> <&'static () as $needs>::Missing
                where
                    for<'a> &'a (): $needs,
                {
                    match <&() as $needs>::never() {}
                }
            )*
            $(
                #[must_use]
                pub fn $method<$($value),*>(self, $(_: $value),*) -> $name {
                    match self.0 {}
                }
            )*
        }
    };
}

placeholder!(Http, "http", NeedsHttp,
    [bind(A) unix(A) inherited() inherited_named(A)]
    body_timeout(A) header_timeout(A) idle_timeout(A) write_timeout(A)
    max_connections(A) max_connections_per_address(A) tls(A, B)
);
placeholder!(Mongrel2, "mongrel2", NeedsMongrel2,
    [new(A, B)]
    control(A) counts() keep_alive(A) uploads(A) uploads_at(A, B)
);
// Not exported: it is only what `Routes::mongrel2_conf` returns.
placeholder!(Mongrel2Config, "mongrel2", NeedsMongrel2,
    [bind(A)]
    body_limit(A) flow_control() handler(A, B) idle_limit(A) setting(A, B) stream_uploads() uploads(A)
);

#[cfg(not(feature = "mongrel2"))]
impl Mongrel2Config {
    pub fn conf<A, B>(&self, _: A, _: B) -> crate::Result<String> {
        match self.0 {}
    }

    pub async fn start(self) -> crate::Result<Infallible> {
        match self.0 {}
    }
}

placeholder!(File, "files", NeedsFiles,
    [new(A)]
    download(A)
);

/// Makes placeholders connections.
macro_rules! connections {
    ($($name:ident, $feature:tt;)*) => {
        $(
            #[cfg(not(feature = $feature))]
            impl Connection for $name {
                fn open(
                    self: Box<Self>,
                    _: Arc<dyn Application>,
                ) -> BoxFuture<'static, crate::Result<OpenConnection>> {
                    match self.0 {}
                }
            }
        )*
    };
}

connections!(Http, "http"; Mongrel2, "mongrel2";);

#[cfg(not(feature = "files"))]
impl File {
    pub fn path(&self) -> &std::path::Path {
        match self.0 {}
    }
}

#[cfg(not(feature = "files"))]
#[derive(Debug)]
pub struct Files(Infallible);

#[cfg(not(feature = "files"))]
impl Files {
    pub fn new<A: NeedsFiles>(_: A) -> Files {
        match A::never() {}
    }

    #[must_use]
    pub fn hidden(self, _: bool) -> Files {
        match self.0 {}
    }

    #[must_use]
    pub fn precompressed(self, _: bool) -> Files {
        match self.0 {}
    }
}

#[cfg(not(feature = "files"))]
impl IntoReply for File {
    fn into_reply(self) -> Response {
        match self.0 {}
    }
}

/// Declares a placeholder of an extractor that wraps a value. The field is public, for patterns.
macro_rules! wrapper {
    ($name:ident, $feature:tt, $needs:ident) => {
        #[cfg(not(feature = $feature))]
        #[derive(Debug)]
        pub struct $name<T>(pub T);

        #[cfg(not(feature = $feature))]
        impl<T: Send, S: $needs + Send + Sync + 'static> FromMessage<S> for $name<T> {
            type Rejection = Rejection;

            async fn from_message(_: &Context<S>) -> Result<Self, Rejection> {
                match S::never() {}
            }
        }

        #[cfg(not(feature = $feature))]
        impl<T> std::ops::Deref for $name<T> {
            type Target = T;

            fn deref(&self) -> &T {
                &self.0
            }
        }
    };
}

wrapper!(Axum, "axum", NeedsAxum);
wrapper!(AxumBody, "axum", NeedsAxum);

/// Declares placeholders of an extractor and of the types that it contains. A handler gets them from the extractor only, so the
/// methods have no bound.
macro_rules! extractor {
    (
        $feature:tt, $needs:ident, $name:ident { $($method:ident($($value:ident),*) -> $result:ty;)* }
        $($part:ident { $($part_method:ident($($part_value:ident),*) -> $part_result:ty;)* })*
    ) => {
        #[cfg(not(feature = $feature))]
        #[derive(Clone, Debug)]
        pub struct $name(Infallible);

        #[cfg(not(feature = $feature))]
        #[allow(clippy::new_ret_no_self)]
        impl $name {
            $(
                pub fn $method<$($value),*>(&self, $(_: $value),*) -> $result {
                    match self.0 {}
                }
            )*
        }

        #[cfg(not(feature = $feature))]
        impl<S: $needs + Send + Sync + 'static> FromMessage<S> for $name {
            type Rejection = Rejection;

            async fn from_message(_: &Context<S>) -> Result<Self, Rejection> {
                match S::never() {}
            }
        }

        $(
            #[cfg(not(feature = $feature))]
            #[derive(Clone, Debug)]
            pub struct $part(Infallible);

            #[cfg(not(feature = $feature))]
            impl $part {
                $(
                    pub fn $part_method<$($part_value),*>(&self, $(_: $part_value),*) -> $part_result {
                        match self.0 {}
                    }
                )*
            }
        )*
    };
}

extractor!(
    "multipart", NeedsMultipart,
    Multipart {
        all(A) -> std::slice::Iter<'_, Part>;
        file(A) -> Result<&Part, Rejection>;
        parts() -> &[Part];
        text(A) -> Option<&str>;
    }
    Part {
        bytes() -> &bytes::Bytes;
        file_name() -> Option<&str>;
        is_file() -> bool;
        media_type() -> Option<&str>;
        name() -> &str;
    }
);
extractor!("multipart", NeedsMultipart, MultipartStream {});

#[cfg(not(feature = "multipart"))]
impl MultipartStream {
    pub async fn next_part(&mut self) -> Result<Option<PartStream<'_>>, UploadError> {
        match self.0 {}
    }
}

#[cfg(not(feature = "multipart"))]
#[derive(Debug)]
pub struct PartStream<'f>(Infallible, PhantomData<&'f ()>);

#[cfg(not(feature = "multipart"))]
impl PartStream<'_> {
    pub fn file_name(&self) -> Option<&str> {
        match self.0 {}
    }

    pub fn is_file(&self) -> bool {
        match self.0 {}
    }

    pub fn media_type(&self) -> Option<&str> {
        match self.0 {}
    }

    pub fn name(&self) -> &str {
        match self.0 {}
    }

    pub async fn bytes(&mut self) -> Result<bytes::Bytes, UploadError> {
        match self.0 {}
    }

    pub async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, UploadError> {
        match self.0 {}
    }

    pub async fn save<A>(&mut self, _: A) -> Result<u64, UploadError> {
        match self.0 {}
    }

    pub async fn text(&mut self) -> Result<String, UploadError> {
        match self.0 {}
    }
}

#[cfg(not(feature = "services"))]
impl<S: NeedsServices + Send + Sync + 'static> FromMessage<S> for Services {
    type Rejection = Rejection;

    async fn from_message(_: &Context<S>) -> Result<Services, Rejection> {
        match S::never() {}
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

/// Declares methods whose feature is disabled, for types that exist without it.
macro_rules! methods {
    (
        $feature:tt, $needs:ident, impl [$($generics:tt)*] $type:ty:
        $(fn $method:ident [$($argument:ident),*] ($($parameter:tt)*) -> $result:ty;)*
    ) => {
        #[cfg(not(feature = $feature))]
        impl<$($generics)*> $type {
            $(
                pub fn $method<$($argument),*>($($parameter)*) -> $result
                where
                    for<'a> &'a (): $needs,
                {
                    match <&() as $needs>::never() {}
                }
            )*
        }
    };
}

methods!("files", NeedsFiles, impl [S: 'static] App<S>: fn files [A, B] (self, _: A, _: B) -> App<S>;);
methods!("templates", NeedsTemplates, impl [S: 'static] App<S>:
    fn templates [A] (self, _: A) -> App<S>;
    fn filter [A, B] (self, _: A, _: B) -> App<S>;
    fn global [A, B] (self, _: A, _: B) -> App<S>;);
methods!("legacy", NeedsLegacy, impl [] ServiceAddress: fn dialect [] (self, _: Dialect) -> ServiceAddress;);
methods!("services", NeedsServices, impl [] Client: fn connect [] (_: &ServiceAddress) -> crate::Result<Client>;);
#[cfg(feature = "http")]
methods!("systemd", NeedsSystemd, impl [] crate::Http:
    fn inherited [] () -> crate::Http;
    fn inherited_named [A] (_: A) -> crate::Http;);
#[cfg(feature = "services")]
methods!("systemd", NeedsSystemd, impl [] crate::Service:
    fn inherited [A] (_: A) -> crate::Service;
    fn inherited_named [A, B] (_: A, _: B) -> crate::Service;);
#[cfg(feature = "http")]
methods!("tls", NeedsTls, impl [] crate::Http: fn tls [A, B] (self, _: A, _: B) -> crate::Http;);
methods!("mongrel2", NeedsMongrel2, impl [S] crate::Routes<S>:
    fn mongrel2_conf [A, B] (&self, _: A, _: B) -> Mongrel2Config;);
