//! Load at a fixed rate, with each latency measured from the moment the request was due.
//!
//! A client that waits for a slow answer before it sends the next request hides the wait; here
//! the request that could not be sent in time counts its delay too. It runs in its own process, so
//! that it can be pinned beside the backends.

use std::{
    fs,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{
    backend::BODY_BYTES,
    client::{Client, tls},
    load::{Latency, Load},
    server::{CORE_OTHERS, pinned},
};
use crate::process::output;

/// The verb that runs [`run`]; not for people.
pub(crate) const STEADY: &str = "bench-steady";

const CONNECTIONS: u32 = 32;
/// Beyond this the rate was not kept: the machine was busy, or the peer cannot serve as much.
const LATE_MAX: Duration = Duration::from_micros(500);

/// Sends `rate` requests per second to `port` for `length`, over TLS if `cert` is given.
pub(super) fn load(
    port: u16,
    rate: u32,
    length: Duration,
    cert: Option<&Path>,
) -> Result<Load, String> {
    let own = std::env::current_exe().map_err(|e| e.to_string())?;
    let mut words = vec![own.display().to_string(), STEADY.into(), port.to_string()];
    words.extend([rate.to_string(), length.as_secs().to_string()]);
    words.extend(cert.map(|cert| cert.display().to_string()));
    let said = output(&mut pinned(CORE_OTHERS, &words))?;
    let numbers: Vec<u64> = said.split_whitespace().flat_map(str::parse).collect();
    let [requests, p50, p99, late] = numbers[..] else {
        return Err(format!("the client at a fixed rate said:\n{said}"));
    };
    let [p50, p99, late] = [p50, p99, late].map(Duration::from_nanos);
    if late > LATE_MAX {
        return Err(format!(
            "half of all requests went out over {late:?} late: a busy machine, or a slow peer"
        ));
    }
    let rate = requests as f64 / length.as_secs_f64();
    Ok(Load { requests, denied: 0, rate, latency: Some(Latency { p50, p99 }) })
}

/// The verb: PORT RATE SECONDS and maybe a certificate; prints requests, p50, p99, median lateness.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let number = |i: usize| arguments.get(i).and_then(|word| word.parse::<u32>().ok());
    let (Some(port), Some(rate), Some(seconds)) = (number(0), number(1), number(2)) else {
        return Err(format!("{STEADY} PORT RATE SECONDS [CERT]"));
    };
    let port = u16::try_from(port).map_err(|e| e.to_string())?;
    let tls = arguments.get(3).map(|cert| tls(Path::new(cert))).transpose()?;
    // Wakes sleepers on time instead of up to 50 us later; threads started below inherit it.
    fs::write("/proc/self/timerslack_ns", "1000").ok();
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = Client::connect(port, tls.as_ref())?;
        client.get("/")?;
        clients.push(client);
    }
    let start = Instant::now() + Duration::from_millis(50);
    let schedule = Schedule { start, period: Duration::from_secs(1) / rate };
    let samples = rate.saturating_mul(seconds);
    let parts: Vec<Result<Vec<Sample>, String>> = thread::scope(|scope| {
        let start = |(nth, client)| scope.spawn(move || send(client, schedule, nth, samples));
        let threads: Vec<_> = (0..).zip(clients).map(start).collect();
        let join = |t: thread::ScopedJoinHandle<'_, _>| {
            t.join().unwrap_or_else(|_| Err("a thread of the client panicked".into()))
        };
        threads.into_iter().map(join).collect()
    });
    let mut all = Vec::new();
    for part in parts {
        all.extend(part?);
    }
    let mut latencies: Vec<Duration> = all.iter().map(|sample| sample.latency).collect();
    let mut late: Vec<Duration> = all.iter().map(|sample| sample.late).collect();
    let [p50, p99] = [50, 99].map(|percent| percentile(&mut latencies, percent).as_nanos());
    println!("{} {p50} {p99} {}", all.len(), percentile(&mut late, 50).as_nanos());
    Ok(())
}

#[derive(Debug, Clone, Copy)]
struct Schedule {
    start: Instant,
    period: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    /// From the moment the request was due to the end of the response.
    latency: Duration,
    /// From that moment to its being sent.
    late: Duration,
}

fn send(
    mut client: Client,
    schedule: Schedule,
    nth: u32,
    samples: u32,
) -> Result<Vec<Sample>, String> {
    let mut taken = Vec::with_capacity(samples.div_ceil(CONNECTIONS) as usize);
    for turn in (nth..samples).step_by(CONNECTIONS as usize) {
        let due = schedule.start + schedule.period * turn;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        let late = due.elapsed();
        let answer = client.get("/")?;
        if answer.status != 200 || answer.body.len() != BODY_BYTES {
            return Err(format!("status {}, {} bytes", answer.status, answer.body.len()));
        }
        taken.push(Sample { latency: due.elapsed(), late });
    }
    Ok(taken)
}

/// The value that `percent` of 100 samples do not exceed.
pub(super) fn percentile(samples: &mut [Duration], percent: usize) -> Duration {
    samples.sort_unstable();
    let rank = (samples.len() * percent).div_ceil(100).saturating_sub(1);
    samples.get(rank).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples() {
        let mut samples: Vec<_> = (1..=200).rev().map(Duration::from_micros).collect();
        assert_eq!(percentile(&mut samples, 50), Duration::from_micros(100));
        assert_eq!(percentile(&mut samples, 99), Duration::from_micros(198));
        assert_eq!(percentile(&mut [], 99), Duration::ZERO);
    }
}
