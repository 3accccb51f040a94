//! Builds a nondeterministic byte automaton (Thompson construction) from the HIR of `regex-syntax`.

use super::TooLarge;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};
use regex_syntax::utf8::Utf8Sequences;

/// Limits the number of nodes, and with it the work for one attribute: `(?:a{1000}){1000}` must not stall a build.
const MAX_STATES: usize = 8192;

/// Returns `true` for a class, and for a literal of one byte.
fn is_one_character(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Class(_) => true,
        HirKind::Literal(literal) => literal.0.len() == 1,
        _ => false,
    }
}

#[derive(Default)]
pub(super) struct Nfa {
    pub(super) nodes: Vec<Node>,
    pub(super) start: usize,
    /// The node that is reached when the whole pattern has matched.
    pub(super) matched: usize,
}

#[derive(Default)]
pub(super) struct Node {
    /// Transitions that consume a byte: the lowest byte, the highest byte, the next node.
    pub(super) bytes: Vec<(u8, u8, usize)>,
    /// Transitions that consume nothing.
    pub(super) empty: Vec<(Condition, usize)>,
}

/// The condition of a transition that consumes nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Always,
    AtStart,
    AtEnd,
}

impl Nfa {
    pub(super) fn new(hir: &Hir) -> Result<Nfa, TooLarge> {
        let mut nfa = Nfa::default();
        nfa.start = nfa.node()?;
        nfa.matched = nfa.compile(hir, nfa.start)?;
        Ok(nfa)
    }

    fn node(&mut self) -> Result<usize, TooLarge> {
        if self.nodes.len() >= MAX_STATES {
            return Err(TooLarge);
        }
        self.nodes.push(Node::default());
        Ok(self.nodes.len() - 1)
    }

    fn link(&mut self, from: usize, condition: Condition, to: usize) {
        self.nodes[from].empty.push((condition, to));
    }

    /// Adds `hir`, starting at the node `from`. Returns the node that is reached when it has matched.
    fn compile(&mut self, hir: &Hir, from: usize) -> Result<usize, TooLarge> {
        match hir.kind() {
            HirKind::Empty => Ok(from),
            HirKind::Literal(literal) => literal.0.iter().try_fold(from, |at, &byte| {
                let next = self.node()?;
                self.nodes[at].bytes.push((byte, byte, next));
                Ok(next)
            }),
            HirKind::Class(class) => {
                let out = self.node()?;
                self.class(class, from, out)?;
                Ok(out)
            }
            HirKind::Look(look) => {
                let condition = match look {
                    Look::Start => Condition::AtStart,
                    Look::End => Condition::AtEnd,
                    // Not reached: `Pattern` has reported all other assertions as errors.
                    _ => return Err(TooLarge),
                };
                let next = self.node()?;
                self.link(from, condition, next);
                Ok(next)
            }
            HirKind::Capture(capture) => self.compile(&capture.sub, from),
            HirKind::Concat(parts) => parts.iter().try_fold(from, |at, part| self.compile(part, at)),
            HirKind::Alternation(branches) if branches.iter().all(is_one_character) => {
                let out = self.node()?;
                for branch in branches {
                    match branch.kind() {
                        HirKind::Class(class) => self.class(class, from, out)?,
                        HirKind::Literal(literal) => {
                            let bytes = literal.0.iter().map(|&byte| (byte, byte, out));
                            self.nodes[from].bytes.extend(bytes);
                        }
                        _ => {}
                    }
                }
                Ok(out)
            }
            HirKind::Alternation(branches) => {
                // Each branch has its own start node, so that a loop in one does not lead into another.
                let out = self.node()?;
                for branch in branches {
                    let head = self.node()?;
                    self.link(from, Condition::Always, head);
                    let tail = self.compile(branch, head)?;
                    self.link(tail, Condition::Always, out);
                }
                Ok(out)
            }
            HirKind::Repetition(repetition) => self.repetition(repetition, from),
        }
    }

    /// Adds a class, which matches one character, from the node `from` to the node `out`.
    ///
    /// A path is UTF-8, so a class that contains every character beyond ASCII need not check how they are encoded: a character is any
    /// first byte and the continuation bytes after it. This keeps the automata of `[^/]+` and `.` small.
    fn class(&mut self, class: &Class, from: usize, out: usize) -> Result<(), TooLarge> {
        match class {
            Class::Bytes(class) => {
                for range in class.iter() {
                    self.nodes[from].bytes.push((range.start(), range.end(), out));
                }
            }
            Class::Unicode(class) => {
                let has_all_beyond_ascii = class
                    .iter()
                    .any(|range| range.start() <= '\u{80}' && range.end() == char::MAX);
                for range in class.iter() {
                    if has_all_beyond_ascii && range.end() == char::MAX {
                        if range.start() < '\u{80}' {
                            self.nodes[from].bytes.push((range.start() as u8, 0x7f, out));
                        }
                        // ASCII characters have no continuation bytes, but allowing them joins states.
                        self.nodes[from].bytes.push((0xc0, 0xfe, out));
                        self.nodes[out].bytes.push((0x80, 0xbf, out));
                        continue;
                    }
                    for sequence in Utf8Sequences::new(range.start(), range.end()) {
                        self.sequence(sequence.as_slice(), from, out)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn sequence(
        &mut self,
        sequence: &[regex_syntax::utf8::Utf8Range],
        from: usize,
        out: usize,
    ) -> Result<(), TooLarge> {
        let mut at = from;
        for (i, range) in sequence.iter().enumerate() {
            let next = if i + 1 == sequence.len() {
                out
            } else {
                self.node()?
            };
            self.nodes[at].bytes.push((range.start, range.end, next));
            at = next;
        }
        Ok(())
    }

    fn repetition(&mut self, repetition: &Repetition, from: usize) -> Result<usize, TooLarge> {
        let mut at = from;
        for _ in 0..repetition.min {
            // Each iteration adds a node, so that the limit also applies to repetitions of an empty pattern.
            let next = self.node()?;
            self.link(at, Condition::Always, next);
            at = self.compile(&repetition.sub, next)?;
        }
        let out = self.node()?;
        match repetition.max {
            // A loop through `head`, which can be left before each iteration.
            None => {
                let head = self.node()?;
                self.link(at, Condition::Always, head);
                let tail = self.compile(&repetition.sub, head)?;
                self.link(tail, Condition::Always, head);
                self.link(head, Condition::Always, out);
            }
            // Optional copies: the repetition can be left before each of them.
            Some(max) => {
                self.link(at, Condition::Always, out);
                for _ in repetition.min..max {
                    let next = self.node()?;
                    self.link(at, Condition::Always, next);
                    at = self.compile(&repetition.sub, next)?;
                    self.link(at, Condition::Always, out);
                }
            }
        }
        Ok(out)
    }
}
