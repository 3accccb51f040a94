//! The rules of ARCHITECTURE.md, checked against the sources.
//!
//! The checks read the text of the sources, so they need no build of it: comments, strings and unit tests are blanked, and
//! every path that begins with `crate` or `super` counts as an import, in `use` lines and elsewhere.

mod repository;

use repository::{files, root};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

/// The modules of the runtime, each with the modules that it may import. A module may import only modules above it.
const IMPORTS: &[(&str, &[&str])] = &[
    ("error", &[]),
    ("method", &[]),
    ("status", &[]),
    ("secret", &["error"]),
    ("key_pin", &[]),
    ("small_bytes", &[]),
    ("json_parts", &[]),
    ("outcome", &[]),
    ("problem", &["status"]),
    ("const_string", &[]),
    ("as_bytes", &["json_parts"]),
    ("codec", &[]),
    ("spec", &["const_string", "method"]),
    ("authority", &["error"]),
    ("target", &[]),
    ("peer", &["authority", "codec", "key_pin"]),
    ("message", &["authority", "method", "peer", "status", "target"]),
    ("trace", &["message"]),
    ("session", &["error"]),
    ("scope", &["session"]),
    (
        "rpc/api",
        &[
            "codec",
            "problem",
            "outcome",
            "json_parts",
            "error",
            "key_pin",
            "message",
            "method",
            "scope",
            "secret",
            "small_bytes",
            "spec",
            "status",
            "trace",
            "peer",
        ],
    ),
    (
        "response",
        &[
            "problem",
            "json_parts",
            "outcome",
            "rpc/api",
            "session",
            "small_bytes",
            "spec",
            "status",
        ],
    ),
    ("websocket", &["authority", "message", "response", "status"]),
    (
        "extract",
        &[
            "outcome",
            "json_parts",
            "authority",
            "error",
            "message",
            "method",
            "response",
            "rpc/api",
            "scope",
            "session",
            "spec",
            "status",
            "trace",
            "websocket",
            "peer",
        ],
    ),
    (
        "routing",
        &[
            "const_string",
            "error",
            "extract",
            "method",
            "response",
            "rpc/api",
            "spec",
            "status",
            "target",
        ],
    ),
    (
        "template",
        &["const_string", "error", "response", "routing", "spec", "status"],
    ),
    (
        "handler",
        &[
            "outcome", "error", "extract", "message", "response", "rpc/api", "spec", "status", "template",
            "peer",
        ],
    ),
    ("files", &["response", "status"]),
    ("rpc/codec", &["codec", "const_string", "outcome"]),
    ("rpc/core", &["rpc/api", "rpc/codec"]),
    ("rpc/driver", &["error", "rpc/core"]),
    ("rpc/sealed", &["error", "key_pin", "rpc/api", "secret"]),
    (
        "rpc/convert",
        &[
            "json_parts",
            "message",
            "method",
            "response",
            "rpc/api",
            "rpc/codec",
            "small_bytes",
            "status",
            "trace",
            "peer",
        ],
    ),
    (
        "rpc/client",
        &[
            "error",
            "rpc/api",
            "rpc/codec",
            "rpc/convert",
            "rpc/core",
            "rpc/driver",
        ],
    ),
    (
        "rpc/server",
        &[
            "error",
            "handler",
            "message",
            "method",
            "response",
            "rpc/api",
            "rpc/codec",
            "rpc/convert",
            "rpc/core",
            "rpc/driver",
            "spec",
            "status",
        ],
    ),
    (
        "http",
        &["authority", "error", "handler", "response", "websocket", "peer"],
    ),
    (
        "mongrel2",
        &[
            "authority",
            "codec",
            "error",
            "extract",
            "handler",
            "message",
            "method",
            "response",
            "routing",
            "rpc/api",
            "spec",
            "status",
            "websocket",
            "peer",
        ],
    ),
    (
        "legacy",
        &[
            "codec",
            "error",
            "handler",
            "message",
            "method",
            "outcome",
            "response",
            "routing",
            "rpc/api",
            "rpc/convert",
            "rpc/server",
            "secret",
            "status",
        ],
    ),
    (
        "app",
        &[
            "authority",
            "error",
            "extract",
            "files",
            "handler",
            "legacy",
            "message",
            "method",
            "outcome",
            "response",
            "routing",
            "rpc/api",
            "rpc/client",
            "rpc/codec",
            "rpc/core",
            "rpc/sealed",
            "rpc/server",
            "scope",
            "secret",
            "session",
            "spec",
            "status",
            "target",
            "template",
            "websocket",
            "peer",
        ],
    ),
    (
        "testing",
        &[
            "app",
            "authority",
            "error",
            "handler",
            "http",
            "message",
            "mongrel2",
            "response",
            "routing",
            "rpc/api",
            "rpc/client",
            "websocket",
            "peer",
        ],
    ),
];

