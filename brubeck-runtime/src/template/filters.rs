//! The filters of Jinja2 that minijinja does not have, with the arguments of Jinja2: by position or by keyword.

use super::urls::is_missing;
use minijinja::value::{Kwargs, Rest, ValueKind};
use minijinja::{Environment, Error, ErrorKind, HtmlEscape, State, Value};
use std::borrow::Cow;
use std::fmt::{Display, Write};

/// The names of the filters and functions that [`add`] adds to those of minijinja. The check of `#[derive(Template)]` has the same list.
#[cfg(test)]
const NAMES: [&str; 12] = [
    "center",
    "filesizeformat",
    "forceescape",
    "pluralize",
    "random",
    "striptags",
    "truncate",
    "urlencode",
    "urlize",
    "wordcount",
    "wordwrap",
    "xmlattr",
];

/// The largest width that a filter accepts, in characters. A width can come from a request, so it must not decide how much is allocated.
const MAX_WIDTH: usize = 100_000;

/// Adds the filters, the functions `cycler` and `joiner`, and the methods of Python's strings, lists and dicts.
pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("center", center);
    environment.add_filter("filesizeformat", minijinja_contrib::filters::filesizeformat);
    environment.add_filter("forceescape", forceescape);
    environment.add_filter("pluralize", minijinja_contrib::filters::pluralize);
    environment.add_filter("random", minijinja_contrib::filters::random);
    environment.add_filter("striptags", striptags);
    environment.add_filter("truncate", truncate);
    environment.add_filter("urlize", urlize);
    environment.add_filter("wordcount", wordcount);
    environment.add_filter("wordwrap", wordwrap);
    environment.add_filter("xmlattr", xmlattr);
    environment.add_function("cycler", |Rest(items): Rest<Value>| {
        minijinja_contrib::globals::cycler(items)
    });
    environment.add_function("joiner", minijinja_contrib::globals::joiner);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
}

/// Replaces the tests and filters for missing values by ones that accept a name that a struct does not have.
pub(super) fn allow_missing_fields(environment: &mut Environment<'_>) {
    let default = |state: &State<'_, '_>, value: &Value, arguments: Rest<Value>| {
        let value = if is_missing(value) {
            &Value::UNDEFINED
        } else {
            value
        };
        minijinja::filters::default(state, value, arguments)
    };
    environment.add_filter("default", default);
    environment.add_filter("d", default);
    environment.add_test("defined", |value: &Value| !is_missing(value));
    environment.add_test("undefined", |value: &Value| is_missing(value));
}

/// The arguments of a filter, each of which can be given by position or by keyword.
struct FilterArguments {
    positional: std::vec::IntoIter<Value>,
    kwargs: Kwargs,
}

impl FilterArguments {
    fn new(Rest(positional): Rest<Value>, kwargs: Kwargs) -> FilterArguments {
        FilterArguments {
            positional: positional.into_iter(),
            kwargs,
        }
    }

    /// Returns the next argument. Returns `None` if it is missing or `none`.
    fn next<T: TryFrom<Value, Error: Display>>(&mut self, name: &str) -> Result<Option<T>, Error> {
        let keyword = self.kwargs.get::<Option<Value>>(name)?;
        let value = match (self.positional.next(), keyword) {
            (Some(_), Some(_)) => {
                let text = format!("the argument `{name}` is given twice");
                return Err(Error::new(ErrorKind::TooManyArguments, text));
            }
            (positional, keyword) => positional.or(keyword),
        };
        match value.filter(|value| !value.is_none()) {
            Some(value) => T::try_from(value).map(Some).map_err(|error| {
                let text = format!("the argument `{name}` is not valid: {error}");
                Error::new(ErrorKind::InvalidOperation, text)
            }),
            None => Ok(None),
        }
    }

    /// Returns an error if there are more arguments.
    fn end(mut self) -> Result<(), Error> {
        if self.positional.next().is_some() {
            return Err(Error::from(ErrorKind::TooManyArguments));
        }
        self.kwargs.assert_all_used()
    }
}

fn check_width(width: usize) -> Result<usize, Error> {
    if width > MAX_WIDTH {
        return Err(Error::new(
            ErrorKind::InvalidOperation,
            format!("a width of {width} is larger than {MAX_WIDTH}"),
        ));
    }
    Ok(width)
}

