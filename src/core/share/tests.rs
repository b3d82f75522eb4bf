use proptest::prelude::*;

use super::*;

const A: Generation = Generation(1);
const B: Generation = Generation(2);
const TO_A: Plan = Plan { to: A, canary: None };
const TO_B: Plan = Plan { to: B, canary: None };

fn of(generation: Generation) -> Holder {
    Holder::Of(generation)
}

fn group(all: &[(u64, Holder)]) -> Group {
    let mut group = Group::default();
    for end in 1..=all.len() {
        group.see(&all[..end]);
    }
    group
}

fn main(places: &[u32]) -> Aim {
    Aim { main: places.to_vec(), part: None }
}

#[test]
fn what_comes_later_stands_behind_and_gets_nothing_until_it_is_its_turn() {
    let mut group = Group::default();
    group.see(&[(1, of(A)), (2, of(A))]);
    assert_eq!((group.aim(TO_A), group.missing(TO_A)), (main(&[0, 1]), 0));
    assert_eq!(group.aim(TO_B), main(&[0, 1]), "it listens nowhere yet");
    group.see(&[(1, of(A)), (2, of(A)), (3, of(B))]);
    assert_eq!((group.aim(TO_A), group.missing(TO_A)), (main(&[0, 1]), 0));
    assert_eq!((group.aim(TO_B), group.missing(TO_B)), (main(&[2]), 2));
    let canary = Plan { to: A, canary: Some((B, 10)) };
    assert_eq!((group.aim(canary).part, group.missing(canary)), (Some((vec![2], 10)), 0));
}

#[test]
fn when_the_old_ones_leave_what_is_aimed_at_stays_in_its_place() {
    let mut group = group(&[(1, of(A)), (2, of(A)), (3, of(B)), (8, Holder::Own), (9, Holder::Own)]);
    assert_eq!((group.aim(TO_B), group.missing(TO_B)), (main(&[2]), 0));
    group.see(&[(2, of(A)), (3, of(B)), (8, Holder::Own), (9, Holder::Own)]);
    assert_eq!((group.aim(TO_B), group.missing(TO_B)), (main(&[2]), 0));
    group.see(&[(3, of(B)), (8, Holder::Own), (9, Holder::Own)]);
    assert_eq!(group.aim(TO_B), main(&[2]));
    // And the launcher's own go one by one.
    assert_eq!(group.retreat(), Some((8, main(&[2]))));
    group.left(8);
    assert_eq!(group.retreat(), Some((9, Aim::default())), "{group:?}");
    group.left(9);
    assert_eq!((group.retreat(), group.aim(TO_B)), (None, main(&[0])));
}

#[test]
fn what_is_not_known_is_not_used() {
    let mut mixed = Group::default();
    mixed.see(&[(1, of(A)), (2, Holder::Other)]);
    assert!(!mixed.is_sure(TO_A) && !mixed.is_ours() && mixed.aim(TO_A) == Aim::default());
    // Closed and opened between two looks: nobody knows which was first, and so who took the place.
    let mut group = group(&[(1, of(A)), (2, of(A)), (3, of(B))]);
    group.see(&[(2, of(A)), (3, of(B)), (4, of(B))]);
    assert!(!group.is_sure(TO_B) && group.is_sure(TO_A) && group.aim(TO_A) == main(&[1]));
    group.see(&[(3, of(B)), (4, of(B))]);
    assert!(group.is_sure(TO_B) && group.aim(TO_B) == main(&[0, 1]));
}

#[test]
fn what_has_enough_behind_it_is_known_whatever_happens_at_once() {
    let mut group = group(&[(1, of(A)), (2, of(A)), (3, of(B)), (8, Holder::Own), (9, Holder::Own)]);
    // A second worker of the new one comes while the old ones go.
    group.see(&[(3, of(B)), (8, Holder::Own), (9, Holder::Own), (4, of(B))]);
    assert!(group.is_sure(TO_B) && group.aim(TO_B) == main(&[2]), "{group:?}");
    while let Some((inode, _)) = group.retreat() {
        group.left(inode);
    }
    assert_eq!(group.aim(TO_B), main(&[0, 1]));
}

/// The kernel's array (`reuseport_add_sock`, `reuseport_detach_sock` of net/core/sock_reuseport.c), and what is seen of it.
#[derive(Default)]
struct Kernel {
    array: Vec<(u64, Holder)>,
    listed: Vec<(u64, Holder)>,
    next: u64,
}

impl Kernel {
    fn join(&mut self, holder: Holder) {
        self.next += 1;
        self.array.push((self.next, holder));
        self.listed.push((self.next, holder));
    }

