//! Translates a pattern to the alphabet of canonical paths: characters, and a symbol of its own for an encoded `/`.

use regex_syntax::ast::{
    Ast, ClassAscii, ClassAsciiKind, ClassBracketed, ClassPerl, ClassPerlKind, ClassSet, ClassSetItem, Span,
};
use regex_syntax::hir::{Capture, Class, Hir, HirKind, Literal, Look, Repetition};

/// The byte that stands for an encoded `/`, as in the runtime.
pub(crate) const ENCODED_SLASH: u8 = 0xff;

/// Replaces `\d`, `\s` and `\w` with the classes of ASCII characters. Their Unicode forms would make large automata.
pub(super) fn with_ascii_classes(ast: &Ast) -> Ast {
    let mut ast = ast.clone();
    replace_classes(&mut ast);
    ast
}

fn replace_classes(ast: &mut Ast) {
    match ast {
        Ast::ClassPerl(class) => {
            *ast = Ast::class_bracketed(ClassBracketed {
                span: class.span,
                negated: false,
                kind: ClassSet::Item(ClassSetItem::Ascii(ascii_class(class))),
            });
        }
        Ast::ClassBracketed(class) => replace_in_set(&mut class.kind),
        Ast::Repetition(repetition) => replace_classes(&mut repetition.ast),
        Ast::Group(group) => replace_classes(&mut group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter_mut().for_each(replace_classes),
        Ast::Concat(concat) => concat.asts.iter_mut().for_each(replace_classes),
        Ast::Empty(_)
        | Ast::Flags(_)
        | Ast::Literal(_)
        | Ast::Dot(_)
        | Ast::Assertion(_)
        | Ast::ClassUnicode(_) => {}
    }
}

fn replace_in_set(set: &mut ClassSet) {
    match set {
        ClassSet::Item(item) => replace_in_item(item),
        ClassSet::BinaryOp(operation) => {
            replace_in_set(&mut operation.lhs);
            replace_in_set(&mut operation.rhs);
        }
    }
}

fn replace_in_item(item: &mut ClassSetItem) {
    match item {
        ClassSetItem::Perl(class) => *item = ClassSetItem::Ascii(ascii_class(class)),
        ClassSetItem::Bracketed(class) => replace_in_set(&mut class.kind),
        ClassSetItem::Union(union) => union.items.iter_mut().for_each(replace_in_item),
        ClassSetItem::Empty(_)
        | ClassSetItem::Literal(_)
        | ClassSetItem::Range(_)
        | ClassSetItem::Ascii(_)
        | ClassSetItem::Unicode(_) => {}
    }
}

fn ascii_class(class: &ClassPerl) -> ClassAscii {
    ClassAscii {
        span: class.span,
        kind: match class.kind {
            ClassPerlKind::Digit => ClassAsciiKind::Digit,
            ClassPerlKind::Space => ClassAsciiKind::Space,
            ClassPerlKind::Word => ClassAsciiKind::Word,
        },
        negated: class.negated,
    }
}

/// Returns the positions of the classes of Unicode properties, such as `\pL`, in a class.
pub(super) fn unicode_classes(set: &ClassSet) -> Vec<Span> {
    match set {
        ClassSet::BinaryOp(operation) => {
            [unicode_classes(&operation.lhs), unicode_classes(&operation.rhs)].concat()
        }
        ClassSet::Item(item) => unicode_classes_of_item(item),
    }
}

fn unicode_classes_of_item(item: &ClassSetItem) -> Vec<Span> {
    match item {
        ClassSetItem::Unicode(class) => vec![class.span],
        ClassSetItem::Bracketed(class) => unicode_classes(&class.kind),
        ClassSetItem::Union(union) => union.items.iter().flat_map(unicode_classes_of_item).collect(),
        ClassSetItem::Empty(_)
        | ClassSetItem::Literal(_)
        | ClassSetItem::Range(_)
        | ClassSetItem::Ascii(_)
        | ClassSetItem::Perl(_) => Vec::new(),
    }
}

/// Adds the symbol of an encoded `/` to every class that contains `/`. A literal `/` is a separator, which an encoded one is not.
pub(super) fn with_encoded_slash(hir: &Hir) -> Hir {
    match hir.kind() {
        HirKind::Class(class) if contains_slash(class) => {
            Hir::alternation(vec![hir.clone(), Hir::literal([ENCODED_SLASH])])
        }
        HirKind::Repetition(repetition) => Hir::repetition(Repetition {
            sub: Box::new(with_encoded_slash(&repetition.sub)),
            ..repetition.clone()
        }),
        HirKind::Capture(group) => Hir::capture(Capture {
            sub: Box::new(with_encoded_slash(&group.sub)),
            ..group.clone()
        }),
        HirKind::Concat(parts) => Hir::concat(parts.iter().map(with_encoded_slash).collect()),
        HirKind::Alternation(branches) => Hir::alternation(branches.iter().map(with_encoded_slash).collect()),
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => hir.clone(),
    }
}

fn contains_slash(class: &Class) -> bool {
    match class {
        Class::Unicode(class) => class
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&'/')),
        Class::Bytes(class) => class
            .iter()
            .any(|range| (range.start()..=range.end()).contains(&b'/')),
    }
}

