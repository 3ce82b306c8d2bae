#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashSet;

use super::*;
use crate::{fields::asked, load_str, units};

const FULL: &str = include_str!("../../tests/full.yaml");

#[test]
fn the_decoder_and_the_table_know_the_same_keys() {
    // Reading a mapping fails the test when a key of the table is not asked for, or when one is
    // asked for that the table lacks.
    load_str("full.yaml", FULL, &|_| None).unwrap();
    for key in keys() {
        assert!(asked::any(key.place()), "nothing reads `{}`", key.place());
    }
}

#[test]
fn paths_are_unique_and_have_parents() {
    let mut seen = HashSet::new();
    for key in keys() {
        assert!(seen.insert(key.path), "`{}` stands there twice", key.path);
        let parent = key.place().trim_end_matches("[]").trim_end_matches(".*");
        assert!(parent.is_empty() || seen.contains(parent), "`{}` is an orphan", key.path);
        assert!(key.meaning.ends_with('.'), "`{}`: a sentence ends with a stop", key.path);
        let open = matches!(key.kind, Kind::Section) == (key.fallback == Fallback::Below);
        let absent = matches!(key.fallback, Fallback::Absent(_));
        assert!(open || absent, "`{}`", key.path);
    }
}

#[test]
fn every_default_is_legal() {
    for key in keys() {
        let Fallback::Is(text) = key.fallback else { continue };
        let good = match key.kind {
            Kind::Flag => ["true", "false"].contains(&text),
            Kind::Count(min, max) => (min..=max).contains(&text.parse().unwrap()),
            Kind::CountOr(_, _, word) | Kind::SizeOr(_, _, word) | Kind::DurationOr(_, _, word) => {
                text == word
            }
            Kind::Size(min, max) => (min..=max).contains(&units::size(text).unwrap()),
            Kind::Duration(min, max) => {
                let millis = units::duration(text).unwrap().as_millis();
                (u128::from(min)..=u128::from(max)).contains(&millis)
            }
            Kind::Choice(words) => words.contains(&text),
            _ => true,
        };
        assert!(good, "{} = {text}", key.path);
    }
}

#[test]
fn counts_and_windows_fit_the_model() {
    let small = |path: &str| {
        path == "limits.headers.bytes" || path.ends_with("_window") || path.ends_with(".buffer")
    };
    for key in keys() {
        match key.kind {
            Kind::Count(_, max) | Kind::CountOr(_, max, _) => assert!(max <= u32::MAX.into()),
            Kind::Size(_, max) if small(key.path) => assert!(max <= u32::MAX.into()),
            _ => {}
        }
    }
}
