//! `--format`: Go templates over any data, with Docker's functions.

use std::str::FromStr;
use std::sync::Arc;

use gotmpl::{MissingKey, TemplateError, Value};
use serde::Serialize;

use super::visible::visible_json;

/// A template that parses. `json` alone means `{{json .}}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(String);

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let template = match text {
            "json" => "{{json .}}".to_owned(),
            // A shell gives no tab easily, so that Docker takes these two for what they mean.
            text => text.replace("\\t", "\t").replace("\\n", "\n"),
        };
        compile(&template)?;
        Ok(Self(template))
    }
}

impl Template {
    /// `data` through the template, and a line's end.
    pub fn line(&self, data: &impl Serialize) -> Result<String, TemplateError> {
        let data = gotmpl::to_value(data)?;
        Ok(compile(&self.0)?.execute_to_string(&data)? + "\n")
    }
}

fn compile(text: &str) -> Result<gotmpl::Template, TemplateError> {
    gotmpl::Template::new("format")
        // A misspelt field is an error, not "<no value>".
        .missing_key(MissingKey::Error)
        .func("json", |args| {
            let json = to_json(argument(args, 0)?)?.to_string();
            Ok(string(&*visible_json(&json)))
        })
        .func("lower", |args| Ok(string(text_of(args, 0)?.to_lowercase())))
        .func("upper", |args| Ok(string(text_of(args, 0)?.to_uppercase())))
        .func("title", |args| Ok(string(title(&text_of(args, 0)?))))
        .func("split", |args| {
            let (text, separator) = (text_of(args, 0)?, text_of(args, 1)?);
            Ok(Value::List(text.split(&*separator).map(string).collect()))
        })
        .func("join", |args| {
            let Value::List(list) = argument(args, 0)? else {
                return Err(TemplateError::Exec("join: a list is expected".into()));
            };
            let words: Vec<String> = list.iter().map(Value::to_string).collect();
            Ok(string(words.join(&text_of(args, 1)?)))
        })
        .func("pad", |args| {
            let text = text_of(args, 0)?;
            let blanks = |at| Ok::<_, TemplateError>(" ".repeat(number(args, at)?));
            Ok(string(match text.is_empty() {
                true => text,
                false => format!("{}{text}{}", blanks(1)?, blanks(2)?),
            }))
        })
        .func("truncate", |args| {
            let length = number(args, 1)?;
            Ok(string(
                text_of(args, 0)?.chars().take(length).collect::<String>(),
            ))
        })
        .parse(text)
}

fn string(text: impl Into<Arc<str>>) -> Value {
    Value::String(text.into())
}

fn argument(args: &[Value], at: usize) -> Result<&Value, TemplateError> {
    args.get(at)
        .ok_or_else(|| TemplateError::Exec("too few arguments of a function".into()))
}

fn text_of(args: &[Value], at: usize) -> Result<String, TemplateError> {
    argument(args, at).map(Value::to_string)
}

/// A count of characters; more than a line could hold is a mistake.
fn number(args: &[Value], at: usize) -> Result<usize, TemplateError> {
    let number = argument(args, at)?.as_int();
    let number = number.filter(|n| (0..=65_536).contains(n));
    number
        .map(|n| n as usize)
        .ok_or_else(|| TemplateError::Exec("a number of characters is expected".into()))
}

fn title(text: &str) -> String {
    let mut start = true;
    let capital = |c: char| {
        let first = std::mem::replace(&mut start, c.is_whitespace());
        match first {
            true => c.to_uppercase().next().unwrap_or(c),
            false => c,
        }
    };
    text.chars().map(capital).collect()
}

fn to_json(value: &Value) -> Result<serde_json::Value, TemplateError> {
    Ok(match value {
        Value::Nil => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(value) => (*value).into(),
        Value::Uint(value) => (*value).into(),
        Value::Float(value) => (*value).into(),
        Value::String(value) => (**value).into(),
        Value::List(list) => list
            .iter()
            .map(to_json)
            .collect::<Result<Vec<_>, _>>()?
            .into(),
        Value::Map(map) => {
            let pairs = map
                .iter()
                .map(|(key, value)| Ok((key.to_string(), to_json(value)?)));
            serde_json::Value::Object(pairs.collect::<Result<_, TemplateError>>()?)
        }
        Value::Function(_) => {
            return Err(TemplateError::Exec("json: a function has no value".into()));
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(template: &str) -> Result<String, TemplateError> {
        let data = json!({
            "Id": "abc", "Pid": 4613, "Big": u64::MAX, "On": true, "Env": ["A=1", "B=2"], "State": {"Status": "running"},
            "Labels": {"com.example.x": "y"}, "None": null, "Half": 0.5,
        });
        template.parse::<Template>()?.line(&data)
    }

    #[test]
    fn templates_render() {
        for (template, line) in [
            ("{{.Id}}", "abc\n"),
            (
                "{{.State.Status}} {{.Pid}} {{.Big}}",
                "running 4613 18446744073709551615\n",
            ),
            ("{{json .Env}}", "[\"A=1\",\"B=2\"]\n"),
            ("{{json .State}}", "{\"Status\":\"running\"}\n"),
            ("{{json .None}}{{json .Half}}{{json .On}}", "null0.5true\n"),
            ("{{range .Env}}{{.}};{{end}}", "A=1;B=2;\n"),
            ("{{join .Env \",\"}}", "A=1,B=2\n"),
            ("{{index (split .Id \"b\") 1}}", "c\n"),
            ("{{index .Labels \"com.example.x\"}}", "y\n"),
            (
                "{{upper .Id}}{{title \"two words\"}}{{truncate .Id 2}}[{{pad .Id 1 2}}]",
                "ABCTwo Wordsab[ abc  ]\n",
            ),
            ("{{if .On}}yes{{else}}no{{end}}\\t{{len .Env}}", "yes\t2\n"),
        ] {
            assert_eq!(render(template).unwrap(), line, "{template}");
        }
        assert!(
            render("json")
                .unwrap()
                .starts_with("{\"Big\":18446744073709551615,")
        );
    }

    #[test]
    fn mistakes_are_errors() {
        for template in [
            "{{",
            "{{.Missing}}",
            "{{nosuch .Id}}",
            "{{json}}",
            "{{truncate .Id -1}}",
            "{{pad .Id 1 99999999}}",
        ] {
            assert!(render(template).is_err(), "{template}");
        }
    }
}
