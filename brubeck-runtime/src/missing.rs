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

#[cfg(not(feature = "axum"))]
#[diagnostic::on_unimplemented(
    message = "the extractors of axum need the feature `axum` of the crate `brubeck`",
    label = "the feature `axum` is disabled",
    note = "add `axum` to the `features` of `brubeck` in Cargo.toml"
)]
pub trait NeedsAxum {
    fn never() -> Infallible;
}

#[cfg(not(feature = "files"))]
#[diagnostic::on_unimplemented(
    message = "files need the feature `files` of the crate `brubeck`",
    label = "the feature `files` is disabled",
    note = "add `files` to the `features` of `brubeck` in Cargo.toml"
)]
pub trait NeedsFiles {
    fn never() -> Infallible;
}

#[cfg(not(feature = "http"))]
#[diagnostic::on_unimplemented(
    message = "the embedded HTTP server needs the feature `http` of the crate `brubeck`",
    label = "the feature `http` is disabled",
    note = "add `http` to the `features` of `brubeck` in Cargo.toml"
)]
pub trait NeedsHttp {
    fn never() -> Infallible;
}

#[cfg(not(feature = "legacy"))]
#[diagnostic::on_unimplemented(
    message = "services in the dialects of the Python original need the feature `legacy` of the crate `brubeck`",
    label = "the feature `legacy` is disabled",
    note = "add `legacy` to the `features` of `brubeck` in Cargo.toml"
)]
pub trait NeedsLegacy {
    fn never() -> Infallible;
}

#[cfg(not(feature = "mongrel2"))]
#[diagnostic::on_unimplemented(
    message = "Mongrel2 needs the feature `mongrel2` of the crate `brubeck`",
    label = "the feature `mongrel2` is disabled",
    note = "add `mongrel2` to the `features` of `brubeck` in Cargo.toml"
)]
pub trait NeedsMongrel2 {
    fn never() -> Infallible;
}

#[cfg(not(feature = "multipart"))]
#[diagnostic::on_unimplemented(
    message = "multipart forms need the feature `multipart` of the crate `brubeck`",
    label = "the feature `multipart` is disabled",
    note = "add `multipart` to the `features` of `brubeck` in Cargo.toml"
)]
pub trait NeedsMultipart {
    fn never() -> Infallible;
}

#[cfg(not(feature = "services"))]
#[diagnostic::on_unimplemented(
    message = "services need the feature `services` of the crate `brubeck`",
    label = "the feature `services` is disabled",
    note = "add `services` to the `features` of `brubeck` in Cargo.toml"
)]
pub trait NeedsServices {
    fn never() -> Infallible;
}

#[cfg(not(feature = "templates"))]
#[diagnostic::on_unimplemented(
    message = "templates need the feature `templates` of the crate `brubeck`",
    label = "the feature `templates` is disabled",
    note = "add `templates` to the `features` of `brubeck` in Cargo.toml"
)]
pub trait NeedsTemplates {
    fn never() -> Infallible;
}

#[cfg(all(feature = "http", not(feature = "tls")))]
#[diagnostic::on_unimplemented(
    message = "TLS needs the feature `tls` of the crate `brubeck`",
    label = "the feature `tls` is disabled",
    note = "add `tls` to the `features` of `brubeck` in Cargo.toml"
)]
pub trait NeedsTls {
    fn never() -> Infallible;
}

/// The embedded HTTP server. Needs the feature `http`.
#[cfg(not(feature = "http"))]
#[derive(Debug)]
pub struct Http(Infallible);

#[cfg(not(feature = "http"))]
impl Http {
    pub fn bind<A: NeedsHttp>(_: A) -> Self {
        match A::never() {}
    }

    pub fn unix<A: NeedsHttp>(_: A) -> Self {
        match A::never() {}
    }
}

#[cfg(not(feature = "http"))]
impl Connection for Http {
    fn open(self: Box<Self>, _: Arc<dyn Application>) -> BoxFuture<'static, crate::Result<OpenConnection>> {
        match self.0 {}
    }
}

/// A Mongrel2 web server. Needs the feature `mongrel2`.
#[cfg(not(feature = "mongrel2"))]
#[derive(Debug)]
pub struct Mongrel2(Infallible);

