//! `p(95)<200`: what is compared with which number, and how.

use std::time::Duration;

use crate::metrics::{Kind, Sink};

/// A threshold's expression.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expression {
    method: Method,
    operator: Operator,
    bound: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Method {
    Count,
    Rate,
    Value,
    Avg,
    Min,
    Max,
    Med,
    Percentile(f64),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
    NotEqual,
}

/// Longer ones first, so that `<=` is not read as `<`.
const OPERATORS: &[(&str, Operator)] = &[
    ("===", Operator::Equal),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl Expression {
    /// Parses `text`, or says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let at = text.find(['<', '>', '=', '!']).ok_or("there is no comparison in it")?;
        let (left, rest) = (text[..at].trim(), &text[at..]);
        let operator = OPERATORS.iter().find(|(sign, _)| rest.starts_with(sign));
        let (sign, operator) = operator.ok_or("there is no comparison in it")?;
        let right = rest[sign.len()..].trim();
        let bound = right.parse().map_err(|_| format!("'{right}' is no number"))?;
        let method = Method::parse(left).ok_or_else(|| {
            format!("'{left}' is none of count, rate, value, avg, min, max, med and p(N)")
        })?;
        Ok(Self { method, operator: *operator, bound })
    }

    /// What is compared, as in `p(95)`.
    pub fn method(&self) -> String {
        self.method.name()
    }

    /// What is compared, for a metric that kept `sink`; none where k6 has none either.
    pub fn value(&self, kind: Kind, sink: Option<&Sink>, elapsed: Duration) -> Option<f64> {
        let empty;
        let sink = match sink {
            Some(sink) => sink,
            None => {
                empty = Sink::new(kind);
                &empty
            }
        };
        match (sink, self.method) {
            (Sink::Counter(counter), Method::Count) => Some(counter.sum),
            (Sink::Counter(counter), Method::Rate) => Some(counter.per_second(elapsed)),
            (Sink::Gauge(gauge), Method::Value) => Some(gauge.value),
            // A share of nothing is no share, and crosses nothing.
            (Sink::Rate(rate), Method::Rate) => (rate.total > 0).then(|| rate.rate()),
            (Sink::Trend(trend), Method::Avg) => Some(trend.avg()),
            (Sink::Trend(trend), Method::Min) => Some(trend.min()),
            (Sink::Trend(trend), Method::Max) => Some(trend.max()),
            (Sink::Trend(trend), Method::Med) => Some(trend.percentile(50.0)),
            (Sink::Trend(trend), Method::Percentile(percent)) => Some(trend.percentile(percent)),
            _ => None,
        }
    }

    /// Whether it holds for a metric that kept `sink`.
    pub(super) fn holds(&self, kind: Kind, sink: Option<&Sink>, elapsed: Duration) -> bool {
        let Some(value) = self.value(kind, sink, elapsed) else { return true };
        match self.operator {
            Operator::Less => value < self.bound,
            Operator::LessOrEqual => value <= self.bound,
            Operator::Greater => value > self.bound,
            Operator::GreaterOrEqual => value >= self.bound,
            Operator::Equal => value == self.bound,
            Operator::NotEqual => value != self.bound,
        }
    }

    /// Whether a metric of this `kind` has what is compared; else what it has.
    pub(super) fn applies_to(&self, kind: Kind) -> Result<(), &'static str> {
        let (applies, supported) = match kind {
            Kind::Counter => (matches!(self.method, Method::Count | Method::Rate), "count, rate"),
            Kind::Gauge => (self.method == Method::Value, "value"),
            Kind::Rate => (self.method == Method::Rate, "rate"),
            Kind::Trend => (
                !matches!(self.method, Method::Count | Method::Rate | Method::Value),
                "avg, min, max, med, p(N)",
            ),
        };
        if applies { Ok(()) } else { Err(supported) }
    }
}

impl Method {
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "count" => Self::Count,
            "rate" => Self::Rate,
            "value" => Self::Value,
            "avg" => Self::Avg,
            "min" => Self::Min,
            "max" => Self::Max,
            "med" => Self::Med,
            _ => {
                let percent = text.strip_prefix("p(")?.strip_suffix(')')?.trim();
                Self::Percentile(percent.parse().ok().filter(|percent: &f64| *percent >= 0.0)?)
            }
        })
    }

    fn name(self) -> String {
        let word = match self {
            Self::Count => "count",
            Self::Rate => "rate",
            Self::Value => "value",
            Self::Avg => "avg",
            Self::Min => "min",
            Self::Max => "max",
            Self::Med => "med",
            Self::Percentile(percent) => return format!("p({percent})"),
        };
        word.to_owned()
    }
}
