//! Shortens the envelope of a reply to the limits of the protocol.

use super::ByteStr;
use super::limits::{MAX_HEADER_BYTES, MAX_HEADERS, MAX_MESSAGE};
use super::reply::WireReply;

/// The header that lists the names of the headers that were left out of a reply.
const OMITTED_HEADERS: &str = "brubeck-omitted-headers";

/// Limit for the names in that header, in bytes.
const MAX_OMITTED_NAMES: usize = 512;

impl WireReply {
    /// Cuts the message, and leaves out headers, until they are within their limits. The status and the body stay as they are. Returns what
    /// has changed, for the log.
    ///
    /// ```
    /// use brubeck_runtime::wire::v3::WireReply;
    ///
    /// let mut reply = WireReply { message: "é".repeat(2000).into(), ..WireReply::default() };
    /// assert!(reply.shorten().is_some());
    /// assert_eq!(reply.message.len(), 1024);
    /// assert_eq!(reply.shorten(), None);
    /// ```
    pub fn shorten(&mut self) -> Option<String> {
        let message = (self.message.len() > MAX_MESSAGE).then(|| self.shorten_message());
        let header_bytes: usize = self.headers.iter().map(header_len).sum();
        let headers = (self.headers.len() > MAX_HEADERS || header_bytes > MAX_HEADER_BYTES)
            .then(|| self.shorten_headers());
        match (message, headers) {
            (Some(message), Some(headers)) => Some(format!("{message}, and {headers}")),
            (message, headers) => message.or(headers),
        }
    }

    fn shorten_message(&mut self) -> String {
        let length = self.message.len();
        self.message = self.message.truncated(MAX_MESSAGE);
        format!("the message of the status has {length} bytes and was cut to {MAX_MESSAGE}")
    }

    fn shorten_headers(&mut self) -> String {
        let mut left = MAX_HEADER_BYTES - OMITTED_HEADERS.len() - MAX_OMITTED_NAMES;
        let (mut kept, mut omitted) = (Vec::new(), Vec::new());
        for header in std::mem::take(&mut self.headers) {
            let length = header_len(&header);
            // One place is for the header with the names.
            if kept.len() < MAX_HEADERS - 1 && length <= left {
                left -= length;
                kept.push(header);
            } else {
                omitted.push(header.0);
            }
        }
        let names: Vec<&str> = omitted.iter().map(ByteStr::as_str).collect();
        let names = ByteStr::from(names.join(", ")).truncated(MAX_OMITTED_NAMES);
        let report = format!(
            "these headers were left out, because a response may have {MAX_HEADERS} headers with {MAX_HEADER_BYTES} bytes: {names}"
        );
        kept.push((OMITTED_HEADERS.into(), names));
        self.headers = kept;
        report
    }
}

fn header_len((name, value): &(ByteStr, ByteStr)) -> usize {
    name.len() + value.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn replies() -> impl Strategy<Value = WireReply> {
        let lengths = || prop_oneof![0..40_usize, 1000..1100_usize, 16_000..17_000_usize];
        let headers = prop::collection::vec(("[a-z]{1,8}", lengths()), 0..130);
        (any::<i32>(), "[aé€𝄞]", lengths(), headers, "[a-z]{0,9}").prop_map(
            |(status, letter, length, headers, body)| WireReply {
                status,
                message: letter.repeat(length).into(),
                headers: headers
                    .into_iter()
                    .map(|(name, length)| (name.into(), "v".repeat(length).into()))
                    .collect(),
                body: body.into(),
                ..WireReply::default()
            },
        )
    }

    proptest! {
        #[test]
        fn any_reply_fits_and_keeps_its_status_and_body(reply in replies()) {
            let fits = reply.validate().is_ok();
            let mut short = reply.clone();
            let report = short.shorten();
            prop_assert_eq!(report.is_none(), fits, "{:?}", report);
            prop_assert!(short.validate().is_ok());
            prop_assert_eq!((short.status, &short.body), (reply.status, &reply.body));
            prop_assert!(reply.message.as_str().starts_with(short.message.as_str()));
            prop_assert!(short.message == reply.message || short.message.len() > MAX_MESSAGE - 4);
            prop_assert!(!fits || short == reply);
        }
    }

    #[test]
    fn omitted_headers_are_named_in_the_reply() {
        let header = |name: &str, length| (ByteStr::from(name.to_owned()), "v".repeat(length).into());
        let mut reply = WireReply {
            headers: vec![
                header("x-a", 10),
                header("x-large", MAX_HEADER_BYTES),
                header("x-b", 10),
            ],
            ..WireReply::default()
        };
        let report = reply.shorten().unwrap();
        assert!(
            report.contains("x-large") && report.contains("16384 bytes"),
            "{report}"
        );
        let names: Vec<&str> = reply.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["x-a", "x-b", OMITTED_HEADERS]);
    }
}
