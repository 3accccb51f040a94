#![doc = include_str!("../README.md")]

pub use brubeck_macros::*;
pub use brubeck_runtime::*;

/// What an application needs: `use brubeck::prelude::*;`.
pub mod prelude {
    pub use brubeck_macros::*;
    #[cfg(feature = "files")]
    #[doc(no_inline)]
    pub use brubeck_runtime::File;
    #[cfg(feature = "multipart")]
    #[doc(no_inline)]
    pub use brubeck_runtime::Multipart;
    #[doc(no_inline)]
    pub use brubeck_runtime::{
        Answer, App, Arg, Ask, Body, Broadcast, Call, CallError, Client, Close, Closed, Context, Cookie,
        Cookies, CurrentUser, Event, Events, Extension, Fault, Form, FromMessage, Handled, Header, Headers,
        Html, Http, IntoReply, Json, Limits, Membership, Message, Method, Mongrel2, NotFound, Page, Problem,
        Query, Redirect, Rejection, RemoteAddr, Reply, Response, Routes, Service, Services, Session,
        SignedCookies, SocketMessage, SocketSender, State, Status, Template, Text, Upgrade, Upload,
        UploadError, User, WebSocket,
    };
    #[cfg(feature = "axum")]
    #[doc(no_inline)]
    pub use brubeck_runtime::{Axum, AxumBody};
}
