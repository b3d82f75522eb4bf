//! The order of services: who comes after whom, and why an order cannot be kept.

use std::collections::BTreeMap;
use std::fmt;

use crate::core::settings::{After, ServiceSettings, Until};

use super::ServiceId;

/// Why services cannot be put in order, or not be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OrderError {
    /// They wait for each other in a circle; the first is named again at the end.
    Cycle(Vec<String>),
    /// A service comes after one that there is not.
    UnknownAfter {
        /// The service.
        service: String,
        /// What it names.
        after: String,
    },
    /// There is no service of this name.
    UnknownService(String),
    /// Two services have the same name.
    Duplicate(String),
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OrderError::Cycle(names) => {
                write!(f, "these services wait for each other, so none can be started: {}", names.join(" → "))
            }
            OrderError::UnknownAfter { service, after } => {
                write!(f, "service {service:?} comes after {after:?}, but there is no service of that name")
            }
            OrderError::UnknownService(name) => write!(f, "there is no service {name:?}"),
            OrderError::Duplicate(name) => write!(f, "there are two services {name:?}"),
        }
    }
}

impl std::error::Error for OrderError {}

/// Who comes after whom. An index is a [`ServiceId`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    /// What each service comes after.
    pub(super) after: Vec<Vec<ServiceId>>,
    /// Until when each of these is waited for.
    until: Vec<Vec<Until>>,
    /// What comes after each service.
    pub(super) before: Vec<Vec<ServiceId>>,
}

impl Order {
    /// Finds the order in which these services can be started.
    pub(super) fn of(services: &[ServiceSettings]) -> Result<Order, OrderError> {
        let mut ids = BTreeMap::new();
        for (index, service) in services.iter().enumerate() {
            if ids.insert(service.name.as_str(), ServiceId(index)).is_some() {
                return Err(OrderError::Duplicate(service.name.clone()));
            }
        }
        let none = vec![Vec::new(); services.len()];
        let mut order = Order { after: none.clone(), until: vec![Vec::new(); services.len()], before: none };
        for (index, service) in services.iter().enumerate() {
            for After { service: name, until } in &service.after {
                let Some(&dependency) = ids.get(name.as_str()) else {
                    return Err(OrderError::UnknownAfter { service: service.name.clone(), after: name.clone() });
                };
                if !order.after[index].contains(&dependency) {
                    order.after[index].push(dependency);
                    order.until[index].push(*until);
                    order.before[dependency.0].push(ServiceId(index));
                }
            }
        }
        match order.cycle() {
            Some(ids) => Err(OrderError::Cycle(ids.iter().map(|id| services[id.0].name.clone()).collect())),
            None => Ok(order),
        }
    }

    /// What this one waits for, and until when.
    pub(super) fn needs(&self, id: ServiceId) -> impl Iterator<Item = (ServiceId, Until)> {
        self.after[id.0].iter().copied().zip(self.until[id.0].iter().copied())
    }

    /// These and all that they need, directly or not; as flags by [`ServiceId`].
    pub(super) fn needed_by(&self, wanted: &[ServiceId]) -> Vec<bool> {
        reached(&self.after, wanted)
    }

    /// This one and all that need it, directly or not; as flags by [`ServiceId`].
    pub(super) fn needing(&self, id: ServiceId) -> Vec<bool> {
        reached(&self.before, &[id])
    }

    /// How many of the services that `counts` stand one after the other from this one down, itself included.
    pub(super) fn depth(&self, id: ServiceId, counts: &dyn Fn(ServiceId) -> bool) -> u32 {
        let mut known = vec![None; self.after.len()];
        self.depth_with(id, counts, &mut known)
    }

    /// Each service is looked at once, so a graph with many ways through it costs no more than its edges.
    fn depth_with(&self, id: ServiceId, counts: &dyn Fn(ServiceId) -> bool, known: &mut [Option<u32>]) -> u32 {
        if let Some(depth) = known[id.0] {
            return depth;
        }
        let below = self.after[id.0].iter().map(|below| self.depth_with(*below, counts, known)).max().unwrap_or(0);
        let depth = below + u32::from(counts(id));
        known[id.0] = Some(depth);
        depth
    }

    /// A circle, if there is one: its services from one that comes first in writing back to the same.
    fn cycle(&self) -> Option<Vec<ServiceId>> {
        let mut done = vec![false; self.after.len()];
        for start in 0..self.after.len() {
            // The way from `start` to where the search stands, each with the next edge to try.
            let mut way = vec![(ServiceId(start), 0)];
            while let Some((id, edge)) = way.last_mut() {
                let Some(next) = self.after[id.0].get(*edge).copied().filter(|_| !done[id.0]) else {
                    done[id.0] = true;
                    way.pop();
                    continue;
                };
                *edge += 1;
                if let Some(at) = way.iter().position(|(id, _)| *id == next) {
                    return Some(way[at..].iter().map(|(id, _)| *id).chain([next]).collect());
                }
                way.push((next, 0));
            }
        }
        None
    }
}

/// What can be reached by these edges, the starts included.
fn reached(edges: &[Vec<ServiceId>], starts: &[ServiceId]) -> Vec<bool> {
    let mut reached = vec![false; edges.len()];
    let mut open = starts.to_vec();
    while let Some(id) = open.pop() {
        if !std::mem::replace(&mut reached[id.0], true) {
            open.extend(&edges[id.0]);
        }
    }
    reached
}
