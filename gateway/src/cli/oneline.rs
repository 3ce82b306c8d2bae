//! A gateway without a file: `weir run --listen :8080 --to 127.0.0.1:9001`.
//!
//! The flags become the text of a file, so that what is wrong with them is told in the same words,
//! and every default is the same.

use serde_json::Value;

use crate::app::Source;

/// The configuration that forwards everything that arrives at `listen` to the endpoints `to`.
pub(super) fn source(listen: &[String], to: &[String]) -> Source {
    let text = format!(
        "listeners: [{}]\nupstreams:\n  backend: {{ endpoints: [{}] }}\nroutes:\n  \
         - {{ name: all, to: backend }}\n",
        list(listen),
        list(to)
    );
    Source::Text { name: "command-line".to_owned(), text }
}

/// Texts as YAML that means just them: a JSON string is a YAML string, but for variables.
fn list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts
        .iter()
        .map(|text| Value::from(text.as_str()).to_string().replace('$', "$$"))
        .collect();
    quoted.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(listen: &[&str], to: &[&str]) -> Result<weir_config::Loaded, weir_config::Diagnostics> {
        let owned =
            |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let Source::Text { name, text } = source(&owned(listen), &owned(to)) else {
            panic!("not a text");
        };
        weir_config::load_str(&name, &text, &|_| None)
    }

    #[test]
    fn flags_become_a_valid_file() {
        let config = load(&[":8080", "unix:/tmp/a b.sock"], &["127.0.0.1:9001", "b:2"]).unwrap();
        let config = config.config;
        assert_eq!(config.listeners.len(), 2);
        assert_eq!(config.listeners[1].bind.to_string(), "unix:/tmp/a b.sock");
        assert_eq!(config.upstreams[0].endpoints.len(), 2);
        assert_eq!(config.routes[0].name, "all");
    }

    #[test]
    fn what_flags_hold_is_text_and_nothing_more() {
        let wrong = load(&["${HOME}\"]\nadmin: off #"], &["127.0.0.1:9001"]).unwrap_err();
        assert_eq!(wrong.errors(), 1, "{wrong}");
        assert!(wrong.render().contains("command-line:1:13"), "{wrong}");
    }
}