/// The files that parse bytes from outside, each with the fuzz targets that reach it.
const FUZZED: &[(&str, &[&str])] = &[
    ("brubeck-runtime/src/authority/codec/forwarded.rs", &["forwarded"]),
    ("brubeck-runtime/src/authority/codec/host.rs", &["authority"]),
    (
        "brubeck-runtime/src/authority/codec/mod.rs",
        &["authority", "forwarded"],
    ),
    (
        "brubeck-runtime/src/codec/cursor.rs",
        &["lenstr", "netstring", "tnetstring"],
    ),
    ("brubeck-runtime/src/codec/lenstr.rs", &["lenstr"]),
    (
        "brubeck-runtime/src/codec/mod.rs",
        &["lenstr", "netstring", "tnetstring"],
    ),
    ("brubeck-runtime/src/codec/netstring.rs", &["netstring"]),
    ("brubeck-runtime/src/codec/tnetstring.rs", &["tnetstring"]),
    (
        "brubeck-runtime/src/extract/multipart/codec/decoder.rs",
        &["multipart"],
    ),
    (
        "brubeck-runtime/src/extract/multipart/codec/mod.rs",
        &["multipart"],
    ),
    (
        "brubeck-runtime/src/extract/multipart/codec/part_head.rs",
        &["multipart"],
    ),
    ("brubeck-runtime/src/files/codec/conditions.rs", &["file_request"]),
    (
        "brubeck-runtime/src/files/codec/content_coding.rs",
        &["file_request"],
    ),
    ("brubeck-runtime/src/files/codec/file_name.rs", &["file_request"]),
    ("brubeck-runtime/src/files/codec/mod.rs", &["file_request"]),
    ("brubeck-runtime/src/files/codec/ranges.rs", &["file_request"]),
    (
        "brubeck-runtime/src/legacy/codec/dialect.rs",
        &[
            "seed_request",
            "branch_request",
            "pypi_request",
            "pypi01x_request",
        ],
    ),
    (
        "brubeck-runtime/src/legacy/codec/envelope.rs",
        &[
            "seed_request",
            "branch_request",
            "pypi_request",
            "pypi01x_request",
        ],
    ),
    (
        "brubeck-runtime/src/legacy/codec/error.rs",
        &[
            "seed_request",
            "branch_request",
            "pypi_request",
            "pypi01x_request",
        ],
    ),
    (
        "brubeck-runtime/src/legacy/codec/json.rs",
        &["branch_request", "branch_response"],
    ),
    (
        "brubeck-runtime/src/legacy/codec/mod.rs",
        &["seed_request", "seed_response"],
    ),
    (
        "brubeck-runtime/src/legacy/codec/request.rs",
        &[
            "seed_request",
            "branch_request",
            "pypi_request",
            "pypi01x_request",
        ],
    ),
    (
        "brubeck-runtime/src/legacy/codec/response.rs",
        &[
            "seed_response",
            "branch_response",
            "pypi_response",
            "pypi01x_response",
        ],
    ),
    (
        "brubeck-runtime/src/mongrel2/codec/headers.rs",
        &["mongrel2_request"],
    ),
    (
        "brubeck-runtime/src/mongrel2/codec/json_headers.rs",
        &["mongrel2_request"],
    ),
    ("brubeck-runtime/src/mongrel2/codec/mod.rs", &["mongrel2_request"]),
    ("brubeck-runtime/src/mongrel2/codec/reply.rs", &["mongrel2_reply"]),
    (
        "brubeck-runtime/src/mongrel2/codec/request.rs",
        &["mongrel2_request"],
    ),
    (
        "brubeck-runtime/src/mongrel2/codec/tnetstring_headers.rs",
        &["mongrel2_request"],
    ),
    (
        "brubeck-runtime/src/rpc/codec/raw_message.rs",
        &["v3_message", "v3_worker"],
    ),
    ("brubeck-runtime/src/rpc/codec/field.rs", &["v3_message"]),
    (
        "brubeck-runtime/src/rpc/codec/head.rs",
        &["v3_message", "v3_worker"],
    ),
    (
        "brubeck-runtime/src/rpc/codec/handshake.rs",
        &["v3_message", "v3_worker"],
    ),
    ("brubeck-runtime/src/rpc/codec/limits.rs", &["v3_message"]),
    ("brubeck-runtime/src/rpc/codec/body.rs", &["v3_message"]),
    ("brubeck-runtime/src/rpc/codec/message.rs", &["v3_message"]),
    ("brubeck-runtime/src/rpc/codec/reply.rs", &["v3_message"]),
    ("brubeck-runtime/src/rpc/codec/request.rs", &["v3_message"]),
    (
        "brubeck-runtime/src/rpc/codec/operations.rs",
        &["v3_message", "v3_worker"],
    ),
    ("brubeck-runtime/src/rpc/codec/shorten.rs", &["v3_message"]),
    (
        "brubeck-runtime/src/rpc/codec/mod.rs",
        &["v3_message", "v3_worker"],
    ),
    ("brubeck-runtime/src/target/codec.rs", &["request_target"]),
    ("brubeck-runtime/src/session/codec.rs", &["cookies"]),
    (
        "brubeck-runtime/src/websocket/codec/deflate.rs",
        &["websocket_deflate"],
    ),
    (
        "brubeck-runtime/src/websocket/codec/mod.rs",
        &["websocket_frames"],
    ),
    ("brubeck-zmtp/src/codec/frame.rs", &["zmtp_frames"]),
    ("brubeck-zmtp/src/codec/handshake.rs", &["zmtp_handshake"]),
    (
        "brubeck-zmtp/src/codec/mod.rs",
        &["zmtp_frames", "zmtp_handshake"],
    ),
];

