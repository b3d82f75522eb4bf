//! Files against schemas: what is told, and where.

use std::path::Path;
use std::rc::Rc;

use super::{Schema, Source, Wrong};
use crate::core::files::check::{Expected, check};
use crate::core::settings::FileFormat;

/// Files by their paths.
#[derive(Debug)]
struct Given(Vec<(&'static str, String)>);

impl Source for Given {
    fn read(&self, path: &Path) -> Result<String, (&'static str, String)> {
        let found = self.0.iter().find(|(name, _)| Path::new(name) == path);
        let missing = || ("schema-missing", format!("{} does not exist", path.display()));
        found.map(|(_, text)| text.clone()).ok_or_else(missing)
    }
}

fn schema_of(files: &[(&'static str, &str)]) -> Result<Schema, Vec<Wrong>> {
    let given = Given(files.iter().map(|(name, text)| (*name, (*text).to_owned())).collect());
    let path = Path::new(files[0].0);
    let shown = path.file_name().unwrap().to_str().unwrap();
    Schema::of(path, shown, Rc::new(given))
}

/// Line, column and message of everything, with the hint after a bar.
fn told(schema: &str, format: FileFormat, text: &str) -> Vec<String> {
    let schema = schema_of(&[("/x/schema.json", schema)]).expect("a schema that can be used");
    let expected = Expected { format, required: &[], schema: Some(&schema), variables: None };
    let place = |at: usize| {
        let before = &text[..at];
        let line = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, text[line..at].chars().count() + 1)
    };
    let problems = check(text, &expected).into_iter().map(|problem| {
        assert_eq!(problem.code, "schema-violated");
        let (line, column) = place(problem.span.start);
        format!("{line}:{column} {} | {}", problem.message, problem.hint)
    });
    problems.collect()
}

fn yaml(schema: &str, text: &str) -> Vec<String> {
    told(schema, FileFormat::Yaml, text)
}

/// As `yaml`, without hints.
fn said(schema: &str, text: &str) -> Vec<String> {
    yaml(schema, text).into_iter().map(|line| line.split(" | ").next().unwrap().to_owned()).collect()
}

fn wrong(files: &[(&'static str, &str)]) -> Vec<String> {
    let line = |wrong: Wrong| {
        let place = wrong
            .place
            .map(|(file, text)| format!("{file}:{} ", text[..wrong.problem.span.start].matches('\n').count() + 1));
        format!("{}{} {}", place.unwrap_or_default(), wrong.problem.code, wrong.problem.message)
    };
    schema_of(files).expect_err("a schema that cannot be used").into_iter().map(line).collect()
}

const SHOP: &str = r##"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "type": "object",
  "required": ["database", "mode"],
  "additionalProperties": false,
  "properties": {
    "database": { "$ref": "#/$defs/server" },
    "mode": { "enum": ["development", "production"] },
    "name": { "type": "string", "pattern": "^[a-z]+$", "maxLength": 5 }
  },
  "$defs": {
    "server": {
      "type": "object",
      "required": ["host"],
      "additionalProperties": false,
      "properties": {
        "host": { "type": "string", "description": "where the database is.\nA name." },
        "port": { "type": "integer", "minimum": 1, "maximum": 65535 },
        "pool": { "type": "integer" }
      }
    }
  }
}"##;

#[test]
fn a_file_that_keeps_to_its_schema_has_no_problems() {
    let text = "database:\n  host: db\n  port: 5432\nmode: production\nname: shop\n";
    assert_eq!(yaml(SHOP, text), [""; 0]);
    assert_eq!(told(SHOP, FileFormat::Json, r#"{"database": {"host": "db"}, "mode": "production"}"#), [""; 0]);
    assert_eq!(told(SHOP, FileFormat::Toml, "mode = \"production\"\n[database]\nhost = \"db\"\n"), [""; 0]);
}

#[test]
fn every_violation_is_told_at_its_place() {
    let text = "database:\n  prot: 5432\n  pool: many\nmode: prodution\nname: Shop-1\nextra: 1\n";
    let expected = [
        "2:3 database.host is required, and is not there | the schema says: where the database is. A name",
        "2:3 database.prot is not allowed by the schema | did you mean \"port\"?",
        "3:9 database.pool must be a whole number, and is a text | write a whole number, such as 10",
        "4:7 mode must be one of \"development\", \"production\" | did you mean \"production\"?",
        "5:7 name must have at most 5 characters, and has 6 | see /properties/name in schema.json",
        "5:7 name does not match the pattern ^[a-z]+$ | see /properties/name in schema.json",
        "6:1 extra is not allowed by the schema | what may be there: database, mode, name",
    ];
    assert_eq!(yaml(SHOP, text), expected);
    assert_eq!(yaml(SHOP, "mode: production\n"), ["1:1 database is required, and is not there | write database"]);
    assert_eq!(
        yaml(SHOP, "- a\n"),
        ["1:1 the whole file must be a table, and is a list | write a table with keys below it"]
    );
}

#[test]
fn places_are_right_in_json_and_toml_too() {
    let json = "{\n  \"database\": {\"host\": 5},\n  \"mode\": \"production\", \"x\": 1\n}\n";
    let found = told(SHOP, FileFormat::Json, json);
    assert!(found[0].starts_with("2:24 database.host must be a text, and is a number"), "{found:?}");
    assert!(found[1].starts_with("3:25 x is not allowed"), "{found:?}");
    let toml = "mode = \"production\"\n[database]\nhost = \"é\"\nport = 0\n";
    assert!(told(SHOP, FileFormat::Toml, toml)[0].starts_with("4:8 database.port must be at least 1, and is 0"));
}

#[test]
fn rules_of_numbers_texts_lists_and_tables_have_their_words() {
    let all = |rule: &str, text: &str| said(&format!("{{\"properties\": {{\"a\": {rule}}}}}"), text);
    for (rule, text, expected) in [
        (r#"{"maximum": 5}"#, "a: 6", "1:4 a must be at most 5, and is 6"),
        (r#"{"exclusiveMinimum": 5}"#, "a: 5", "1:4 a must be more than 5, and is 5"),
        (r#"{"exclusiveMaximum": 5}"#, "a: 5", "1:4 a must be less than 5, and is 5"),
        (r#"{"multipleOf": 5}"#, "a: 6", "1:4 a must be a multiple of 5, and is 6"),
        (r#"{"multipleOf": 0.01}"#, "a: 19.995", "1:4 a must be a multiple of 0.01, and is 19.995"),
        (r#"{"minLength": 3}"#, "a: é", "1:4 a must have at least 3 characters, and has 1"),
        (r#"{"const": "x"}"#, "a: y", "1:4 a must be \"x\""),
        (r#"{"type": ["string", "null"]}"#, "a: 1", "1:4 a must be null or a text, and is a number"),
        (r#"{"minItems": 2}"#, "a: [1]", "1:4 a must have at least 2 entries, and has 1"),
        (r#"{"maxItems": 1}"#, "a: [1, 2]", "1:4 a must have at most 1 entry, and has 2"),
        (r#"{"uniqueItems": true}"#, "a: [1, 2, 1]", "1:11 a.2 is the same as a.0, and may be there once only"),
        (r#"{"contains": {"type": "string"}}"#, "a: [1]", "1:4 a has no entry of the kind that must be in it"),
        (r#"{"items": {"type": "string"}}"#, "a: [x, 1]", "1:8 a.1 must be a text, and is a number"),
        (r#"{"minProperties": 1}"#, "a: {}", "1:4 a must have at least 1 key, and has 0"),
        (
            r#"{"propertyNames": {"maxLength": 2}}"#,
            "a: {long: 1}",
            "1:5 \"long\" cannot be a key of a: it must have at most 2 characters, and has 4",
        ),
        (
            r#"{"dependentRequired": {"user": ["password"]}}"#,
            "a: {user: x}",
            "1:4 a.password is required beside a.user, and is not there",
        ),
        (r#"{"not": {"const": 1}}"#, "a: 1", "1:4 a is what the schema rules out"),
        (r#"{"unevaluatedProperties": false}"#, "a: {b: 1}", "1:5 a.b is not allowed by the schema"),
        ("false", "a: 1", "1:1 a is not allowed by the schema"),
        (
            r#"{"if": {"required": ["b"]}, "then": {"required": ["c"]}}"#,
            "a: {b: 1}",
            "1:4 a.c is required, and is not there",
        ),
    ] {
        assert_eq!(all(rule, text), [expected], "{rule}");
    }
    assert_eq!(all(r#"{"multipleOf": 0.01}"#, "a: 19.99"), [""; 0], "no binary fraction shows that it is one");
}

#[test]
fn formats_are_looked_at_where_the_draft_says_so() {
    let schema = |draft: &str| {
        format!(
            "{{\"$schema\": {draft:?}, \"properties\": {{\"a\": {{\"format\": \"ipv4\"}}, \"b\": {{\"format\": \"idn-hostname\"}}}}}}"
        )
    };
    let seven = schema("http://json-schema.org/draft-07/schema#");
    assert_eq!(yaml(&seven, "a: x\nb: bücher.de\n"), ["1:4 a is not an IPv4 address | write it as 192.0.2.1"]);
    assert_eq!(yaml(&schema("https://json-schema.org/draft/2020-12/schema"), "a: x\n"), [""; 0]);
}

#[test]
fn of_alternatives_the_one_that_was_meant_is_told() {
    let all = |rule: &str, text: &str| said(&format!("{{\"properties\": {{\"a\": {rule}}}}}"), text);
    let text_or_table = r#"{"anyOf": [{"type": "string"}, {"type": "object", "required": ["host"]}]}"#;
    assert_eq!(all(text_or_table, "a: {}"), ["1:4 a.host is required, and is not there"]);
    assert_eq!(all(text_or_table, "a: 1"), ["1:4 a must be a text or a table, and is a number"]);
    let by_kind = r#"{"oneOf": [
        {"properties": {"kind": {"const": "file"}, "path": {"type": "string"}}, "required": ["kind", "path"]},
        {"properties": {"kind": {"const": "tcp"}, "port": {"type": "integer"}}, "required": ["kind", "port"]}]}"#;
    assert_eq!(all(by_kind, "a: {kind: tcp, port: x}"), ["1:22 a.port must be a whole number, and is a text"]);
    let both = r#"{"oneOf": [{"type": "integer"}, {"minimum": 2}]}"#;
    assert_eq!(all(both, "a: 3"), ["1:4 a must have exactly one of the schema's forms, and has two (number 1 and 2)"]);
    let none = r#"{"anyOf": [{"required": ["b"]}, {"required": ["c"]}]}"#;
    let found = yaml(&format!("{{\"properties\": {{\"a\": {none}}}}}"), "a: {}");
    assert_eq!(
        found,
        [
            "1:4 a has none of the 2 forms that it may have | mend one of these: a.b is required, and is not there; or a.c is required, and is not there"
        ]
    );
}

#[test]
fn a_placeholder_is_not_yet_what_it_will_be() {
    let schema = r#"{"properties": {"port": {"type": "integer"}, "host": {"anyOf": [{"type": "integer"}, {"pattern": "^x"}]},
                     "all": {"allOf": [{"type": "integer"}, {"minimum": 2}]}}}"#;
    assert_eq!(said(schema, "port: ${PORT}\nhost: ${HOST}\nall: ${ALL}\n"), [""; 0]);
    assert_eq!(said(schema, "port: $PORT\n"), ["1:7 port must be a whole number, and is a text"]);
}

#[test]
fn formats_without_types_have_texts_that_count_as_what_they_read_as() {
    let schema = r#"{"properties": {"PORT": {"type": "integer", "maximum": 65535}, "DEBUG": {"type": "boolean"},
                     "LEVEL": {"enum": [1, 2]}, "RATE": {"anyOf": [{"type": "number"}, {"const": "off"}]}, "NAME": {"type": "string"}}}"#;
    let env = |text: &str| told(schema, FileFormat::Dotenv, text);
    assert_eq!(env("PORT=8080\nDEBUG=yes\nLEVEL=2\nRATE=0.5\nNAME=5\n"), [""; 0]);
    let found = env("PORT=80800\nDEBUG=maybe\nLEVEL=3\nRATE=off\n");
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found[0].starts_with("1:") && found[0].contains("PORT must be at most 65535, and is 80800"), "{found:?}");
    assert!(found[1].contains("DEBUG must be a boolean, and is a text"), "{found:?}");
    assert!(found[2].contains("LEVEL must be one of 1, 2"), "{found:?}");
}

#[test]
fn parts_of_a_schema_may_be_in_other_files() {
    let schema = r##"{"properties": {"a": {"$ref": "parts/server.yaml#/$defs/port"}}}"##;
    let part = "$defs:\n  port:\n    type: integer\n";
    let schema = schema_of(&[("/x/schema.json", schema), ("/x/parts/server.yaml", part)]).unwrap();
    let expected = Expected { format: FileFormat::Yaml, required: &[], schema: Some(&schema), variables: None };
    assert_eq!(check("a: x\n", &expected)[0].message, "a must be a whole number, and is a text");
    assert_eq!(check("a: 1\n", &expected), []);
}

#[test]
fn a_schema_that_cannot_be_used_is_told_with_its_place() {
    let path = "/x/schema.json";
    for (schema, expected) in [
        (
            "{\n\"type\": \"objct\"}",
            "schema.json:2 schema-invalid this is not a valid JSON Schema: type must be one of \"array\", \"boolean\", \"integer\", \"null\", \"number\", \"object\", \"string\"",
        ),
        (
            "{\n\"minimum\": \"5\"}",
            "schema.json:2 schema-invalid this is not a valid JSON Schema: minimum must be a number, and is a text",
        ),
        ("{\"a\": 1,}", "schema.json:1 schema-syntax this is not JSON: trailing comma"),
        (
            "{\n\n\"$ref\": \"https://example.com/s.json\"}",
            "schema.json:3 schema-remote the schema is in part at https://example.com/s.json, and launcher fetches nothing",
        ),
        (
            "{\n\"$ref\": \"gone.json\"}",
            "schema.json:2 schema-missing the schema refers to a file that cannot be had: /x/gone.json does not exist",
        ),
        (
            "{\n\"$ref\": \"#/$defs/gone\"}",
            "schema.json:2 schema-invalid the schema refers to #/$defs/gone, which is not there",
        ),
        (
            "{\n\"pattern\": \"(?!x)y\"}",
            "schema.json:2 schema-invalid this is not a valid JSON Schema: pattern looks ahead or behind, which launcher's regular expressions do not",
        ),
        (
            "{\n\"pattern\": \"[\"}",
            "schema.json:2 schema-invalid this is not a valid JSON Schema: pattern is no regular expression",
        ),
        (
            "5",
            "schema.json:1 schema-invalid this is not a valid JSON Schema: the whole file must be a boolean or a table, and is a number",
        ),
    ] {
        assert_eq!(wrong(&[(path, schema)]), [expected], "{schema}");
    }
    let two = wrong(&[(path, "{\n\"minLength\": -1,\n\"items\": 5}")]);
    assert_eq!(two.len(), 2, "all of it is told at once: {two:?}");
    let gone = Schema::of(Path::new("/x/gone.json"), "gone.json", Rc::new(Given(vec![]))).unwrap_err();
    assert_eq!((gone[0].problem.code, gone[0].place.is_none()), ("schema-missing", true));
    let draft = wrong(&[(path, "{\n\"$schema\": \"https://example.com/mine\"}")]);
    assert!(draft[0].starts_with("schema.json:2 schema-remote"), "{draft:?}");
}

#[test]
fn a_schema_that_goes_round_in_a_circle_is_told() {
    let found = said(r##"{"$ref": "#"}"##, "a: 1\n");
    assert_eq!(found, ["1:1 the schema refers to itself without an end"]);
}

proptest::proptest! {
    #[test]
    fn no_schema_and_no_file_do_harm(
        schema in "[{}\\[\\]\":,0-9a]{0,20}|\\{\"(type|items|enum|pattern|\\$ref|anyOf|required|properties)\": ?[\\[{\"#/a-z0-9:,\\]}]{0,12}\\}",
        text in "[-a: \n\\[\\]{}0-9]{0,20}",
    ) {
        if let Ok(schema) = schema_of(&[("/x/schema.json", &schema)]) {
            check(&text, &Expected { format: FileFormat::Yaml, required: &[], schema: Some(&schema), variables: None });
        }
    }
}
