//! Ports of mode `share`: sockets that share an address by SO_REUSEPORT, of two generations at once, and which of them new
//! connections go to (DESIGN §5 and §11).
//!
//! The kernel keeps such sockets in an array, and a classic-BPF program on the group answers with an index into it. One
//! that joins is put at the end; when one is closed the last one takes its place. Nobody tells the order, so it is kept
//! here, from what is seen to come and go. Where the launcher needs a descriptor of the group, it joins for a moment with
//! a socket of its own; and such sockets stand behind those that stay while the others leave, so that it is they that are
//! moved.

mod words;

use super::service::Generation;

/// To whom new connections go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The generation that serves.
    pub to: Generation,
    /// The canary, and its part in percent.
    pub canary: Option<(Generation, u8)>,
}

/// Whose a socket is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holder {
    /// Of a process of this generation.
    Of(Generation),
    /// The launcher's own, which takes nothing.
    Own,
    /// Of some process that does not belong to the service.
    Other,
}

/// Why new connections cannot be steered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unshared {
    /// What listens there was bound without SO_REUSEPORT.
    Exclusive,
    /// A process that does not belong to the service listens there, too.
    Stranger,
    /// No process of the service listens there, as far as can be seen.
    Unseen,
    /// Both generations have opened and closed sockets at the same time: which is which is not known.
    Unsure,
    /// The kernel does not let the launcher, with this errno.
    Denied(i32),
}

/// Which sockets of a group new connections go to, by their place in the kernel's array.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Aim {
    /// Each gets as many as any other; none stands for all, as the kernel does without a program.
    pub main: Vec<u32>,
    /// These get so many percent of them.
    pub part: Option<(Vec<u32>, u8)>,
}

/// The sockets of one address that share it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group(Vec<Place>);

/// A place in the kernel's array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    inode: u64,
    holder: Holder,
    /// Whether it is known that one of this holder is here.
    sure: bool,
    /// Whether it is known that it is this one.
    exact: bool,
}

impl Group {
    /// These sockets are in it now, in the order in which they joined it.
    pub fn see(&mut self, listed: &[(u64, Holder)]) {
        let first = self.0.is_empty();
        let is_new = |(inode, _): &&(u64, Holder)| self.0.iter().all(|place| place.inode != *inode);
        let new = listed.iter().filter(is_new);
        let new = new.map(|(inode, holder)| Place { inode: *inode, holder: *holder, sure: true, exact: !first });
        let new: Vec<Place> = new.collect();
        for place in &mut self.0 {
            let seen = listed.iter().find(|(inode, _)| *inode == place.inode);
            place.holder = seen.map_or(place.holder, |(_, holder)| *holder);
        }
        let is_there = |place: &Place| listed.iter().any(|(inode, _)| *inode == place.inode);
        if self.leave_in_one_way(is_there, new.is_empty()) {
            self.move_up(is_there);
            self.0.extend(new);
        } else {
            self.guess(is_there, new);
        }
        let of_one = self.0.windows(2).all(|pair| pair[0].holder == pair[1].holder) && self.own() == 0;
        let alone = self.0.len() == 1;
        for place in &mut self.0 {
            // Who came before whom is known of those alone that came while they were watched; but where all are of one
            // holder it does not matter.
            place.sure = of_one || (place.sure && !first);
            place.exact |= alone;
        }
    }

    /// Those that stand so far behind that they may have taken the places of the ones that are gone.
    fn movers<'a>(&'a self, is_there: impl Fn(&Place) -> bool + 'a) -> impl Iterator<Item = &'a Place> {
        let left = self.0.iter().filter(|place| is_there(place)).count();
        self.0[left..].iter().filter(move |place| is_there(place))
    }

    /// Whether those that are gone have left their places to such of the same holder, in whatever order they went.
    fn leave_in_one_way(&self, is_there: impl Fn(&Place) -> bool + Copy, alone: bool) -> bool {
        let known = self.0.iter().all(|place| place.exact || is_there(place));
        let holder = self.movers(is_there).next().map(|place| place.holder);
        let one_mover = self.movers(is_there).count() <= 1;
        let alike = one_mover || self.movers(is_there).all(|place| place.sure && Some(place.holder) == holder);
        self.0.iter().all(is_there) || (known && alone && alike)
    }

    fn move_up(&mut self, is_there: impl Fn(&Place) -> bool + Copy) {
        let movers: Vec<u64> = self.movers(is_there).map(|place| place.inode).collect();
        while let Some(gone) = self.0.iter().position(|place| !is_there(place)) {
            self.0.swap_remove(gone);
        }
        for place in self.0.iter_mut().filter(|place| movers.len() > 1 && movers.contains(&place.inode)) {
            place.exact = false;
        }
    }