/// Identifiers that readers had to translate, each with the term that replaced it.
const REPLACED: &[(&str, &str)] = &[
    ("Answer", "ServiceResponse"),
    ("Answering", "ResponseFuture"),
    ("Around", "AppContext"),
    ("Arrival", "AcceptedConnection"),
    ("Ask", "Args"),
    ("Asked", "ResponsePreferences"),
    ("Assembled", "AppInner"),
    ("AtOnce", "DispatchMode"),
    ("Backlog", "BoundedQueue"),
    ("Begun", "RunningHandler"),
    ("Bell", "WakeState"),
    ("Bound", "ServiceServer"),
    ("Called", "CallFuture"),
    ("Caps", "ConnectionLimits"),
    ("Caught", "CatchPanic"),
    ("Counting", "InstrumentedCall"),
    ("Course", "CaptureProgram"),
    ("Door", "Listener"),
    ("Due", "CallerTimer or WorkerTimer"),
    ("Ends", "LinkHandles"),
    ("Errand", "RequestScope"),
    ("Front", "RootService"),
    ("Growing", "SortedVecDeque"),
    ("Guest", "PeerSession"),
    ("Heard", "Frame"),
    ("InOneTurn", "SelfWakingTask"),
    ("Inbox", "EventReceiver"),
    ("Inlet", "EventSender"),
    ("InsideMemory", "TestSiteHandle"),
    ("Line", "LinkDriver"),
    ("MOST", "a noun with a unit"),
    ("Membership", "Subscription"),
    ("Memory", "TestSite"),
    ("Merged", "CombinedDfa"),
    ("Mongrel2Sort", "Mongrel2ConnectionKind"),
    ("NOWHERE", "NO_STATE"),
    ("Numbered", "IdMap"),
    ("Outbox", "Sender"),
    ("Outlet", "SendQueue"),
    ("Pace", "FlowControl"),
    ("Place", "a name for the position that it is"),
    ("Postponed", "RetryDelay"),
    ("Progress", "InFlight"),
    ("QUICK", "FAST_THRESHOLD"),
    ("Quickness", "LatencyTracker"),
    ("Quiet", "ReadOnlyInterestStream"),
    ("Room", "SendWindow"),
    ("STOOD_STILL", "CLOCK_STALL"),
    ("Said", "Frame"),
    ("Sends", "NowaitCalls"),
    ("Served", "ContractCoverage"),
    ("Serving", "JobTask"),
    ("Settled", "HandlerGuard"),
    ("Site", "RouterService"),
    ("Standing", "ConnectivityState"),
    ("TURNS", "YIELD_BUDGET"),
    ("Timed", "PollTimer"),
    ("Tower", "TowerAdapter"),
    ("Unproven", "PendingHandshake"),
    ("Visit", "PendingRequest"),
    ("Watched", "TimeoutStream"),
    ("Way", "Dispatch"),
    ("WayOut", "LinkSender"),
    ("WithHandler", "HandledCall"),
    ("at_once", "concurrency, or poll_inline"),
    ("beat", "heartbeat_interval"),
    ("calls_at_once", "concurrency"),
    ("calm", "overload_cooldown"),
    ("carry_out", "execute"),
    ("coverage", "reachability"),
    ("doubtful", "last_attempt_failed"),
    ("draw", "compile"),
    ("dress", "finalize_response"),
    ("end_the_hopeless", "fail_unroutable"),
    ("farewell", "drain_notice"),
    ("gives_hope", "may_become_ready"),
    ("greet", "exchange_greeting"),
    ("hand_to", "set_handler"),
    ("happened", "handle_event"),
    ("hear", "read_ready"),
    ("heard", "last_seen"),
    ("hope", "check_available"),
    ("hygiene", "request_validation"),
    ("inclusion", "subset"),
    ("interrupted", "wait_for_shutdown"),
    ("introduce", "client_handshake"),
    ("is_quick", "should_poll_inline"),
    ("largest_body", "body_limit"),
    ("let_in", "accept"),
    ("lose", "handle_connection_lost"),
    ("move_on", "reroute"),
    ("needs_dress", "needs_finalizing"),
    ("neighbours", "instance_registry"),
    ("patient", "wait_for_resolution"),
    ("rearm", "timer_changed"),
    ("settle", "release_message"),
    ("shake_hands", "handshake"),
    ("tell", "step"),
    ("ticking", "timers"),
    ("time_limit", "timeout"),
    ("told", "advertised_limit"),
    ("verdict", "shadow_check"),
    ("worse", "recheck_availability"),
];

