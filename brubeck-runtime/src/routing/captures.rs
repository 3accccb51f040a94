//! Finds the captures of a path that matches, without a regex.
//!
//! In most patterns the next character alone decides how the match continues: `^/user/(?<id>\d+)(?:/(?<tab>[a-z]+))?$`. Such a
//! pattern is compiled to a short program that runs once over the path, up to the end of the last capture. It never backtracks and
//! does not check what it skips, because the path is known to match. Other patterns have no program; a regex finds their captures.

mod byte_set;

use crate::extract::Captures;
use byte_set::ByteSet;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Hir, HirKind, Look, Repetition};
use std::sync::Arc;

pub(super) use byte_set::ByteSetInterner;

/// Finds the captures of one pattern in a path that the pattern matches.
#[derive(Debug)]
pub(super) struct CaptureProgram {
    instructions: Box<[Instruction]>,
    captures: usize,
}

/// Jumps are relative to the next instruction, and always forward.
#[derive(Debug)]
enum Instruction {
    /// Skips this number of bytes.
    Skip(u32),
    /// Skips bytes while they are in the set, at most `max` of them.
    SkipWhile {
        set: Arc<ByteSet>,
        max: u32,
    },
    /// Skips characters while their first byte is in the set, at most `max` of them.
    SkipCharacters {
        set: Arc<ByteSet>,
        max: u32,
    },
    CaptureStart(u32),
    CaptureEnd(u32),
    /// Jumps over `offset` instructions unless the next byte is in the set.
    JumpUnless {
        set: Arc<ByteSet>,
        offset: u32,
    },
    /// Jumps over `offset` instructions.
    Jump(u32),
}

/// The follow set at some point of a pattern.
#[derive(Clone)]
struct Follow {
    /// A superset of the bytes with which the next character may begin.
    bytes: ByteSet,
    /// The match may end here although the path continues, because no `$` follows in the pattern.
    match_may_end: bool,
}

impl CaptureProgram {
    /// Compiles a pattern with these captures. Returns `None` if it is not certain that the next byte always decides how a match
    /// continues, if a group is not one of the captures, or if the pattern is not a valid regex.
    pub(super) fn compile(
        pattern: &str,
        captures: &[&str],
        sets: &mut ByteSetInterner,
    ) -> Option<CaptureProgram> {
        let mut parser = ParserBuilder::new().utf8(false).build();
        let mut compiler = Compiler {
            captures,
            sets,
            instructions: Vec::new(),
        };
        compiler.compile(&parser.parse(pattern).ok()?, &Follow::END_OF_PATTERN)?;
        let mut instructions = compiler.instructions;
        // Nothing after the last capture has an effect. Jumps into the part that is removed just end the program.
        while instructions
            .pop_if(|instruction| !matches!(instruction, Instruction::CaptureEnd(_)))
            .is_some()
        {}
        Some(CaptureProgram {
            instructions: instructions.into(),
            captures: captures.len(),
        })
    }

    /// Returns the captures of a path. The path must match the pattern.
    pub(super) fn run(&self, path: &[u8]) -> Captures {
        let mut captures = Captures::absent(self.captures);
        let (mut at, mut next) = (0, 0);
        while let Some(instruction) = self.instructions.get(next) {
            next += 1;
            match instruction {
                Instruction::Skip(bytes) => at += *bytes as usize,
                Instruction::SkipWhile { set, max } => {
                    let rest = path.get(at..).unwrap_or_default().iter().take(*max as usize);
                    at += rest.take_while(|byte| set.contains(**byte)).count();
                }
                Instruction::SkipCharacters { set, max } => {
                    for _ in 0..*max {
                        match path.get(at) {
                            Some(byte) if set.contains(*byte) => at += character_len(*byte),
                            _ => break,
                        }
                    }
                }
                Instruction::CaptureStart(capture) => captures.set_start(*capture as usize, at),
                Instruction::CaptureEnd(capture) => captures.set_end(*capture as usize, at),
                Instruction::JumpUnless { set, offset } => {
                    if !path.get(at).is_some_and(|byte| set.contains(*byte)) {
                        next += *offset as usize;
                    }
                }
                Instruction::Jump(offset) => next += *offset as usize,
            }
        }
        captures
    }
}

/// Compiles a pattern, part by part. The methods return `None` if it is not certain that the next byte decides how the match continues.
struct Compiler<'a> {
    captures: &'a [&'a str],
    sets: &'a mut ByteSetInterner,
    instructions: Vec<Instruction>,
}