/// Returns the text of a value. A missing value is empty.
fn text(value: &Value) -> Cow<'_, str> {
    match value.kind() {
        ValueKind::Undefined | ValueKind::None => Cow::Borrowed(""),
        _ => value
            .as_str()
            .map_or_else(|| Cow::Owned(value.to_string()), Cow::Borrowed),
    }
}

/// Returns a text that is as safe as the value that it was made of.
fn like(value: &Value, text: String) -> Value {
    if value.is_safe() {
        Value::from_safe_string(text)
    } else {
        Value::from(text)
    }
}

fn center(value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let mut arguments = FilterArguments::new(positional, kwargs);
    let width = check_width(arguments.next("width")?.unwrap_or(80))?;
    arguments.end()?;
    let text = text(value);
    let padding = width.saturating_sub(text.chars().count());
    let left = padding / 2;
    let right = padding - left;
    Ok(like(
        value,
        format!("{}{text}{}", " ".repeat(left), " ".repeat(right)),
    ))
}

fn forceescape(value: &Value) -> Value {
    Value::from_safe_string(HtmlEscape(&text(value)).to_string())
}

fn striptags(value: &Value) -> String {
    let stripped = minijinja_contrib::filters::striptags(text(value).into_owned());
    stripped.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn truncate(
    state: &mut State<'_, '_>,
    value: &Value,
    positional: Rest<Value>,
    kwargs: Kwargs,
) -> Result<Value, Error> {
    let mut arguments = FilterArguments::new(positional, kwargs);
    let named = [
        ("length", arguments.next::<usize>("length")?.map(Value::from)),
        ("killwords", arguments.next::<bool>("killwords")?.map(Value::from)),
        ("end", arguments.next::<Value>("end")?),
        ("leeway", arguments.next::<usize>("leeway")?.map(Value::from)),
    ];
    arguments.end()?;
    let named = named.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let text = match value.kind() {
        ValueKind::String | ValueKind::Undefined | ValueKind::None => value.clone(),
        _ => Value::from(value.to_string()),
    };
    minijinja_contrib::filters::truncate(state, &text, named.collect())
}

/// Counts the words, which are sequences of letters, digits and underscores.
fn wordcount(value: &Value) -> usize {
    text(value)
        .split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .count()
}

fn wordwrap(value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let mut arguments = FilterArguments::new(positional, kwargs);
    let width = arguments.next("width")?.unwrap_or(79).max(1);
    let break_long_words = arguments.next("break_long_words")?.unwrap_or(true);
    let wrapstring: Option<String> = arguments.next("wrapstring")?;
    let break_on_hyphens = arguments.next("break_on_hyphens")?.unwrap_or(true);
    arguments.end()?;
    let text = text(value);
    let mut lines = Vec::new();
    for line in text.lines() {
        wrap_line(line, width, break_long_words, break_on_hyphens, &mut lines);
    }
    Ok(like(value, lines.join(wrapstring.as_deref().unwrap_or("\n"))))
}

/// Appends the lines that a line becomes if it is wrapped at a width.
fn wrap_line(line: &str, width: usize, break_long: bool, on_hyphens: bool, lines: &mut Vec<String>) {
    let mut current = String::new();
    let mut used = 0;
    for word in line.split_whitespace() {
        let pieces: Vec<&str> = if on_hyphens {
            word.split_inclusive('-').collect()
        } else {
            vec![word]
        };
        for (i, mut piece) in pieces.into_iter().enumerate() {
            let space = usize::from(i == 0 && used > 0);
            if used > 0 && used + space + piece.chars().count() > width {
                lines.push(std::mem::take(&mut current));
                used = 0;
            } else if space == 1 {
                current.push(' ');
                used += 1;
            }
            while break_long
                && let Some((end, _)) = piece.char_indices().nth(width)
                && let Some((head, tail)) = piece.split_at_checked(end)
            {
                lines.push(head.to_owned());
                piece = tail;
            }
            current.push_str(piece);
            used += piece.chars().count();
        }
    }
    lines.push(current);
}

/// Writes the entries of a map as attributes of an element. Entries without a value are left out.
fn xmlattr(value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let mut arguments = FilterArguments::new(positional, kwargs);
    let autospace = arguments.next("autospace")?.unwrap_or(true);
    arguments.end()?;
    let mut written = String::new();
    for key in value.try_iter()? {
        let attribute = value.get_item(&key)?;
        if attribute.is_none() || attribute.is_undefined() {
            continue;
        }
        let name = text(&key);
        // Such a name would end the attribute, or the element.
        let ends_name =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '>' | '=' | '"' | '\'');
        if name.is_empty() || name.contains(ends_name) {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("`{name}` is not the name of an attribute"),
            ));
        }
        if autospace || !written.is_empty() {
            written.push(' ');
        }
        let _ = write!(
            written,
            "{}=\"{}\"",
            HtmlEscape(&name),
            HtmlEscape(&text(&attribute))
        );
    }
    Ok(Value::from_safe_string(written))
}

