//! Tables below a prefix, `routes!["/admin" => ..admin::ROUTES]`, which are composed in constant evaluation.
//!
//! A path belongs to such a table if it is the prefix, or the prefix and a `/` and more. The rest of the path is matched by the routes of
//! the table; the prefix alone counts as `/`, as for a mounted service.

use super::automaton::Automaton;
use super::table::{Entry, Routes};
use crate::spec::Spec;
use crate::target::CanonicalPath;

/// The prefix of a table, in the forms that its parts need. `routes!` writes it.
#[derive(Clone, Copy, Debug)]
pub struct TablePrefix {
    /// The decoded text, which begins with `/` and does not end with it.
    pub text: &'static str,
    /// The text as in a template.
    pub template: &'static str,
    /// The text as in a regex.
    pub regex: &'static str,
    /// The text as a client sends it.
    pub encoded: &'static str,
}

/// The number of bytes of a state with one edge.
const LINK_LEN: usize = 6;

/// Returns the number of bytes that the automata of a table take below a prefix.
pub const fn automata_len(prefix: TablePrefix, specs: &[&Spec]) -> usize {
    let (mut len, mut i) = (0, 0);
    while i < specs.len() {
        len += automaton_len(prefix, specs[i]);
        i += 1;
    }
    len
}

/// Returns 0 if the automaton is absent, or would be too large.
const fn automaton_len(prefix: TablePrefix, spec: &Spec) -> usize {
    let len = LINK_LEN * (prefix.text.len() + 1) + spec.automaton.len();
    if spec.automaton.is_empty() || len > u16::MAX as usize {
        0
    } else {
        len
    }
}

/// Returns the automata of a table below a prefix, one after the other. `LEN` is their [`automata_len`].
pub const fn automata<const LEN: usize>(prefix: TablePrefix, specs: &[&Spec]) -> [u8; LEN] {
    let mut packed = [0; LEN];
    let (mut at, mut i) = (0, 0);
    while i < specs.len() {
        let len = automaton_len(prefix, specs[i]);
        if len > 0 {
            pack(
                prefix.text.as_bytes(),
                Automaton(specs[i].automaton),
                &mut packed,
                at,
            );
        }
        at += len;
        i += 1;
    }
    packed
}

/// Packs the automaton of the paths that begin with `prefix` and continue with a path that `inner` accepts.
const fn pack(prefix: &[u8], inner: Automaton, packed: &mut [u8], start: usize) {
    // A state for each byte of the prefix.
    let mut at = start;
    let mut i = 0;
    while i < prefix.len() {
        let next = ((at - start + LINK_LEN) as u16).to_le_bytes();
        packed[at + 1] = 1;
        packed[at + 2] = prefix[i];
        packed[at + 3] = prefix[i];
        packed[at + 4] = next[0];
        packed[at + 5] = next[1];
        at += LINK_LEN;
        i += 1;
    }
    // The state after the prefix accepts if `inner` accepts `/`, and continues as `inner` after `/`.
    let offset = at - start + LINK_LEN;
    let after_slash = inner.edge(0, 0).to;
    let next = (after_slash + offset as u16).to_le_bytes();
    packed[at] = inner.accepts(after_slash) as u8;
    packed[at + 1] = 1;
    packed[at + 2] = b'/';
    packed[at + 3] = b'/';
    packed[at + 4] = next[0];
    packed[at + 5] = next[1];
    at += LINK_LEN;
    // The states of `inner`, moved by `offset`.
    let mut state = 0;
    while state < inner.0.len() {
        let edges = inner.edges(state as u16);
        packed[at] = inner.0[state];
        packed[at + 1] = inner.0[state + 1];
        let mut index = 0;
        while index < edges {
            let edge = inner.edge(state as u16, index);
            let to = (edge.to + offset as u16).to_le_bytes();
            packed[at + 2 + 4 * index] = edge.low;
            packed[at + 3 + 4 * index] = edge.high;
            packed[at + 4 + 4 * index] = to[0];
            packed[at + 5 + 4 * index] = to[1];
            index += 1;
        }
        at += 2 + 4 * edges;
        state += 2 + 4 * edges;
    }
}

/// A buffer for text, which only counts bytes until its array is as long as they are.
struct Writer<const LEN: usize> {
    bytes: [u8; LEN],
    len: usize,
}

impl<const LEN: usize> Writer<LEN> {
    const fn push(mut self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            if self.len < LEN {
                self.bytes[self.len] = bytes[i];
            }
            self.len += 1;
            i += 1;
        }
        self
    }

    /// Appends the pattern of a route below a prefix.
    const fn push_pattern(self, prefix: TablePrefix, pattern: &'static str) -> Self {
        match pattern.as_bytes() {
            [] => self,
            b"/" => self.push(prefix.template),
            [b'/', ..] => self.push(prefix.template).push(pattern),
            b"^/$" => self.push("^").push(prefix.regex).push("/?$"),
            bytes => {
                let rest = match pattern.split_at_checked(1) {
                    Some((_, rest)) => rest,
                    None => pattern,
                };
                let writer = self.push("^").push(prefix.regex);
                // The prefix belongs to all alternatives.
                if contains(bytes, b'|') {
                    writer.push("(?:").push(rest).push(")")
                } else {
                    writer.push(rest)
                }
            }
        }
    }

    /// Appends the example of a route below a prefix.
    const fn push_example(self, prefix: TablePrefix, example: &'static str) -> Self {
        match example.as_bytes() {
            [] => self,
            b"/" => self.push(prefix.encoded),
            _ => self.push(prefix.encoded).push(example),
        }
    }
}

