//! Commands about a file alone: `weir check` and `weir diff`.

use std::{path::Path, process::ExitCode};

use weir_config::model::Config;

use super::{compiled, output::print, wrong};

/// `weir check`.
pub(super) fn check(file: &Path, json: bool, explain: bool) -> ExitCode {
    let outcome = compiled(file);
    if json {
        let (diagnostics, code) = match outcome {
            Ok((_, compiled)) => (compiled.warnings, ExitCode::SUCCESS),
            Err(diagnostics) => (diagnostics, wrong()),
        };
        return print(&format!("{:#}\n", diagnostics.to_json()), code);
    }
    match outcome {
        Ok((loaded, compiled)) => {
            eprint!("{}", compiled.warnings.render());
            let text = if explain {
                weir_config::explain(&loaded.config)
            } else {
                format!("{} is valid: {}\n", loaded.name, summary(&loaded.config))
            };
            print(&text, ExitCode::SUCCESS)
        }
        Err(diagnostics) => {
            eprint!("{}", diagnostics.render());
            wrong()
        }
    }
}

/// `weir diff`. Reads the files only: what stands in other files, such as certificates, may be
/// somewhere else.
pub(super) fn diff(old: &Path, new: &Path) -> ExitCode {
    let (old, new) = match (weir_config::load(old), weir_config::load(new)) {
        (Ok(old), Ok(new)) => (old, new),
        (old, new) => {
            for diagnostics in [old.err(), new.err()].into_iter().flatten() {
                eprint!("{}", diagnostics.render());
            }
            return wrong();
        }
    };
    let changes = weir_config::diff(&old.config, &new.config);
    let mut text: String = changes.iter().map(|change| format!("{change}\n")).collect();
    text += &match changes.len() {
        0 => "nothing changed: both files mean the same\n".to_owned(),
        count => format!("{}\n", counted(count, "change")),
    };
    print(&text, ExitCode::SUCCESS)
}

fn summary(config: &Config) -> String {
    let listeners = counted(config.listeners.len(), "listener");
    let upstreams = counted(config.upstreams.len(), "upstream");
    format!("{listeners}, {upstreams}, {}", counted(config.routes.len(), "route"))
}

/// `1 route`, `2 routes`.
pub(super) fn counted(count: usize, word: &str) -> String {
    format!("{count} {word}{}", if count == 1 { "" } else { "s" })
}
