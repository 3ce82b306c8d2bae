//! The `scenarios` object, and the short forms that stand for one scenario.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Executor, OptionsError, Pool, Saturation, Scenario, Stage, format_duration, reader::Reader,
};

const SECOND: Duration = Duration::from_secs(1);
const GRACE: Duration = Duration::from_secs(30);
const MAX_DURATION: Duration = Duration::from_secs(600);

/// Rates above this are typing errors; below, no sum over a schedule overflows.
const RATE_MOST: u64 = 1 << 40;

/// VUs above this are typing errors as well.
const VUS_MOST: u32 = 1_000_000;

/// Keys that every scenario may have.
const COMMON: &[&str] =
    &["executor", "startTime", "gracefulStop", "exec", "env", "tags", "options"];

pub(super) fn scenarios(
    options: &Reader<'_>,
    warnings: &mut Vec<String>,
) -> Result<Vec<Scenario>, OptionsError> {
    let given = |key| options.value(key).is_some();
    for (one, other) in [
        ("duration", "stages"),
        ("iterations", "stages"),
        ("duration", "scenarios"),
        ("iterations", "scenarios"),
        ("stages", "scenarios"),
    ] {
        if given(one) && given(other) {
            let problem = format!("using `{one}` and `{other}` simultaneously is not allowed");
            return Err(options.error(one, problem));
        }
    }
    if let Some(value) = options.value("scenarios") {
        let Value::Object(map) = value else {
            return Err(options.error("scenarios", "must be an object"));
        };
        let each = map.iter().map(|(name, value)| scenario(name, value));
        let each = each.collect::<Result<Vec<_>, _>>()?;
        if !each.is_empty() {
            return Ok(each);
        }
    }
    Ok(vec![shortcut(options, warnings)?])
}

/// The scenario that `vus`, `duration`, `iterations` and `stages` stand for.
fn shortcut(options: &Reader<'_>, warnings: &mut Vec<String>) -> Result<Scenario, OptionsError> {
    let stages = stages(options)?;
    // Of one stage, k6 asks whether it has a duration; without, there are no stages.
    let none = stages.is_empty() || stages.len() == 1 && stages[0].0.is_none();
    let (duration, vus) = (options.duration("duration")?, vus(options, "vus")?);
    let executor = if let Some(iterations) = options.whole("iterations")? {
        let max_duration = at_least(options, "duration", duration.unwrap_or(MAX_DURATION))?;
        shared(options, vus, iterations, max_duration)?
    } else if let Some(duration) = duration {
        Executor::ConstantVus { vus, duration: at_least(options, "duration", duration)? }
    } else if !none {
        let stages = complete(options, stages)?;
        ramping(options, options.count("vus")?.unwrap_or(1), stages, GRACE)?
    } else {
        for empty in ["stages", "scenarios"] {
            if options.value(empty).is_some() {
                warnings.push(format!("`{empty}` is empty: running 1 iteration in 1 VU"));
            }
        }
        if options.value("vus").is_some() {
            let need = "`iterations`, `duration` or `stages`";
            warnings.push(format!("`vus` has an effect only with {need}"));
        }
        let (vus, iterations) = (1, 1);
        Executor::PerVuIterations { vus, iterations, max_duration: MAX_DURATION }
    };
    Ok(Scenario {
        name: "default".to_owned(),
        executor,
        start_time: Duration::ZERO,
        graceful_stop: GRACE,
        exec: "default".to_owned(),
        env: Vec::new(),
        tags: Vec::new(),
    })
}

fn scenario(name: &str, value: &Value) -> Result<Scenario, OptionsError> {
    let reader = Reader::of(format!("scenarios.{name}"), value)?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || !name.chars().all(word) {
        let problem = "the name may hold only numbers, latin letters, underscores and dashes";
        return Err(OptionsError::new(format!("scenarios.{name}"), problem));
    }
    let Some(kind) = reader.text("executor")? else {
        return Err(reader.error("executor", "is missing"));
    };
    let (executor, own) = executor(&reader, kind)?;
    let known: Vec<&str> = COMMON.iter().chain(own).copied().collect();
    if let Some(key) = reader.unknown(&known).first() {
        return Err(reader.error(key, format!("there is no such key for {kind}")));
    }
    Ok(Scenario {
        name: name.to_owned(),
        executor,
        start_time: reader.duration("startTime")?.unwrap_or_default(),
        graceful_stop: reader.duration("gracefulStop")?.unwrap_or(GRACE),
        exec: match reader.text("exec")? {
            None | Some("") => "default".to_owned(),
            Some(exec) => exec.to_owned(),
        },
        env: reader.pairs("env")?,
        tags: reader.pairs("tags")?,
    })
}

