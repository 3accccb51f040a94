//! [`Problem`], the failure of pages and services.

mod document;

use crate::status::Status;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::fmt;

/// The failure of a page or of an operation: a status, a reason, and the fields that are invalid, as in [RFC 9457].
///
/// ```
/// use brubeck::{IntoReply, Problem};
///
/// async fn withdraw(amount: u64) -> Result<&'static str, Problem> {
///     match amount {
///         0..=50 => Ok("here you are"),
///         _ => Err(Problem::new(409, "insufficient funds").with("balance", 50)),
///     }
/// }
/// ```
///
/// **To browsers.** The `accept` header of the request determines the format:
/// * HTML, which browsers prefer: the template `errors/<code>.html` or `errors.html` of the template folder, or a built-in page,
/// * JSON: `application/problem+json`, also if the header has no preference and the body of the request is JSON,
/// * plain text for all other clients.
///
/// A problem made of a [`CallError`](crate::CallError) also shows the ID of the trace, and in development the text of the error.
///
/// **To callers.** It is the usual error type of a contract. It crosses the wire whole, within the
/// [`body_limit`](crate::Service::body_limit): the caller gets an equal one in [`CallError::Failure`](crate::CallError::Failure).
///
/// ```
/// use brubeck::prelude::*;
///
/// #[service_client]
/// pub trait Halves {
///     #[call("/half")]
///     async fn half(&self, number: u32) -> Result<u32, Problem>;
/// }
///
/// #[service_handler(halves::half)]
/// async fn half(args: Args<halves::half>) -> Result<u32, Problem> {
///     match args.number % 2 {
///         0 => Ok(args.number / 2),
///         _ => Err(Problem::new(422, "the number is odd").invalid("number", "must be even")),
///     }
/// }
/// # fn main() {}
/// ```
///
/// Clients can see everything that is set here, so it must not contain secrets. Therefore `?` converts only a
/// [`CallError`](crate::CallError), a [`Status`] and a [`Rejection`](crate::Rejection) into a `Problem`. One made of a `CallError` has
/// the [status code](crate::CallError::status) of the error, its standard title and the ID of the trace, as the member `trace_id`, but neither the
/// address of a service nor what it has responded. These are logged with the same ID, and browsers see them in
/// [development](crate::App::development) only.
///
/// [RFC 9457]: https://www.rfc-editor.org/rfc/rfc9457
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The code, and the reason as the message.
    status: Status,
    /// `None` for most problems, which have a status and a reason only.
    rest: Option<Box<Rest>>,
}

/// The rarer parts of a problem.
#[derive(Clone, Debug, Default, PartialEq)]
struct Rest {
    type_uri: Option<String>,
    title: Option<String>,
    instance: Option<String>,
    fields: Vec<InvalidField>,
    members: Map<String, Value>,
    /// The failed call of which the problem was made. It never crosses the wire, and browsers see it in development only.
    cause: Option<CallFailure>,
}

/// A field that is invalid, in the member `errors`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct InvalidField {
    pub(crate) field: String,
    pub(crate) reason: String,
}

/// The type of a problem that has no type of its own: its title says no more than its status (RFC 9457, section 4.2.1).
const NO_TYPE: &str = "about:blank";

/// The member with the ID of the trace of a failed call.
const TRACE_ID: &str = "trace_id";

impl Problem {
    /// Creates a problem with a status code and a reason.
    ///
    /// ```
    /// use brubeck::Problem;
    ///
    /// let problem = Problem::new(409, "insufficient funds");
    /// assert_eq!(problem.status().to_string(), "409 insufficient funds");
    /// ```
    ///
    /// The client can see the reason, so it must not contain secrets: it is the member `detail` of the JSON format. HTTP clients get the
    /// code that [`Status::http`] returns: 400, 401, 404 or 405 for the codes -1 to -4 of the Python original, and 500 for any other code
    /// that no final response can have. The caller of a service gets any code as it is.
    pub fn new(code: impl Into<Status>, reason: impl Into<Cow<'static, str>>) -> Problem {
        Problem::from(code.into().message(reason))
    }

