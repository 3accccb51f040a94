//! The settings of an application, before they are checked.

use super::call_layers::BoxedCallLayer;
use super::inner::Hooks;
use super::limits::{DEFAULT_TIMEOUT, RouteLimits};
use super::tower::{BoxedLayer, Mounted};
use crate::handler::Connection;
use crate::routing::RouteList;
use crate::session::{CookieSecret, Sessions};
use crate::template::TemplateConfig;
use std::time::Duration;

/// The settings of an [`App`](crate::App).
pub(super) struct AppSettings {
    pub(super) templates: TemplateConfig,
    pub(super) body_limit: usize,
    pub(super) message_limit: usize,
    pub(super) timeout: Option<Duration>,
    pub(super) limits: RouteLimits,
    pub(super) drain: Duration,
    pub(super) connections: Vec<Box<dyn Connection>>,
    pub(super) layers: Vec<BoxedLayer>,
    pub(super) call_layers: Vec<BoxedCallLayer>,
    pub(super) route_layers: Vec<(RouteList, BoxedLayer)>,
    pub(super) mounts: Vec<(String, Mounted)>,
    pub(super) cookie_secret: Option<CookieSecret>,
    pub(super) login_url: Option<String>,
    pub(super) proxies: Vec<String>,
    pub(super) hosts: Vec<String>,
    pub(super) trusted_origins: Vec<String>,
    pub(super) allow_cross_site: bool,
    pub(super) sessions: Sessions,
    pub(super) plain_http: bool,
    pub(super) sample_traces: bool,
    pub(super) development: Option<bool>,
    pub(super) hooks: Hooks,
}

impl AppSettings {
    /// Returns the defaults.
    pub(super) fn new() -> AppSettings {
        AppSettings {
            templates: TemplateConfig::default(),
            body_limit: 1 << 20,
            message_limit: 1 << 20,
            timeout: Some(DEFAULT_TIMEOUT),
            limits: RouteLimits::default(),
            drain: Duration::from_secs(30),
            connections: Vec::new(),
            layers: Vec::new(),
            call_layers: Vec::new(),
            route_layers: Vec::new(),
            mounts: Vec::new(),
            cookie_secret: None,
            login_url: None,
            proxies: Vec::new(),
            hosts: Vec::new(),
            trusted_origins: Vec::new(),
            allow_cross_site: false,
            sessions: Sessions::default(),
            plain_http: false,
            sample_traces: false,
            development: None,
            hooks: Hooks::default(),
        }
    }
}
