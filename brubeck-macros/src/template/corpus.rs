//! Templates that render, which must compile, and templates with a mistake, which must not.
//!
//! Each template is checked by the derive, and rendered by the runtime from the same folder.

use super::expand_in;
use brubeck_runtime::minijinja::{Value, context};
use brubeck_runtime::testing::TestClient;
use brubeck_runtime::{App, Page, Routes, Template};
use quote::quote;
use std::path::{Path, PathBuf};

/// The other templates of the folder.
const SHARED: &[(&str, &str)] = &[
    (
        "base.html",
        "<title>{% block title %}{{ q }}{% endblock %}</title>{% block content %}{% block inner %}base{% endblock %}{% endblock %}\
         {% for row in list %}{% block item scoped %}{{ row }}{{ loop.index }}{% endblock %}{% endfor %}",
    ),
    (
        "middle.html",
        "{% extends 'base.html' %}{% set section = 'm' %}{% block content %}{{ section }}{% block extra %}{% endblock %}{% endblock %}",
    ),
    ("required.html", "{% block must required %}{% endblock %}"),
    (
        "row.html",
        "{% for user in users %}<li>{{ user.name }}{{ loop.index }}</li>{% endfor %}",
    ),
    ("cell.html", "<td>{{ row }}</td>"),
    ("part.html", "<p>{{ q }}</p>"),
    (
        "sets.html",
        "{% set from_part = 1 %}{% macro part_macro(a) %}{{ a }}{% endmacro %}",
    ),
    (
        "optional.html",
        "{% if subtitle is defined %}{{ subtitle }}{% endif %}{{ caption | default('none') }}",
    ),
    (
        "m.html",
        "{% macro field(name, value='', type='text') %}<input name={{ name }} value={{ value }} type={{ type }}>{% endmacro %}\
         {% macro card() %}<h1>{{ titel }}</h1>{% endmacro %}{% macro shown() %}{{ q }}{% endmacro %}\
         {% macro twice(x) %}{{ field(x) }}{{ field(name=x) }}{% endmacro %}\
         {% macro list(items) %}{% for item in items %}{{ caller(item) }}{% endfor %}{% endmacro %}\
         {% set version = 3 %}{% set _private = 4 %}",
    ),
    ("deep/a.html", "{% include 'deep/b.html' %}"),
    (
        "deep/b.html",
        "{{ q }}{% import 'm.html' as m %}{{ m.field('x') }}",
    ),
    (
        "tree.html",
        "{% for node in nodes %}{{ node.name }}{% set nodes = node.children %}{% if nodes %}{% include 'tree.html' %}{% endif %}{% endfor %}",
    ),
    ("text.txt", "{{ q }}"),
    (
        "within_itself.html",
        "{% with a = 1 %}{% include 'within_itself.html' %}{% endwith %}",
    ),
    ("there.html", "{% extends 'and_back.html' %}"),
    ("and_back.html", "{% include 'there.html' %}"),
];