/// Files that are compiled instead of others if a feature is disabled, and declare the same names.
const STAND_INS: &[&str] = &["missing", "no_legacy", "no_templates"];

/// A source file of one of our crates, without comments, strings and unit tests.
struct Source {
    /// The path from the root of the repository.
    file: String,
    /// The path of its module within the crate.
    module: Vec<String>,
    /// The code with everything else blanked, so that line numbers stay the same.
    code: String,
}

impl Source {
    /// Returns every occurrence of a text.
    fn mentions(&self, text: &str) -> impl Iterator<Item = String> {
        self.code
            .match_indices(text)
            .map(move |(at, _)| format!("{}:{}: {text}", self.file, self.line(at)))
    }

    fn line(&self, at: usize) -> usize {
        self.code[..at].matches('\n').count() + 1
    }
}

/// Returns the sources of a crate, without modules that are compiled for tests only.
fn sources(of: &str) -> Vec<Source> {
    let src = root().join(of).join("src");
    let sources: Vec<Source> = files(&src, "rs")
        .iter()
        .filter(|path| !path.ends_with("tests.rs"))
        .map(|path| {
            let relative = path
                .strip_prefix(&src)
                .expect("a file of the crate")
                .with_extension("");
            let mut module: Vec<String> = relative
                .components()
                .map(|part| part.as_os_str().to_string_lossy().into_owned())
                .collect();
            if module.last().is_some_and(|last| last == "mod" || last == "lib") {
                module.pop();
            }
            let text = fs::read_to_string(path).expect("a source file");
            let relative = path.strip_prefix(root()).expect("a file of the repository");
            Source {
                file: relative.display().to_string(),
                module,
                code: without_tests(blank(&text)),
            }
        })
        .collect();
    assert!(!sources.is_empty(), "no sources in {}", src.display());
    sources
}

/// Blanks comments and literals. Every line keeps its number.
fn blank(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    let mut wipe = |from: usize, to: usize| {
        for byte in &mut out[from..to] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
    };
    while at < bytes.len() {
        let rest = &bytes[at..];
        let end = if rest.starts_with(b"//") {
            at + rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
        } else if rest.starts_with(b"/*") {
            at + find(rest, b"*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(hashes) = raw_string(rest) {
            let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            let open = find(rest, b"\"").expect("the quote of a raw string") + 1;
            at + open + find(&rest[open..], &close).map_or(rest.len() - open, |end| end + close.len())
        } else if rest[0] == b'"' {
            at + 1 + string_end(&rest[1..], b'"')
        } else if rest[0] == b'\'' && is_char(rest) {
            at + 1 + string_end(&rest[1..], b'\'')
        } else {
            at += 1;
            continue;
        };
        wipe(at, end);
        at = end;
    }
    String::from_utf8(out).expect("blanked text is text")
}

/// Returns the number of hashes if a raw string begins here.
fn raw_string(rest: &[u8]) -> Option<usize> {
    let rest = rest.strip_prefix(b"b").unwrap_or(rest).strip_prefix(b"r")?;
    let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
    (rest.get(hashes) == Some(&b'"')).then_some(hashes)
}

/// Returns whether a quote begins a character literal and not a lifetime.
fn is_char(rest: &[u8]) -> bool {
    match rest.get(1) {
        Some(b'\\') => true,
        Some(byte) if byte.is_ascii() => rest.get(2) == Some(&b'\''),
        Some(_) => true,
        None => false,
    }
}

/// Returns the offset after the closing quote.
fn string_end(rest: &[u8], quote: u8) -> usize {
    let mut at = 0;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    text.windows(pattern.len()).position(|window| window == pattern)
}

/// Blanks the modules of unit tests.
fn without_tests(mut code: String) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut from = 0;
    while let Some(mark) = code[from..].find(MARK).map(|at| from + at) {
        from = mark + MARK.len();
        let item = code[from..].trim_start();
        let has_body = item.chars().find(|c| ['{', ';'].contains(c)) == Some('{');
        if !item.starts_with("mod ") || !has_body {
            continue;
        }
        let open = from + code[from..].find('{').expect("the body of a module");
        let mut depth = 0_usize;
        let end = code[open..]
            .bytes()
            .position(|byte| {
                match byte {
                    b'{' => depth += 1,
                    b'}' => depth -= 1,
                    _ => {}
                }
                depth == 0
            })
            .map_or(code.len(), |length| open + length + 1);
        let blanked: String = code[mark..end]
            .chars()
            .map(|c| if c == '\n' { '\n' } else { ' ' })
            .collect();
        code.replace_range(mark..end, &blanked);
        from = mark + blanked.len();
    }
    code
}

