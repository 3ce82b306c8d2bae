//! Reads the keys of a JSON object and says where the ones are that make no sense.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{OptionsError, parse_duration};

/// An object and the way to it.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    path: String,
    map: &'a Map<String, Value>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(path: String, map: &'a Map<String, Value>) -> Self {
        Self { path, map }
    }

    /// The object that `value` is.
    pub(super) fn of(path: String, value: &'a Value) -> Result<Self, OptionsError> {
        match value {
            Value::Object(map) => Ok(Self { path, map }),
            _ => Err(OptionsError::new(path, "must be an object")),
        }
    }

    /// The way to `key`.
    pub(super) fn path(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    pub(super) fn error(&self, key: &str, problem: impl Into<String>) -> OptionsError {
        OptionsError::new(self.path(key), problem)
    }

    /// The keys that are not among `known`.
    pub(super) fn unknown(&self, known: &[&str]) -> Vec<&'a str> {
        self.map.keys().map(String::as_str).filter(|key| !known.contains(key)).collect()
    }

    /// The value at `key`, which null is not.
    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn read<T>(
        &self,
        key: &str,
        want: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, OptionsError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let error = || self.error(key, format!("must be {want}, and is {value}"));
        read(value).map(Some).ok_or_else(error)
    }

    pub(super) fn whole(&self, key: &str) -> Result<Option<u64>, OptionsError> {
        self.read(key, "a whole number, not negative", |value| match value {
            Value::String(text) => text.trim().parse().ok(),
            Value::Number(number) => number.as_u64().or_else(|| {
                let number = number.as_f64()?;
                let whole = number.fract() == 0.0 && (0.0..9e15).contains(&number);
                whole.then_some(number as u64)
            }),
            _ => None,
        })
    }

    pub(super) fn count(&self, key: &str) -> Result<Option<u32>, OptionsError> {
        let whole = self.whole(key)?;
        whole.map(|n| u32::try_from(n).map_err(|_| self.error(key, "is too large"))).transpose()
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>, OptionsError> {
        self.read(key, "true or false", |value| match value {
            Value::Bool(flag) => Some(*flag),
            Value::String(text) => match text.as_str() {
                "true" | "1" => Some(true),
                "false" | "0" | "" => Some(false),
                _ => None,
            },
            _ => None,
        })
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>, OptionsError> {
        self.read(key, "a text", Value::as_str)
    }

    pub(super) fn duration(&self, key: &str) -> Result<Option<Duration>, OptionsError> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            other => return Err(self.error(key, format!("must be a duration, and is {other}"))),
        };
        if text.trim_start().starts_with('-') {
            return Err(self.error(key, "can't be negative"));
        }
        parse_duration(&text).map(Some).map_err(|error| self.error(key, error.to_string()))
    }

    pub(super) fn list(&self, key: &str) -> Result<&'a [Value], OptionsError> {
        let list = self.read(key, "an array", |value| value.as_array().map(Vec::as_slice))?;
        Ok(list.unwrap_or_default())
    }

    pub(super) fn texts(&self, key: &str) -> Result<Vec<&'a str>, OptionsError> {
        let error = || self.error(key, "must be an array of texts");
        self.list(key)?.iter().map(|value| value.as_str().ok_or_else(error)).collect()
    }

    /// An object whose values are texts.
    pub(super) fn pairs(&self, key: &str) -> Result<Vec<(String, String)>, OptionsError> {
        let Some(value) = self.value(key) else { return Ok(Vec::new()) };
        let object = Reader::of(self.path(key), value)?;
        let pair = |(name, value): (&String, &Value)| match value {
            Value::String(text) => Ok((name.clone(), text.clone())),
            other => Err(object.error(name, format!("must be a text, and is {other}"))),
        };
        object.map.iter().map(pair).collect()
    }
}
