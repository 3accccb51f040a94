//! Finds the templates that a template refers to, and the variables that it sets, by the tokens of its statements.

#[derive(Default, Debug, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) references: Vec<Reference>,
    /// The names that the template sets. May contain too many: such a name only makes the check of variables less strict.
    pub(super) assigned: Vec<String>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Reference {
    pub(super) name: String,
    /// The template may be missing: `ignore missing`, or one of several alternatives.
    pub(super) optional: bool,
    /// The template is imported for its macros, so the variables that it uses are not checked.
    pub(super) imported: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Text(String),
    Punct(char),
}

pub(super) fn scan(template: &str) -> Scan {
    let mut scan = Scan::default();
    let mut rest = template;
    let mut raw = false;
    while let Some(at) = rest.find("{") {
        rest = &rest[at + 1..];
        // In a `raw` block only `endraw` has a meaning.
        if let Some(comment) = rest.strip_prefix('#').filter(|_| !raw) {
            rest = comment.find("#}").map_or("", |end| &comment[end + 2..]);
        } else if let Some(statement) = rest.strip_prefix('%') {
            let (tokens, after) = tokens(statement);
            match tokens.first() {
                Some(Token::Word(word)) if word == "endraw" => raw = false,
                _ if raw => continue,
                Some(Token::Word(word)) if word == "raw" => raw = true,
                _ => scan.statement(&tokens),
            }
            rest = after;
        }
    }
    scan
}

/// Returns the tokens up to `%}`, or to the end of the text if there is none, and the text after them. Escapes in strings are not
/// interpreted.
fn tokens(statement: &str) -> (Vec<Token>, &str) {
    let mut tokens = Vec::new();
    let mut rest = statement;
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix("%}") {
            return (tokens, after);
        }
        let Some(first) = rest.chars().next() else {
            return (tokens, "");
        };
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        if first == '"' || first == '\'' {
            let inner = &rest[1..];
            let end = inner.find(first).unwrap_or(inner.len());
            tokens.push(Token::Text(inner[..end].to_owned()));
            rest = inner.get(end + 1..).unwrap_or("");
        } else if is_word(first) {
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..end].to_owned()));
            rest = &rest[end..];
        } else {
            let is_trim_marker = tokens.is_empty() && (first == '-' || first == '+');
            if !is_trim_marker {
                tokens.push(Token::Punct(first));
            }
            rest = &rest[first.len_utf8()..];
        }
    }
}

impl Scan {
    fn statement(&mut self, tokens: &[Token]) {
        let Some((Token::Word(keyword), rest)) = tokens.split_first() else {
            return;
        };
        match keyword.as_str() {
            "extends" => self.add_references(rest, false, false),
            "include" => {
                let ignores_missing = words(rest).any(|word| word == "missing");
                let is_list = rest.first() == Some(&Token::Punct('['));
                self.add_references(rest, ignores_missing || is_list, false);
            }
            // `import 'lib.html' as name`: the template is the first token.
            "import" => {
                self.add_references(rest.get(..1).unwrap_or_default(), false, true);
                self.assigned.extend(
                    words(rest)
                        .skip_while(|word| *word != "as")
                        .skip(1)
                        .map(str::to_owned),
                );
            }
            // `from 'lib.html' import a as b`: both names count as set, although only `b` is.
            "from" => {
                self.add_references(rest.get(..1).unwrap_or_default(), false, true);
                let imported = words(rest).filter(|word| !matches!(*word, "import" | "as"));
                self.assigned.extend(imported.map(str::to_owned));
            }
            "for" => {
                self.assigned
                    .extend(words(rest).take_while(|word| *word != "in").map(str::to_owned));
            }
            "macro" => self.assigned.extend(words(rest).take(1).map(str::to_owned)),
            // Both `set name = value` and the block form `set name`.
            "set" => {
                let targets = rest
                    .split(|token| *token == Token::Punct('='))
                    .next()
                    .unwrap_or_default();
                self.assigned.extend(words(targets).map(str::to_owned));
            }
            "with" => {
                let targets = rest.windows(2).filter(|pair| pair[1] == Token::Punct('='));
                self.assigned
                    .extend(words_of(targets.map(|pair| &pair[0])).map(str::to_owned));
            }
            _ => {}
        }
    }

    /// Adds all string literals as names of templates. Adds none if the tokens contain `~`, `+` or `|`: a computed name is not known at
    /// compile time.
    fn add_references(&mut self, tokens: &[Token], optional: bool, imported: bool) {
        let is_computed = tokens
            .iter()
            .any(|token| matches!(token, Token::Punct('~' | '+' | '|')));
        if is_computed {
            return;
        }
        for token in tokens {
            if let Token::Text(name) = token {
                self.references.push(Reference {
                    name: name.clone(),
                    optional,
                    imported,
                });
            }
        }
    }
}

fn words(tokens: &[Token]) -> impl Iterator<Item = &str> {
    words_of(tokens.iter())
}

fn words_of<'a>(tokens: impl Iterator<Item = &'a Token>) -> impl Iterator<Item = &'a str> {
    tokens.filter_map(|token| match token {
        Token::Word(word) => Some(word.as_str()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(scan: &Scan) -> Vec<(&str, bool, bool)> {
        scan.references
            .iter()
            .map(|r| (r.name.as_str(), r.optional, r.imported))
            .collect()
    }

    #[test]
    fn finds_references() {
        let scan = scan(
            "{%- extends 'base.html' -%}{# {% include 'no' %} #}{% include \"a%}b\" %}{{ '{' }}\
             {% raw %}{% include 'raw' %}{% endraw %}{% include 'c' ignore missing %}\
             {% include ['d', 'e'] %}{% from 'f' import g as h, i %}{% import 'j' as k %}{% include x ~ 'l' %}",
        );
        assert_eq!(
            names(&scan),
            [
                ("base.html", false, false),
                ("a%}b", false, false),
                ("c", true, false),
                ("d", true, false),
                ("e", true, false),
                ("f", false, true),
                ("j", false, true)
            ]
        );
        assert_eq!(scan.assigned, ["g", "h", "i", "k"]);
    }

    #[test]
    fn finds_variables_that_are_set() {
        let scan = scan(
            "{% for a, b in c %}{% set d = e %}{% with f = 1, g = h %}{% macro i(j) %}{% set k %}{% endset %}{% unclosed",
        );
        assert_eq!(scan.assigned, ["a", "b", "d", "f", "g", "i", "k"]);
    }
}
