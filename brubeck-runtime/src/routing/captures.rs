//! What a pattern captures of a path that matches it, without a regex.
//!
//! In most patterns the next byte alone says how the match goes on: `^/user/(?<id>\d+)(?:/(?<tab>[a-z]+))?$`. Where a
//! path is known to match, such a pattern is a short list of steps, a few bytes of memory, and one look at a part of
//! the path. Other patterns have no course, and are asked by a regex.

use crate::extract::Captures;
use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind, Look, Repetition};
use std::collections::HashSet;
use std::sync::Arc;

/// The way through one pattern.
#[derive(Debug)]
pub(super) struct Course {
    steps: Box<[Step]>,
    captures: usize,
}

#[derive(Debug)]
enum Step {
    /// So many bytes, whatever they are.
    Skip(u32),
    /// As many bytes of the set as there are, but no more than this.
    Run { set: Arc<Set>, most: u32 },
    /// A capture begins.
    Begin(u32),
    /// A capture ends.
    End(u32),
    /// Where no byte of the set follows, so many steps are left out.
    Unless { set: Arc<Set>, left_out: u32 },
    /// So many steps are left out.
    LeaveOut(u32),
}

/// The courses of many patterns share their sets of bytes.
#[derive(Default)]
pub(super) struct Sets(HashSet<Arc<Set>>);

/// Which bytes are in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Set([bool; 256]);

/// What may follow a part of a pattern.
#[derive(Clone)]
struct Rest {
    /// The bytes with which it may begin, and maybe more.
    first: Set,
    /// Whether it may be nothing, with more of the path behind it.
    open: bool,
}

impl Course {
    /// The course of a pattern with these captures, where it has one.
    pub(super) fn of(pattern: &str, captures: &[&str], sets: &mut Sets) -> Option<Course> {
        let mut parser = ParserBuilder::new().unicode(false).utf8(false).build();
        let mut drawn = Drawn {
            captures,
            sets,
            steps: Vec::new(),
        };
        drawn.draw(&parser.parse(pattern).ok()?, &Rest::NOTHING)?;
        let mut steps = drawn.steps;
        // Behind the last capture there is nothing to be seen. Nothing leads there from before but by leaving out steps.
        while steps.pop_if(|step| !matches!(step, Step::End(_))).is_some() {}
        Some(Course {
            steps: steps.into(),
            captures: captures.len(),
        })
    }

    /// The captures of a path that matches.
    pub(super) fn captures(&self, path: &[u8]) -> Captures {
        let mut captures = Captures::absent(self.captures);
        let (mut at, mut next) = (0, 0);
        while let Some(step) = self.steps.get(next) {
            next += 1;
            match step {
                Step::Skip(bytes) => at += *bytes as usize,
                Step::Run { set, most } => {
                    let rest = path.get(at..).unwrap_or_default().iter().take(*most as usize);
                    at += rest.take_while(|byte| set.has(**byte)).count();
                }
                Step::Begin(capture) => captures.set_start(*capture as usize, at),
                Step::End(capture) => captures.set_end(*capture as usize, at),
                Step::Unless { set, left_out } => {
                    if !path.get(at).is_some_and(|byte| set.has(*byte)) {
                        next += *left_out as usize;
                    }
                }
                Step::LeaveOut(steps) => next += *steps as usize,
            }
        }
        captures
    }
}

/// A course that is being drawn. `None` everywhere: the next byte does not say how the match goes on.
struct Drawn<'a> {
    captures: &'a [&'a str],
    sets: &'a mut Sets,
    steps: Vec<Step>,
}

