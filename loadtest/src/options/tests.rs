use std::time::Duration;

use clap::Parser;
use serde_json::{Value, json};

use super::*;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn of(script: &Value) -> Result<Options, OptionsError> {
    Options::from_layers(&[script], [], &Flags::default())
}

fn flags(line: &str) -> Flags {
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        flags: Flags,
    }
    Line::try_parse_from(line.split(' ')).unwrap().flags
}

fn only(script: &Value) -> Executor {
    let mut scenarios = of(script).unwrap().scenarios;
    assert_eq!(scenarios.len(), 1);
    scenarios.remove(0).executor
}

#[test]
fn the_short_forms_stand_for_one_scenario() {
    let max_duration = seconds(600);
    assert_eq!(
        only(&json!(null)),
        Executor::PerVuIterations { vus: 1, iterations: 1, max_duration }
    );
    assert_eq!(
        only(&json!({ "vus": 2, "iterations": 9 })),
        Executor::SharedIterations { vus: 2, iterations: 9, max_duration }
    );
    assert_eq!(
        only(&json!({ "vus": "2", "iterations": 9, "duration": "5s" })),
        Executor::SharedIterations { vus: 2, iterations: 9, max_duration: seconds(5) }
    );
    assert_eq!(
        only(&json!({ "vus": 3, "duration": 1500 })),
        Executor::ConstantVus { vus: 3, duration: Duration::from_millis(1500) }
    );
    let stages = vec![
        Stage { duration: seconds(90), target: 10 },
        Stage { duration: Duration::ZERO, target: 0 },
    ];
    let graceful_ramp_down = seconds(30);
    assert_eq!(
        only(&json!({ "vus": 4, "stages": [
            { "duration": "1m30s", "target": 10 }, { "duration": 0, "target": "0" }] })),
        Executor::RampingVus { start_vus: 4, stages, graceful_ramp_down }
    );
    for empty in [json!({ "stages": [{ "target": 1 }] }), json!({ "scenarios": {} })] {
        assert!(matches!(only(&empty), Executor::PerVuIterations { .. }), "{empty}");
        assert!(of(&empty).unwrap().warnings[0].contains("empty"));
    }
}

#[test]
fn scenarios_have_the_defaults_of_k6() {
    let options = of(&json!({ "scenarios": {
        "a": { "executor": "constant-arrival-rate", "rate": 30, "duration": "30s",
               "preAllocatedVUs": 2, "maxVUs": 5, "env": { "A": "b" }, "tags": { "t": "u" } },
        "b": { "executor": "ramping-arrival-rate", "startTime": "5s", "gracefulStop": "1s",
               "exec": "other", "timeUnit": "1m", "preAllocatedVUs": 1,
               "stages": [{ "duration": "1s", "target": 600 }] },
    } }));
    let [a, b] = options.unwrap().scenarios.try_into().unwrap();
    let pool = Pool { pre_allocated_vus: 2, max_vus: 5, on_saturation: Saturation::Drop };
    let (duration, time_unit) = (seconds(30), seconds(1));
    assert_eq!(a.executor, Executor::ConstantArrivalRate { rate: 30, time_unit, duration, pool });
    assert_eq!((a.start_time, a.graceful_stop), (Duration::ZERO, seconds(30)));
    assert_eq!((a.exec.as_str(), a.env.len(), a.tags.len()), ("default", 1, 1));
    let Executor::RampingArrivalRate { start_rate: 0, time_unit, pool, .. } = b.executor else {
        panic!("{b:?}")
    };
    assert_eq!(time_unit, seconds(60));
    assert_eq!((pool.max_vus, pool.on_saturation), (1, Saturation::Queue));
    assert_eq!((b.start_time, b.graceful_stop, &*b.exec), (seconds(5), seconds(1), "other"));
}