#[cfg(not(feature = "mongrel2"))]
impl Mongrel2 {
    pub fn new<A: NeedsMongrel2, B>(_: A, _: B) -> Self {
        match A::never() {}
    }
}

#[cfg(not(feature = "mongrel2"))]
impl Connection for Mongrel2 {
    fn open(self: Box<Self>, _: Arc<dyn Application>) -> BoxFuture<'static, crate::Result<OpenConnection>> {
        match self.0 {}
    }
}

/// A service. Needs the feature `services`.
#[cfg(not(feature = "services"))]
#[derive(Debug)]
pub struct Service(Infallible);

#[cfg(not(feature = "services"))]
impl Service {
    pub fn bind<A: NeedsServices, B>(_: A, _: B) -> Self {
        match A::never() {}
    }
}

#[cfg(not(feature = "services"))]
impl Connection for Service {
    fn open(self: Box<Self>, _: Arc<dyn Application>) -> BoxFuture<'static, crate::Result<OpenConnection>> {
        match self.0 {}
    }
}

/// A service that connects to its caller. Needs the feature `legacy`.
#[cfg(not(feature = "legacy"))]
#[derive(Debug)]
pub struct LegacyService(Infallible);

#[cfg(not(feature = "legacy"))]
impl LegacyService {
    pub fn connect<A: NeedsLegacy, B, C>(_: A, _: B, _: C) -> Self {
        match A::never() {}
    }
}

#[cfg(not(feature = "legacy"))]
impl Connection for LegacyService {
    fn open(self: Box<Self>, _: Arc<dyn Application>) -> BoxFuture<'static, crate::Result<OpenConnection>> {
        match self.0 {}
    }
}

/// An extractor of axum. Needs the feature `axum`.
#[cfg(not(feature = "axum"))]
#[derive(Debug)]
pub struct Axum<T>(PhantomData<T>, Infallible);

#[cfg(not(feature = "axum"))]
impl<T: Send, S: NeedsAxum + Send + Sync + 'static> FromMessage<S> for Axum<T> {
    type Rejection = Rejection;

    async fn from_message(_: &Context<S>) -> Result<Axum<T>, Rejection> {
        match S::never() {}
    }
}

/// An extractor of axum that reads the body. Needs the feature `axum`.
#[cfg(not(feature = "axum"))]
#[derive(Debug)]
pub struct AxumBody<T>(PhantomData<T>, Infallible);

#[cfg(not(feature = "axum"))]
impl<T: Send, S: NeedsAxum + Send + Sync + 'static> FromMessage<S> for AxumBody<T> {
    type Rejection = Rejection;

    async fn from_message(_: &Context<S>) -> Result<AxumBody<T>, Rejection> {
        match S::never() {}
    }
}

/// A form with files. Needs the feature `multipart`.
#[cfg(not(feature = "multipart"))]
#[derive(Debug)]
pub struct Multipart(Infallible);

#[cfg(not(feature = "multipart"))]
impl<S: NeedsMultipart + Send + Sync + 'static> FromMessage<S> for Multipart {
    type Rejection = Rejection;

    async fn from_message(_: &Context<S>) -> Result<Multipart, Rejection> {
        match S::never() {}
    }
}

/// A file as a reply. Needs the feature `files`.
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

/// A page. Needs the feature `templates`.
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
    /// Serves the files of a folder. Needs the feature `files`.
    #[cfg(not(feature = "files"))]
    pub fn files<A: NeedsFiles, B>(self, _: A, _: B) -> App<S> {
        match A::never() {}
    }

    /// Sets the template folder. Needs the feature `templates`.
    #[cfg(not(feature = "templates"))]
    pub fn templates<A: NeedsTemplates>(self, _: A) -> App<S> {
        match A::never() {}
    }
}

#[cfg(feature = "http")]
impl crate::Http {
    /// Serves HTTPS. Needs the feature `tls`.
    #[cfg(not(feature = "tls"))]
    pub fn tls<A: NeedsTls, B>(self, _: A, _: B) -> crate::Http {
        match A::never() {}
    }
}