/// Templates that render.
const VALID: &[&str] = &[
    "{{ q }}{{ kind }}{{ n + 1 }}{{ n - 1 * 2 / 3 // 4 % 5 ** 2 }}{{ q ~ n }}",
    "{{ list[0] }}{{ list[-1] }}{{ list[1:] }}{{ list[:n] }}{{ list[::2] }}{{ q[n] }}",
    "{{ user.name }}{{ user['name'] }}{{ user.address.street }}{{ users[0].name }}{{ users[n].name }}",
    "{{ map.one }}{{ map['two'] }}{{ map[q] }}{{ map.missing }}",
    "{{ nothing }}{{ nothing is none }}{{ not flag }}{{ flag and n or q }}",
    "{{ 'a' if flag else 'b' }}{{ 'c' if flag }}{{ n if n > 3 and n <= 5 else n }}{{ 1 < n < 9 }}",
    "{{ 'x' in q }}{{ n not in [1, 2] }}{{ q == 'a' }}{{ q != kind }}",
    "{{ {'a': n, 'b': [q]}.a }}{{ (1, 2) }}{{ [q] + list }}",
    "{{ \"{% include 'nope.html' %}\" }}{{ '{{ nope }}' }}",
    "{% raw %}{{ nope | nope }}{% include 'nope' %}{% endraw %}",
    "{# {{ nope | nope }} {% include 'nope.html' %} #}",
    "{{- q -}} {%- if flag -%} x {%- endif -%}",
    "{% if flag %}{% set y = 1 %}{% else %}{% set y = 2 %}{% endif %}{{ y }}",
    "{% if n is odd %}a{% elif n is even %}b{% else %}c{% endif %}",
    "{% for item in list %}{{ item }}{{ loop.index }}{{ loop.index0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{% endfor %}",
    "{% for item in list %}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.depth }}{{ loop.depth0 }}{% endfor %}",
    "{% for item in list %}{{ loop.cycle('a', 'b') }}{% if loop.changed(item) %}{{ item }}{% endif %}{% endfor %}",
    "{% for item in list if item != 'a' %}{{ item }}{% else %}{{ q }}{% endfor %}",
    "{% for key, value in map | items %}{{ key }}{{ value }}{% endfor %}",
    "{% for key, value in map.items() %}{{ key }}{{ value }}{% endfor %}{% for key in map %}{{ map[key] }}{% endfor %}",
    "{% for key, value in user | dictsort %}{{ key }}{{ value }}{% endfor %}{% for key in user %}{{ key }}{% endfor %}",
    "{% for user in users %}{{ user.name }}{% for tag in user.tags %}{{ tag }}{{ user.name }}{% endfor %}{% endfor %}{{ user.name }}",
    "{% for u in users %}{% for v in users %}{{ u.name }}{{ v.name }}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
    "{% for (a, b) in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}{% for a, b in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}",
    "{% for node in nodes recursive %}{{ node.name }}{% if node.children %}{{ loop(node.children) }}{% endif %}{% endfor %}",
    "{% for i in range(3) %}{{ i }}{% endfor %}{% for c in q %}{{ c }}{% endfor %}",
    "{% set x = 1 %}{{ x }}{% set a, b = (1, 2) %}{{ a }}{{ b }}{% set (c, d) = [1, 2] %}{{ c }}{{ d }}",
    "{% set x %}<b>{{ q }}</b>{% endset %}{{ x }}{% set y | upper %}a{{ q }}{% endset %}{{ y }}",
    "{% set ns = namespace(count=0) %}{% for item in list %}{% set ns.count = ns.count + 1 %}{% endfor %}{{ ns.count }}",
    "{% set u = user %}{{ u.name }}{% with v = user.address, w = n %}{{ v.street }}{{ w }}{% endwith %}",
    "{% with %}{% set inner = 1 %}{{ inner }}{% endwith %}{% with a = 1, b = a %}{{ b }}{% endwith %}",
    "{% filter upper %}a{{ q }}{% endfilter %}{% filter replace('a', 'b') | upper %}a{% endfilter %}",
    "{% autoescape false %}{{ q }}{% endautoescape %}{% autoescape true %}{{ q }}{% endautoescape %}",
    "{% do debug() %}{{ q }}",
    "{% macro local(a, b=2) %}{{ a }}{{ b }}{{ q }}{% endmacro %}{{ local(1) }}{{ local(1, 3) }}{{ local(b=1, a=2) }}{{ local() }}",
    "{{ early(1) if false else q }}{% macro early(x) %}{{ x }}{% endmacro %}",
    "{% macro down(n) %}{{ n }}{% if n > 0 %}{{ down(n - 1) }}{% endif %}{% endmacro %}{{ down(2) }}",
    "{% macro a() %}{{ b() }}{% endmacro %}{% macro b() %}b{% endmacro %}{{ a() }}",
    "{% macro box(title) %}{{ title }}{{ caller() }}{% endmacro %}{% call box('t') %}{{ q }}{% endcall %}",
    "{% macro each(xs) %}{% for x in xs %}{{ caller(x) }}{% endfor %}{% endmacro %}{% call(item) each(list) %}{{ item }}{{ q }}{% endcall %}",
    "{% macro maybe() %}{% if caller %}{{ caller() }}{% endif %}{% endmacro %}{{ maybe() }}{% call maybe() %}x{% endcall %}",
    "{% macro has() %}{% if caller is defined %}{{ caller() }}{% endif %}{% endmacro %}{{ has() }}",
    "{% import 'm.html' as m %}{{ m.field('a') }}{{ m.field('a', value=q) }}{{ m.field('a', q, type='x') }}{{ m.version }}{{ m.shown() }}{{ m.twice(q) }}",
    "{% from 'm.html' import field, shown as show, version %}{{ field('a') }}{{ show() }}{{ version }}",
    "{% import 'm.html' as m %}{% call(i) m.list(list) %}{{ i }}{% endcall %}",
    "{% block body %}{% import 'm.html' as m %}{{ m.field(q) }}{% endblock %}",
    "{% set f = 1 %}{% import 'm.html' as forms %}{{ forms.field(name=f) }}",
    "{% include 'part.html' %}{% include \"part.html\" %}{% include 'nope.html' ignore missing %}",
    "{% include ['nope.html', 'part.html'] %}{% include ['nope.html'] ignore missing %}",
    "{% include 'part.html' if flag else 'text.txt' %}",
    "{% set name = 'part.html' %}{% include name %}{% for name in ['part.html', 'text.txt'] %}{% include name %}{% endfor %}",
    "{% include 'part' ~ '.html' %}",
    "{% for row in list %}{% include 'cell.html' %}{% endfor %}",
    "{% set row = q %}{% include 'cell.html' %}{% with row = n %}{% include 'cell.html' %}{% endwith %}",
    "{% include 'sets.html' %}{{ from_part }}{{ part_macro(1) }}",
    "{% include 'row.html' %}{% include 'deep/a.html' %}",
    "{% include 'optional.html' %}{% with subtitle = q %}{% include 'optional.html' %}{% endwith %}",
    "{% include 'tree.html' %}",
    "{% if not flag %}{% include 'page.html' %}{% endif %}",
    "{% extends 'base.html' %}",
    "{% extends 'base.html' %}{% block title %}{{ super() }} - {{ kind }}{% endblock %}{% block content %}{{ user.name }}{% endblock %}",
    "{% extends 'base.html' %}{% block inner %}{{ q }}{% endblock %}{% block item %}{{ row }}{{ loop.index }}{% endblock %}",
    "{% extends 'base.html' %}{% set shown = n %}{% block content %}{{ shown }}{% block mine %}{{ q }}{% endblock %}{% endblock %}",
    "{% extends 'middle.html' %}{% block extra %}{{ section }}{{ n }}{% endblock %}{% block title %}{{ super() }}{% endblock %}",
    "{% extends 'middle.html' %}{% block content %}{{ super() }}{% endblock %}",
    "{% extends 'required.html' %}{% block must %}{{ q }}{% endblock %}",
    "{% extends 'base.html' if flag else 'middle.html' %}{% block content %}{{ q }}{% endblock %}",
    "{% extends 'base.html' if flag else 'middle.html' %}{% block extra %}{{ q }}{% endblock %}{% block inner %}x{% endblock %}",
    "{% set x = x or 'default' %}{{ x }}",
    "{% for user in users %}{% for user in users %}{{ user.name }}{% endfor %}{{ user.name }}{% endfor %}",
    "{{ users | map(attribute='address.street') | list }}{{ users | map(attribute='nope', default='x') | list }}",
    "{% if flag %}{% extends 'base.html' %}{% endif %}{% block content %}{{ q }}{% endblock %}",
    "{% set layout = 'base.html' %}{% extends layout %}{% block content %}x{% endblock %}",
    "{% extends 'base.html' %}{% from 'm.html' import field %}{% block content %}{{ field(q) }}{% endblock %}",
    "{% extends 'base.html' %}{% macro local(x) %}{{ x }}{% endmacro %}{% block content %}{{ local(q) }}{% endblock %}",
    "{% extends 'base.html' %}{% block content %}{% set x = 1 %}{{ x }}{% include 'part.html' %}{% endblock %}",
    "{% block a %}{{ q }}{% endblock %}{{ self.a() }}",
    "{% for item in list %}{% block cell %}{{ item }}{{ loop.index }}{% endblock %}{% endfor %}",
    "{% if subtitle is defined %}{{ subtitle }}{% endif %}{% if subtitle is not defined %}{{ q }}{% endif %}",
    "{% if subtitle is defined and subtitle %}{{ subtitle | upper }}{% endif %}{{ subtitle is undefined }}",
    "{{ subtitle | default('x') }}{{ subtitle | d(q) }}{{ user.nick | default('x') }}{{ user.nick is defined }}",
    "{{ q | upper | lower | title | capitalize | trim | length }}{{ q | replace('a', 'b') }}{{ q | e }}{{ q | escape | safe }}",
    "{{ list | join(', ') }}{{ list | first }}{{ list | last }}{{ list | length }}{{ list | count }}{{ list | reverse | list }}{{ list | sort }}{{ list | unique }}",
    "{{ users | map(attribute='name') | join(',') }}{{ list | map('upper') | list }}{{ users | selectattr('name', 'startingwith', 'A') | list }}",
    "{{ [1, 2] | select('odd') | list }}{{ [1, 2] | reject('even') | list }}{{ users | rejectattr('name', 'eq', 'x') | list }}{{ users | selectattr('name') | list }}",
    "{{ users | groupby('name') }}{% for name, items in users | groupby('name') %}{{ name }}{{ items | length }}{% endfor %}",
    "{{ list | batch(2) | list }}{{ list | slice(2) | list }}{{ [1, 2] | sum }}{{ [1, 2] | min }}{{ [1, 2] | max }}{{ list | zip(list) | list }}{{ list | chain(list) | list }}",
    "{{ 3.7 | round }}{{ -3 | abs }}{{ '3' | int }}{{ '3.5' | float }}{{ 3 | string }}{{ 1 | bool }}{{ q | list }}{{ q | lines }}{{ q | split('a') }}",
    "{{ user | tojson }}{{ user | pprint }}{{ q | indent(2) }}{{ '%s' | format(q) }}{{ user | attr('name') }}{{ map | dictsort }}{{ map | items }}",
    "{{ q | urlencode }}{{ q | center(20) }}{{ n | filesizeformat }}{{ q | forceescape }}{{ n | pluralize }}{{ list | random }}{{ q | striptags }}",
    "{{ q | truncate(5) }}{{ q | urlize }}{{ q | wordcount }}{{ q | wordwrap(5) }}{{ {'class': q} | xmlattr }}",
    "{{ n is divisibleby(2) }}{{ n is number }}{{ n is integer }}{{ n is int }}{{ 1.5 is float }}{{ q is string }}{{ list is sequence }}{{ list is iterable }}{{ map is mapping }}{{ flag is boolean }}{{ flag is true }}{{ flag is false }}",
    "{{ q is startingwith('a') }}{{ q is endingwith('a') }}{{ q is lower }}{{ q is upper }}{{ n is sameas(n) }}{{ n is eq(1) }}{{ n is ne 1 }}{{ n is lt 1 }}{{ n is le 1 }}{{ n is gt 1 }}{{ n is ge 1 }}",
    "{{ n is equalto 1 }}{{ n is lessthan 1 }}{{ n is greaterthan 1 }}{{ n is in([1]) }}{{ q is safe }}{{ q is escaped }}{{ 'upper' is filter }}{{ 'odd' is test }}{{ nothing is none }}",
    "{{ dict(a=1).a }}{{ cycler('a', 'b').next() }}{% set c = cycler('a', 'b') %}{{ c.next() }}{% set j = joiner(', ') %}{{ j() }}{{ j() }}",
    "{{ q.upper() }}{{ q.strip().lower() }}{{ q.split('a') }}{{ ','.join(list) }}{{ q.startswith('a') }}{{ map.keys() | list }}{{ map.values() | list }}{{ map.get('one') }}",
    "{{ user.name.upper() }}{{ users[0].name.title() }}{% for u in users %}{{ u.name.upper() }}{% endfor %}",
    "{{ debug() is string }}",
    "{{ shout(q) }}{{ site }}{{ q | loud }}{{ list | map('loud') | list }}",
    "{{ users | first }}{{ (users | first).name }}{{ (users | last).name }}{% for u in users | reverse %}{{ u.name }}{% endfor %}{% for u in users[1:] %}{{ u.name }}{% endfor %}",
    "{% for u in users | sort(attribute='name') %}{{ u.name }}{% endfor %}",
    "{% set title = q %}{% block head %}{{ title }}{% endblock %}",
    "{% for item in list %}{% set seen = item %}{{ seen }}{% endfor %}",
    "{% if 'loud' is filter %}{{ q | loud }}{% endif %}",
    "{{ caller is defined }}{{ loop is defined }}",
    "{% set items = [] %}{% for i in items %}{{ i.anything }}{% endfor %}",
    "{% macro m(user) %}{{ user.whatever }}{% endmacro %}{{ m({'whatever': 1}) }}",
    "{% for user in [{'other': 1}] %}{{ user.other }}{% endfor %}",
    "{% set user = {'other': 1} %}{{ user.other }}",
    "{% import 'm.html' as m %}{{ m }}{{ m.field }}",
    "<p>line</p>\n{{ q }}\n\n{% if flag %}\n  {{ n }}\n{% endif %}\n",
    "",
    "plain text without tags, { braces } and % signs",
];