/// Reads the paths that begin at `at`: one, or several if it ends in braces. Also returns where they end.
fn paths(code: &str, mut at: usize) -> (Vec<Vec<String>>, usize) {
    let mut segments: Vec<String> = Vec::new();
    loop {
        at += code[at..].len() - code[at..].trim_start().len();
        let word = code[at..]
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '*'))
            .unwrap_or(code.len() - at);
        segments.push(code[at..at + word].to_owned());
        at += word;
        let Some(rest) = code[at..].trim_start().strip_prefix("::") else {
            return (vec![segments], at);
        };
        at = code.len() - rest.len();
        if rest.trim_start().starts_with('<') {
            return (vec![segments], at);
        }
        if !rest.trim_start().starts_with('{') {
            continue;
        }
        at = code.len() - rest.trim_start().len() + 1;
        let mut all = Vec::new();
        loop {
            at += code[at..].len() - code[at..].trim_start().len();
            if code[at..].starts_with('}') {
                return (all, at + 1);
            }
            let (inner, end) = paths(code, at);
            all.extend(inner.into_iter().map(|path| [segments.clone(), path].concat()));
            // Skips an `as name` and the comma.
            at = end + code[end..].find([',', '}']).expect("the end of a list");
            at += usize::from(code[at..].starts_with(','));
        }
    }
}

/// Returns every path of a source that begins with `crate` or `super`: its line, its text, and the path from the root of the crate.
fn imports(source: &Source) -> Vec<(usize, String, Vec<String>)> {
    let mut found = Vec::new();
    for start in ["crate", "super"] {
        for (at, _) in source.code.match_indices(start) {
            let before = source.code[..at].trim_end();
            let is_word = source.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
            let is_path = source.code[at + start.len()..].trim_start().starts_with("::");
            if is_word || !is_path || before.ends_with("::") {
                continue;
            }
            for path in paths(&source.code, at).0 {
                let supers = path.iter().take_while(|segment| *segment == "super").count();
                let mut absolute = match supers {
                    0 => Vec::new(),
                    _ => source.module[..source.module.len().saturating_sub(supers)].to_vec(),
                };
                absolute.extend_from_slice(&path[supers.max(1)..]);
                found.push((source.line(at), path.join("::"), absolute));
            }
        }
    }
    found
}

/// Returns the module of the table above that contains a path, or `None` for the root of the crate.
fn module_of(path: &[String]) -> Option<&'static str> {
    let known = |wanted: &str| {
        IMPORTS
            .iter()
            .map(|(module, _)| *module)
            .find(|module| *module == wanted)
    };
    let (first, second) = (path.first()?, path.get(1));
    second
        .and_then(|second| known(&format!("{first}/{second}")))
        .or_else(|| known(first))
}

/// Returns the path of each name that the root of the crate re-exports.
fn root_exports(sources: &[Source]) -> BTreeMap<String, Vec<String>> {
    let root = sources
        .iter()
        .find(|source| source.module.is_empty())
        .expect("lib.rs");
    let mut exports = BTreeMap::new();
    for (at, _) in root.code.match_indices("\npub use ") {
        for path in paths(&root.code, at + "\npub use ".len()).0 {
            let path: Vec<String> = path.into_iter().filter(|segment| segment != "crate").collect();
            if let Some(name) = path.last() {
                exports.insert(name.clone(), path);
            }
        }
    }
    exports
}

fn assert_none(broken: &[String], rule: &str) {
    let mut text = String::new();
    for line in broken {
        writeln!(text, "  {line}").expect("a string takes text");
    }
    assert!(broken.is_empty(), "{rule}\n{text}");
}