/// Writes a pattern as a regex in which nothing depends on flags or on Unicode tables.
///
/// The `Display` of [`Hir`] is not used, because it writes `(?:a+)?` as `a+?`.
pub(super) fn regex_text(hir: &Hir) -> String {
    match hir.kind() {
        HirKind::Empty => "(?:)".to_owned(),
        HirKind::Literal(Literal(bytes)) => match str::from_utf8(bytes) {
            Ok(text) => regex_syntax::escape(text),
            Err(_) => bytes.iter().map(|byte| format!(r"(?-u:\x{byte:02X})")).collect(),
        },
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.iter().map(|range| (range.start(), range.end()));
            // A class without characters never matches, which no list of ranges can express.
            class_text(ranges).unwrap_or_else(|| r"[^\x00-\u{10FFFF}]".to_owned())
        }
        HirKind::Class(Class::Bytes(class)) => {
            let range = |low: u8, high: u8| format!(r"\x{low:02X}-\x{high:02X}");
            let ranges: String = class.iter().map(|r| range(r.start(), r.end())).collect();
            format!("(?-u:[{ranges}])")
        }
        HirKind::Look(look) => match look {
            Look::Start => r"\A".to_owned(),
            // `Pattern` has reported all other assertions as errors.
            _ => r"\z".to_owned(),
        },
        HirKind::Repetition(repetition) => {
            let Repetition {
                min,
                max,
                greedy,
                sub,
            } = repetition;
            let times = match (min, max) {
                (0, Some(1)) => "?".to_owned(),
                (0, None) => "*".to_owned(),
                (1, None) => "+".to_owned(),
                (min, None) => format!("{{{min},}}"),
                (min, Some(max)) => format!("{{{min},{max}}}"),
            };
            let lazy = if *greedy { "" } else { "?" };
            let sub_text = regex_text(sub);
            match sub.kind() {
                HirKind::Class(_) => format!("{sub_text}{times}{lazy}"),
                _ => format!("(?:{sub_text}){times}{lazy}"),
            }
        }
        HirKind::Capture(Capture { name, sub, .. }) => {
            let name = name.as_deref().unwrap_or_default();
            format!("(?<{name}>{})", regex_text(sub))
        }
        HirKind::Concat(parts) => parts.iter().map(regex_text).collect(),
        HirKind::Alternation(branches) => {
            let branches: Vec<String> = branches.iter().map(regex_text).collect();
            format!("(?:{})", branches.join("|"))
        }
    }
}

fn class_text(ranges: impl Iterator<Item = (char, char)>) -> Option<String> {
    let character = |c: char| match c {
        _ if c.is_ascii_alphanumeric() => c.to_string(),
        _ => format!(r"\u{{{:X}}}", u32::from(c)),
    };
    let texts = ranges.map(|(low, high)| {
        if low == high {
            character(low)
        } else {
            format!("{}-{}", character(low), character(high))
        }
    });
    let text: String = texts.collect();
    (!text.is_empty()).then(|| format!("[{text}]"))
}