/// k6 1.1 refuses each of these with exit code 104.
#[test]
fn nonsense_is_refused_by_name() {
    let scenario = |rest: Value| json!({ "scenarios": { "a": rest } });
    for (script, option) in [
        (json!([1]), "options"),
        (scenario(json!({ "executor": "shared-iterations", "foo": 1 })), "scenarios.a.foo"),
        (scenario(json!({ "vus": 1 })), "scenarios.a.executor"),
        (scenario(json!({ "executor": "x" })), "scenarios.a.executor"),
        (json!({ "duration": "100ms" }), "duration"),
        (json!({ "duration": "1x" }), "duration"),
        (json!({ "vus": 0, "iterations": 1 }), "vus"),
        (json!({ "vus": 5, "iterations": 2 }), "iterations"),
        (json!({ "iterations": -1 }), "iterations"),
        (json!({ "duration": "1s", "stages": [] }), "duration"),
        (json!({ "iterations": 1, "stages": [] }), "iterations"),
        (json!({ "duration": "1s", "scenarios": {} }), "duration"),
        (json!({ "scenarios": { "a b": { "executor": "shared-iterations" } } }), "scenarios.a b"),
        (
            scenario(json!({ "executor": "shared-iterations", "maxDuration": "500ms" })),
            "scenarios.a.maxDuration",
        ),
        (
            scenario(json!({ "executor": "shared-iterations", "startTime": "-1s" })),
            "scenarios.a.startTime",
        ),
        (
            scenario(json!({ "executor": "shared-iterations", "env": { "A": 1 } })),
            "scenarios.a.env.A",
        ),
        (
            scenario(json!({ "executor": "constant-arrival-rate", "duration": "1s",
                             "preAllocatedVUs": 1 })),
            "scenarios.a.rate",
        ),
        (
            scenario(json!({ "executor": "constant-arrival-rate", "duration": "1s", "rate": 1.5,
                             "preAllocatedVUs": 1 })),
            "scenarios.a.rate",
        ),
        (
            scenario(json!({ "executor": "constant-arrival-rate", "duration": "1s", "rate": 1 })),
            "scenarios.a.preAllocatedVUs",
        ),
        (
            scenario(json!({ "executor": "constant-arrival-rate", "duration": "1s", "rate": 1,
                             "preAllocatedVUs": 3, "maxVUs": 1 })),
            "scenarios.a.maxVUs",
        ),
        (
            scenario(json!({ "executor": "constant-arrival-rate", "duration": "1s", "rate": 1,
                             "preAllocatedVUs": 1, "timeUnit": "0s" })),
            "scenarios.a.timeUnit",
        ),
        (scenario(json!({ "executor": "ramping-vus", "stages": [] })), "scenarios.a.stages"),
        (
            scenario(json!({ "executor": "ramping-vus", "startVUs": 0,
                             "stages": [{ "duration": "1s", "target": 0 }] })),
            "scenarios.a.stages",
        ),
    ] {
        let error = of(&script).expect_err(&script.to_string());
        assert_eq!(error.option, option, "{script}: {error}");
    }
}

/// And each of these.
#[test]
fn so_is_what_is_no_scenario() {
    for (script, option) in [
        (json!({ "stages": [{ "duration": "1s" }] }), "stages"),
        (json!({ "stages": [{ "duration": "1s", "target": -1 }] }), "stages[0].target"),
        (json!({ "tags": { "a": 1 } }), "tags.a"),
        (json!({ "thresholds": { "http_reqs": "count>0" } }), "thresholds.http_reqs"),
        (json!({ "thresholds": { "x": [{}] } }), "thresholds['x'][0].threshold"),
        (json!({ "summaryTrendStats": ["avg", "foo"] }), "summaryTrendStats"),
        (json!({ "tlsVersion": "tls1.9" }), "tlsVersion"),
        (json!({ "dns": { "ttl": "x" } }), "dns.ttl"),
        (json!({ "dns": { "select": "x" } }), "dns.select"),
        (json!({ "blacklistIPs": ["1.2.3.4"] }), "blacklistIPs"),
        (json!({ "blockHostnames": ["a*b"] }), "blockHostnames"),
        (json!({ "batch": "a" }), "batch"),
        (json!({ "executionSegment": "0:1/2" }), "executionSegment"),
    ] {
        let error = of(&script).expect_err(&script.to_string());
        assert_eq!(error.option, option, "{script}: {error}");
    }
}