#[test]
fn modules_import_only_what_the_table_allows() {
    let sources = sources("brubeck-runtime");
    let exports = root_exports(&sources);
    let mut broken = Vec::new();
    let mut used = BTreeSet::new();
    for source in &sources {
        let Some(own) = module_of(&source.module) else {
            continue;
        };
        for (line, written, mut path) in imports(source) {
            if let Some(export) = path.first().and_then(|first| exports.get(first)) {
                path.clone_from(export);
            }
            let Some(module) = module_of(&path).filter(|module| *module != own) else {
                continue;
            };
            used.insert((own, module));
            let allowed = IMPORTS.iter().find(|(module, _)| *module == own);
            if !allowed.is_some_and(|(_, allowed)| allowed.contains(&module)) {
                broken.push(format!(
                    "{}:{line}: `{own}` imports `{module}`: {written}",
                    source.file
                ));
            }
        }
    }
    assert_none(
        &broken,
        "a module imports only what the table in tests/architecture.rs allows it:",
    );
    let unused: Vec<String> = IMPORTS
        .iter()
        .flat_map(|(module, allowed)| allowed.iter().map(move |import| (*module, *import)))
        .filter(|pair| !used.contains(pair))
        .map(|(module, import)| format!("`{module}` no longer imports `{import}`"))
        .collect();
    assert_none(&unused, "the table allows only what is used:");
}

#[test]
fn the_table_of_imports_has_no_cycle() {
    for (index, (module, allowed)) in IMPORTS.iter().enumerate() {
        for import in *allowed {
            let above = IMPORTS[..index].iter().any(|(earlier, _)| earlier == import);
            assert!(
                above,
                "`{module}` may import `{import}` only if that stands above it"
            );
        }
    }
}

#[test]
fn files_have_no_import_cycle() {
    for krate in ["brubeck-runtime", "brubeck-sockets", "brubeck-zmtp"] {
        let sources = sources(krate);
        let file_of = |path: &[String]| {
            (1..=path.len()).rev().find_map(|length| {
                let module = &path[..length];
                sources.iter().position(|source| source.module == module)
            })
        };
        let mut edges: Vec<BTreeSet<usize>> = Vec::new();
        for source in &sources {
            let imported = imports(source)
                .into_iter()
                .filter_map(|(_, _, path)| file_of(&path));
            // A module may import the modules inside of it, and these may import it.
            let is_apart = |other: &usize| {
                let other = &sources[*other].module;
                !other.starts_with(&source.module) && !source.module.starts_with(other)
            };
            edges.push(imported.filter(is_apart).collect());
        }
        let mut cycles = Vec::new();
        for start in 0..sources.len() {
            let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
            while let Some(at) = open.pop() {
                for next in &edges[at] {
                    if *next == start {
                        cycles.push(format!("{} and {}", sources[start].file, sources[at].file));
                    }
                    if seen.insert(*next) {
                        open.push(*next);
                    }
                }
            }
        }
        assert_none(&cycles, "files import each other in a cycle:");
    }
}

#[test]
fn every_module_is_in_the_table() {
    let modules: BTreeSet<String> = sources("brubeck-runtime")
        .iter()
        .filter(|source| module_of(&source.module).is_none())
        .map(|source| source.module.join("/"))
        .collect();
    // The root, the exports for generated code, stand-ins, and the folder whose parts are in the table.
    let expected = ["", "__private", "missing", "no_templates", "rpc"].map(str::to_owned);
    assert_eq!(
        modules,
        BTreeSet::from(expected),
        "the table of imports has no row for a module"
    );
}

#[test]
fn protocol_core_uses_no_socket_clock_thread_or_log() {
    let mut broken = Vec::new();
    for source in sources("brubeck-runtime") {
        if !source.file.contains("/rpc/core/") {
            continue;
        }
        for banned in [
            "tokio",
            "std::net",
            "std::io",
            "std::thread",
            "std::fs",
            "Instant",
            "SystemTime",
            "brubeck_zmtp",
            "tracing",
        ] {
            broken.extend(source.mentions(banned));
        }
    }
    assert_none(
        &broken,
        "`rpc/core` runs in a simulation, so it must not use sockets, clocks, threads or logs:",
    );
}

#[test]
fn zmtp_does_not_depend_on_brubeck() {
    let mut broken = Vec::new();
    for source in sources("brubeck-zmtp") {
        for banned in [
            "brubeck_runtime",
            "mongrel2",
            "Mongrel2",
            "dialect",
            "Dialect",
            "handler::",
        ] {
            broken.extend(source.mentions(banned));
        }
    }
    assert_none(&broken, "`brubeck-zmtp` must not use terms of the framework:");
}