    /// Some have gone, and others come, in an order that is not known. Whoever stood so far in front that there were always
    /// some behind is where he was; the others are somewhere.
    fn guess(&mut self, is_there: impl Fn(&Place) -> bool, new: Vec<Place>) {
        let gone = self.0.iter().filter(|place| !is_there(place) && !place.exact);
        let somewhere: Vec<Holder> = gone.map(|place| place.holder).collect();
        // One of them was here, and who has come instead is not known.
        for place in self.0.iter_mut().filter(|place| !place.exact && somewhere.contains(&place.holder)) {
            place.sure = false;
        }
        let left = self.0.iter().filter(|place| is_there(place)).count();
        let mut others = self.0.split_off(left);
        others.retain(&is_there);
        others.extend(new);
        let unknown = |place: Place| Place { sure: false, exact: false, ..place };
        let mut others = others.into_iter().map(unknown);
        for place in self.0.iter_mut().filter(|place| !is_there(place)) {
            // There are as many behind as have gone in front.
            *place = others.next().unwrap_or(unknown(*place));
        }
        self.0.extend(others);
    }

    /// The launcher's own socket of this inode was closed.
    pub fn left(&mut self, inode: u64) {
        let left: Vec<(u64, Holder)> =
            self.0.iter().filter(|place| place.inode != inode).map(|place| (place.inode, place.holder)).collect();
        self.see(&left);
    }

    /// Whose the socket of this inode is, if it was seen.
    pub fn holder(&self, inode: u64) -> Option<Holder> {
        self.0.iter().find(|place| place.inode == inode).map(|place| place.holder)
    }

    /// Whether it is known where at least one socket is of each generation that is to get connections and has sockets.
    pub fn is_sure(&self, plan: Plan) -> bool {
        let known = |generation| {
            let mut places = self.0.iter().filter(|place| place.holder == Holder::Of(generation)).peekable();
            places.peek().is_none() || places.any(|place| place.sure)
        };
        known(plan.to) && plan.canary.is_none_or(|(canary, _)| known(canary))
    }

    /// Whether all sockets in it but the launcher's own are of this service.
    pub fn is_ours(&self) -> bool {
        self.0.iter().all(|place| place.holder != Holder::Other)
    }

    /// Whether a generation has sockets in it.
    pub fn is_of_service(&self) -> bool {
        self.0.iter().any(|place| matches!(place.holder, Holder::Of(_)))
    }

    /// How many of the launcher's own sockets are in it.
    pub fn own(&self) -> usize {
        self.0.iter().filter(|place| place.holder == Holder::Own).count()
    }

    /// Where sockets of such holders are known to be.
    fn of(&self, holds: impl Fn(Holder) -> bool) -> Vec<u32> {
        let places = (0..).zip(&self.0).filter(|(_, place)| place.sure && holds(place.holder));
        places.map(|(number, _)| number).collect()
    }

    /// To which sockets connections go by this plan. A generation that has none (yet) gets none; when that is so of all
    /// that are to get some, whoever is there does. Where nothing is known of one that has some, all are meant.
    pub fn aim(&self, plan: Plan) -> Aim {
        if !self.is_sure(plan) {
            return Aim::default();
        }
        let main = self.of(|holder| holder == Holder::Of(plan.to));
        let part = plan.canary.map(|(canary, part)| (self.of(|holder| holder == Holder::Of(canary)), part));
        let part = part.filter(|(places, _)| !places.is_empty());
        match (main.is_empty(), part) {
            (false, part) => Aim { main, part },
            (true, Some((places, _))) => Aim { main: places, part: None },
            (true, None) => Aim { main: self.of(|holder| matches!(holder, Holder::Of(_))), part: None },
        }
    }

    /// How many of the launcher's own sockets are to join it, so that there are always some behind those that stay when the
    /// others leave by this plan.
    pub fn missing(&self, plan: Plan) -> usize {
        let aim = self.aim(plan);
        let aimed = aim.main.iter().chain(aim.part.iter().flat_map(|(places, _)| places));
        let Some(last) = aimed.max().map(|last| *last as usize) else { return 0 };
        let stays = |generation| generation == plan.to || plan.canary.is_some_and(|(canary, _)| canary == generation);
        let leaves = |place: &&Place| matches!(place.holder, Holder::Of(generation) if !stays(generation));
        (last + 1 + self.0.iter().filter(leaves).count()).saturating_sub(self.0.len())
    }

    /// Which of the launcher's own sockets is to be closed next when none is needed any more, and what is to be aimed at
    /// before: never at the one that takes the place, if there is another.
    pub fn retreat(&self) -> Option<(u64, Aim)> {
        let own = |place: &&Place| place.holder == Holder::Own;
        let next = self.0.iter().rfind(|place| own(place) && place.sure).or_else(|| self.0.iter().rfind(own))?;
        let last = (self.0.len() - 1) as u32;
        let mut main = self.of(|holder| holder != Holder::Own);
        if main.len() > 1 {
            main.retain(|place| *place != last);
        }
        // With the last of them the group is as it would be without a launcher.
        let aim = if self.own() == 1 { Aim::default() } else { Aim { main, part: None } };
        Some((next.inode, aim))
    }
}

#[cfg(test)]
mod tests;
