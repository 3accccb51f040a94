//! The language of comments, documentation and messages, checked for phrases that readers had to translate.
//!
//! CONTRIBUTING.md has the rules. This test counts the markers below in three places: comments of the sources,
//! Markdown files, and string literals that are shown to people. Each may have a marker in at most
//! [`MAX_MARKED_PERCENT`] of its blocks, because a few of the phrases are right in some sentences.

mod repository;

use regex::Regex;
use repository::{files, root};
use std::fmt::Write as _;
use std::fs;

const MAX_MARKED_PERCENT: f64 = 1.5;

/// A phrase to avoid, what to write instead, and how to find it.
const MARKERS: &[(&str, &str)] = &[
    (
        "begins with a question word; begin with a verb, or with the noun that the thing is",
        r"^(What|Whether|Who|Whom|Whose|Whoever|How (long|many|much|often)|Where|Until)\b",
    ),
    (
        "a person for a part of the program; name the part",
        r"(?i)\b(nobody|somebody|anybody|whoever|everybody)\b",
    ),
    (
        "a number in words; give the number or its name",
        r"(?i)\bso (many|long|much)\b",
    ),
    (
        "an old word; use `again`, `next to`, `in the meantime`",
        r"(?i)\b(anew|of late|beside|meanwhile)\b",
    ),
    (
        "a thing that tells, hears or speaks; say what is sent, received or returned",
        r"(?i)\b(is|are|was|were|be) told\b|\btells?\b|\bhears?\b|\bspoken to\b|\bspeaks\b",
    ),
    (
        "`where` for a condition; write `if` or `unless`",
        r"(?i)\bwhere (that|it|there|nothing|none|no|one|they|this)\b",
    ),
    (
        "`is none`; say what is missing or invalid",
        r"(?i)\b(is|are) none\b",
    ),
];

/// A piece of text that is read as a unit: a comment, a paragraph, a message.
struct Block {
    file: String,
    line: usize,
    text: String,
}

fn read(extension: &str) -> Vec<(String, String)> {
    files(&root(), extension)
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a text file");
            let name = path.strip_prefix(root()).expect("a file of the repository");
            (name.display().to_string(), text)
        })
        .collect()
}

/// Returns every Rust source except golden files, whose comments quote the input of a macro.
fn rust_sources() -> Vec<(String, String)> {
    let mut sources = read("rs");
    sources.retain(|(file, _)| !file.starts_with("brubeck-macros/tests/expand/"));
    sources
}

fn is_test(file: &str) -> bool {
    file.split('/')
        .any(|part| ["tests", "ui-tests", "benches", "fuzz", "examples", "tests.rs"].contains(&part))
}

/// Splits the comments of a source into blocks: adjacent comment lines of one kind, without their code blocks.
fn comments(file: &str, source: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    // The kind of comment that the previous line belongs to.
    let mut open: Option<&str> = None;
    let mut in_code = false;
    for (index, line) in source.lines().enumerate() {
        let line = line.trim();
        let marker = ["///", "//!", "//"]
            .into_iter()
            .find(|marker| line.starts_with(marker));
        let Some(marker) = marker else {
            (open, in_code) = (None, false);
            continue;
        };
        let text = line[marker.len()..].trim();
        if text.starts_with("```") {
            (open, in_code) = (None, !in_code);
        } else if in_code || text.is_empty() || text.starts_with(['#', '|']) {
            open = None;
        } else if let (Some(block), true) = (blocks.last_mut(), open == Some(marker)) {
            block.text.push(' ');
            block.text.push_str(text);
        } else {
            open = Some(marker);
            blocks.push(Block {
                file: file.to_owned(),
                line: index + 1,
                text: text.to_owned(),
            });
        }
    }
    blocks
}

/// Splits a Markdown file into paragraphs, items of lists and rows of tables.
fn paragraphs(file: &str, source: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut open, mut in_code) = (false, false);
    for (index, line) in source.lines().enumerate() {
        let line = line.trim();
        if line.starts_with("```") {
            (open, in_code) = (false, !in_code);
            continue;
        }
        if in_code || line.is_empty() || line.starts_with('#') {
            open = false;
            continue;
        }
        let is_item = line.starts_with("* ") || line.starts_with("- ") || line.starts_with('|');
        let text = line.trim_start_matches(['*', '-', '|', '>', ' ']);
        match blocks.last_mut() {
            Some(block) if open && !is_item => {
                block.text.push(' ');
                block.text.push_str(text);
            }
            _ => blocks.push(Block {
                file: file.to_owned(),
                line: index + 1,
                text: text.to_owned(),
            }),
        }
        open = true;
    }
    blocks
}

