//! The charts, as SVG.

use super::Timeline;
use crate::{
    metrics::{Sink, Trend, builtin},
    summary::Summary,
};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 24.0;
const TOP: f64 = 18.0;

/// A curve: the style of its line, its name and its values, one per slot.
type Curve<'a> = (&'a str, &'a str, Vec<f64>);

/// Requests per second, failures among them, and VUs on a scale of their own.
pub(super) fn rate(timeline: &Timeline) -> String {
    let seconds = timeline.slot_length().as_secs_f64();
    let of = |value: fn(&super::Slot) -> f64| timeline.slots().iter().map(value).collect();
    let requests: Vec<f64> = timeline.slots().iter().map(|slot| slot.requests / seconds).collect();
    let vus: Vec<f64> = of(|slot| f64::from(slot.vus));
    let most = vus.iter().copied().fold(0.0, f64::max);
    let highest = requests.iter().copied().fold(0.0, f64::max);
    let name = format!("VUs (most: {most})");
    let vus = vus.iter().map(|vus| vus / most.max(1.0) * highest).collect();
    over_time(timeline, &[("main", "requests/s", requests), ("second", &name, vus)])
}

/// Failed requests and dropped iterations per second; nothing when there were none.
pub(super) fn errors(timeline: &Timeline) -> String {
    let seconds = timeline.slot_length().as_secs_f64();
    let slots = timeline.slots();
    let failed: Vec<f64> = slots.iter().map(|slot| slot.failed as f64 / seconds).collect();
    let dropped: Vec<f64> = slots.iter().map(|slot| slot.dropped / seconds).collect();
    if failed.iter().chain(&dropped).all(|value| *value == 0.0) {
        return String::new();
    }
    over_time(timeline, &[("failed", "failed/s", failed), ("second", "dropped/s", dropped)])
}

/// Each slot a column, each latency a row, the darker the more requests.
pub(super) fn heat(timeline: &Timeline) -> String {
    let slots = timeline.slots();
    let used = |bucket: &usize| slots.iter().any(|slot| slot.heat[*bucket] > 0);
    let Some(low) = (0..super::Slot::BUCKETS).find(used) else { return String::new() };
    let high = (0..super::Slot::BUCKETS).rev().find(used).unwrap_or(low);
    let most = slots.iter().flat_map(|slot| slot.heat).max().unwrap_or(1) as f64;
    let rows = (high - low + 1) as f64;
    let (width, height) = ((WIDTH - LEFT) / slots.len() as f64, (HEIGHT - TOP - BOTTOM) / rows);
    let top = |bucket: usize| HEIGHT - BOTTOM - height * (bucket - low + 1) as f64;
    let mut svg = String::new();
    for (column, slot) in slots.iter().enumerate() {
        let x = LEFT + width * column as f64;
        for bucket in (low..=high).filter(|bucket| slot.heat[*bucket] > 0) {
            let count = slot.heat[bucket];
            let opacity = 0.12 + 0.88 * (1.0 + count as f64).ln() / (1.0 + most).ln();
            let (from, to) =
                (ms(Timeline::bucket_begin(bucket)), ms(Timeline::bucket_begin(bucket + 1)));
            svg += &format!(
                "<rect class=\"cell\" x=\"{x:.1}\" y=\"{:.1}\" width=\"{width:.2}\" \
                 height=\"{height:.2}\" fill-opacity=\"{opacity:.2}\"><title>{count} requests, \
                 {from} to {to}</title></rect>\n",
                top(bucket)
            );
        }
    }
    for bucket in (low..=high).step_by(((high - low) / 8).max(1)) {
        let y = top(bucket) + height;
        svg += &format!(
            "<text x=\"{:.0}\" y=\"{y:.1}\" text-anchor=\"end\">{}</text>\n",
            LEFT - 6.0,
            ms(Timeline::bucket_begin(bucket))
        );
    }
    framed("heat map of latencies", &(svg + &seconds(timeline)))
}