#[test]
fn every_codec_has_a_fuzz_target() {
    let is_codec = |file: &str| file.contains("/codec/") || file.ends_with("/codec.rs");
    let files: BTreeSet<String> = ["brubeck-runtime", "brubeck-sockets", "brubeck-zmtp"]
        .iter()
        .flat_map(|krate| sources(krate))
        .map(|source| source.file)
        .filter(|file| is_codec(file))
        .collect();
    let listed: BTreeSet<String> = FUZZED.iter().map(|(file, _)| (*file).to_owned()).collect();
    let missing: Vec<String> = files.symmetric_difference(&listed).cloned().collect();
    assert_none(
        &missing,
        "FUZZED in tests/architecture.rs must list every codec file, and only those:",
    );
    let targets = root().join("fuzz/fuzz_targets");
    let missing: Vec<String> = FUZZED
        .iter()
        .flat_map(|(_, targets)| *targets)
        .filter(|target| !targets.join(format!("{target}.rs")).is_file())
        .map(|target| format!("fuzz/fuzz_targets/{target}.rs"))
        .collect();
    assert_none(&missing, "these fuzz targets do not exist:");
}

#[test]
fn type_names_are_unique() {
    let mut declared: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in ["brubeck-runtime", "brubeck-sockets", "brubeck-zmtp"]
        .iter()
        .flat_map(|krate| sources(krate))
        .filter(|source| !STAND_INS.contains(&source.module.last().map_or("", String::as_str)))
    {
        for line in source.code.lines() {
            let item = line.strip_prefix("pub ").unwrap_or(line);
            let item = match item.strip_prefix("pub(") {
                Some(rest) => rest.split_once(") ").map_or(item, |(_, rest)| rest),
                None => item,
            };
            let name = ["struct ", "enum ", "trait ", "union ", "type "]
                .iter()
                .find_map(|keyword| item.strip_prefix(keyword));
            if let Some(name) = name {
                let end = name
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .unwrap_or(name.len());
                declared
                    .entry(name[..end].to_owned())
                    .or_default()
                    .insert(source.file.clone());
            }
        }
    }
    declared.retain(|_, files| files.len() > 1);
    let shared: Vec<String> = declared
        .iter()
        .map(|(name, files)| format!("`{name}` in {files:?}"))
        .collect();
    assert_none(&shared, "no two types have the same name:");
}

#[test]
fn replaced_identifiers_do_not_come_back() {
    let mut broken = Vec::new();
    for source in [
        "brubeck-runtime",
        "brubeck-sockets",
        "brubeck-zmtp",
        "brubeck-macros",
        "",
    ]
    .iter()
    .flat_map(|krate| sources(krate))
    {
        let is_part_of_word = |c: char| c.is_alphanumeric() || c == '_';
        for (at, word) in source
            .code
            .split(|c: char| !is_part_of_word(c))
            .map(|word| (word.as_ptr() as usize - source.code.as_ptr() as usize, word))
        {
            if let Ok(found) = REPLACED.binary_search_by_key(&word, |(replaced, _)| replaced) {
                let (replaced, term) = REPLACED[found];
                broken.push(format!(
                    "{}:{}: `{replaced}` is now `{term}`",
                    source.file,
                    source.line(at)
                ));
            }
        }
    }
    assert_none(&broken, "use the field's term:");
}

#[test]
fn the_list_of_replaced_identifiers_is_sorted() {
    assert!(REPLACED.is_sorted(), "binary search needs a sorted list");
}

#[test]
fn dyn_any_is_stored_in_one_place_only() {
    let mut broken = Vec::new();
    for source in ["brubeck-runtime", "brubeck-sockets", "brubeck-zmtp"]
        .iter()
        .flat_map(|krate| sources(krate))
    {
        // The type of a response handler's value is known only to the caller that downcasts it.
        if source.file.ends_with("rpc/api/response.rs") {
            continue;
        }
        for stored in ["Box<dyn Any", "Arc<dyn Any", "Rc<dyn Any"] {
            broken.extend(source.mentions(stored));
        }
    }
    assert_none(&broken, "store a typed field instead:");
}

#[test]
fn paths_do_not_use_super_twice() {
    let mut broken = Vec::new();
    for source in [
        "brubeck-runtime",
        "brubeck-sockets",
        "brubeck-zmtp",
        "brubeck-macros",
    ]
    .iter()
    .flat_map(|krate| sources(krate))
    {
        for (at, _) in source.code.match_indices("super::super::") {
            broken.push(format!("{}:{}", source.file, source.line(at)));
        }
    }
    assert_none(&broken, "write `crate::..` instead of `super::super::..`:");
}

