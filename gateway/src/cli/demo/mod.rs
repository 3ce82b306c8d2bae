//! `weir demo`: two built-in services behind a real gateway, and what to try with them.

use std::{
    fmt::Write as _,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    process::ExitCode,
};

use self::{service::Service, tour::EXHIBITS};
use super::output;
use crate::app::{self, Source};

mod service;
mod tour;

/// Where the gateway and its admin API listen, if they can.
const GATEWAY_PORT: u16 = 8080;
const ADMIN_PORT: u16 = 9901;

/// Runs the demonstration until a signal stops it.
pub(super) fn run() -> ExitCode {
    let demo = match Demo::prepare() {
        Ok(demo) => demo,
        Err(error) => {
            eprintln!("error: the demo cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let source = Source::Text { name: "demo".to_owned(), text: demo.yaml() };
    app::run_with(source, |_| {
        // A demo whose page nobody reads is a gateway all the same.
        output::print(&demo.page(), ExitCode::SUCCESS);
    })
}

struct Demo {
    gateway: SocketAddr,
    admin: SocketAddr,
    services: [Service; 2],
}

impl Demo {
    fn prepare() -> io::Result<Self> {
        Ok(Self {
            services: [Service::start("blue")?, Service::start("green")?],
            gateway: vacant(GATEWAY_PORT)?,
            admin: vacant(ADMIN_PORT)?,
        })
    }

    /// The file that the gateway runs.
    fn yaml(&self) -> String {
        let [blue, green] = &self.services;
        let mut text = format!(
            "listeners: [\"{}\"]\nadmin: {{ bind: \"{}\" }}\nupstreams:\n  \
             colours: {{ endpoints: [\"{}\", \"{}\"] }}\nroutes:\n",
            self.gateway, self.admin, blue.address, green.address
        );
        for line in EXHIBITS.iter().flat_map(|exhibit| exhibit.routes) {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  - {line}");
        }
        text
    }

    /// What is told to whoever started it.
    fn page(&self) -> String {
        let mut page = format!("\nweir {} demo\n\n", app::VERSION);
        let _ = writeln!(page, "  {:<8} http://{}", "gateway", self.gateway);
        let _ = writeln!(page, "  {:<8} http://{}", "admin", self.admin);
        for service in &self.services {
            let _ = writeln!(page, "  {:<8} http://{}", service.name, service.address);
        }
        page += "\nThe gateway runs this file:\n\n";
        for line in self.yaml().lines() {
            let _ = writeln!(page, "  {line}");
        }
        page += "\nTry, in another terminal:\n";
        let (gateway, admin) = (self.gateway.to_string(), self.admin.to_string());
        for exhibit in EXHIBITS {
            let command = exhibit.command.replace("GATEWAY", &gateway).replace("ADMIN", &admin);
            let _ = writeln!(page, "\n  # {}\n  {command}", exhibit.shows);
        }
        page + "\nEvery request leaves a line of the access log here. Ctrl-C drains and stops.\n\n"
    }
}

/// A port of the loopback interface that nobody listens on, this one if possible.
fn vacant(port: u16) -> io::Result<SocketAddr> {
    let bind = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    bind(port).or_else(|_| bind(0))?.local_addr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_the_demo_is_valid() {
        let address = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let service = |name, port| Service { name, address: address(port) };
        let demo = Demo {
            gateway: address(8080),
            admin: address(9901),
            services: [service("blue", 1), service("green", 2)],
        };
        let loaded = weir_config::load_str("demo", &demo.yaml(), &|_| None);
        let loaded = loaded.unwrap_or_else(|wrong| panic!("{wrong}"));
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        let page = demo.page();
        assert!(page.contains("\n  curl -s 'http://127.0.0.1:8080/"), "{page}");
        assert!(!page.contains("GATEWAY") && !page.contains("ADMIN"), "{page}");
    }
}