/// Latency against the share of requests that took longer, on a logarithmic scale.
pub(super) fn percentiles(summary: &Summary<'_>) -> String {
    let trend = |id| match summary.totals.sink(id) {
        Some(Sink::Trend(trend)) if !trend.is_empty() => Some(&**trend),
        _ => None,
    };
    let curves: Vec<(&str, &str, &Trend)> = [
        ("main", "service time", trend(builtin::HTTP_REQ_DURATION)),
        ("second", "from the scheduled start", trend(builtin::HTTP_REQ_LATENCY)),
    ]
    .into_iter()
    .filter_map(|(class, name, trend)| Some((class, name, trend?)))
    .collect();
    let Some(most) = curves.iter().map(|(_, _, trend)| trend.count()).max() else {
        return String::new();
    };
    // As many nines as there are requests to tell.
    let decades = (most as f64).log10().clamp(1.0, 6.0);
    let highest = curves.iter().map(|(_, _, trend)| trend.max()).fold(0.0, f64::max);
    let x = |percent: f64| {
        let nines = -(1.0 - percent / 100.0).max(1e-9).log10();
        LEFT + (WIDTH - LEFT) * (nines / decades).min(1.0)
    };
    let mut svg = horizontal(highest, " ms");
    for percent in [0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999] {
        let x = x(percent);
        if percent < 90.0 || (-(1.0 - percent / 100.0).log10()) <= decades + 0.01 {
            let y = HEIGHT - 6.0;
            svg +=
                &format!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{percent}%</text>\n");
        }
    }
    for (i, (class, name, trend)) in curves.iter().enumerate() {
        let steps = 100;
        let points = (0..=steps).map(|step| {
            let nines = decades * f64::from(step) / f64::from(steps);
            let percent = 100.0 * (1.0 - 10f64.powf(-nines));
            format!("{:.1},{:.1} ", x(percent), y(trend.percentile(percent), highest))
        });
        svg += &curve(class, name, i, &points.collect::<String>());
    }
    framed("latency by percentile", &svg)
}

fn over_time(timeline: &Timeline, curves: &[Curve<'_>]) -> String {
    if timeline.slots().is_empty() {
        return String::new();
    }
    let all = curves.iter().flat_map(|(_, _, values)| values);
    let highest = all.copied().fold(0.0, f64::max);
    let width = (WIDTH - LEFT) / timeline.slots().len() as f64;
    let mut svg = horizontal(highest, "") + &seconds(timeline);
    for (i, (class, name, values)) in curves.iter().enumerate() {
        let points = values.iter().enumerate().map(|(slot, value)| {
            let x = LEFT + width * (slot as f64 + 0.5);
            format!("{x:.1},{:.1} ", y(*value, highest))
        });
        svg += &curve(class, name, i, &points.collect::<String>());
    }
    framed("values over time", &svg)
}

fn curve(class: &str, name: &str, place: usize, points: &str) -> String {
    let x = LEFT + 8.0 + 220.0 * place as f64;
    format!(
        "<polyline class=\"curve {class}\" points=\"{points}\"/>\n\
         <text class=\"key-{class}\" x=\"{x:.0}\" y=\"12\">{name}</text>\n"
    )
}

fn y(value: f64, highest: f64) -> f64 {
    let room = HEIGHT - TOP - BOTTOM;
    HEIGHT - BOTTOM - room * value / if highest > 0.0 { highest } else { 1.0 }
}

/// Lines at round values, with those values.
fn horizontal(highest: f64, unit: &str) -> String {
    let step = round_step(highest / 4.0);
    let values = (0..=5).map(|i| step * f64::from(i)).filter(|value| *value <= highest * 1.001);
    let line = |value: f64| {
        let y = y(value, highest);
        format!(
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\n\
             <text x=\"{:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}{unit}</text>\n",
            LEFT - 6.0,
            y + 4.0,
            crate::summary::plain(value)
        )
    };
    values.map(line).collect()
}

/// The seconds below a chart over time.
fn seconds(timeline: &Timeline) -> String {
    let length = timeline.slot_length().as_secs_f64() * timeline.slots().len() as f64;
    let step = round_step(length / 8.0);
    let marks = (0..=10).map(|i| step * f64::from(i)).filter(|second| *second <= length);
    let mark = |second: f64| {
        let x = LEFT + (WIDTH - LEFT) * second / length;
        let (y, text) = (HEIGHT - 6.0, crate::summary::plain(second));
        format!("<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{text}s</text>\n")
    };
    marks.map(mark).collect()
}

/// 1, 2 or 5 times a power of ten, not below `least`.
fn round_step(least: f64) -> f64 {
    if least.is_nan() || least <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(least.log10().floor());
    let step = [1.0, 2.0, 5.0].into_iter().find(|step| step * power >= least);
    step.unwrap_or(10.0) * power
}

fn ms(value: f64) -> String {
    let digits = if value < 0.1 {
        3
    } else if value < 10.0 {
        2
    } else {
        0
    };
    format!("{value:.digits$} ms")
}

fn framed(label: &str, content: &str) -> String {
    let width = WIDTH + 2.0 * BOTTOM;
    format!(
        "<svg viewBox=\"0 0 {width} {HEIGHT}\" role=\"img\" aria-label=\"{label}\">\n{content}\
         </svg>\n"
    )
}