/// Converts the URLs and email addresses in a text to links.
fn urlize(value: &Value, positional: Rest<Value>, kwargs: Kwargs) -> Result<Value, Error> {
    let mut arguments = FilterArguments::new(positional, kwargs);
    let limit: Option<usize> = arguments.next("trim_url_limit")?;
    let nofollow = arguments.next("nofollow")?.unwrap_or(false);
    let target: Option<String> = arguments.next("target")?;
    let rel: Option<String> = arguments.next("rel")?;
    arguments.end()?;
    let mut rels: Vec<&str> = rel.iter().flat_map(|rel| rel.split_whitespace()).collect();
    if nofollow {
        rels.push("nofollow");
    }
    rels.push("noopener");
    rels.sort_unstable();
    rels.dedup();
    let mut attributes = format!(" rel=\"{}\"", HtmlEscape(&rels.join(" ")));
    if let Some(target) = target {
        let _ = write!(attributes, " target=\"{}\"", HtmlEscape(&target));
    }
    let is_safe = value.is_safe();
    let escaped = |text: &str| match is_safe {
        true => text.to_owned(),
        false => HtmlEscape(text).to_string(),
    };
    let text = text(value);
    let mut linked = String::with_capacity(text.len());
    for part in text.split_inclusive(char::is_whitespace) {
        let word = part.trim_end();
        let (_, space) = part.split_at(word.len());
        let without_start = word.trim_start_matches(['(', '[', '<', '{', '"', '\'']);
        let core =
            without_start.trim_end_matches(['.', ',', ':', ';', '!', '?', ')', ']', '>', '}', '"', '\'']);
        let Some(url) = link_target(core) else {
            linked.push_str(&escaped(part));
            continue;
        };
        let (start, _) = word.split_at(word.len() - without_start.len());
        let (_, end) = without_start.split_at(core.len());
        let shown = match limit {
            Some(limit) if core.chars().count() > limit => {
                let mut short: String = core.chars().take(limit).collect();
                short.push_str("...");
                Cow::Owned(short)
            }
            _ => Cow::Borrowed(core),
        };
        let link = if url.starts_with("mailto:") {
            ""
        } else {
            &attributes
        };
        let _ = write!(
            linked,
            "{}<a href=\"{}\"{link}>{}</a>{}{space}",
            escaped(start),
            escaped(&url),
            escaped(&shown),
            escaped(end),
        );
    }
    Ok(Value::from_safe_string(linked))
}