impl Compiler<'_> {
    /// Compiles a part that takes part in the match and is followed by `follow`.
    fn compile(&mut self, part: &Hir, follow: &Follow) -> Option<()> {
        if let Some(length) = fixed_length(part) {
            return self.skip(length);
        }
        if let Some(character) = one_character(part) {
            self.skip_characters(character.first_bytes, 1);
            return Some(());
        }
        match part.kind() {
            HirKind::Capture(group) => {
                let name = group.name.as_deref()?;
                let capture = self.captures.iter().position(|known| *known == name)?;
                let capture = u32::try_from(capture).ok()?;
                self.instructions.push(Instruction::CaptureStart(capture));
                self.compile(&group.sub, follow)?;
                self.instructions.push(Instruction::CaptureEnd(capture));
                Some(())
            }
            HirKind::Repetition(repetition) => self.compile_repetition(repetition, follow),
            HirKind::Concat(parts) => self.compile_sequence(parts, follow),
            HirKind::Alternation(branches) => self.compile_alternation(branches, follow),
            // All of these have a fixed length, or are one character.
            HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => None,
        }
    }

    fn skip(&mut self, length: usize) -> Option<()> {
        if length > 0 {
            self.instructions
                .push(Instruction::Skip(u32::try_from(length).ok()?));
        }
        Some(())
    }

    /// Skips up to `max` characters that begin with a byte in the set.
    fn skip_characters(&mut self, mut first_bytes: ByteSet, max: u32) {
        let only_single_bytes = first_bytes.has_only_single_bytes();
        if !only_single_bytes && max < u32::MAX {
            let set = self.sets.intern(first_bytes);
            self.instructions.push(Instruction::SkipCharacters { set, max });
            return;
        }
        if !only_single_bytes {
            // The other bytes of a character follow its first byte, so without a maximum nothing needs to be counted.
            first_bytes.add(&ByteSet::range(0x80, 0xbf));
        }
        let set = self.sets.intern(first_bytes);
        self.instructions.push(Instruction::SkipWhile { set, max });
    }

    fn compile_sequence(&mut self, parts: &[Hir], follow: &Follow) -> Option<()> {
        // The follow set of a part depends on all parts after it, so the sets are computed from the last part to the first.
        let mut follows = vec![follow.clone()];
        for part in parts.iter().skip(1).rev() {
            follows.push(follows.last()?.preceded_by(part));
        }
        for (part, follow) in parts.iter().zip(follows.iter().rev()) {
            self.compile(part, follow)?;
        }
        Some(())
    }

    fn compile_repetition(&mut self, repetition: &Repetition, follow: &Follow) -> Option<()> {
        let part = &*repetition.sub;
        // A number of characters that does not vary needs no decision.
        if repetition.max == Some(repetition.min)
            && let Some(character) = one_character(part)
        {
            self.skip_characters(character.first_bytes, repetition.min);
            return Some(());
        }
        let inner = Follow::END_OF_PATTERN.preceded_by(part);
        // A character that could continue the repetition as well as follow it can only be decided by trying both.
        if inner.match_may_end || !inner.bytes.is_disjoint(&follow.bytes) {
            return None;
        }
        let properties = part.properties();
        if let Some(character) = one_character(part) {
            // If the match may end here, any character may follow. Then a lazy repetition may end early, and a greedy one needs a
            // class that the first byte decides.
            if follow.match_may_end && !(repetition.greedy && character.is_decided_by_first_byte) {
                return None;
            }
            self.skip_characters(character.first_bytes, repetition.max.unwrap_or(u32::MAX));
            return Some(());
        }
        // A longer part may fail after its first byte. An optional part can be compiled nevertheless if the match cannot end
        // before it: nothing else can then account for its first byte.
        if (repetition.min, repetition.max) != (0, Some(1)) || follow.match_may_end {
            return None;
        }
        // At the end of the path a part such as `(?<a>/|$)` has an empty capture, which no byte announces.
        if properties.minimum_len() == Some(0) && properties.explicit_captures_len() > 0 {
            return None;
        }
        self.compile_guarded(inner.bytes, part, follow)?;
        Some(())
    }

    /// Compiles `a|b|c` to guarded branches, each followed by a jump to the end. The last branch needs no guard.
    fn compile_alternation(&mut self, branches: &[Hir], follow: &Follow) -> Option<()> {
        let (last, guarded) = branches.split_last()?;
        let mut taken = ByteSet::EMPTY;
        let mut jumps_to_end = Vec::new();
        for branch in guarded {
            let inner = Follow::END_OF_PATTERN.preceded_by(branch);
            if branch.properties().minimum_len() == Some(0) || !inner.bytes.is_disjoint(&taken) {
                return None;
            }
            taken.add(&inner.bytes);
            let guard = self.compile_guarded(inner.bytes, branch, follow)?;
            jumps_to_end.push(self.instructions.len());
            self.instructions.push(Instruction::Jump(0));
            // The guard jumps to the next branch, after the jump that ends this one.
            self.patch_jump(guard);
        }
        let inner = Follow::END_OF_PATTERN.preceded_by(last);
        if inner.match_may_end || !inner.bytes.is_disjoint(&taken) {
            return None;
        }
        self.compile(last, follow)?;
        for jump in jumps_to_end {
            self.patch_jump(jump);
        }
        Some(())
    }

    /// Compiles a part that takes part in the match only if the next byte is in `first`. Returns the index of the guard.
    fn compile_guarded(&mut self, first: ByteSet, part: &Hir, follow: &Follow) -> Option<usize> {
        let guard = self.instructions.len();
        let set = self.sets.intern(first);
        self.instructions.push(Instruction::JumpUnless { set, offset: 0 });
        self.compile(part, follow)?;
        self.patch_jump(guard);
        Some(guard)
    }

    /// Makes the jump at this index lead to the next instruction that is added.
    fn patch_jump(&mut self, jump: usize) {
        let distance = u32::try_from(self.instructions.len() - jump - 1).unwrap_or(u32::MAX);
        if let Some(Instruction::JumpUnless { offset, .. } | Instruction::Jump(offset)) =
            self.instructions.get_mut(jump)
        {
            *offset = distance;
        }
    }
}

