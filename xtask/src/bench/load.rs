//! Load at saturation, by wrk and h2load, and what they say of it.

use std::{fs, path::Path, process::Command, time::Duration};

use super::{
    backend::BODY_BYTES,
    scenario::Scenario,
    server::{CORE_OTHERS, pinned},
};
use crate::process::output;

/// What one round of load was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Load {
    /// Responses, all of them good.
    pub(super) requests: u64,
    /// Those of them that a rate limit had to deny.
    pub(super) denied: u64,
    /// Responses per second.
    pub(super) rate: f64,
    /// Latency at the half and at 99 of 100; the saturated h2load tells neither.
    pub(super) latency: Option<Latency>,
}

/// Two points of a latency distribution.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Latency {
    /// Half of all requests took at most this.
    pub(super) p50: Duration,
    /// 99 of 100 requests took at most this.
    pub(super) p99: Duration,
}

/// Printed by wrk when it is done; it has no hook that runs for each request.
const WRK_SCRIPT: &str = r#"
done = function(s, latency, requests)
  local e = s.errors
  io.write(string.format("totals %d %d %d %d %d %d %d\n", s.requests, s.bytes, s.duration,
    e.connect + e.read + e.write + e.timeout, e.status,
    latency:percentile(50), latency:percentile(99)))
end
"#;

/// Every other request goes where all are denied.
const WRK_HALF: &str = r#"
local open, shut, odd
init = function()
  open, shut = wrk.format("GET", "/"), wrk.format("GET", "/shut")
end
request = function()
  odd = not odd
  if odd then return open end
  return shut
end
"#;

/// Restricts OpenSSL clients to what every peer is asked to speak.
const OPENSSL_CONFIG: &str = "\
openssl_conf = weir_bench
[weir_bench]
ssl_conf = ssl
[ssl]
system_default = tls
[tls]
MinProtocol = TLSv1.3
Ciphersuites = TLS_AES_128_GCM_SHA256
Groups = X25519
";

/// Sends load to `port` for `length`; any response that is not a whole good one is an error.
pub(super) fn saturate(
    scenario: Scenario,
    port: u16,
    length: Duration,
    folder: &Path,
) -> Result<Load, String> {
    let seconds = length.as_secs();
    match scenario {
        Scenario::H2 | Scenario::H2c => {
            let scheme = if scenario == Scenario::H2 { "https" } else { "http" };
            let words = [
                "h2load".into(),
                format!("-D{seconds}"),
                "-c8".into(),
                "-m16".into(),
                "-t1".into(),
                format!("{scheme}://127.0.0.1:{port}/"),
            ];
            h2load_said(&output(&mut client(&words, folder)?)?, length)
        }
        _ => {
            let scheme = if scenario == Scenario::H1Tls { "https" } else { "http" };
            let script = folder.join("wrk.lua");
            let half = scenario == Scenario::LimitHalf;
            let requests = if half { WRK_HALF } else { "" };
            fs::write(&script, format!("{WRK_SCRIPT}{requests}")).map_err(|e| e.to_string())?;
            let mut words = vec![
                "wrk".into(),
                "-t1".into(),
                "-c16".into(),
                format!("-d{seconds}s"),
                "-s".into(),
                script.display().to_string(),
                format!("{scheme}://127.0.0.1:{port}{}", scenario.path()),
            ];
            words.extend(scenario.field().map(|field| format!("-H{field}")));
            wrk_said(&output(&mut client(&words, folder)?)?, half)
        }
    }
}

fn client(words: &[String], folder: &Path) -> Result<Command, String> {
    let config = folder.join("openssl.cnf");
    fs::write(&config, OPENSSL_CONFIG).map_err(|e| e.to_string())?;
    let mut command = pinned(CORE_OTHERS, words);
    command.env("OPENSSL_CONF", config);
    Ok(command)
}