/// Returns the URL that a word stands for. Returns `None` if it is neither a URL nor an email address.
fn link_target(word: &str) -> Option<String> {
    let begins = |prefix: &str| {
        let head = word.get(..prefix.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(prefix)) && word.len() > prefix.len()
    };
    if word.contains(['"', '\'', '<', '>']) {
        return None;
    }
    if begins("http://") || begins("https://") {
        return Some(word.to_owned());
    }
    if begins("www.") {
        return Some(format!("https://{word}"));
    }
    if begins("mailto:") {
        return Some(word.to_owned());
    }
    let (user, host) = word.split_once('@')?;
    let is_user = |c: char| c.is_ascii_alphanumeric() || "._%+-".contains(c);
    let is_host = |c: char| c.is_ascii_alphanumeric() || ".-".contains(c);
    let (name, top) = host.rsplit_once('.')?;
    let is_address = !user.is_empty()
        && user.chars().all(is_user)
        && !name.is_empty()
        && top.len() >= 2
        && host.chars().all(is_host);
    is_address.then(|| format!("mailto:{word}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    fn render(template: &str) -> String {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
        add(&mut environment);
        let context = context! {
            text => "one two-three four",
            markup => "<b>1 &amp; 2</b>  <i>x</i>",
            link => "see https://a.example/?a=1&b=<2>, (www.b.example) or me@c.example. No: a@b, http://",
            attributes => context! { class => "a \"b\"", id => (), },
            map => context! { one => 1, two => 2 },
        };
        environment
            .render_str(template, context)
            .unwrap_or_else(|error| format!("error: {error:#}"))
    }

    #[test]
    fn filters_of_jinja2_give_its_values() {
        for (template, expected) in [
            ("[{{ 'ab' | center(5) }}]", "[ ab  ]"),
            ("[{{ 'ab' | center(width=4) }}]", "[ ab ]"),
            ("{{ 1500000 | filesizeformat }}", "1.5 MB"),
            ("{{ '<' | safe | forceescape }}", "&lt;"),
            ("{{ markup | striptags }}", "1 &amp; 2 x"),
            ("{{ text | truncate(9, true) }}", "one tw..."),
            ("{{ text | truncate(9) }}", "one..."),
            ("{{ text | truncate(length=9, end='!', leeway=0) }}", "one!"),
            ("{{ text | truncate }}", "one two-three four"),
            ("{{ 12345678 | truncate(5, true, '', 0) }}", "12345"),
            ("{{ text | wordcount }}", "4"),
            ("{{ text | wordwrap(8) }}", "one two-\nthree\nfour"),
            (
                "{{ text | wordwrap(width=9, break_on_hyphens=false) }}",
                "one\ntwo-three\nfour",
            ),
            ("{{ 'abcdef' | wordwrap(4) }}", "abcd\nef"),
            ("{{ 'a b' | wordwrap(1, true, '<') }}", "a&lt;b"),
            ("<p{{ attributes | xmlattr }}>", "<p class=\"a &quot;b&quot;\">"),
            ("<p{{ {'a': '<'} | xmlattr(false) }}>", "<pa=\"&lt;\">"),
            ("{{ 'a b&c=é/' | urlencode }}", "a%20b%26c%3D%C3%A9&#x2f;"),
            ("{{ [5] | random }}", "5"),
            ("{{ 2 | pluralize }}", "s"),
            (
                "{% for k, v in map.items() %}{{ k }}={{ v }};{% endfor %}",
                "one=1;two=2;",
            ),
            ("{{ ' a '.strip().upper() }}", "A"),
            (
                "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}",
                "aba",
            ),
            (
                "{{ {'a': '</script>'} | tojson }}",
                "{\"a\": \"\\u003c/script\\u003e\"}",
            ),
        ] {
            assert_eq!(render(template), expected, "{template}");
        }
    }

    #[test]
    fn urls_in_text_become_links() {
        assert_eq!(
            render("{{ link | urlize(nofollow=true) }}"),
            "see https:&#x2f;&#x2f;a.example&#x2f;?a=1&amp;b=&lt;2&gt;, \
             (<a href=\"https:&#x2f;&#x2f;www.b.example\" rel=\"nofollow noopener\">www.b.example</a>) or \
             <a href=\"mailto:me@c.example\">me@c.example</a>. No: a@b, http:&#x2f;&#x2f;"
        );
        assert_eq!(
            render("{{ 'http://a.example/b' | urlize(8, target='_blank') }}"),
            "<a href=\"http:&#x2f;&#x2f;a.example&#x2f;b\" rel=\"noopener\" target=\"_blank\">http:&#x2f;&#x2f;a...</a>"
        );
        assert_eq!(
            render("{{ 'javascript:alert(1) \"><b> https://\"onclick=\"x' | urlize }}"),
            "javascript:alert(1) &quot;&gt;&lt;b&gt; https:&#x2f;&#x2f;&quot;onclick=&quot;x"
        );
    }

    #[test]
    fn invalid_arguments_are_errors() {
        for (template, text) in [
            ("{{ 'a' | center(9000000) }}", "larger than"),
            ("{{ 'a' | center(5, width=5) }}", "given twice"),
            ("{{ 'a' | center(wdith=5) }}", "wdith"),
            ("{{ {'a b': 1} | xmlattr }}", "not the name of an attribute"),
            ("{{ {'a>': 1} | xmlattr }}", "not the name of an attribute"),
        ] {
            let rendered = render(template);
            assert!(
                rendered.starts_with("error") && rendered.contains(text),
                "{rendered}"
            );
        }
    }

    #[test]
    fn every_named_filter_exists() {
        for name in NAMES {
            let template = format!("{{% if '{name}' is filter %}}yes{{% endif %}}");
            assert_eq!(render(&template), "yes", "{name}");
        }
    }
}