    /// Adds an invalid field: its path, such as `user.age`, and the reason.
    ///
    /// ```
    /// use brubeck::prelude::*;
    ///
    /// #[post("/order")]
    /// async fn order(amount: Arg<u32>) -> Result<String, Problem> {
    ///     match amount.0 {
    ///         1..=50 => Ok(format!("{} ordered", amount.0)),
    ///         _ => Err(Problem::new(422, "the order is not valid").invalid("amount", "must be between 1 and 50")),
    ///     }
    /// }
    /// ```
    ///
    /// Call it once for each invalid field. The JSON format lists them in the member `errors`, as objects with `field` and `reason`; plain
    /// text and HTML list them below the reason.
    pub fn invalid(self, path: impl Into<String>, reason: impl Into<String>) -> Problem {
        let (field, reason) = (path.into(), reason.into());
        self.change(|rest| rest.fields.push(InvalidField { field, reason }))
    }

    /// Adds an extension member to the JSON format (RFC 9457, section 3.2).
    ///
    /// ```
    /// use brubeck::Problem;
    ///
    /// let problem = Problem::new(402, "the balance is too low").with("balance", 30);
    /// assert_eq!(problem.get("balance"), Some(&30.into()));
    /// ```
    ///
    /// The members `type`, `title`, `status`, `detail` and `instance` have methods of their own and are not changed, and `errors` lists the invalid
    /// fields if there are any. A value that cannot be serialized is ignored.
    pub fn with(self, name: impl Into<String>, value: impl Serialize) -> Problem {
        let name = name.into();
        if !document::STANDARD_MEMBERS.contains(&name.as_str())
            && let Ok(value) = serde_json::to_value(value)
        {
            return self.change(|rest| {
                rest.members.insert(name, value);
            });
        }
        self
    }

    /// Sets the type: a URI that identifies this kind of problem, for clients to distinguish. The default is `about:blank`.
    ///
    /// ```
    /// use brubeck::Problem;
    ///
    /// let problem = Problem::new(402, "the balance is 30")
    ///     .with_type("https://example.com/problems/out-of-credit")
    ///     .with_title("You have not enough credit");
    /// assert_eq!(problem.title(), "You have not enough credit");
    /// ```
    pub fn with_type(self, uri: impl Into<String>) -> Problem {
        let uri = Some(uri.into()).filter(|uri| uri != NO_TYPE);
        self.change(|rest| rest.type_uri = uri)
    }

    /// Sets the title: a summary that is the same for all problems of a [type](Problem::with_type). The default is the standard message of
    /// the status code.
    ///
    /// ```
    /// use brubeck::Problem;
    ///
    /// assert_eq!(Problem::new(404, "there is no user 7").title(), "Not Found");
    /// assert_eq!(Problem::new(404, "there is no user 7").with_title("No such user").title(), "No such user");
    /// ```
    pub fn with_title(self, title: impl Into<String>) -> Problem {
        let title = Some(title.into()).filter(|title| title != self.default_title());
        self.change(|rest| rest.title = title)
    }

    /// Sets a URI that identifies this occurrence of the problem.
    ///
    /// ```
    /// use brubeck::Problem;
    ///
    /// let problem = Problem::new(402, "the balance is 30").with_instance("/account/12345/messages/abc");
    /// assert_eq!(problem.instance(), Some("/account/12345/messages/abc"));
    /// ```
    pub fn with_instance(self, uri: impl Into<String>) -> Problem {
        self.change(|rest| rest.instance = Some(uri.into()))
    }

    /// Replaces the status code, and keeps everything else.
    pub(crate) fn set_code(&mut self, code: i32) {
        let reason = self.status.clone().into_text();
        self.status = Status::new(code).message(reason);
    }

    /// Returns the status, with the reason as its message.
    ///
    /// ```
    /// assert_eq!(brubeck::Problem::new(402, "the balance is too low").status().code(), 402);
    /// ```
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Returns the reason, which is the member `detail` of the JSON format.
    ///
    /// ```
    /// assert_eq!(brubeck::Problem::new(402, "the balance is too low").detail(), "the balance is too low");
    /// ```
    pub fn detail(&self) -> &str {
        self.status.text()
    }

    /// Returns the [title](Problem::with_title).
    ///
    /// ```
    /// assert_eq!(brubeck::Problem::new(402, "the balance is too low").title(), "Payment Required");
    /// ```
    pub fn title(&self) -> &str {
        let title = self.rest.as_ref().and_then(|rest| rest.title.as_deref());
        title.unwrap_or_else(|| self.default_title())
    }

