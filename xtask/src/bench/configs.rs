//! The peers' configurations.

use super::{
    peers::{Ports, Task},
    scenario::Duty,
};

/// What a limit lets pass that is there to be asked and never to deny: requests a second, and at
/// once.
const OPEN: u32 = 1_000_000;

/// The hook of the script, as each of them writes it.
const WEIR_HOOK: &str = "function on_request(req) \
    req.headers:set('x-one', '1') req.headers:set('x-two', '2') end";
const NGINX_HOOK: &str = "access_by_lua_block { \
    ngx.req.set_header('x-one', '1') ngx.req.set_header('x-two', '2') }";

/// Where Debian's package `libnginx-mod-http-lua` puts what OpenResty is made of.
pub(super) const NGINX_LUA: &str = "/usr/lib/nginx/modules/ngx_http_lua_module.so";
const NGINX_MODULES: &str = "load_module modules/ndk_http_module.so;
load_module modules/ngx_http_lua_module.so;
";

const GZIP_LEVEL: u32 = 5;

pub(super) fn weir(task: &Task, ports: Ports, duty: Duty) -> String {
    let [a, b] = &task.backends;
    let (cert, key) = (task.cert.display(), task.key.display());
    let Ports { h1, tls, h3, .. } = ports;
    let more = match duty {
        Duty::Limit => format!(
            "    rate_limit: {OPEN}/s\n  - {{ match: /shut, to: backend, rate_limit: 1/h }}\n"
        ),
        Duty::Cache => "    cache: on\n".to_owned(),
        Duty::Script => format!("    script: {{ inline: \"{WEIR_HOOK}\" }}\n"),
        Duty::Compress => {
            format!("    compress: {{ encodings: [gzip], levels: {{ gzip: {GZIP_LEVEL} }} }}\n")
        }
        Duty::Forward => String::new(),
    };
    let protocols = if h3 == 0 { "h1, h2" } else { "h1, h2, h3" };
    format!(
        "workers: 1
admin: off
log: {{ access: off, level: error }}
listeners:
  - bind: \"127.0.0.1:{h1}\"
  - bind: \"127.0.0.1:{tls}\"
    tls: {{ cert: \"{cert}\", key: \"{key}\" }}
    protocols: [{protocols}]
upstreams:
  backend: {{ endpoints: [\"{a}\", \"{b}\"] }}
routes:
  - match: {{ path: \"/**\" }}
    to: backend
{more}"
    )
}

pub(super) fn nginx(task: &Task, ports: Ports, duty: Duty) -> String {
    let [a, b] = &task.backends;
    let folder = task.folder.display();
    let (cert, key) = (task.cert.display(), task.key.display());
    let Ports { h1, tls, h2c, h3 } = ports;
    let proxy = "proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection \"\";
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
    let (zones, open, shut) = nginx_duty(duty, &folder.to_string(), proxy);
    let modules = if duty == Duty::Script { NGINX_MODULES } else { "" };
    let quic =
        if h3 == 0 { String::new() } else { format!("listen 127.0.0.1:{h3} quic reuseport;") };
    format!(
        "{modules}daemon off; master_process off; pid {folder}/nginx.pid;
worker_rlimit_nofile 16384;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 75s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {zones}
  upstream backend {{
    server {a}; server {b};
    keepalive 256; keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{h1} backlog=1024;
    listen 127.0.0.1:{tls} ssl http2 backlog=1024;
    listen 127.0.0.1:{h2c} http2 backlog=1024;
    {quic}
    ssl_certificate {cert}; ssl_certificate_key {key};
    ssl_protocols TLSv1.3;
    location / {{
      {open}
      {proxy}
    }}
    {shut}
  }}
}}
"
    )
}

/// What its duty adds: to all of it, to the place that all may use, and a place of its own.
fn nginx_duty(duty: Duty, folder: &str, proxy: &str) -> (String, String, String) {
    // What is denied is not logged, as by the others.
    match duty {
        Duty::Limit => (
            format!(
                "limit_req_zone $binary_remote_addr zone=open:10m rate={OPEN}r/s;
  limit_req_zone $binary_remote_addr zone=shut:10m rate=1r/m;
  limit_req_status 429; limit_req_log_level info;"
            ),
            format!("limit_req zone=open burst={OPEN} nodelay;"),
            format!("location = /shut {{ limit_req zone=shut; {proxy} }}"),
        ),
        Duty::Cache => (
            format!(
                "proxy_cache_path {folder}/nginx-cache levels=1:2 keys_zone=memory:10m
    use_temp_path=off;
  sendfile on; open_file_cache max=1000; open_file_cache_valid 60s;"
            ),
            "proxy_cache memory;".to_owned(),
            String::new(),
        ),
        Duty::Script => (String::new(), NGINX_HOOK.to_owned(), String::new()),
        Duty::Compress => (
            format!(
                "gzip on; gzip_proxied any; gzip_comp_level {GZIP_LEVEL};
  gzip_types application/json;"
            ),
            String::new(),
            String::new(),
        ),
        Duty::Forward => Default::default(),
    }
}

pub(super) fn haproxy(task: &Task, ports: Ports, pem: &str, duty: Duty) -> String {
    let [a, b] = &task.backends;
    let Ports { h1, tls, .. } = ports;
    let (cache, rules) = match duty {
        Duty::Cache => (
            "cache memory
  total-max-size 16
  max-age 3600
",
            "  http-request cache-use memory
  http-response cache-store memory
",
        ),
        _ => Default::default(),
    };
    format!(
        "global
  nbthread 1
  maxconn 8000
  ssl-default-bind-options ssl-min-ver TLSv1.3
defaults
  mode http
  option forwardfor
  http-reuse always
  timeout connect 5s
  timeout client 75s
  timeout http-keep-alive 75s
  timeout server 60s
{cache}frontend edge
  bind 127.0.0.1:{h1}
  bind 127.0.0.1:{tls} ssl crt {pem} alpn h2,http/1.1
  default_backend backends
backend backends
{rules}  server a {a} pool-max-conn 256
  server b {b} pool-max-conn 256
"
    )
}

/// Its log in shared memory, which nobody reads, is as it comes.
pub(super) fn varnish(task: &Task) -> String {
    let [backend, _] = &task.backends;
    let (host, port) = backend.split_once(':').unwrap_or((backend, "80"));
    format!("vcl 4.1;\nbackend only {{ .host = \"{host}\"; .port = \"{port}\"; }}\n")
}

pub(super) fn envoy(task: &Task, ports: Ports, limits: bool) -> String {
    let (cert, key) = (task.cert.display(), task.key.display());
    let Ports { h1, tls, h3, .. } = ports;
    let common = |alpn: &str| {
        format!(
            "common_tls_context:
              alpn_protocols: [{alpn}]
              tls_params: {{ tls_minimum_protocol_version: TLSv1_3 }}
              tls_certificates:
              - certificate_chain: {{ filename: \"{cert}\" }}
                private_key: {{ filename: \"{key}\" }}"
        )
    };
    let secure = format!(
        "name: envoy.transport_sockets.tls
        typed_config:
          \"@type\": {TYPE}.transport_sockets.tls.v3.DownstreamTlsContext
          {}",
        common("h2, http/1.1").replace("\n    ", "\n  ")
    );
    let quic = format!(
        "name: envoy.transport_sockets.quic
        typed_config:
          \"@type\": {TYPE}.transport_sockets.quic.v3.QuicDownstreamTransport
          downstream_tls_context:
            {}",
        common("h3")
    );
    let listener = |name, port, transport| envoy_listener(name, port, transport, limits);
    let mut listeners = listener("clear", h1, None) + &listener("tls", tls, Some(&*secure));
    if h3 != 0 {
        listeners += &listener("quic", h3, Some(&*quic));
    }
    let endpoints: String = task.backends.iter().map(|address| endpoint(address)).collect();
    format!(
        "static_resources:
  listeners:{listeners}
  clusters:
  - name: backend
    type: STATIC
    connect_timeout: 5s
    lb_policy: LEAST_REQUEST
    load_assignment:
      cluster_name: backend
      endpoints:
      - lb_endpoints:{endpoints}
"
    )
}

/// Where Envoy's types are.
const TYPE: &str = "type.googleapis.com/envoy.extensions";

/// One of Envoy's listeners; the one called `quic` is on UDP.
fn envoy_listener(name: &str, port: u16, transport: Option<&str>, limits: bool) -> String {
    let (protocol, codec, udp) = match name {
        "quic" => ("UDP", "HTTP3", "\n    udp_listener_config: { quic_options: {} }"),
        _ => ("TCP", "AUTO", ""),
    };
    let (routes, filter) = match limits {
        true => (
            format!(
                "[{}, {}]",
                limited("path: /shut", 1, 3_600),
                limited("prefix: \"/\"", OPEN, 1)
            ),
            format!(
                "
          - name: envoy.filters.http.local_ratelimit
            typed_config: {{ {LIMIT}, stat_prefix: limit }}"
            ),
        ),
        false => {
            ("[{ match: { prefix: \"/\" }, route: { cluster: backend } }]".into(), String::new())
        }
    };
    let transport = transport.map(|socket| format!("transport_socket:\n        {socket}\n      "));
    let transport = transport.unwrap_or_default();
    format!(
        "
  - name: {name}
    address:
      socket_address: {{ protocol: {protocol}, address: 127.0.0.1, port_value: {port} }}{udp}
    filter_chains:
    - {transport}filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": {TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: edge
          use_remote_address: true
          codec_type: {codec}
          route_config:
            virtual_hosts:
            - name: all
              domains: [\"*\"]
              routes: {routes}
          http_filters:{filter}
          - name: envoy.filters.http.router
            typed_config: {{ \"@type\": {TYPE}.filters.http.router.v3.Router }}"
    )
}

/// What the configuration of Envoy's limits begins with.
const LIMIT: &str = "\"@type\": \
    type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";

/// A route with a bucket for all who ask: Envoy's filter keeps none for each address.
fn limited(path: &str, tokens: u32, seconds: u32) -> String {
    let always = "default_value: { numerator: 100, denominator: HUNDRED }";
    format!(
        "{{ match: {{ {path} }}, route: {{ cluster: backend }}, typed_per_filter_config: {{ \
         envoy.filters.http.local_ratelimit: {{ {LIMIT}, stat_prefix: limit, token_bucket: {{ \
         max_tokens: {tokens}, tokens_per_fill: {tokens}, fill_interval: {seconds}s }}, \
         filter_enabled: {{ {always} }}, filter_enforced: {{ {always} }} }} }} }}"
    )
}

fn endpoint(address: &str) -> String {
    let (host, port) = address.split_once(':').unwrap_or((address, "80"));
    format!(
        "
        - endpoint: {{ address: {{ socket_address: {{ address: {host}, port_value: {port} }} }} }}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_configuration_is_valid() {
        let task = Task {
            folder: "/tmp".into(),
            backends: ["127.0.0.1:1001".into(), "127.0.0.1:1002".into()],
            cert: "/tmp/cert.pem".into(),
            key: "/tmp/key.pem".into(),
        };
        let forward = Duty::Forward;
        for (h3, duty) in [
            (0, forward),
            (1004, forward),
            (0, Duty::Limit),
            (0, Duty::Cache),
            (0, Duty::Script),
            (0, Duty::Compress),
        ] {
            let text = weir(&task, Ports { h1: 1003, tls: 1004, h2c: 1003, h3 }, duty);
            let loaded = weir_config::load_str("weir.yaml", &text, &|_| None).unwrap();
            assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
            assert_eq!(loaded.config.listeners.len(), 2);
            assert_eq!(loaded.config.listeners[1].protocols.h3, h3 != 0);
            let routes = &loaded.config.routes;
            assert!(routes.iter().all(|r| r.rate_limits.is_empty() != (duty == Duty::Limit)));
            assert!(routes.iter().all(|r| r.cache.is_some() == (duty == Duty::Cache)));
        }
    }
}