/// Templates with a mistake, and a part of its message.
const INVALID: &[(&str, &str)] = &[
    ("{{ q | upercase }}", "there is no filter `upercase`"),
    ("{{ q | uper }}", "did you mean `upper`?"),
    ("{% filter uper %}{% endfilter %}", "there is no filter `uper`"),
    ("{% set x | uper %}{% endset %}", "there is no filter `uper`"),
    ("{{ list | map('uper') | list }}", "there is no filter `uper`"),
    ("{{ q | lowd }}", "did you mean `loud`?"),
    (
        "{{ q | unknown_filter_of_the_application }}",
        "filters = [\"unknown_filter_of_the_application\"]",
    ),
    ("{% if n is evn %}{% endif %}", "did you mean `even`?"),
    ("{{ list | select('evn') | list }}", "there is no test `evn`"),
    (
        "{{ users | selectattr('name', 'evn') | list }}",
        "there is no test `evn`",
    ),
    ("{{ rnge(3) }}", "did you mean `range`?"),
    ("{{ nothing_like_it() }}", "globals = [\"nothing_like_it\"]"),
    ("{{ shot(q) }}", "did you mean `shout`?"),
    ("{% include kind %}", "the name of this template is computed"),
    (
        "{% include kind ~ '.html' %}",
        "help: list the templates that it can be",
    ),
    ("{% extends kind %}", "the name of this template is computed"),
    ("{% import kind as m %}", "the name of this template is computed"),
    (
        "{% include ['part.html', kind] %}",
        "the name of this template is computed",
    ),
    ("{% include 'prt.html' %}", "did you mean `part.html`?"),
    (
        "{% include ['nope.html', 'nada.html'] %}",
        "there is no template `nope.html`",
    ),
    (
        "{% include './part.html' %}",
        "`./part.html` is not the path of a template",
    ),
    ("{% include '../outside.html' %}", "is not the path of a template"),
    ("{% extends '/base.html' %}", "is not the path of a template"),
    (
        "{% import 'deep//a.html' as a %}",
        "is not the path of a template",
    ),
    (
        "{% from 'deep\\\\a.html' import a %}",
        "is not the path of a template",
    ),
    (
        "{% include ['.hidden.html', 'part.html'] %}",
        "is not the path of a template",
    ),
    (
        "{% import 'm.html' as m %}{{ m.feild('a') }}",
        "did you mean `field`?",
    ),
    (
        "{% import 'm.html' as m %}{{ m.verson }}",
        "did you mean `version`?",
    ),
    (
        "{% import 'm.html' as m %}{{ m.field('a', vlaue=q) }}",
        "did you mean `value`?",
    ),
    (
        "{% import 'm.html' as m %}{{ m.field('a', name='b') }}",
        "the argument `name` of the macro `field` is given twice",
    ),
    (
        "{% import 'm.html' as m %}{{ m.field(1, 2, 3, 4) }}",
        "takes 3 arguments, but 4 are given",
    ),
    (
        "{% import 'm.html' as m %}{{ m.card() }}",
        "`Corpus` has no field `titel`",
    ),
    ("{% from 'm.html' import card %}{{ card() }}", "m.html:1:"),
    (
        "{% from 'm.html' import feild %}{{ feild('a') }}",
        "`m.html` has no macro or variable `feild`",
    ),
    (
        "{% import 'm.html' as m %}{% call m.field('a') %}x{% endcall %}",
        "does not call `caller()`",
    ),
    ("{% from 'm.html' import _private %}", "can not be imported"),
    (
        "{% import 'm.html' as m %}{{ m._private }}",
        "`m` has no macro or variable `_private`",
    ),
    (
        "{% macro a(x) %}{{ x }}{% endmacro %}{{ a(y=1) }}",
        "the macro `a` has no argument `y`",
    ),
    (
        "{% macro a(x) %}{{ y }}{% endmacro %}",
        "`Corpus` has no field `y`",
    ),
    (
        "{% macro a(x) %}{{ x }}{% endmacro %}{{ x }}",
        "`Corpus` has no field `x`",
    ),
    (
        "{% for item in list %}{% endfor %}{{ loop.index }}",
        "`loop` exists within a `for` loop only",
    ),
    (
        "{% for item in list %}{% endfor %}{{ item }}",
        "`Corpus` has no field `item`",
    ),
    (
        "{% for item in list %}{% set seen = item %}{% endfor %}{{ seen }}",
        "`Corpus` has no field `seen`",
    ),
    (
        "{% for item in list if loop.first %}{% endfor %}",
        "`loop` exists within",
    ),
    (
        "{% for item in itms %}{% endfor %}",
        "`Corpus` has no field `itms`",
    ),
    (
        "{% for item in list %}{{ loop.indx }}{% endfor %}",
        "did you mean `index`?",
    ),
    (
        "{% with a = 1 %}{% endwith %}{{ a }}",
        "`Corpus` has no field `a`",
    ),
    (
        "{% include 'row.html' %}<p>Hello {{ usr }}</p>",
        "did you mean `user`?",
    ),
    ("{% include 'cell.html' %}", "cell.html:1:"),
    (
        "{% block a %}{% set x = 1 %}{% endblock %}{{ x }}",
        "`Corpus` has no field `x`",
    ),
    (
        "{% extends 'base.html' %}{% block contnet %}x{% endblock %}",
        "`base.html` has no block `contnet`",
    ),
    (
        "{% extends 'base.html' %}{% block contnet %}x{% endblock %}",
        "did you mean `content`?",
    ),
    (
        "{% extends 'middle.html' %}{% block footer %}x{% endblock %}",
        "`middle.html` has no block `footer`",
    ),
    (
        "{% extends 'required.html' %}",
        "the block `must`, which `required.html` requires, is missing",
    ),
    (
        "{% block a %}{{ super() }}{% endblock %}",
        "no parent of this template has a block `a`",
    ),
    ("{{ super() }}", "`super()` exists within a block only"),
    ("{{ caller() }}", "`caller()` exists within a macro only"),
    ("{{ self.content() }}", "there is no block `content`"),
    ("{{ qq }}", "help: did you mean `q`?"),
    ("<p>\n{{ subtitle }}", "templates/page.html:2: {{ subtitle }}"),
    ("{% if tilte %}{% endif %}", "`Corpus` has no field `tilte`"),
    ("{{ 'a' if missing else 'b' }}", "`Corpus` has no field `missing`"),
    ("{{ list[missing] }}", "`Corpus` has no field `missing`"),
    ("{{ missing.name }}", "`Corpus` has no field `missing`"),
    (
        "{{ missing.name | default('x') }}",
        "`Corpus` has no field `missing`",
    ),
    ("{{ {'a': missing} }}", "`Corpus` has no field `missing`"),
    ("{{ q | default(missing) }}", "`Corpus` has no field `missing`"),
    (
        "{{ q | replace('a', missing) }}",
        "`Corpus` has no field `missing`",
    ),
    ("{% set ns.count = 1 %}", "`Corpus` has no field `ns`"),
    (
        "{% block a %}{% endblock %}{% block a %}{% endblock %}",
        "page.html:1:",
    ),
    (
        "{% include 'page.html' %}",
        "`page.html` is rendered within itself without an end",
    ),
    (
        "{% extends 'page.html' %}",
        "`page.html` is rendered within itself without an end",
    ),
    (
        "{% if flag %}{% include 'within_itself.html' %}{% endif %}",
        "within_itself.html:1:",
    ),
    (
        "{% if flag %}{% include 'there.html' %}{% endif %}",
        "`there.html` is rendered within itself without an end, through `and_back.html`",
    ),
    (
        "{% extends 'base.html' %}{% extends 'middle.html' %}",
        "`page.html` extends two templates",
    ),
    ("{% if %}", "page.html:1:"),
    ("{{ q", "page.html:1:"),
];

