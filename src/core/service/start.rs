//! From the wish to have a service to its being ready.

use crate::core::facts::Refusal;

use super::deadlines::Deadline;
use super::live::{Course, Failure, Live, Main};
use super::progress::Progress;
use super::{Action, Generation, Service, State, Turn, Wish};

impl Service {
    /// Somebody wants it. A stop that has begun runs to its end first; one that is only kept back is taken back.
    pub(super) fn on_start_requested(&mut self, turn: &mut Turn) {
        match (self.state, self.wish) {
            (State::Stopped | State::Failed, _) => self.begin_waiting(turn),
            (State::Stopping, Wish::Stop) => self.want(Wish::Restart),
            (State::Starting | State::Ready, Wish::Stop) => {
                self.want(Wish::Run);
                self.deadlines.clear(&[Deadline::Hold]);
                self.signals.drop_stop();
            }
            _ => {}
        }
    }

    /// What it comes after is ready.
    pub(super) fn on_dependencies_ready(&mut self, turn: &mut Turn) {
        if self.state == State::Waiting && self.live.is_none() {
            self.begin_generation(turn);
        }
    }

    /// It is to be ended and started again. No failure is counted, there is no backoff, and an open breaker takes it
    /// for its trial.
    pub(super) fn on_restart_requested(&mut self, turn: &mut Turn) {
        match self.state {
            State::Stopped | State::Failed => self.begin_waiting(turn),
            State::BackingOff => self.begin_generation(turn),
            State::Open => self.begin_trial(turn),
            State::Waiting if self.live.is_none() => {}
            State::Waiting | State::Checking | State::Starting | State::Ready | State::Stopping => {
                self.restart_live(turn)
            }
        }
    }

    /// Begins the next generation with its preflight.
    pub(super) fn begin_generation(&mut self, turn: &mut Turn) {
        self.take_next();
        let generation = Generation(self.newest.0 + 1);
        (self.generation, self.newest, turn.generation) = (generation, generation, generation);
        self.attempt = self.next_attempt();
        self.was_ready = false;
        self.status = None;
        self.deadlines.clear_all();
        self.signals.forget_handlers();
        let watchdog = self.settings.watchdog.filter(|period| !period.is_zero());
        self.live = Some(Live::new(generation, watchdog, self.settings.notify.access));
        self.go(turn, State::Checking);
        turn.act(Action::Check(generation));
    }

    /// The same after an open breaker's cooldown: one trial.
    pub(super) fn begin_trial(&mut self, turn: &mut Turn) {
        if let Some(breaker) = &mut self.breaker {
            breaker.allow_trial();
        }
        self.begin_generation(turn);
    }

    /// Which attempt the next generation will be.
    pub(super) fn next_attempt(&self) -> u32 {
        if self.was_ready { 1 } else { self.attempt.saturating_add(1) }
    }

    /// Nothing is in the way here: on with it, or first with what must answer elsewhere.
    pub(super) fn on_preflight_passed(&mut self, turn: &mut Turn) {
        if self.state == State::Checking && self.live.as_ref().is_some_and(|live| !live.over) {
            self.require(turn);
        }
    }

    /// Everything is there. The start deadline runs from here.
    pub(super) fn spawn(&mut self, turn: &mut Turn) {
        let Some(live) = self.live.as_mut().filter(|live| live.main == Main::Absent && !live.over) else { return };
        live.main = Main::Spawning;
        live.progress = Progress::of(&self.settings, turn.now);
        let generation = live.generation;
        self.deadlines.set(Deadline::Start, turn.now + self.settings.start_timeout);
        self.go(turn, State::Starting);
        turn.act(Action::Spawn { generation, attempt: self.attempt });
    }

    /// Something is in the way: this generation has failed before it began.
    pub(super) fn on_preflight_failed(&mut self, turn: &mut Turn, refusal: Box<Refusal>) {
        if self.state != State::Checking {
            return;
        }
        let Some(live) = self.live.as_mut().filter(|live| live.main == Main::Absent && !live.over) else { return };
        live.over = true;
        self.fail(turn, Failure::refused(&refusal), Some(refusal));
    }

    /// Its main process was executed.
    pub(super) fn on_spawned(&mut self, turn: &mut Turn, pid: i32) {
        let proof = self.proof().filter(|_| self.criteria.started);
        let Some(live) = self.live.as_mut().filter(|live| live.main == Main::Spawning) else { return };
        let generation = live.generation;
        live.main = Main::Running;
        let said_ready = live.said_ready;
        let main = *live.pid.get_or_insert(pid);
        if main != pid {
            turn.act(Action::FollowMain(generation, main));
        }
        match live.course {
            // The stop came first: now there is somebody to tell.
            Course::Stopping(signal) => {
                self.stop_main(turn, signal);
            }
            Course::Up if said_ready || (self.criteria.started && proof.is_none()) => self.become_ready(turn),
            Course::Up => {
                if let Some(proof) = proof {
                    self.deadlines.set(Deadline::Proof, turn.now + proof);
                }
                live.probing = self.criteria.probe;
                if live.probing {
                    turn.act(Action::Probe(generation));
                }
                self.watch_progress(turn);
                self.release_signals(turn);
                self.watch_handlers(turn);
            }
            Course::Dumping | Course::Surviving | Course::Resting | Course::Killed => {}
        }
    }

