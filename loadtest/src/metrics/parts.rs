//! The counts of each scenario and each group by themselves, for who wants to read them.

use std::{collections::HashMap, time::Duration};

use foldhash::fast::RandomState;

use super::{Groups, Kind, MetricId, Sink};

/// Counts by scenario and group.
#[derive(Clone, Debug, Default)]
pub struct Parts {
    scenarios: Vec<ScenarioPart>,
    places: usize,
}

/// What was counted in a scenario.
#[derive(Clone, Debug, Default)]
pub struct ScenarioPart {
    /// Its name; empty for what was counted in none, as in `setup()`.
    pub name: Box<str>,
    /// Its checks and groups.
    pub groups: Groups,
    places: HashMap<Box<str>, Place, RandomState>,
}

/// The sinks of a group, in the order of their metrics; what was counted in inner groups is not in
/// them.
type Place = Vec<Option<Sink>>;

impl Parts {
    /// How many groups of scenarios are told apart; what is counted in others is left out.
    pub const MOST: usize = 1_000;

    /// Adds a value that was counted there.
    pub fn add(
        &mut self,
        (scenario, path): (&str, &str),
        (id, kind): (MetricId, Kind),
        value: f64,
        at_unix: Duration,
    ) {
        let Some(place) = self.place(scenario, path) else { return };
        slot(place, id).get_or_insert_with(|| Sink::new(kind)).add(value, at_unix);
    }

    /// Checks and groups of a scenario.
    pub fn groups(&mut self, scenario: &str) -> &mut Groups {
        &mut self.scenario(scenario).groups
    }

    /// Adds all that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        for from in &other.scenarios {
            self.scenario(&from.name).groups.merge(&from.groups);
            for (path, sinks) in &from.places {
                let Some(place) = self.place(&from.name, path) else { continue };
                for (at, sink) in sinks.iter().enumerate() {
                    let Some(sink) = sink else { continue };
                    match slot(place, MetricId(at as u32)) {
                        Some(to) => to.merge(sink),
                        none => *none = Some(sink.clone()),
                    }
                }
            }
        }
    }

    /// All scenarios in which anything was counted.
    pub fn iter(&self) -> impl Iterator<Item = &ScenarioPart> {
        self.scenarios.iter()
    }

    fn scenario(&mut self, name: &str) -> &mut ScenarioPart {
        let found = self.scenarios.iter().position(|part| *part.name == *name);
        let at = found.unwrap_or_else(|| {
            self.scenarios.push(ScenarioPart { name: name.into(), ..ScenarioPart::default() });
            self.scenarios.len() - 1
        });
        &mut self.scenarios[at]
    }

    fn place(&mut self, scenario: &str, path: &str) -> Option<&mut Place> {
        if !self.scenario(scenario).places.contains_key(path) {
            if self.places >= Self::MOST {
                return None;
            }
            self.places += 1;
            self.scenario(scenario).places.insert(path.into(), Place::new());
        }
        self.scenario(scenario).places.get_mut(path)
    }
}

impl ScenarioPart {
    /// What was counted for `id` in the group at `path`, those in it apart; without a path, in the
    /// whole scenario.
    pub fn sink(&self, id: MetricId, path: Option<&str>) -> Option<Sink> {
        let of = |place: &Place| place.get(id.index()).cloned().flatten();
        if let Some(path) = path {
            return of(self.places.get(path)?);
        }
        self.places.values().filter_map(of).reduce(|mut all, sink| {
            all.merge(&sink);
            all
        })
    }
}

fn slot(place: &mut Place, id: MetricId) -> &mut Option<Sink> {
    if place.len() <= id.index() {
        place.resize_with(id.index() + 1, || None);
    }
    &mut place[id.index()]
}