/// What wrk counted; `half` of it has to be denied, as far as an odd number and the first request
/// let it.
fn wrk_said(text: &str, half: bool) -> Result<Load, String> {
    let line = text.lines().find_map(|line| line.strip_prefix("totals "));
    let numbers: Vec<u64> = line.unwrap_or("").split(' ').flat_map(str::parse).collect();
    let [requests, bytes, micros, errors, denied, p50, p99] = numbers[..] else {
        return Err(format!("wrk said:\n{text}"));
    };
    let failed = if half { errors } else { errors + denied };
    if failed > 0 {
        return Err(format!("{failed} of {requests} requests failed"));
    }
    if half && (2 * denied).abs_diff(requests) > requests / 100 + 40 {
        return Err(format!("{denied} of {requests} requests were denied, which is not half"));
    }
    // wrk counts heads and bodies together; the exact length is checked by a probe.
    check_length(requests - denied, bytes, BODY_BYTES)?;
    let rate = requests as f64 / Duration::from_micros(micros).as_secs_f64();
    let latency = Latency { p50: Duration::from_micros(p50), p99: Duration::from_micros(p99) };
    Ok(Load { requests, denied, rate, latency: Some(latency) })
}

fn h2load_said(text: &str, length: Duration) -> Result<Load, String> {
    let line = |start: &str| text.lines().find_map(|line| line.strip_prefix(start));
    let count = |line: Option<&str>, what: &str| -> Option<u64> {
        let part = line?.split(',').find(|part| part.trim().ends_with(what))?;
        part.split_whitespace().next()?.parse().ok()
    };
    let requests = line("requests: ");
    let done = count(requests, "done");
    let good = count(line("status codes: "), "2xx");
    let bad = ["failed", "errored", "timeout"].map(|what| count(requests, what));
    let data = line("traffic: ").and_then(|line| {
        let part = line.split(',').find(|part| part.trim().ends_with("data"))?;
        part.split_once('(')?.1.split_once(')')?.0.parse().ok()
    });
    let (Some(done), Some(good), [Some(failed), Some(errored), Some(late)], Some(data)) =
        (done, good, bad, data)
    else {
        return Err(format!("h2load said:\n{text}"));
    };
    let bad = failed + errored + late + done.saturating_sub(good);
    if bad > 0 {
        return Err(format!("{bad} of {done} requests failed"));
    }
    check_length(done, data, BODY_BYTES)?;
    Ok(Load { requests: done, denied: 0, rate: done as f64 / length.as_secs_f64(), latency: None })
}

/// Whether `requests` responses had whole bodies of `body` bytes.
pub(super) fn check_length(requests: u64, bytes: u64, body: usize) -> Result<(), String> {
    if requests == 0 {
        return Err("no request was answered".into());
    }
    if bytes < requests * body as u64 {
        return Err(format!("short bodies: {bytes} bytes in {requests} responses"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrk_is_understood() {
        let load = wrk_said("Running\ntotals 1000 1200000 2000000 0 0 150 900\n", false).unwrap();
        assert_eq!((load.requests, load.rate), (1000, 500.0));
        assert_eq!(load.latency.unwrap().p99, Duration::from_micros(900));
        let bad = ["totals 10 99999 1000 1 0 1 1", "totals 10 99999 1000 0 1 1 1", "totals 0 0"];
        for bad in bad.into_iter().chain(["totals 10 10239 1000 0 0 1 1", ""]) {
            assert!(wrk_said(bad, false).is_err(), "{bad}");
        }
        let load = wrk_said("totals 10000 6000000 1000 0 4999 1 1", true).unwrap();
        assert_eq!((load.requests, load.denied), (10_000, 4_999));
        for bad in ["totals 10000 6000000 1000 1 4999 1 1", "totals 10000 6000000 1000 0 4800 1 1"]
        {
            assert!(wrk_said(bad, true).is_err(), "{bad}");
        }
    }

    #[test]
    fn h2load_is_understood() {
        let said = "finished in 2.00s, 46000.00 req/s, 50.03MB/s
requests: 1000 total, 1128 started, 1000 done, 1000 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 1000 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.00MB (1099000) total, 40.00KB (40960) headers (space savings 8%), 1.00MB (1024000) data
";
        let length = Duration::from_secs(2);
        assert_eq!(h2load_said(said, length).unwrap().rate, 500.0);
        for (from, to) in [
            ("0 failed", "1 failed"),
            ("1000 2xx, 0 3xx", "999 2xx, 1 3xx"),
            ("(1024000) data", "(1023999) data"),
            ("traffic", "gossip"),
        ] {
            assert!(h2load_said(&said.replace(from, to), length).is_err(), "{to}");
        }
    }
}