    /// Its main process could not be executed: this generation has failed, and nothing is left of it.
    pub(super) fn on_spawn_failed(&mut self, turn: &mut Turn, refusal: Box<Refusal>) {
        let Some(live) = self.live.as_mut().filter(|live| live.main == Main::Spawning) else { return };
        live.main = Main::Gone;
        let killed = live.course == Course::Killed;
        self.be_over(turn);
        // What was killed on its way is no failure to execute it.
        if !killed {
            self.fail(turn, Failure::refused(&refusal), Some(refusal));
        }
        self.settle(turn);
    }

    /// Its ports listen, or the probed address answers.
    pub(super) fn on_probe_succeeded(&mut self, turn: &mut Turn) {
        if self.live.as_ref().is_some_and(|live| live.probing && live.main == Main::Running) {
            self.become_ready(turn);
        }
    }

    /// It serves: from here on it is watched, and gets the signals that were kept for it.
    pub(super) fn become_ready(&mut self, turn: &mut Turn) {
        let Some(live) = self.live.as_mut().filter(|live| live.is_up() && !live.ready) else { return };
        live.ready = true;
        self.was_ready = true;
        self.deadlines.clear(&[Deadline::Start, Deadline::Proof, Deadline::Hold]);
        self.deadlines.set(Deadline::Reset, turn.now + self.settings.restart.reset_after);
        self.stop_probing(turn);
        self.release_ports(turn);
        self.go(turn, State::Ready);
        self.arm_watchdog(turn);
        self.release_signals(turn);
    }

    /// The start deadline is missed, unless it moves on.
    pub(super) fn on_start_timeout(&mut self, turn: &mut Turn) {
        if !self.extend(turn) {
            self.miss_deadline(turn, Failure::StartTimeout);
        }
    }

    /// WATCHDOG=1 did not come in time, or the service asked to be treated so.
    pub(super) fn on_watchdog_missed(&mut self, turn: &mut Turn) {
        self.miss_deadline(turn, Failure::Watchdog);
    }

    /// It failed to keep a deadline: its stacks are taken, then it is stopped. That is final, so it is `stopping` from
    /// here on: READY=1 while the stacks are taken comes too late, and what hangs serves no one.
    fn miss_deadline(&mut self, turn: &mut Turn, failure: Failure) {
        let Some(live) = self.live.as_mut().filter(|live| live.is_up() && live.main != Main::Absent) else { return };
        live.course = Course::Dumping;
        self.leave_up(turn);
        self.fail(turn, failure, None);
        self.go(turn, State::Stopping);
    }

    /// Ends what looks for readiness, if anything does.
    pub(super) fn stop_probing(&mut self, turn: &mut Turn) {
        let Some(live) = &mut self.live else { return };
        let looked = live.progress.as_mut().is_some_and(|progress| std::mem::take(&mut progress.watched));
        if std::mem::take(&mut live.probing) | std::mem::take(&mut live.watching_handlers) | looked {
            turn.act(Action::StopProbing(live.generation));
        }
    }

    /// Lets go of the reserved ports, once.
    pub(super) fn release_ports(&mut self, turn: &mut Turn) {
        let Some(live) = &mut self.live else { return };
        if !std::mem::replace(&mut live.ports_released, true) {
            turn.act(Action::ReleasePorts(live.generation));
        }
    }

    /// Goes up no further: what a generation that comes up, or is up, waits for does not matter any more.
    pub(super) fn leave_up(&mut self, turn: &mut Turn) {
        let up = [Deadline::Start, Deadline::Proof, Deadline::Watchdog, Deadline::Reset, Deadline::Hold];
        self.deadlines.clear(&up);
        self.signals.drop_stop();
        self.stop_probing(turn);
    }

    /// Wanted from rest: nothing of before is counted.
    fn begin_waiting(&mut self, turn: &mut Turn) {
        self.want(Wish::Run);
        self.forget_failures();
        self.outcome = None;
        self.last_code = None;
        self.go(turn, State::Waiting);
    }

    /// Something else is wanted from now on; stop requests of before do not count any more.
    fn want(&mut self, wish: Wish) {
        self.wish = wish;
        self.stop_requests = 0;
    }

    /// Restarts what is under way. A preflight that still runs is as good as a restart.
    fn restart_live(&mut self, turn: &mut Turn) {
        let Some(live) = &self.live else { return };
        if live.main == Main::Absent && !live.over {
            return;
        }
        let is_up = live.is_up();
        self.want(Wish::Restart);
        self.signals.drop_stop();
        if is_up {
            self.begin_stop(turn, self.settings.stop_signal);
        }
    }
}
