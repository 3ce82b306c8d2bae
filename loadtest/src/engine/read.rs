//! Reading the script once, for its options and its metrics.

use std::{
    collections::BTreeSet,
    rc::Rc,
    sync::{Arc, Mutex, PoisonError},
};

use super::run::{Failed, Invocation, control_vu, load, machine};
use crate::{
    clock,
    exit::Exit,
    http::{NamePattern, Net, NetOptions, Network, client_config},
    metrics::Registry,
    options::{Flags, Options},
    threshold::Thresholds,
    vm::{Abort, Bundle, Environment, InstanceCounts, Local, Machine, MetricTable},
};

/// What is known once the script was read.
pub(super) struct Test {
    pub(super) options: Arc<Options>,
    pub(super) thresholds: Thresholds,
    pub(super) functions: BTreeSet<String>,
    pub(super) environment: Arc<Environment>,
    pub(super) net: NetOptions,
    pub(super) tls: Arc<rustls::ClientConfig>,
}

/// Reads the script once, for its options and its metrics.
pub(super) async fn read(invocation: &Invocation) -> Result<Test, Failed> {
    let script = &invocation.script;
    let bundle = Bundle::open(script, invocation.source.clone()).map_err(|error| {
        Failed::new(Exit::ScriptException, format!("{}: {error}", script.display()))
    })?;
    let invalid =
        |error: &dyn std::fmt::Display| Failed::new(Exit::InvalidConfig, error.to_string());
    let layers = |script: &serde_json::Value| {
        let environment = invocation.environment.iter().map(|(k, v)| (&**k, &**v));
        Options::from_layers(&[&invocation.config, script], environment, &invocation.flags)
    };
    let defaults = Options::from_layers(&[], [], &Flags::default());
    let mut environment = Environment {
        bundle: Arc::new(bundle),
        env: invocation.env.clone(),
        options: Arc::new(defaults.map_err(|error| invalid(&error))?),
        options_json: "{}".into(),
        metrics: MetricTable::Open(Mutex::new(Registry::new())),
        counts: Arc::new(InstanceCounts::default()),
        abort: Arc::new(Abort::default()),
        begun: clock::now(),
        vm_memory_bytes: invocation.vm_memory_bytes.unwrap_or(Machine::MEMORY_BYTES),
    };
    let tls = client_config(false, true, &[]).map_err(|error| invalid(&error))?;
    let first = Arc::new(environment);
    let exports = {
        let net = Rc::new(Net::new(NetOptions::default(), Arc::new(tls)));
        let local = Local::new(Arc::clone(&first), net, None);
        let machine = machine(&first)?;
        let mut vu = control_vu(&machine, &local)?;
        let loaded = load(&mut vu).await.map_err(|failed| or_abort(failed, &first.abort))?;
        let exports = loaded.exports;
        vu.close().await;
        exports
    };
    let script = match &exports.options {
        Some(json) => serde_json::from_str(json).map_err(|error| invalid(&error))?,
        None => serde_json::Value::Null,
    };
    let mut options = layers(&script).map_err(|error| invalid(&error))?;
    let functions: BTreeSet<String> = exports.functions.into_iter().collect();
    find_functions(&options, &functions)?;
    let mut registry = made_metrics(&first.metrics);
    let thresholds = if invocation.no_thresholds {
        let names = std::mem::take(&mut options.thresholds);
        Thresholds::none(names.iter().map(|(name, _)| &**name), &mut registry)
    } else {
        Thresholds::new(&options.thresholds, &mut registry).map_err(|error| invalid(&error))?
    };
    let tls = client_config(options.insecure_skip_tls_verify, true, &[]);
    let tls = Arc::new(tls.map_err(|error| invalid(&error))?);
    let net = net_options(&options);
    environment = Environment {
        bundle: Arc::clone(&first.bundle),
        env: invocation.env.clone(),
        options_json: options.consolidated.to_string().into(),
        options: Arc::new(options),
        metrics: MetricTable::Complete(Arc::new(registry)),
        counts: Arc::new(InstanceCounts::default()),
        abort: Arc::clone(&first.abort),
        begun: clock::now(),
        vm_memory_bytes: invocation.vm_memory_bytes.unwrap_or(Machine::MEMORY_BYTES),
    };
    let options = Arc::clone(&environment.options);
    Ok(Test { options, thresholds, functions, environment: Arc::new(environment), net, tls })
}

/// The metrics that the script made when it was loaded.
fn made_metrics(table: &MetricTable) -> Registry {
    match table {
        MetricTable::Open(registry) => {
            registry.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }
        MetricTable::Complete(registry) => Registry::clone(registry),
    }
}

/// What the script wished, where it is why reading it failed.
fn or_abort(failed: Failed, abort: &Abort) -> Failed {
    match abort.aborted() {
        Some(reason) => Failed::new(Exit::ScriptAborted, reason),
        None => failed,
    }
}

/// Every scenario has its function.
fn find_functions(options: &Options, functions: &BTreeSet<String>) -> Result<(), Failed> {
    let missing = options.scenarios.iter().find(|scenario| !functions.contains(&scenario.exec));
    let Some(scenario) = missing else { return Ok(()) };
    if functions.is_empty() {
        return Err(Failed::new(Exit::BadUsage, "no exported functions in script"));
    }
    let text = match &*scenario.exec {
        "default" => "the script exports no 'default' function".to_string(),
        exec => format!("executor {}: function '{exec}' not found in exports", scenario.name),
    };
    Err(Failed::new(Exit::InvalidConfig, text))
}

fn net_options(options: &Options) -> NetOptions {
    let hosts = options.hosts.iter().map(|(name, to)| {
        let to = match to.port {
            Some(port) => std::net::SocketAddr::new(to.ip, port).to_string(),
            None => to.ip.to_string(),
        };
        (name.clone(), to)
    });
    let networks = options.blacklist_ips.iter();
    NetOptions {
        hosts: hosts.collect(),
        blacklist: networks
            .filter_map(|(ip, bits)| Network::parse(&format!("{ip}/{bits}")))
            .collect(),
        blocked_names: options.block_hostnames.iter().cloned().map(NamePattern).collect(),
        no_connection_reuse: options.no_connection_reuse,
    }
}