/// A folder of templates, which is removed when the test ends.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    /// Creates a folder with the page and the templates of the corpus.
    fn new(name: &str, page: &str) -> Folder {
        Folder::with(name, SHARED.iter().copied().chain([("page.html", page)]))
    }

    /// Creates a folder with these templates: their names and texts.
    pub(super) fn with<'a>(name: &str, templates: impl IntoIterator<Item = (&'a str, &'a str)>) -> Folder {
        let path = std::env::temp_dir().join(format!("brubeck-corpus-{name}-{}", std::process::id()));
        let folder = Folder(path);
        for (name, text) in templates {
            let file = folder.0.join(name);
            std::fs::create_dir_all(file.parent().expect("a file in the folder"))
                .expect("the folder is writable");
            std::fs::write(file, text).expect("the file is writable");
        }
        folder
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn expanded(folder: &Path) -> String {
    let input = quote! {
        #[template("page.html", filters = ["loud"], globals = ["shout", "site"])]
        struct Corpus {
            q: String,
            kind: String,
            n: u8,
            flag: bool,
            nothing: Option<u8>,
            list: Vec<String>,
            user: User,
            users: Vec<User>,
            nodes: Vec<Node>,
            map: std::collections::HashMap<String, u8>,
        }
    };
    expand_in(folder, input).to_string()
}