    fn close(&mut self, inode: u64) {
        let place = self.array.iter().position(|(known, _)| *known == inode).unwrap();
        self.array.swap_remove(place);
        self.listed.retain(|(known, _)| *known != inode);
    }
}

proptest! {
    /// Whatever comes and goes: as long as it is said to be known, what is aimed at is what was meant.
    #[test]
    fn never_aims_at_another(turns in proptest::collection::vec(
        (proptest::collection::vec((0..4_u8, any::<usize>()), 0..3), any::<bool>()), 0..40
    )) {
        let (mut kernel, mut group) = (Kernel::default(), Group::default());
        kernel.join(of(A));
        kernel.join(of(A));
        for (steps, to_b) in turns {
            for (step, which) in steps {
                match step {
                    0 => kernel.join(of(A)),
                    1 => kernel.join(of(B)),
                    2 => kernel.join(Holder::Own),
                    _ if kernel.array.is_empty() => {}
                    _ => {
                        let inode = kernel.array[which % kernel.array.len()].0;
                        kernel.close(inode);
                    }
                }
            }
            group.see(&kernel.listed);
            let to = if to_b { B } else { A };
            let plan = Plan { to, canary: None };
            let aim = group.aim(plan);
            let is_of = |place: &u32, holder| kernel.array[*place as usize].1 == holder;
            if kernel.array.iter().any(|(_, holder)| *holder == of(to)) {
                prop_assert!(aim.main.iter().all(|place| is_of(place, of(to))), "{:?} {:?}", group, kernel.array);
                prop_assert_eq!(group.is_sure(plan), !aim.main.is_empty());
            }
            prop_assert!(aim.main.iter().all(|place| !is_of(place, Holder::Own)));
        }
    }

    /// The same when they leave while others of the new one come, and nobody looks meanwhile.
    #[test]
    fn those_that_leave_and_come_at_once_move_nothing_else(
        old in 1..5_usize, new in 1..5_usize, steps in proptest::collection::vec(any::<Option<usize>>(), 0..8)
    ) {
        let (mut kernel, mut group) = (Kernel::default(), Group::default());
        (0..old).for_each(|_| kernel.join(of(A)));
        group.see(&kernel.listed);
        (0..new).for_each(|_| kernel.join(of(B)));
        group.see(&kernel.listed);
        (0..group.missing(TO_B)).for_each(|_| kernel.join(Holder::Own));
        group.see(&kernel.listed);
        let before = group.aim(TO_B);
        let mut left: Vec<u64> = (1..=old as u64).collect();
        for step in steps {
            match step {
                Some(which) if !left.is_empty() => kernel.close(left.swap_remove(which % left.len())),
                _ => kernel.join(of(B)),
            }
        }
        group.see(&kernel.listed);
        let aim = group.aim(TO_B);
        prop_assert!(before.main.iter().all(|place| aim.main.contains(place)), "{:?} {:?}", before, aim);
        prop_assert!(aim.main.iter().all(|place| kernel.array[*place as usize].1 == of(B)));
    }

    /// With as many behind it as it asks for, those that leave move nothing that is aimed at, in any order.
    #[test]
    fn those_that_leave_move_nothing_else(old in 1..6_usize, new in 1..6_usize, order in any::<u64>()) {
        let (mut kernel, mut group) = (Kernel::default(), Group::default());
        (0..old).for_each(|_| kernel.join(of(A)));
        group.see(&kernel.listed);
        (0..new).for_each(|_| kernel.join(of(B)));
        group.see(&kernel.listed);
        (0..group.missing(TO_B)).for_each(|_| kernel.join(Holder::Own));
        group.see(&kernel.listed);
        let aim = group.aim(TO_B);
        let mut left: Vec<u64> = (1..=old as u64).collect();
        for turn in 0..old {
            let inode = left.swap_remove((order >> (turn * 4)) as usize % left.len());
            kernel.close(inode);
            prop_assert!(aim.main.iter().all(|place| kernel.array[*place as usize].1 == of(B)));
            group.see(&kernel.listed);
            prop_assert_eq!(group.aim(TO_B), aim.clone());
        }
        while let Some((inode, aim)) = group.retreat() {
            kernel.close(inode);
            group.left(inode);
            let right = |place: &u32| kernel.array.get(*place as usize).is_none_or(|(_, holder)| *holder == of(B));
            prop_assert!(aim.main.iter().all(right), "{:?} {:?}", aim, kernel.array);
        }
        prop_assert_eq!((kernel.array.len(), group.own(), group.is_sure(TO_B)), (new, 0, true));
    }
}