const fn contains(bytes: &[u8], byte: u8) -> bool {
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i] == byte {
            return true;
        }
        i += 1;
    }
    false
}

/// Returns the lengths of the pattern, of the example and of the mount point of a route below a prefix.
const fn text_lens(prefix: TablePrefix, spec: &Spec) -> [usize; 3] {
    const NONE: Writer<0> = Writer { bytes: [], len: 0 };
    [
        NONE.push_pattern(prefix, spec.pattern).len,
        NONE.push_example(prefix, spec.example).len,
        NONE.push(prefix.text).push(spec.mount).len,
    ]
}

/// Returns the number of bytes that the texts of a table take below a prefix.
pub const fn texts_len(prefix: TablePrefix, specs: &[&Spec]) -> usize {
    let (mut len, mut i) = (0, 0);
    while i < specs.len() {
        let [pattern, example, mount] = text_lens(prefix, specs[i]);
        len += pattern + example + mount;
        i += 1;
    }
    len
}

/// Returns the texts of a table below a prefix, one after the other. `LEN` is their [`texts_len`].
pub const fn texts<const LEN: usize>(prefix: TablePrefix, specs: &[&Spec]) -> [u8; LEN] {
    let mut writer = Writer {
        bytes: [0; LEN],
        len: 0,
    };
    let mut i = 0;
    while i < specs.len() {
        let spec = specs[i];
        writer = writer
            .push_pattern(prefix, spec.pattern)
            .push_example(prefix, spec.example)
            .push(prefix.text)
            .push(spec.mount);
        i += 1;
    }
    writer.bytes
}

/// Returns the specs of a table below a prefix, with the automata and the texts that were composed for it.
pub const fn prefixed_specs<const N: usize>(
    prefix: TablePrefix,
    specs: &[&Spec; N],
    mut automata: &'static [u8],
    mut texts: &'static [u8],
) -> [Spec; N] {
    let mut prefixed = [Spec::BROKEN; N];
    let mut i = 0;
    while i < N {
        let [pattern_len, example_len, mount_len] = text_lens(prefix, specs[i]);
        let (automaton, pattern, example, mount);
        (automaton, automata) = automata.split_at(automaton_len(prefix, specs[i]));
        (pattern, texts) = texts.split_at(pattern_len);
        (example, texts) = texts.split_at(example_len);
        (mount, texts) = texts.split_at(mount_len);
        prefixed[i] = Spec {
            pattern: text(pattern),
            example: text(example),
            mount: text(mount),
            automaton,
            ..*specs[i]
        };
        i += 1;
    }
    prefixed
}

/// The texts are composed of whole strings, so they are UTF-8.
const fn text(bytes: &'static [u8]) -> &'static str {
    match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(_) => "",
    }
}

/// Returns a reference to each spec.
pub const fn spec_references<const N: usize>(specs: &'static [Spec; N]) -> [&'static Spec; N] {
    let mut references: [&'static Spec; N] = [&Spec::BROKEN; N];
    let mut i = 0;
    while i < N {
        references[i] = &specs[i];
        i += 1;
    }
    references
}

/// Returns the entries of a table with these specs.
pub const fn prefixed_entries<S, const N: usize>(
    routes: Routes<S>,
    specs: &'static [Spec; N],
) -> [Entry<S>; N] {
    let mut entries = [Entry::VACANT; N];
    let mut i = 0;
    while i < N {
        entries[i] = routes.entries()[i];
        entries[i].route.spec = &specs[i];
        i += 1;
    }
    entries
}

/// Returns the part of a path that the routes of a table are matched with. `None` if the path does not belong to the table.
pub(super) fn below_mount<'p>(mount: &str, path: &'p [u8]) -> Option<&'p [u8]> {
    match path.strip_prefix(mount.as_bytes())? {
        [] if !mount.is_empty() => Some(b"/"),
        rest if mount.is_empty() || rest.starts_with(b"/") => Some(rest),
        _ => None,
    }
}

/// Returns the text that has the captures of a route, if it differs from the path that was sent. The prefix of a table counts as
/// if it ended in `/`.
#[inline]
pub(crate) fn routed_text(spec: &Spec, path: CanonicalPath<'_>) -> Option<Box<str>> {
    let is_mount = !spec.mount.is_empty() && path.bytes().len() == spec.mount.len();
    if is_mount && !spec.captures.is_empty() {
        return Some(format!("{}/", spec.mount).into());
    }
    path.into_decoded()
}