/// Returns the string literals of a source that have at least three words, without those of its unit tests.
fn messages(file: &str, source: &str) -> Vec<Block> {
    let literal = Regex::new(r#"(?s)(?P<comment>//[^\n]*)|'(?:\\.|[^\\'])'|"(?P<text>(?:\\.|[^"\\])*)""#)
        .expect("a pattern");
    let end = source.find("#[cfg(test)]\nmod tests {").unwrap_or(source.len());
    let mut blocks = Vec::new();
    for found in literal.captures_iter(&source[..end]) {
        let Some(text) = found.name("text") else { continue };
        // A backslash at the end of a line continues the literal behind the blanks of the next one.
        let joined: String = text.as_str().split("\\\n").map(str::trim_start).collect();
        if joined.split_whitespace().count() >= 3 {
            blocks.push(Block {
                file: file.to_owned(),
                line: source[..text.start()].matches('\n').count() + 1,
                text: joined,
            });
        }
    }
    blocks
}

/// Fails if more than [`MAX_MARKED_PERCENT`] of the blocks have a marker, and prints those that do.
fn check(kind: &str, blocks: &[Block]) {
    assert!(blocks.len() > 100, "only {} {kind} were found", blocks.len());
    let markers: Vec<(&str, Regex)> = MARKERS
        .iter()
        .map(|(advice, pattern)| {
            let pattern = format!("(?-u){pattern}");
            (*advice, Regex::new(&pattern).expect("a pattern"))
        })
        .collect();
    let (mut marked, mut list) = (0, String::new());
    for block in blocks {
        let found: Vec<&str> = markers
            .iter()
            .filter(|(_, pattern)| pattern.is_match(&block.text))
            .map(|(advice, _)| *advice)
            .collect();
        if !found.is_empty() {
            marked += 1;
            writeln!(
                list,
                "{}:{}: {}\n    {}",
                block.file,
                block.line,
                block.text,
                found.join("; ")
            )
            .expect("a string takes text");
        }
    }
    let percent = 100.0 * f64::from(marked) / blocks.len() as f64;
    println!("{kind}: {marked} of {} marked ({percent:.1} %)", blocks.len());
    assert!(
        percent <= MAX_MARKED_PERCENT,
        "{percent:.1} % of the {kind} have a phrase to avoid, and {MAX_MARKED_PERCENT} % may:\n{list}"
    );
}

#[test]
fn comments_are_plain() {
    let blocks: Vec<Block> = rust_sources()
        .iter()
        .filter(|(file, _)| !is_test(file))
        .flat_map(|(file, source)| comments(file, source))
        .collect();
    check("comments", &blocks);
}

#[test]
fn comments_of_tests_are_plain() {
    let blocks: Vec<Block> = rust_sources()
        .iter()
        .filter(|(file, _)| is_test(file))
        .flat_map(|(file, source)| comments(file, source))
        .collect();
    check("comments of tests, benches and examples", &blocks);
}

#[test]
fn documents_are_plain() {
    let blocks: Vec<Block> = read("md")
        .iter()
        .flat_map(|(file, source)| paragraphs(file, source))
        .collect();
    check("paragraphs of documents", &blocks);
}

#[test]
fn messages_are_plain() {
    let blocks: Vec<Block> = rust_sources()
        .iter()
        .filter(|(file, _)| !is_test(file))
        .flat_map(|(file, source)| messages(file, source))
        .collect();
    check("messages", &blocks);
}

#[test]
fn blocks_are_found_and_marked() {
    let source = "/// Sends it.\n/// And more.\n///\n/// ```\n/// // Who cares.\n/// ```\nfn a() {\n    // Whoever reads.\n    b(\"a b\", \"one \\\n       two three\");\n}\n#[cfg(test)]\nmod tests { \"not this one here\" }";
    let texts = |blocks: Vec<Block>| -> Vec<(usize, String)> {
        blocks.into_iter().map(|block| (block.line, block.text)).collect()
    };
    assert_eq!(
        texts(comments("a.rs", source)),
        [
            (1, "Sends it. And more.".to_owned()),
            (8, "Whoever reads.".to_owned())
        ]
    );
    assert_eq!(texts(messages("a.rs", source)), [(9, "one two three".to_owned())]);
    let document = "# Title\n\nA line\nand one.\n* an item\n  goes on\n\n```\ncode\n```\n| a | b |\n";
    assert_eq!(
        texts(paragraphs("a.md", document)),
        [
            (3, "A line and one.".to_owned()),
            (5, "an item goes on".to_owned()),
            (11, "a | b |".to_owned())
        ]
    );
}