/// A method that a placeholder lacks would be an error of its own, which does not name the feature.
#[test]
fn placeholders_have_the_methods_of_the_types_they_replace() {
    let read = |file: &str| fs::read_to_string(root().join(file)).expect(file);
    let list = read("docs/public-api/brubeck.txt");
    let placeholders = read("brubeck-runtime/src/missing.rs");
    let mut listed = 0;
    let mut missing = Vec::new();
    for name in [
        "File",
        "Http",
        "Mongrel2",
        "Multipart",
        "MultipartStream",
        "Part",
        "PartStream<'_>",
    ] {
        let path = format!("fn brubeck::{name}::");
        for line in list.lines() {
            let method = line
                .split_once(&path)
                .and_then(|(_, rest)| rest.split(['(', '<']).next());
            if let Some(method) = method {
                listed += 1;
                if !placeholders.contains(&format!("{method}("))
                    && !placeholders.contains(&format!("{method}<"))
                {
                    missing.push(format!("{name}::{method}"));
                }
            }
        }
    }
    assert_none(&missing, "`missing.rs` has no placeholder for these methods:");
    assert!(
        listed > 20,
        "docs/public-api lists only {listed} methods of these types"
    );
}

#[test]
fn dependencies_support_the_minimum_rust_version() {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root())
        .output()
        .expect("cargo metadata");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON of cargo metadata");
    let parse = |version: &str| -> Vec<u32> {
        version
            .split('.')
            .take(2)
            .map(|number| number.parse().expect("a number"))
            .collect()
    };
    let minimum = parse(env!("CARGO_PKG_RUST_VERSION"));
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(packages.len() > 100, "only {} packages", packages.len());
    let newer: Vec<String> = packages
        .iter()
        .filter_map(|package| Some((package, package["rust_version"].as_str()?)))
        .filter(|(_, version)| parse(version) > minimum)
        .map(|(package, version)| format!("{} {} needs Rust {version}", package["name"], package["version"]))
        .collect();
    assert_none(
        &newer,
        "every package in Cargo.lock must support the `rust-version` of Cargo.toml:",
    );
}

#[test]
fn programs_in_documents_are_compiled() {
    let library = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    let mut documents = vec!["README.md".to_owned()];
    for entry in fs::read_dir(root().join("docs")).expect("docs") {
        let name = entry.expect("an entry").file_name();
        documents.extend(
            name.to_str()
                .filter(|name| name.ends_with(".md"))
                .map(|name| format!("docs/{name}")),
        );
    }
    let mut broken = Vec::new();
    let mut programs = 0;
    for document in documents {
        let text = fs::read_to_string(root().join(&document)).expect("a document");
        // rustdoc compiles a block without a language as Rust, too.
        let mut is_open = false;
        let mut has_program = false;
        for (number, line) in text.lines().enumerate() {
            let Some(tag) = line.trim_start().strip_prefix("```") else {
                continue;
            };
            is_open = !is_open;
            if !is_open || !(tag.is_empty() || tag.starts_with("rust")) {
                continue;
            }
            has_program = true;
            programs += 1;
            if !matches!(
                tag,
                "rust" | "rust,no_run" | "rust,should_panic" | "rust,compile_fail"
            ) {
                broken.push(format!("{document}:{}: a block with the tag `{tag}`", number + 1));
            }
        }
        if has_program && !library.contains(&format!("include_str!(\"../{document}\")")) {
            broken.push(format!(
                "{document} is not included in the module `documents` of src/lib.rs"
            ));
        }
    }
    assert_none(
        &broken,
        "every Rust program in a document is compiled by `cargo test --doc`:",
    );
    assert!(programs >= 6, "only {programs} programs in documents");
}

#[test]
fn files_named_in_architecture_md_exist() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let mut named = 0;
    let mut missing = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for code in line.split('`').skip(1).step_by(2) {
            let is_path = code.contains('/') && (code.ends_with(".rs") || code.ends_with('/'));
            if !is_path || code.contains([' ', ':', '<', '*']) {
                continue;
            }
            named += 1;
            let exists = [
                "",
                "brubeck-runtime/src",
                "brubeck-zmtp/src",
                "brubeck-macros/src",
            ]
            .iter()
            .any(|base| root().join(base).join(code).exists());
            if !exists {
                missing.push(format!("ARCHITECTURE.md:{}: {code}", number + 1));
            }
        }
    }
    assert_none(&missing, "ARCHITECTURE.md names files that do not exist:");
    assert!(named > 40, "ARCHITECTURE.md names only {named} files");
}
