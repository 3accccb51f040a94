//! Extractors for the extensions and the URI of a request.

use super::{Context, FromMessage};
use crate::response::Rejection;
use crate::status::Status;
use http::Uri;
use std::convert::Infallible;
use std::ops::Deref;

/// Extractor for a request extension: a value that a layer has added to the request.
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::testing::TestClient;
/// use http::Request;
/// use tower::util::MapRequestLayer;
///
/// #[derive(Clone)]
/// struct Tenant(&'static str);
///
/// #[get("/tenant")]
/// async fn tenant(tenant: Extension<Tenant>) -> &'static str {
///     tenant.0.0
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let add_tenant = MapRequestLayer::new(|mut request: Request<Body>| {
///     request.extensions_mut().insert(Tenant("blue"));
///     request
/// });
/// let app = App::new(routes![tenant], ()).layer(add_tenant);
/// TestClient::new(app).get("/tenant").await.assert_text("blue");
/// # }
/// ```
///
/// Layers are added with [`App::layer`](crate::App::layer) and [`App::route_layer`](crate::App::route_layer). Each extraction clones the
/// value. A value that is the same for all requests belongs into the [`State`](crate::State).
///
/// Rejects with 500, and logs an error, if the request has no extension of this type. `Option<Extension<T>>` is `None` instead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extension<T>(pub T);

impl<T> Deref for Extension<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<S: Send + Sync + 'static, T: Clone + Send + Sync + 'static> FromMessage<S> for Extension<T> {
    type Rejection = Rejection;

    async fn from_message(cx: &Context<S>) -> Result<Extension<T>, Rejection> {
        cx.message()
            .extensions()
            .get()
            .cloned()
            .map(Extension)
            .ok_or_else(|| {
                tracing::error!(
                    extension = std::any::type_name::<T>(),
                    "missing request extension, add it with a layer"
                );
                Rejection::new(Status::INTERNAL_SERVER_ERROR, "a request extension is missing")
            })
    }

    async fn from_message_if_present(cx: &Context<S>) -> Result<Option<Extension<T>>, Rejection> {
        Ok(cx.message().extensions().get().cloned().map(Extension))
    }
}

/// Extracts the path and the query as a URI. Never rejects.
///
/// ```
/// use brubeck::prelude::*;
/// use http::Uri;
///
/// #[get("/{*rest}")]
/// async fn echo(rest: String, uri: Uri) -> String {
///     format!("{rest} was sent as {uri}")
/// }
/// ```
///
/// It is that of [`Message::uri`](crate::Message::uri): percent-encoded, without scheme and host, and `/` if they are not a valid URI, which
/// can happen for a call.
impl<S: Send + Sync + 'static> FromMessage<S> for Uri {
    type Rejection = Infallible;

    async fn from_message(cx: &Context<S>) -> Result<Uri, Infallible> {
        Ok(cx.message().uri())
    }
}