/// And takes each of these.
#[test]
fn what_k6_takes_is_taken() {
    for script in [
        json!({ "foo": 1 }),
        json!({ "vus": 2 }),
        json!({ "tags": null, "userAgent": null }),
        json!({ "summaryTimeUnit": "h", "systemTags": ["foo"], "httpDebug": "x", "rps": -1 }),
        json!({ "tlsVersion": { "min": "tls1.2", "max": "tls1.3" } }),
        json!({ "setupTimeout": "10", "teardownTimeout": 5000 }),
        json!({ "stages": [{ "duration": "1ms", "target": 1 }] }),
        json!({ "executionSegment": "0:1", "cloud": {}, "ext": { "loadimpact": {} } }),
    ] {
        of(&script).unwrap_or_else(|error| panic!("{script}: {error}"));
    }
    assert_eq!(of(&json!({ "foo": 1 })).unwrap().warnings, ["there is no option `foo`"]);
}

#[test]
fn the_command_line_wins_over_the_environment_and_that_over_the_script() {
    let script = json!({
        "scenarios": { "a": { "executor": "shared-iterations" } },
        "maxRedirects": 1, "batch": 2, "rps": 3, "tags": { "a": "1", "b": "1" },
    });
    let environment =
        [("K6_MAX_REDIRECTS", "4"), ("K6_BATCH", "5"), ("K6_DURATION", "2s"), ("K6_X", "")];
    let options = |line| Options::from_layers(&[&script], environment, &flags(line)).unwrap();
    let it = options("x --max-redirects 6 --tag a=2 --tag c=x,y -w");
    assert_eq!((it.max_redirects, it.batch, it.rps, it.throw), (6, 5, Some(3), true));
    let tags = [("a", "2"), ("c", "x,y")].map(|(k, v)| (k.to_owned(), v.to_owned()));
    assert_eq!(it.tags, tags);
    let executor = Executor::ConstantVus { vus: 1, duration: seconds(2) };
    assert_eq!((it.scenarios.len(), &it.scenarios[0].executor), (1, &executor));
    let it = options("x -s 10s:5 -s 1m:0 -u 3");
    let Executor::RampingVus { start_vus: 3, stages, .. } = &it.scenarios[0].executor else {
        panic!("{it:?}")
    };
    assert_eq!(stages[1], Stage { duration: seconds(60), target: 0 });
    assert_eq!(it.consolidated["scenarios"]["default"]["stages"][0]["target"], 5);
    let error =
        Options::from_layers(&[&script], [("K6_STAGES", "x")], &Flags::default()).unwrap_err();
    assert_eq!(error.option, "K6_STAGES");
}

#[test]
fn lists_and_pairs_can_be_written_as_one_text() {
    let line = "x --dns ttl=inf,select=first,policy=onlyIPv6 --summary-trend-stats p(99.9),count \
                --system-tags method,vu --blacklist-ip 10.0.0.0/8 --blacklist-ip ::1/128";
    let environment = [("K6_HOSTS", "a.b=1.2.3.4,c.d:443=[::1]:8443")];
    let it = Options::from_layers(&[], environment, &flags(line)).unwrap();
    let (ttl, select, policy) = (None, DnsSelect::First, DnsPolicy::OnlyIpv6);
    assert_eq!(it.dns, Dns { ttl, select, policy });
    assert_eq!(it.summary_trend_stats, [TrendStat::Percentile(99.9), TrendStat::Count]);
    assert!(it.system_tags.has(SystemTag::Vu) && !it.system_tags.has(SystemTag::Url));
    assert_eq!(it.blacklist_ips.len(), 2);
    assert_eq!(it.hosts[1].1.port, Some(8443));
}