/// Returns the length of a part without captures if every match of it has the same length.
fn fixed_length(part: &Hir) -> Option<usize> {
    let properties = part.properties();
    let length = properties.minimum_len()?;
    (properties.explicit_captures_len() == 0 && properties.maximum_len() == Some(length)).then_some(length)
}

/// A part of which every match is exactly one character.
struct OneCharacter {
    /// The bytes with which the character may begin.
    first_bytes: ByteSet,
    /// Every character that begins with one of these bytes matches.
    is_decided_by_first_byte: bool,
}

/// Describes a part that matches exactly one character. Returns `None` for any other part, and for one with captures.
fn one_character(part: &Hir) -> Option<OneCharacter> {
    match part.kind() {
        HirKind::Class(class) => {
            let first_bytes = ByteSet::of_class(class);
            let mut others = class.clone();
            others.negate();
            Some(OneCharacter {
                is_decided_by_first_byte: first_bytes.is_disjoint(&ByteSet::of_class(&others)),
                first_bytes,
            })
        }
        HirKind::Literal(literal) => {
            let first = *literal.0.first()?;
            let len = character_len(first);
            (literal.0.len() == len).then(|| OneCharacter {
                first_bytes: ByteSet::range(first, first),
                is_decided_by_first_byte: len == 1,
            })
        }
        HirKind::Alternation(branches) => {
            let none = OneCharacter {
                first_bytes: ByteSet::EMPTY,
                is_decided_by_first_byte: true,
            };
            branches.iter().try_fold(none, |mut all, branch| {
                let branch = one_character(branch)?;
                all.first_bytes.add(&branch.first_bytes);
                all.is_decided_by_first_byte &= branch.is_decided_by_first_byte;
                Some(all)
            })
        }
        _ => None,
    }
}

/// Returns the length of the character that begins with a byte. [`ENCODED_SLASH`](crate::target::codec::ENCODED_SLASH) is a character of its own.
fn character_len(first: u8) -> usize {
    match first {
        0xc0..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf7 => 4,
        _ => 1,
    }
}

impl Follow {
    const END_OF_PATTERN: Follow = Follow {
        bytes: ByteSet::EMPTY,
        match_may_end: true,
    };

    /// Returns what may follow at a point before `part`, if `self` follows the part.
    fn preceded_by(&self, part: &Hir) -> Follow {
        let begins_with = |bytes| Follow {
            bytes,
            match_may_end: false,
        };
        match part.kind() {
            HirKind::Literal(literal) => {
                let first = literal.0.first();
                begins_with(first.map_or(ByteSet::EMPTY, |byte| ByteSet::range(*byte, *byte)))
            }
            HirKind::Class(class) => begins_with(ByteSet::of_class(class)),
            HirKind::Look(Look::End) => begins_with(ByteSet::EMPTY),
            HirKind::Empty | HirKind::Look(_) => self.clone(),
            HirKind::Capture(group) => self.preceded_by(&group.sub),
            HirKind::Repetition(repetition) => {
                let once = self.preceded_by(&repetition.sub);
                if repetition.min == 0 {
                    self.union(&once)
                } else {
                    once
                }
            }
            HirKind::Concat(parts) => parts
                .iter()
                .rev()
                .fold(self.clone(), |follow, part| follow.preceded_by(part)),
            HirKind::Alternation(branches) => {
                branches.iter().fold(begins_with(ByteSet::EMPTY), |all, branch| {
                    all.union(&self.preceded_by(branch))
                })
            }
        }
    }

    fn union(&self, other: &Follow) -> Follow {
        let mut bytes = self.bytes.clone();
        bytes.add(&other.bytes);
        Follow {
            bytes,
            match_may_end: self.match_may_end || other.match_may_end,
        }
    }
}

#[cfg(test)]
mod tests;