/// The executor and the keys that only it has.
fn executor(
    reader: &Reader<'_>,
    kind: &str,
) -> Result<(Executor, &'static [&'static str]), OptionsError> {
    let max_duration =
        || at_least(reader, "maxDuration", reader.duration("maxDuration")?.unwrap_or(MAX_DURATION));
    let duration = || match reader.duration("duration")? {
        Some(duration) => at_least(reader, "duration", duration),
        None => Err(reader.error("duration", "is missing")),
    };
    let time_unit = || match reader.duration("timeUnit")?.unwrap_or(SECOND) {
        Duration::ZERO => Err(reader.error("timeUnit", "must be more than 0")),
        unit => Ok(unit),
    };
    Ok(match kind {
        "shared-iterations" => {
            let iterations = reader.whole("iterations")?.unwrap_or(1);
            let executor = shared(reader, vus(reader, "vus")?, iterations, max_duration()?)?;
            (executor, &["vus", "iterations", "maxDuration"])
        }
        "per-vu-iterations" => {
            let iterations = reader.whole("iterations")?.unwrap_or(1);
            if iterations == 0 {
                return Err(reader.error("iterations", "must be more than 0"));
            }
            let (vus, max_duration) = (vus(reader, "vus")?, max_duration()?);
            let executor = Executor::PerVuIterations { vus, iterations, max_duration };
            (executor, &["vus", "iterations", "maxDuration"])
        }
        "constant-vus" => {
            let executor =
                Executor::ConstantVus { vus: vus(reader, "vus")?, duration: duration()? };
            (executor, &["vus", "duration"])
        }
        "ramping-vus" => {
            let start = reader.count("startVUs")?.unwrap_or(1);
            let grace = reader.duration("gracefulRampDown")?.unwrap_or(GRACE);
            let executor = ramping(reader, start, complete(reader, stages(reader)?)?, grace)?;
            (executor, &["startVUs", "stages", "gracefulRampDown"])
        }
        "constant-arrival-rate" => {
            let (duration, time_unit, pool) = (duration()?, time_unit()?, pool(reader)?);
            let rate = match reader.whole("rate")? {
                None => return Err(reader.error("rate", "is missing")),
                Some(0) => return Err(reader.error("rate", "must be more than 0")),
                Some(rate) => limited(reader, "rate", rate)?,
            };
            let executor = Executor::ConstantArrivalRate { rate, time_unit, duration, pool };
            let own =
                &["rate", "timeUnit", "duration", "preAllocatedVUs", "maxVUs", "onSaturation"];
            (executor, own)
        }
        "ramping-arrival-rate" => {
            let start_rate = reader.whole("startRate")?.unwrap_or(0);
            let executor = Executor::RampingArrivalRate {
                start_rate: limited(reader, "startRate", start_rate)?,
                time_unit: time_unit()?,
                stages: complete(reader, stages(reader)?)?,
                pool: pool(reader)?,
            };
            (
                executor,
                &["startRate", "timeUnit", "stages", "preAllocatedVUs", "maxVUs", "onSaturation"],
            )
        }
        "externally-controlled" => {
            return Err(reader.error("executor", "k6 2.0 has removed externally-controlled"));
        }
        other => return Err(reader.error("executor", format!("there is no executor '{other}'"))),
    })
}

fn shared(
    reader: &Reader<'_>,
    vus: u32,
    iterations: u64,
    max_duration: Duration,
) -> Result<Executor, OptionsError> {
    if iterations < u64::from(vus) {
        let problem = format!("{iterations} can't be less than the number of VUs ({vus})");
        return Err(reader.error("iterations", problem));
    }
    Ok(Executor::SharedIterations { vus, iterations, max_duration })
}

fn ramping(
    reader: &Reader<'_>,
    start_vus: u32,
    stages: Vec<Stage>,
    graceful_ramp_down: Duration,
) -> Result<Executor, OptionsError> {
    let most = stages.iter().map(|stage| stage.target).fold(u64::from(start_vus), u64::max);
    if most == 0 {
        let problem = "either startVUs or one of the targets must be greater than 0";
        return Err(reader.error("stages", problem));
    }
    if most > u64::from(VUS_MOST) {
        return Err(reader.error("stages", format!("more than {VUS_MOST} VUs")));
    }
    Ok(Executor::RampingVus { start_vus, stages, graceful_ramp_down })
}

fn pool(reader: &Reader<'_>) -> Result<Pool, OptionsError> {
    let Some(pre_allocated_vus) = reader.count("preAllocatedVUs")? else {
        return Err(reader.error("preAllocatedVUs", "is missing"));
    };
    let given = reader.count("maxVUs")?;
    let max_vus = given.unwrap_or(pre_allocated_vus);
    if max_vus < pre_allocated_vus {
        return Err(reader.error("maxVUs", "can't be less than preAllocatedVUs"));
    }
    if max_vus == 0 || max_vus > VUS_MOST {
        return Err(reader.error("maxVUs", format!("must be 1 to {VUS_MOST}")));
    }
    let on_saturation = match reader.text("onSaturation")? {
        Some("queue") => Saturation::Queue,
        Some("drop") => Saturation::Drop,
        // Whoever names a maximum means k6's; without one, nothing is to be lost.
        None if given.is_some() => Saturation::Drop,
        None => Saturation::Queue,
        Some(other) => {
            let problem = format!("'{other}' is neither queue nor drop");
            return Err(reader.error("onSaturation", problem));
        }
    };
    Ok(Pool { pre_allocated_vus, max_vus, on_saturation })
}