    fn default_title(&self) -> &'static str {
        self.status.http().canonical_reason().unwrap_or("Error")
    }

    /// Returns the [type](Problem::with_type).
    ///
    /// ```
    /// assert_eq!(brubeck::Problem::new(402, "the balance is too low").type_uri(), "about:blank");
    /// ```
    pub fn type_uri(&self) -> &str {
        let uri = self.rest.as_ref().and_then(|rest| rest.type_uri.as_deref());
        uri.unwrap_or(NO_TYPE)
    }

    /// Returns the URI of this occurrence, if it was [set](Problem::with_instance).
    ///
    /// ```
    /// assert_eq!(brubeck::Problem::new(402, "the balance is too low").instance(), None);
    /// ```
    pub fn instance(&self) -> Option<&str> {
        self.rest.as_ref()?.instance.as_deref()
    }

    /// Returns the invalid fields: the path of each, and the reason.
    ///
    /// ```
    /// use brubeck::Problem;
    ///
    /// let problem = Problem::new(422, "the order is not valid").invalid("user.age", "must be at least 18");
    /// assert!(problem.fields().eq([("user.age", "must be at least 18")]));
    /// ```
    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.invalid_fields()
            .iter()
            .map(|InvalidField { field, reason }| (field.as_str(), reason.as_str()))
    }

    pub(crate) fn invalid_fields(&self) -> &[InvalidField] {
        self.rest.as_ref().map_or(&[], |rest| &rest.fields)
    }

    /// Returns an extension member that [`with`](Problem::with) has added, here or in the service that has failed.
    ///
    /// ```
    /// use brubeck::Problem;
    ///
    /// let problem = Problem::new(402, "the balance is too low").with("balance", 30);
    /// assert_eq!((problem.get("balance"), problem.get("currency")), (Some(&30.into()), None));
    /// ```
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.rest.as_ref()?.members.get(name)
    }

    /// Adds the ID of the trace as a member, and the text of the error of which this problem was made as its private cause.
    pub(crate) fn of_call(self, trace_id: Option<&str>, error: String) -> Problem {
        let problem = match trace_id {
            Some(trace_id) => self.with(TRACE_ID, trace_id),
            None => self,
        };
        problem.change(|rest| rest.cause = Some(CallFailure(error)))
    }

    /// Returns the ID of the trace of the failed call.
    pub(crate) fn trace_id(&self) -> Option<&str> {
        self.get(TRACE_ID)?.as_str()
    }

    /// Returns the private cause, which only logs and browsers in development may show.
    pub(crate) fn cause(&self) -> Option<&str> {
        let CallFailure(text) = self.rest.as_ref()?.cause.as_ref()?;
        Some(text)
    }

    /// Removes the private cause.
    pub(crate) fn without_cause(self) -> Problem {
        match self.cause() {
            Some(_) => self.change(|rest| rest.cause = None),
            None => self,
        }
    }

    /// Changes the rarer parts. A problem that has none of them has no `rest`, so that equal problems are equal.
    fn change(mut self, change: impl FnOnce(&mut Rest)) -> Problem {
        change(self.rest.get_or_insert_default());
        self.rest = self.rest.filter(|rest| **rest != Rest::default());
        self
    }

    /// Completes a problem that was read from the body of a response with the status of the response.
    ///
    /// The status has the code as the service has sent it, which the JSON cannot represent if it is not one of HTTP, and the reason if the
    /// body has none.
    pub(crate) fn with_status_of_response(self, status: &Status) -> Problem {
        let has_reason = self.status.has_message();
        let reason = if has_reason { self.status } else { status.clone() };
        Problem {
            status: Status::new(status.code()).message(reason.into_text()),
            rest: self.rest,
        }
    }

    /// Removes members that a dialect of the Python original adds to every body. They repeat the status.
    pub(crate) fn without_members(self, names: &[&str]) -> Problem {
        self.change(|rest| rest.members.retain(|name, _| !names.contains(&name.as_str())))
    }
}

/// Shows the status, the reason, the invalid fields, and the error of the call of which the problem was made. It is for logs: clients
/// must not see the last.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.status.fmt(f)?;
        let mut separator = "; ";
        for InvalidField { field, reason } in self.invalid_fields() {
            // A rejection has one reason for both.
            if reason != self.detail() {
                write!(f, "{separator}{field}: {reason}")?;
                separator = ", ";
            }
        }
        match self.cause() {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

/// The source is the error of the call of which the problem was made.
impl std::error::Error for Problem {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let failure = self.rest.as_ref()?.cause.as_ref()?;
        Some(failure)
    }
}

/// The text of the error of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CallFailure(String);

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for CallFailure {}

/// A problem whose reason is the message of the status.
impl From<Status> for Problem {
    fn from(status: Status) -> Problem {
        Problem { status, rest: None }
    }
}
