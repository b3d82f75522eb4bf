//! Whether the processes that hold a port are ended to have it, as `take_over` of that port says.

use super::facts::{HoldState, Kin, OwnerFacts, PortFailure};
use super::port_words::Asker;
use super::settings::TakeOver;

/// The processes to be ended, a parent before its children.
///
/// # Errors
/// Why they are not, as the end of a sentence about the port's holder.
pub fn victims(owner: Option<&OwnerFacts>, allowed: TakeOver) -> Result<Vec<i32>, String> {
    let Some(owner) = owner else { return Err("who holds it cannot be told".to_owned()) };
    if !matches!(owner.state, HoldState::Listening | HoldState::Bound | HoldState::Connected) {
        return Err("no process holds it".to_owned());
    }
    if owner.holders.is_empty() {
        return Err("its process cannot be seen from here".to_owned());
    }
    for holder in &owner.holders {
        let pid = holder.pid;
        match (holder.kin, holder.launcher) {
            (Kin::Above, _) => return Err(format!("launcher runs below pid {pid}")),
            _ if pid == 1 => return Err("pid 1 is never ended".to_owned()),
            (Kin::Child, _) => return Err(format!("pid {pid} is of a service of this launcher")),
            (_, Some(launcher)) => {
                return Err(format!("pid {pid} would be started again by its own launcher (pid {launcher})"));
            }
            (Kin::Stranger, None) if allowed != TakeOver::Any => {
                return Err(format!("pid {pid} is of another user, for which it takes take_over = \"any\""));
            }
            _ => {}
        }
    }
    match allowed {
        TakeOver::Never => Err("take_over is not set".to_owned()),
        TakeOver::Own | TakeOver::Any => Ok(owner.holders.iter().map(|holder| holder.pid).collect()),
    }
}

/// Those who hold the port are not ended, for this reason: the failure says so.
pub fn not_ended(failure: &mut PortFailure, reason: &str) {
    failure.summary.push_str(&format!("; take_over does not end it: {reason}"));
}

/// Where it is only that they are of another user, the failure says how they would be ended all the same.
pub fn offer_any(failure: &mut PortFailure, asker: Asker<'_>, allowed: TakeOver) {
    let would_be = |allowed| victims(failure.owner.as_ref(), allowed).is_ok();
    if allowed == TakeOver::Own && !would_be(TakeOver::Own) && would_be(TakeOver::Any) {
        // Beside how it is stopped by hand.
        let place = failure.advice.len().min(1);
        failure.advice.splice(place..place, asker.take_over_any());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::facts::{HolderFacts, PortProblem};
    use crate::core::settings::Listen;

    fn held_by(holders: &[(i32, Kin, Option<i32>)], state: HoldState) -> OwnerFacts {
        let holder = |(pid, kin, launcher): &(i32, Kin, Option<i32>)| HolderFacts {
            pid: *pid,
            kin: *kin,
            launcher: *launcher,
            ..HolderFacts::default()
        };
        OwnerFacts { holders: holders.iter().map(holder).collect(), state, ..OwnerFacts::default() }
    }

    #[test]
    fn all_holders_of_the_same_user_are_ended() {
        let owner = held_by(&[(7, Kin::SameUser, None), (9, Kin::SameUser, None)], HoldState::Listening);
        assert_eq!(victims(Some(&owner), TakeOver::Own), Ok(vec![7, 9]));
        assert!(victims(Some(&owner), TakeOver::Never).is_err());
        let bound = OwnerFacts { state: HoldState::Bound, ..owner };
        assert_eq!(victims(Some(&bound), TakeOver::Any), Ok(vec![7, 9]));
    }

    #[test]
    fn others_only_when_anybody_may_be() {
        let owner = held_by(&[(7, Kin::SameUser, None), (9, Kin::Stranger, None)], HoldState::Listening);
        assert!(victims(Some(&owner), TakeOver::Own).unwrap_err().contains("pid 9 is of another user"));
        assert_eq!(victims(Some(&owner), TakeOver::Any), Ok(vec![7, 9]));
    }

    #[test]
    fn how_those_of_another_user_would_be_ended_is_told_only_where_it_helps() {
        let offered = |holders: &[(i32, Kin, Option<i32>)], allowed| {
            let mut failure = PortFailure {
                name: "1".to_owned(),
                listen: Listen::Tcp("127.0.0.1:80".parse().unwrap()),
                problem: PortProblem::Taken,
                owner: Some(held_by(holders, HoldState::Listening)),
                errno: None,
                summary: "taken".to_owned(),
                advice: vec!["stop it".to_owned(), "choose another port".to_owned()],
            };
            offer_any(&mut failure, Asker::Flag, allowed);
            failure.advice
        };
        let any = offered(&[(7, Kin::Stranger, None)], TakeOver::Own);
        assert!(any.len() == 3 && any[1].ends_with("--take-over=any"), "{any:?}");
        assert_eq!(offered(&[(7, Kin::Stranger, None)], TakeOver::Any).len(), 2);
        assert_eq!(offered(&[(7, Kin::Stranger, None), (1, Kin::Above, None)], TakeOver::Own).len(), 2);
    }

    #[test]
    fn some_are_never_ended() {
        for (holders, state, why) in [
            (&[(1, Kin::SameUser, None)][..], HoldState::Listening, "pid 1 is never ended"),
            (&[(7, Kin::Above, None)], HoldState::Listening, "launcher runs below pid 7"),
            (&[(7, Kin::Child, Some(5))], HoldState::Listening, "a service of this launcher"),
            (&[(7, Kin::SameUser, Some(5))], HoldState::Listening, "its own launcher (pid 5)"),
            (&[(7, Kin::SameUser, None), (1, Kin::SameUser, None)], HoldState::Listening, "pid 1"),
            (&[], HoldState::Listening, "cannot be seen"),
            (&[], HoldState::TimeWait, "no process holds it"),
            (&[], HoldState::NotASocket, "no process holds it"),
        ] {
            let refused = victims(Some(&held_by(holders, state)), TakeOver::Any).unwrap_err();
            assert!(refused.contains(why), "{refused}");
        }
        assert!(victims(None, TakeOver::Any).is_err());
    }
}