fn vus(reader: &Reader<'_>, key: &str) -> Result<u32, OptionsError> {
    match reader.count(key)?.unwrap_or(1) {
        0 => Err(reader.error(key, "the number of VUs must be more than 0")),
        vus if vus > VUS_MOST => Err(reader.error(key, format!("more than {VUS_MOST} VUs"))),
        vus => Ok(vus),
    }
}

fn limited(reader: &Reader<'_>, key: &str, rate: u64) -> Result<u64, OptionsError> {
    if rate > RATE_MOST { Err(reader.error(key, "is too large")) } else { Ok(rate) }
}

fn at_least(reader: &Reader<'_>, key: &str, duration: Duration) -> Result<Duration, OptionsError> {
    if duration < SECOND {
        let problem = format!("must be at least 1s, but is {}", format_duration(duration));
        return Err(reader.error(key, problem));
    }
    Ok(duration)
}

/// Duration and target of a stage as they are written; either may be missing.
type Written = (Option<Duration>, Option<u64>);

fn stages(reader: &Reader<'_>) -> Result<Vec<Written>, OptionsError> {
    let each = reader.list("stages")?.iter().enumerate().map(|(i, value)| {
        let stage = Reader::of(format!("{}[{i}]", reader.path("stages")), value)?;
        if let Some(key) = stage.unknown(&["duration", "target"]).first() {
            return Err(stage.error(key, "there is no such key of a stage"));
        }
        let target = stage.whole("target")?;
        let target = target.map(|target| limited(&stage, "target", target)).transpose()?;
        Ok((stage.duration("duration")?, target))
    });
    each.collect()
}

/// Stages with both parts, at least one.
fn complete(reader: &Reader<'_>, stages: Vec<Written>) -> Result<Vec<Stage>, OptionsError> {
    if stages.is_empty() {
        return Err(reader.error("stages", "at least one stage has to be specified"));
    }
    let each = stages.into_iter().enumerate().map(|(i, stage)| match stage {
        (Some(duration), Some(target)) => Ok(Stage { duration, target }),
        (None, _) => Err(reader.error("stages", format!("stage {} has no duration", i + 1))),
        (_, None) => Err(reader.error("stages", format!("stage {} has no target", i + 1))),
    });
    each.collect()
}

/// A scenario as a script would write it, with all defaults.
pub(super) fn to_json(scenario: &Scenario) -> Value {
    let time = |duration: &Duration| json!(format_duration(*duration));
    let stages = |stages: &[Stage]| -> Value {
        let stage = |s: &Stage| json!({ "duration": time(&s.duration), "target": s.target });
        stages.iter().map(stage).collect()
    };
    let mut value = match &scenario.executor {
        Executor::SharedIterations { vus, iterations, max_duration } => json!({
            "executor": "shared-iterations",
            "vus": vus, "iterations": iterations, "maxDuration": time(max_duration),
        }),
        Executor::PerVuIterations { vus, iterations, max_duration } => json!({
            "executor": "per-vu-iterations",
            "vus": vus, "iterations": iterations, "maxDuration": time(max_duration),
        }),
        Executor::ConstantVus { vus, duration } => {
            json!({ "executor": "constant-vus", "vus": vus, "duration": time(duration) })
        }
        Executor::RampingVus { start_vus, stages: ramp, graceful_ramp_down } => json!({
            "executor": "ramping-vus", "startVUs": start_vus, "stages": stages(ramp),
            "gracefulRampDown": time(graceful_ramp_down),
        }),
        Executor::ConstantArrivalRate { rate, time_unit, duration, pool } => json!({
            "executor": "constant-arrival-rate", "rate": rate, "timeUnit": time(time_unit),
            "duration": time(duration), "preAllocatedVUs": pool.pre_allocated_vus,
            "maxVUs": pool.max_vus,
        }),
        Executor::RampingArrivalRate { start_rate, time_unit, stages: ramp, pool } => json!({
            "executor": "ramping-arrival-rate", "startRate": start_rate,
            "timeUnit": time(time_unit), "stages": stages(ramp),
            "preAllocatedVUs": pool.pre_allocated_vus, "maxVUs": pool.max_vus,
        }),
    };
    value["startTime"] = time(&scenario.start_time);
    value["gracefulStop"] = time(&scenario.graceful_stop);
    value["exec"] = json!(scenario.exec);
    let pairs = |pairs: &[(String, String)]| -> Value {
        Value::Object(pairs.iter().map(|(k, v)| (k.clone(), json!(v))).collect())
    };
    (value["env"], value["tags"]) = (pairs(&scenario.env), pairs(&scenario.tags));
    value
}
