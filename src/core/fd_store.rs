//! Descriptors that a service has given away to be kept for its next generation (`FDSTORE=1`, `sd_notify(3)`): which are
//! kept, and under which names. What a descriptor is does not matter here, so that this is tested without any.

/// The name of what was stored without one, as systemd has it.
pub const UNNAMED: &str = "stored";

/// What is kept for one service, in the order in which it came.
#[derive(Debug)]
pub struct FdStore<T> {
    most: usize,
    entries: Vec<Entry<T>>,
}

#[derive(Debug)]
struct Entry<T> {
    fd: T,
    name: String,
    /// Whether it is dropped once its other side has gone (no `FDPOLL=0`).
    watched: bool,
}

impl<T> FdStore<T> {
    /// An empty store for so many at most.
    pub fn new(most: usize) -> FdStore<T> {
        FdStore { most, entries: Vec::new() }
    }

    /// Keeps so many at most from now on; what is kept stays.
    pub fn limit(&mut self, most: usize) {
        self.most = most;
    }

    /// Keeps these under one name. One that is the same as one that is kept already is dropped. How many there was no
    /// room for; they are dropped, too.
    pub fn keep(
        &mut self,
        fds: impl IntoIterator<Item = T>,
        name: &str,
        watched: bool,
        same: impl Fn(&T, &T) -> bool,
    ) -> usize {
        let mut refused = 0;
        for fd in fds {
            if self.entries.iter().any(|entry| same(&entry.fd, &fd)) {
                continue;
            }
            if self.entries.len() < self.most {
                self.entries.push(Entry { fd, name: name.to_owned(), watched });
            } else {
                refused += 1;
            }
        }
        refused
    }

    /// Drops all of this name (`FDSTOREREMOVE=1`).
    pub fn forget(&mut self, name: &str) {
        self.entries.retain(|entry| entry.name != name);
    }

    /// Drops what is of no use any more: those whose other side has gone, where that is asked for.
    pub fn forget_ended(&mut self, has_ended: impl Fn(&T) -> bool) {
        self.entries.retain(|entry| !(entry.watched && has_ended(&entry.fd)));
    }

    /// Drops all.
    pub fn clear(&mut self) {
        self.entries.clear();
    }

    /// What is kept, with its names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.entries.iter().map(|entry| (entry.name.as_str(), &entry.fd))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(store: &FdStore<u32>) -> Vec<(&str, u32)> {
        store.iter().map(|(name, fd)| (name, *fd)).collect()
    }

    #[test]
    fn each_is_kept_once_in_order_up_to_the_limit() {
        let mut store = FdStore::new(3);
        assert_eq!(store.keep([1, 2, 1], "a", true, |a, b| a == b), 0);
        assert_eq!(store.keep([2, 3, 4], "b", true, |a, b| a == b), 1);
        assert_eq!(names(&store), [("a", 1), ("a", 2), ("b", 3)]);
        store.forget("a");
        assert_eq!(store.keep([4], "c", true, |a, b| a == b), 0);
        assert_eq!(names(&store), [("b", 3), ("c", 4)]);
        store.clear();
        assert_eq!(names(&store), []);
        assert_eq!(FdStore::new(0).keep([1], "a", true, |a, b| a == b), 1);
    }

    #[test]
    fn what_has_ended_is_dropped_unless_it_is_not_to_be_looked_at() {
        let mut store = FdStore::new(9);
        store.keep([1, 2], "a", true, |_, _| false);
        store.keep([3, 4], "b", false, |_, _| false);
        store.forget_ended(|fd| fd % 2 == 0);
        assert_eq!(names(&store), [("a", 1), ("b", 3), ("b", 4)]);
    }
}
