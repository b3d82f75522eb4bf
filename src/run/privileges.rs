//! What is set for the processes of a service: how the kernel gets it, what it does not allow, tried beforehand by
//! `launcher check`, and how that is told.

use std::ffi::CString;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::core::exec_words;
use crate::core::facts::ExecFailure;
use crate::core::settings::{Limit, ProcessSettings, Resource, ServiceSettings};
use crate::sys::keeper::{Attributes, Keeper, Message, SpawnPlan, Stage, Stdio, hard_limit, number_of};
use crate::sys::users::Identity;

/// The limits and privileges of a service, as the kernel has them.
pub fn attributes(settings: &ProcessSettings) -> Attributes {
    let limit = |(resource, limit): &(Resource, Limit)| (number_of(*resource), limit.soft, limit.hard);
    Attributes {
        umask: settings.umask,
        nice: settings.nice,
        oom_score_adj: settings.oom_score_adj.map(|score| score.to_string()),
        limits: settings.limits.iter().map(limit).collect(),
        capabilities: settings.capabilities.map(|set| set.0),
        no_new_privs: settings.no_new_privs,
    }
}

/// The failure of a step between fork and exec, in words.
pub fn failed_step(service: &ServiceSettings, program: &str, stage: Stage, errno: i32) -> ExecFailure {
    let (stage, of) = step(service, program, stage);
    exec_words::failed_stage(&stage.to_string(), errno, program, of.as_deref())
}

/// The step as whoever wrote the settings knows it, and what was to be set, entered or executed.
fn step(service: &ServiceSettings, program: &str, stage: Stage) -> (Stage, Option<String>) {
    let process = &service.process;
    let mut stage = stage;
    // Groups are the first that may not be set, also where the user alone is asked for.
    if matches!(stage, Stage::Groups | Stage::Group) && process.group.is_none() {
        let user = service.user.is_some() && (stage == Stage::Group || process.groups.is_none());
        stage = if user { Stage::User } else { stage };
    } else if stage == Stage::Groups && process.groups.is_none() {
        stage = Stage::Group;
    }
    let of = match stage {
        Stage::Exec => Some(program.to_owned()),
        Stage::Directory => service.directory.as_deref().map(|path| path.display().to_string()),
        Stage::User => service.user.clone(),
        Stage::Group => process.group.clone(),
        Stage::Groups => process.groups.as_ref().map(|groups| groups.join(", ")),
        Stage::Priority => process.nice.map(|nice| nice.to_string()),
        Stage::OomScore => process.oom_score_adj.map(|score| score.to_string()),
        Stage::Limits => Some(beyond(&process.limits)).filter(|limits| !limits.is_empty()),
        _ => None,
    };
    (stage, of)
}

/// Those limits that are above what the launcher's own processes may have, by name.
fn beyond(limits: &[(Resource, Limit)]) -> String {
    let above = limits.iter().filter(|(resource, limit)| hard_limit(*resource).is_some_and(|hard| limit.hard > hard));
    let name = |resource: Resource| Resource::NAMES.iter().find(|(_, of)| *of == resource).map(|(name, _)| *name);
    above.filter_map(|(resource, _)| name(*resource)).collect::<Vec<_>>().join(", ")
}

/// What the kernel does not let the launcher set for a service: each setting is tried in a process of its own, which
/// then fails to execute `/dev/null`. Nothing is tried of a service that sets nothing.
pub fn refused(service: &ServiceSettings, identity: Option<&Identity>) -> Vec<ExecFailure> {
    let program = service.command.first().map(|program| program.to_string_lossy().into_owned()).unwrap_or_default();
    let all = attributes(&service.process);
    let mut tries = Vec::new();
    tries.extend(identity.map(|_| Attributes::default()));
    tries.extend(all.nice.map(|nice| Attributes { nice: Some(nice), ..Attributes::default() }));
    tries.extend(
        all.oom_score_adj.clone().map(|score| Attributes { oom_score_adj: Some(score), ..Attributes::default() }),
    );
    if !all.limits.is_empty() {
        tries.push(Attributes { limits: all.limits.clone(), ..Attributes::default() });
    }
    if all.capabilities.is_some() {
        let (capabilities, no_new_privs) = (all.capabilities, all.no_new_privs);
        tries.push(Attributes { capabilities, no_new_privs, ..Attributes::default() });
    }
    let mut found: Vec<ExecFailure> = Vec::new();
    for (place, attributes) in tries.into_iter().enumerate() {
        // The first is that of the user, if there is one.
        let identity = identity.filter(|_| place == 0);
        if let Some((stage, errno)) = failing_step(attributes, identity.cloned()) {
            let (stage, of) = step(service, &program, stage);
            found.push(exec_words::refused_stage(&stage.to_string(), errno, &program, of.as_deref()));
        }
    }
    found
}

/// The step that fails before anything would be executed; none also where no process could be made for the try.
fn failing_step(attributes: Attributes, identity: Option<Identity>) -> Option<(Stage, i32)> {
    let nothing = CString::from(c"/dev/null");
    let mut plan = SpawnPlan::new(nothing.clone(), vec![nothing]);
    plan.stdio = [Stdio::Null, Stdio::Null, Stdio::Null];
    plan.attributes = attributes;
    plan.identity = identity;
    let keeper = Keeper::start(plan).ok()?;
    loop {
        match keeper.receive() {
            Some(Message::ExecFailed { stage, errno }) => {
                return (stage != Stage::Exec).then_some((stage, errno));
            }
            Some(_) => return None,
            None => {}
        }
        match poll(&mut [PollFd::new(keeper.fd(), PollFlags::POLLIN)], PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}