#[test]
fn durations_are_read_and_written_as_k6_does() {
    for (text, nanos, written) in [
        ("1m30s", 90_000_000_000, "1m30s"),
        ("90", 90_000_000, "90ms"),
        ("1.5s", 1_500_000_000, "1.5s"),
        ("0", 0, "0s"),
        ("2h", 7_200_000_000_000, "2h0m0s"),
        ("1d1h", 90_000_000_000_000, "25h0m0s"),
        ("1h15m30.918273645s", 4_530_918_273_645, "1h15m30.918273645s"),
        ("12us", 12_000, "12\u{b5}s"),
        ("1500ns", 1_500, "1.5\u{b5}s"),
        (".5ms", 500_000, "500\u{b5}s"),
    ] {
        let duration = parse_duration(text).unwrap();
        assert_eq!((duration.as_nanos(), format_duration(duration).as_str()), (nanos, written));
    }
    for text in ["", "x", "1x", "1s2", "-1s", "1..2s", "s", "1e300", "NaN", "inf", "99999999h"] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
}

/// Whatever a script says, it is refused or gives schedules that can be asked anything.
#[test]
fn no_script_makes_it_panic() {
    let mut state = 1u64;
    let mut pick = |most: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % most as u64) as usize
    };
    let values = odd_values();
    let executors = [
        "shared-iterations",
        "per-vu-iterations",
        "constant-vus",
        "ramping-vus",
        "constant-arrival-rate",
        "ramping-arrival-rate",
    ];
    let keys = [
        "vus",
        "iterations",
        "maxDuration",
        "duration",
        "startVUs",
        "stages",
        "gracefulRampDown",
        "rate",
        "startRate",
        "timeUnit",
        "preAllocatedVUs",
        "maxVUs",
        "startTime",
        "gracefulStop",
    ];
    let mut accepted = 0;
    for _ in 0..20_000 {
        let mut scenario = json!({
            "executor": executors[pick(6)], "duration": "1s", "rate": 1, "preAllocatedVUs": 1,
            "stages": [{ "duration": "1s", "target": 1 }],
        });
        // Most executors know only some of the keys.
        let known = match scenario["executor"].as_str().unwrap() {
            "constant-vus" => &["duration"][..],
            "ramping-vus" => &["stages"],
            "constant-arrival-rate" => &["duration", "rate", "preAllocatedVUs"],
            "ramping-arrival-rate" => &["stages", "preAllocatedVUs"],
            _ => &[],
        };
        let scenario = scenario.as_object_mut().unwrap();
        scenario.retain(|key, _| key == "executor" || known.contains(&key.as_str()));
        for _ in 0..=pick(3) {
            scenario.insert(keys[pick(keys.len())].to_owned(), values[pick(values.len())].clone());
        }
        let script = json!({ "scenarios": { "a": scenario } });
        let Ok(options) = of(&script) else { continue };
        accepted += 1;
        ask(&options.scenarios[0]);
    }
    assert!(accepted > 700, "{accepted}");
}

/// Asks the schedule of `scenario` at its corners.
fn ask(scenario: &Scenario) {
    let plan = crate::executor::Plan::new(scenario);
    for now in [Duration::ZERO, seconds(1), plan.end(), plan.deadline()] {
        match &plan {
            crate::executor::Plan::Vus(vus) => {
                vus.next(0, 0, now);
                vus.next(vus.vus_most().saturating_sub(1), u64::MAX, now);
                vus.vus(now);
            }
            crate::executor::Plan::Arrivals(arrivals) => {
                arrivals.start(0);
                arrivals.start(arrivals.len().saturating_sub(1));
                assert!(arrivals.rate(now).is_finite());
            }
        }
    }
}

fn odd_values() -> Vec<Value> {
    vec![
        json!(null),
        json!(-1),
        json!(0),
        json!(1),
        json!(3),
        json!(1.5),
        json!(1e300),
        json!("1s"),
        json!("2m"),
        json!("-1s"),
        json!("x"),
        json!(""),
        json!("876000h"),
        json!("99999999999h"),
        json!(u64::MAX),
        json!(u32::MAX),
        json!(1u64 << 40),
        json!(true),
        json!([]),
        json!({}),
        json!("1ns"),
        json!([{ "duration": "876000h", "target": 1u64 << 40 }]),
        json!([{ "duration": 0, "target": 5 }, { "duration": "1s", "target": 0 }]),
        json!([{ "duration": "1s", "target": 1 }, 7]),
    ]
}