/// The page `page.html` of the folder, with all fields.
struct Corpus;

impl Template for Corpus {
    const NAME: &'static str = "page.html";
    const SOURCES: &'static [(&'static str, &'static str)] = &[];

    fn context(&self) -> Value {
        let user = |name: &str| context! { name, tags => ["a", "b"], address => context! { street => "s" } };
        context! {
            q => "a <b> http://a.example",
            kind => "part.html",
            n => 3,
            flag => true,
            nothing => (),
            list => ["a", "b", "c"],
            user => user("Ann"),
            users => [user("Ann"), user("Bob"), user("Cid"), user("Dan")],
            nodes => [context! { name => "n", children => [context! { name => "c", children => [(); 0] }] }],
            map => context! { one => 1, two => 2 },
        }
    }
}

const NO_ROUTES: Routes<()> = brubeck_runtime::__private::table(&[]);

async fn page() -> Page<Corpus> {
    Page(Corpus)
}

/// Renders the page of a folder. Returns `None` if rendering fails.
async fn rendered(folder: &Path) -> Option<String> {
    let app = App::new(NO_ROUTES, ())
        .templates(folder)
        .filter("loud", |text: String| text.to_uppercase())
        .global("site", "Blue")
        .global("shout", Value::from_function(|text: String| text.to_uppercase()))
        .fallback(page);
    let response = TestClient::new(app).get("/").await;
    (response.status() == 200).then(|| response.text().to_owned())
}

