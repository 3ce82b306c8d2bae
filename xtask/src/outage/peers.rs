//! Who is compared: Weir and Envoy, with nothing about failures configured but what names say.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::backend::Backend;
use crate::bench::{
    peers::envoy,
    server::{Server, free_port},
};

/// The peers' names.
pub(super) const KNOWN: [&str; 3] = ["weir", "envoy", "envoy-outlier"];

/// A peer, not running yet.
#[derive(Debug)]
pub(super) struct Peer {
    name: String,
    program: PathBuf,
}

/// A peer that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) port: u16,
    _server: Server,
}

impl Peer {
    /// The peer `name`, if it is installed.
    pub(super) fn known(name: &str, weir: &Path) -> Result<Option<Self>, String> {
        let program = match name {
            "weir" => Some(weir.to_path_buf()),
            "envoy" | "envoy-outlier" => envoy(),
            other => return Err(format!("no peer `{other}`; there are {}", KNOWN.join(" "))),
        };
        Ok(program.map(|program| Self { name: name.to_owned(), program }))
    }

    /// Starts it in front of `backends`, with two workers.
    pub(super) fn start(&self, backends: &[Backend], folder: &Path) -> Result<Running, String> {
        let port = free_port()?;
        let text = match self.name.as_str() {
            "weir" => weir(port, backends),
            "envoy" => envoy_config(port, backends, ""),
            _ => envoy_config(port, backends, "\n    outlier_detection: {}"),
        };
        let file = folder.join(format!("{}.yaml", self.name));
        fs::write(&file, text).map_err(|e| format!("{}: {e}", file.display()))?;
        let mut words = vec![self.program.display().to_string()];
        let flags = match self.name.as_str() {
            "weir" => "run -c",
            _ => "--concurrency 2 --disable-hot-restart --log-level error --config-path",
        };
        words.extend(flags.split(' ').map(str::to_owned));
        words.push(file.display().to_string());
        let server = Server::start(&self.name, &words, "0,1", &[port], folder)?;
        Ok(Running { port, _server: server })
    }
}

fn weir(port: u16, backends: &[Backend]) -> String {
    let endpoints: Vec<String> =
        backends.iter().map(|backend| format!("\"127.0.0.1:{}\"", backend.port)).collect();
    format!(
        "workers: 2
admin: off
log: {{ access: off, level: error }}
listeners: [\"127.0.0.1:{port}\"]
upstreams:
  backend: {{ endpoints: [{}] }}
routes:
  - match: {{ path: \"/**\" }}
    to: backend
",
        endpoints.join(", ")
    )
}

fn envoy_config(port: u16, backends: &[Backend], more: &str) -> String {
    let endpoint = |backend: &Backend| {
        let port = backend.port;
        format!(
            "
        - endpoint:
            address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}"
        )
    };
    let endpoints: String = backends.iter().map(endpoint).collect();
    let types = "type.googleapis.com/envoy.extensions.filters";
    format!(
        "static_resources:
  listeners:
  - name: clear
    address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": {types}.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: edge
          route_config:
            virtual_hosts:
            - name: all
              domains: [\"*\"]
              routes: [{{ match: {{ prefix: \"/\" }}, route: {{ cluster: backend }} }}]
          http_filters:
          - name: envoy.filters.http.router
            typed_config: {{ \"@type\": {types}.http.router.v3.Router }}
  clusters:
  - name: backend
    type: STATIC
    connect_timeout: 5s
    lb_policy: LEAST_REQUEST{more}
    load_assignment:
      cluster_name: backend
      endpoints:
      - lb_endpoints:{endpoints}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outage::backend::{Capacity, Mood};

    #[test]
    fn our_own_configuration_is_valid() {
        let capacity = Capacity { at_once: 1, work: std::time::Duration::ZERO };
        let backends = [1001, 1002].map(|port| Backend::new(port, Mood::Well, capacity).unwrap());
        let loaded = weir_config::load_str("weir.yaml", &weir(1003, &backends), &|_| None).unwrap();
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        assert_eq!(loaded.config.upstreams[0].endpoints.len(), 2);
    }
}
