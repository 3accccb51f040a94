//! Decides who sent a request and which authority it is for, before anything else sees the request.

use super::trusted_proxies::{ForwardedRequest, TrustedProxies};
use crate::authority::codec::{HostPort, parse_host_port};
use crate::authority::{Authority, HostPattern, Scheme, WebOrigin};
use crate::peer::{RemoteAddr, WebClient};
use http::header::HOST;
use http::uri::Uri;
use http::{Method, Request, StatusCode, Version};

/// The status and the reason of a request that is refused.
pub(super) type Refusal = (StatusCode, &'static str);

/// The settings that decide who sent a request, and for which authority.
#[derive(Debug, Default)]
pub(super) struct Addressing {
    pub(super) proxies: TrustedProxies,
    /// The hosts that the application accepts. An empty list accepts all.
    pub(super) hosts: Vec<HostPattern>,
}

impl Addressing {
    /// Decides the client, the scheme and the authority of a request. Afterwards the `host` header is the authority, whatever the version
    /// of HTTP and the form of the target, and the URI is a path with a query.
    ///
    /// # Errors
    ///
    /// Returns an error if the request names no valid authority, or one that the application does not accept.
    pub(super) fn resolve<B>(&self, request: &mut Request<B>, client: &mut WebClient) -> Result<(), Refusal> {
        let extensions = request.extensions();
        client.address = client.address.or_else(|| extensions.get().copied());
        client.scheme = extensions.get().copied().unwrap_or(client.scheme);
        let forwarded = self.read_forwarded(request, client)?;
        let host = host_header(request)?;
        let target = target_authority(request, host, client.scheme)?;
        // A plain connection for this port: TLS ended in front of the server.
        let port = target.as_ref().map_or(host.port, Authority::port_text);
        let scheme = if port == Some("443") {
            Scheme::Https
        } else {
            client.scheme
        };
        client.scheme = forwarded.scheme.unwrap_or(scheme);
        let is_normal = host.is_normalised();
        let mut authority = forwarded
            .host
            .or(target)
            .or_else(|| Authority::new(host).filter(|_| !is_normal));
        if let Some(port) = forwarded.port {
            let without_port = authority.take().or_else(|| Authority::new(host));
            authority = without_port.map(|authority| authority.or_port(port, client.scheme));
        }
        self.check_host(authority.as_ref(), host, client.scheme)?;
        if let Some(authority) = authority {
            let header = authority.header();
            request.headers_mut().insert(HOST, header);
        }
        if request.uri().authority().is_some() || request.uri().scheme().is_some() {
            let Some(target) = request.uri().path_and_query().cloned() else {
                if request.method() != Method::CONNECT {
                    return Err(bad_request("the target of the request is not a path"));
                }
                let reason = "this server is not a proxy: it does not support CONNECT";
                return Err((StatusCode::NOT_IMPLEMENTED, reason));
            };
            *request.uri_mut() = Uri::from(target);
        }
        Ok(())
    }

    /// If the peer is a trusted proxy, replaces it by the client that the proxy forwards, and returns what else it forwards.
    fn read_forwarded<B>(
        &self,
        request: &mut Request<B>,
        client: &mut WebClient,
    ) -> Result<ForwardedRequest, Refusal> {
        let peer = client.address.map(|RemoteAddr(address)| address);
        if !self.proxies.is_enabled() || !self.proxies.trusts(peer) {
            return Ok(ForwardedRequest::default());
        }
        let forwarded = self.proxies.read(peer, request.headers()).map_err(bad_request)?;
        client.address = forwarded.client.map(RemoteAddr);
        // Without a front end, the address of the proxy may be in the extensions.
        request.extensions_mut().remove::<RemoteAddr>();
        if client.address.is_none() {
            tracing::debug!(
                ?peer,
                "the trusted proxy did not forward the address of the client in `Forwarded` or `X-Forwarded-For`"
            );
        }
        Ok(forwarded)
    }

    fn check_host(
        &self,
        rewritten: Option<&Authority>,
        sent: HostPort<'_>,
        scheme: Scheme,
    ) -> Result<(), Refusal> {
        if self.hosts.is_empty() {
            return Ok(());
        }
        let sent = || Authority::new(sent);
        let Some(authority) = rewritten.cloned().or_else(sent) else {
            return Err(bad_request("the request names no host"));
        };
        if self.hosts.iter().any(|host| host.matches(&authority, scheme)) {
            return Ok(());
        }
        tracing::debug!(%authority, "refused a request for a host that is not in `App::hosts`");
        Err((
            StatusCode::MISDIRECTED_REQUEST,
            "this server does not serve the requested host",
        ))
    }
}

/// Returns the value of the `host` header, which is empty if the header is missing.
fn host_header<B>(request: &Request<B>) -> Result<HostPort<'_>, Refusal> {
    let mut values = request.headers().get_all(HOST).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(HostPort { host: "", port: None }),
        (Some(host), None) => {
            parse_host_port(host.as_bytes()).ok_or(bad_request("the Host header is invalid"))
        }
        (Some(_), Some(_)) => Err(bad_request("the request has more than one Host header")),
    }
}

/// Returns the authority of the request target. It takes precedence over the `host` header (RFC 9112, section 3.2.2), which must not
/// contradict it in HTTP/2 (RFC 9113, section 8.3.1).
fn target_authority<B>(
    request: &Request<B>,
    host: HostPort<'_>,
    scheme: Scheme,
) -> Result<Option<Authority>, Refusal> {
    let Some(target) = request.uri().authority() else {
        return Ok(None);
    };
    let target = Authority::parse(target.as_str().as_bytes())
        .ok_or(bad_request("the authority of the request target is invalid"))?;
    let is_other = |host| WebOrigin::of(scheme, &host) != WebOrigin::of(scheme, &target);
    if request.version() == Version::HTTP_2 && Authority::new(host).is_some_and(is_other) {
        return Err(bad_request("the Host header contradicts `:authority`"));
    }
    Ok(Some(target))
}

const fn bad_request(reason: &'static str) -> Refusal {
    (StatusCode::BAD_REQUEST, reason)
}