impl Drawn<'_> {
    /// The steps of a part that takes part in the match, with the rest behind it.
    fn draw(&mut self, part: &Hir, rest: &Rest) -> Option<()> {
        let properties = part.properties();
        if let Some(bytes) = properties.minimum_len()
            && properties.explicit_captures_len() == 0
            && properties.maximum_len() == Some(bytes)
        {
            if bytes > 0 {
                self.steps.push(Step::Skip(u32::try_from(bytes).ok()?));
            }
            return Some(());
        }
        match part.kind() {
            HirKind::Capture(group) => {
                let name = group.name.as_deref()?;
                let capture = self.captures.iter().position(|known| *known == name)?;
                let capture = u32::try_from(capture).ok()?;
                self.steps.push(Step::Begin(capture));
                self.draw(&group.sub, rest)?;
                self.steps.push(Step::End(capture));
            }
            HirKind::Repetition(repetition) => self.repeat(repetition, rest)?,
            HirKind::Concat(parts) => {
                let mut rests = vec![rest.clone()];
                for part in parts.iter().skip(1).rev() {
                    rests.push(rests.last()?.before(part));
                }
                for (part, rest) in parts.iter().zip(rests.iter().rev()) {
                    self.draw(part, rest)?;
                }
            }
            HirKind::Alternation(branches) => self.choose(branches, rest)?,
            // All of these have one length.
            HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => return None,
        }
        Some(())
    }

    fn repeat(&mut self, repetition: &Repetition, rest: &Rest) -> Option<()> {
        let (part, inner) = (&*repetition.sub, Rest::NOTHING.before(&repetition.sub));
        // Where a byte could be one more as well as what follows, only trying tells.
        if inner.open || !inner.first.is_disjoint(&rest.first) {
            return None;
        }
        let properties = part.properties();
        let is_byte = properties.maximum_len() == Some(1) && properties.explicit_captures_len() == 0;
        if is_byte && (repetition.greedy || !rest.open) {
            let most = repetition.max.unwrap_or(u32::MAX);
            let set = self.sets.share(inner.first);
            self.steps.push(Step::Run { set, most });
            return Some(());
        }
        // What is longer may turn out to be wrong half-way, unless something of it has to be there.
        if (repetition.min, repetition.max) != (0, Some(1)) || rest.open {
            return None;
        }
        // At the end of the path a part such as `(?<a>/|$)` takes part with an empty capture, and no byte says so.
        if properties.minimum_len() == Some(0) && properties.explicit_captures_len() > 0 {
            return None;
        }
        self.unless(inner.first, part, rest)?;
        Some(())
    }

    fn choose(&mut self, branches: &[Hir], rest: &Rest) -> Option<()> {
        let (last, others) = branches.split_last()?;
        let mut taken = Set::EMPTY;
        let mut ends = Vec::new();
        for branch in others {
            let inner = Rest::NOTHING.before(branch);
            if branch.properties().minimum_len() == Some(0) || !inner.first.is_disjoint(&taken) {
                return None;
            }
            taken.add(&inner.first);
            let unless = self.unless(inner.first, branch, rest)?;
            ends.push(self.steps.len());
            self.steps.push(Step::LeaveOut(0));
            self.lands_here(unless);
        }
        let inner = Rest::NOTHING.before(last);
        if inner.open || !inner.first.is_disjoint(&taken) {
            return None;
        }
        self.draw(last, rest)?;
        ends.into_iter().for_each(|end| self.lands_here(end));
        Some(())
    }

    /// A part that takes part in the match only where it begins with the next byte. Tells the place of its first step.
    fn unless(&mut self, first: Set, part: &Hir, rest: &Rest) -> Option<usize> {
        let own = self.steps.len();
        let set = self.sets.share(first);
        self.steps.push(Step::Unless { set, left_out: 0 });
        self.draw(part, rest)?;
        self.lands_here(own);
        Some(own)
    }

    /// What leaves steps out there leaves out all up to here.
    fn lands_here(&mut self, own: usize) {
        let steps = u32::try_from(self.steps.len() - own - 1).unwrap_or(u32::MAX);
        if let Some(Step::Unless { left_out, .. } | Step::LeaveOut(left_out)) = self.steps.get_mut(own) {
            *left_out = steps;
        }
    }
}

impl Rest {
    const NOTHING: Rest = Rest {
        first: Set::EMPTY,
        open: true,
    };

    /// What may follow where this part comes before it.
    fn before(&self, part: &Hir) -> Rest {
        let begins_with = |first| Rest { first, open: false };
        match part.kind() {
            HirKind::Literal(literal) => {
                begins_with(literal.0.first().map_or(Set::EMPTY, |byte| Set::of(*byte, *byte)))
            }
            HirKind::Class(class) => begins_with(Set::of_class(class)),
            HirKind::Look(Look::End) => begins_with(Set::EMPTY),
            HirKind::Empty | HirKind::Look(_) => self.clone(),
            HirKind::Capture(group) => self.before(&group.sub),
            HirKind::Repetition(repetition) => {
                let once = self.before(&repetition.sub);
                match repetition.min {
                    0 => self.or(&once),
                    _ => once,
                }
            }
            HirKind::Concat(parts) => parts
                .iter()
                .rev()
                .fold(self.clone(), |rest, part| rest.before(part)),
            HirKind::Alternation(branches) => {
                let nothing = begins_with(Set::EMPTY);
                branches
                    .iter()
                    .fold(nothing, |all, branch| all.or(&self.before(branch)))
            }
        }
    }

    fn or(&self, other: &Rest) -> Rest {
        let mut first = self.first.clone();
        first.add(&other.first);
        Rest {
            first,
            open: self.open || other.open,
        }
    }
}

impl Sets {
    fn share(&mut self, set: Set) -> Arc<Set> {
        if let Some(known) = self.0.get(&set) {
            return known.clone();
        }
        let set = Arc::new(set);
        self.0.insert(set.clone());
        set
    }
}

impl Set {
    const EMPTY: Set = Set([false; 256]);

    fn of(low: u8, high: u8) -> Set {
        let mut set = Set::EMPTY;
        set.add_range(low, high);
        set
    }

    fn of_class(class: &Class) -> Set {
        let mut set = Set::EMPTY;
        match class {
            Class::Bytes(class) => class
                .iter()
                .for_each(|range| set.add_range(range.start(), range.end())),
            // Patterns know no Unicode; one that did could begin with any byte.
            Class::Unicode(_) => set.add_range(0, u8::MAX),
        }
        set
    }

    fn has(&self, byte: u8) -> bool {
        self.0[usize::from(byte)]
    }

    fn add_range(&mut self, low: u8, high: u8) {
        (low..=high).for_each(|byte| self.0[usize::from(byte)] = true);
    }

    fn add(&mut self, other: &Set) {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(own, other)| *own |= other);
    }

    fn is_disjoint(&self, other: &Set) -> bool {
        !self.0.iter().zip(other.0).any(|(own, other)| *own && other)
    }
}

#[cfg(test)]
mod tests;
