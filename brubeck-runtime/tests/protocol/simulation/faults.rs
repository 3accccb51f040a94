//! The faults that are injected.

use brubeck_runtime::protocol::{CallerEvent, PeerId, WorkerEvent};
use bytes::Bytes;

use super::ledger::State;
use super::network::Side;
use super::plan::Fault;
use super::world::World;

impl World {
    /// Injects one fault of the plan, chosen at random. Some faults have no effect if their target is dead or
    /// suspended.
    pub(crate) fn inject_fault(&mut self) -> Result<(), String> {
        let fault = self.plan.faults[self.rng.index(self.plan.faults.len())];
        let caller = self.rng.index(self.callers.len());
        let worker = self.rng.index(self.workers.len());
        self.counts.faults_by_kind[fault as usize] += 1;
        self.note(|| format!("-- {fault:?}"));
        match fault {
            Fault::Cut => {
                let notify = self.rng.chance(800);
                self.cut(caller, worker, notify);
            }
            Fault::HalfOpen => {
                let directions = self.rng.range(1, 4);
                let link = &mut self.links[caller][worker];
                link.blocked[0] |= directions & 1 != 0;
                link.blocked[1] |= directions & 2 != 0;
            }
            Fault::FreezeWorker if self.workers[worker].alive => {
                let length = self.rng.range(1_000, 900_000);
                self.freeze(Side::Worker, worker, length);
            }
            Fault::FreezeCaller => {
                let length = self.rng.range(1_000, 900_000);
                self.freeze(Side::Caller, caller, length);
            }
            Fault::CrashWorker if self.workers[worker].alive => {
                self.note(|| format!("worker {worker} crashes"));
                self.end_worker(worker, true);
            }
            Fault::CrashCaller => self.crash_caller(caller),
            Fault::JumpWorker if self.workers[worker].alive && !self.workers[worker].clock.frozen => {
                let by = self.rng.range(1, 1_000_000);
                self.workers[worker].clock.jump(self.now, by);
                return self.worker_event(worker, WorkerEvent::Wake);
            }
            Fault::JumpCaller if !self.callers[caller].clock.frozen => {
                let by = self.rng.range(1, 1_000_000);
                self.callers[caller].clock.jump(self.now, by);
                return self.caller_event(caller, CallerEvent::Wake);
            }
            Fault::Drain if self.workers[worker].alive && !self.workers[worker].clock.frozen => {
                let begins = !std::mem::replace(&mut self.workers[worker].draining, true);
                if begins {
                    self.counts.drains += 1;
                    return self.worker_event(worker, WorkerEvent::Drain);
                }
            }
            Fault::RemovePeer if !self.callers[caller].clock.frozen => {
                let peer = PeerId(worker as u64);
                if self.links[caller][worker].known {
                    return self.caller_event(caller, CallerEvent::RemovePeer { peer });
                }
                self.links[caller][worker].known = true;
                self.caller_event(caller, CallerEvent::AddPeer { peer })?;
                // The numbers of links continue for a peer that is added again.
                self.connect_soon(caller, worker);
            }
            Fault::Replay => return self.replay(caller, worker),
            Fault::Flood => return self.flood(worker),
            _ => {}
        }
        Ok(())
    }

    fn crash_caller(&mut self, caller: usize) {
        self.note(|| format!("caller {caller} crashes"));
        for (_, tag) in std::mem::take(&mut self.callers[caller].open) {
            if let Some(entry) = self.ledger.calls.get_mut(&tag) {
                entry.state = State::Orphaned;
            }
        }
        for worker in 0..self.workers.len() {
            let notify = self.rng.chance(700);
            self.cut(caller, worker, notify);
        }
        let incarnation = self.callers[caller].incarnation + 1;
        self.callers[caller] = Self::caller(&self.plan, incarnation, 2_000_000, &mut self.rng);
        self.add_workers(caller);
    }

    /// Sends earlier messages of sessions again, unchanged or with a changed session, to the same or a different process. A faulty
    /// peer may do so.
    fn replay(&mut self, caller: usize, worker: usize) -> Result<(), String> {
        for _ in 0..self.rng.range(1, 20) {
            if self.history.is_empty() {
                return Ok(());
            }
            let mut frames = self.history[self.rng.index(self.history.len())].clone();
            let mut head = frames[0].to_vec();
            // `hello`, `welcome` and `denied` belong to no session.
            if [1, 4, 14].contains(&head[5]) {
                continue;
            }
            if self.rng.chance(500) {
                // The session is in the bytes 6 to 13.
                head[self.rng.range(6, 14) as usize] ^= 1 << self.rng.range(0, 8);
                frames[0] = Bytes::from(head);
            }
            let link = self.links[caller][worker].number;
            if self.rng.chance(500) && !self.callers[caller].clock.frozen {
                self.caller_event(
                    caller,
                    CallerEvent::Frames {
                        peer: PeerId(worker as u64),
                        link,
                        frames,
                    },
                )?;
            } else if self.workers[worker].alive && !self.workers[worker].clock.frozen {
                let peer = if self.rng.chance(500) {
                    super::network::identity(caller, self.callers[caller].incarnation, worker, link)
                } else {
                    Bytes::from_static(b"stranger")
                };
                self.worker_event(worker, WorkerEvent::Frames { peer, frames })?;
            }
        }
        Ok(())
    }

    /// Sends hellos from up to 59 peers whose connections are not protected. The worker denies them.
    fn flood(&mut self, worker: usize) -> Result<(), String> {
        use brubeck_runtime::wire::v3::{ByteStr, Hello, Position, VERSION, WireMessage, encode};
        if !self.workers[worker].alive || self.workers[worker].clock.frozen {
            return Ok(());
        }
        for stranger in 0..self.rng.range(1, 60) {
            let hello = WireMessage::Hello(Hello {
                version: VERSION,
                features: 0,
                heartbeat_ms: 1000,
                max_body: 1 << 20,
                name: ByteStr::default(),
                service: ByteStr::default(),
            });
            let frames = encode(&hello, Position::NONE).map_err(|error| error.to_string())?;
            let peer = Bytes::from(format!("stranger {stranger}"));
            self.worker_event(worker, WorkerEvent::Frames { peer, frames })?;
        }
        Ok(())
    }
}
