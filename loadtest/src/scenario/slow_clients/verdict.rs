//! What came out, judged.

use serde_json::{Value, json};

use super::{
    Plan, Tally,
    dawdler::{Kind, Seen},
};

/// A judgement and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Verdict {
    /// Nothing where there was nothing to judge by.
    outcome: Option<bool>,
    text: String,
}

impl Verdict {
    fn new(holds: bool, text: String) -> Self {
        Self { outcome: Some(holds), text }
    }

    /// Whether nothing speaks against it.
    pub(super) fn holds(&self) -> bool {
        self.outcome != Some(false)
    }

    pub(super) fn json(&self) -> Value {
        json!({ "holds": self.outcome, "text": self.text })
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mark = match self.outcome {
            Some(true) => '✓',
            Some(false) => '✗',
            None => '-',
        };
        write!(f, "{mark} {}", self.text)
    }
}

/// Judges a run; `growth` is that of memory, as a share of what the gateway may use.
pub(super) fn judge(
    plan: &Plan,
    alone: &Tally,
    beside: &Tally,
    kinds: &[Seen],
    growth: Option<f64>,
) -> Vec<Verdict> {
    let (failed, asked) = (alone.failed + beside.failed, beside.latency.count());
    let why = alone.why.as_ref().or(beside.why.as_ref());
    let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
    let answered = format!("all good requests are answered: {failed} failed of {asked}{why}");
    let (p99, before) = (beside.latency.percentile(99.0), alone.latency.percentile(99.0));
    let most = plan.p99.max(plan.factor * before);
    let fast = format!("their p99 is at most {most:.1} ms: {p99:.1} ms, alone {before:.1} ms");
    let mut verdicts =
        vec![Verdict::new(failed == 0 && asked > 0, answered), Verdict::new(p99 <= most, fast)];
    for seen in kinds {
        let (name, most) = (seen.kind.name(), plan.head_most);
        if seen.connections < plan.clients as u64 {
            let (made, of) = (seen.connections, plan.clients);
            let text = format!("slow {name} were there to be judged: {made} of {of} connected");
            verdicts.push(Verdict::new(false, text));
        }
        if seen.kind == Kind::Head {
            let (closed, longest) = (seen.closed, seen.longest);
            let text = format!(
                "slow heads end within {most:.1?}: {closed} closed, the longest took {longest:.1?}"
            );
            verdicts.push(Verdict::new(longest <= most && closed > 0, text));
        }
    }
    verdicts.push(match growth {
        Some(growth) => {
            let text = format!(
                "memory grew by at most {} of what the gateway may use: {growth:.4}",
                plan.growth
            );
            Verdict::new(growth <= plan.growth, text)
        }
        None => {
            let text = "memory: the gateway's metrics do not tell, not judged".to_owned();
            Verdict { outcome: None, text }
        }
    });
    verdicts
}