#[tokio::test]
async fn templates_that_render_compile() {
    let (mut false_alarms, mut failures) = (Vec::new(), Vec::new());
    for (i, page) in VALID.iter().enumerate() {
        let folder = Folder::new(&format!("valid-{i}"), page);
        let text = expanded(&folder.0);
        if let Some((_, errors)) = text.split_once("compile_error") {
            false_alarms.push(format!("{page}\n{errors}"));
        }
        if rendered(&folder.0).await.is_none() {
            failures.push(*page);
        }
    }
    assert!(
        false_alarms.is_empty(),
        "these do not compile:\n{}",
        false_alarms.join("\n")
    );
    assert!(
        failures.is_empty(),
        "these do not render:\n{}",
        failures.join("\n")
    );
}

#[test]
fn mistakes_do_not_compile() {
    for (i, (page, message)) in INVALID.iter().enumerate() {
        let folder = Folder::new(&format!("invalid-{i}"), page);
        let text = expanded(&folder.0);
        let text = text.replace("\\n", "\n").replace("\\\"", "\"");
        assert!(
            text.contains("compile_error") && text.contains(message),
            "{page}\nexpected: {message}\n{text}"
        );
    }
}

#[test]
fn computed_name_can_be_one_of_the_listed_templates() {
    let folder = Folder::new("computed", "{% include kind %}");
    let expand = |second: &str| {
        let input = quote! {
            #[template("page.html", templates = ["part.html", #second])]
            struct Corpus { q: String, kind: String }
        };
        expand_in(&folder.0, input).to_string()
    };
    let text = expand("text.txt");
    assert!(
        !text.contains("compile_error") && text.contains("/templates/part.html"),
        "{text}"
    );
    // The listed templates are checked where they are included.
    let text = expand("cell.html");
    assert!(text.contains("`Corpus` has no field `row`"), "{text}");
}
