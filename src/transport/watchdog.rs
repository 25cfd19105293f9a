//! Cuts connections that take too long. A stalled server can hold a blocking call for ever; a closed socket cannot.
//!
//! One thread looks over all leashes. Whoever works on a connection says how long that may take; when it takes longer,
//! or hardly anything moves, or the process is to end, the socket is shut down and the blocked call fails at once.

use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How long an operation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The whole operation, however well it goes.
    pub deadline: Duration,
    /// Within each such stretch …
    pub stretch: Duration,
    /// … at least so many bytes must move.
    pub least_bytes: u64,
}

/// Looks over connections until it is stopped or dropped.
#[derive(Debug, Default)]
pub struct Watchdog {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    leashes: Mutex<Vec<Weak<Leash>>>,
    has_thread: AtomicBool,
    is_stopped: AtomicBool,
}

/// One connection under watch.
#[derive(Debug)]
pub struct Leash {
    socket: TcpStream,
    running: Mutex<Option<Running>>,
    is_cut: AtomicBool,
}

#[derive(Clone, Copy, Debug)]
struct Running {
    until: Instant,
    stretch: Duration,
    least_bytes: u64,
    /// The stretch that is being looked at.
    since: Instant,
    moved: u64,
}

/// How often the thread looks.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl Watchdog {
    /// Puts a connection under watch. After [`Watchdog::stop`] it is cut at once.
    pub fn watch(&self, socket: TcpStream) -> Arc<Leash> {
        let leash = Arc::new(Leash { socket, running: Mutex::new(None), is_cut: AtomicBool::new(false) });
        lock(&self.shared.leashes).push(Arc::downgrade(&leash));
        if self.is_stopped() {
            leash.cut();
        }
        if !self.shared.has_thread.swap(true, Ordering::SeqCst) {
            let shared = Arc::downgrade(&self.shared);
            std::thread::spawn(move || look_over(&shared));
        }
        leash
    }

    /// Cuts every connection, and each that is made from now on.
    pub fn stop(&self) {
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        lock(&self.shared.leashes).iter().filter_map(Weak::upgrade).for_each(|leash| leash.cut());
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.shared.is_stopped.load(Ordering::SeqCst)
    }
}

fn look_over(shared: &Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        let now = Instant::now();
        lock(&shared.leashes).retain(|leash| match leash.upgrade() {
            Some(leash) => {
                leash.look(now);
                true
            }
            None => false,
        });
        drop(shared);
        std::thread::sleep(LOOK_EVERY);
    }
}

impl Leash {
    /// An operation begins.
    pub fn begin(&self, limits: Limits) {
        let now = Instant::now();
        *lock(&self.running) = Some(Running {
            until: now + limits.deadline,
            stretch: limits.stretch,
            least_bytes: limits.least_bytes,
            since: now,
            moved: 0,
        });
    }

    /// Bytes went over the wire.
    pub fn moved(&self, bytes: u64) {
        if let Some(running) = lock(&self.running).as_mut() {
            running.moved += bytes;
        }
    }

    /// The operation is over.
    pub fn end(&self) {
        *lock(&self.running) = None;
    }

    /// Ends the connection: a call that is blocked on it fails at once.
    pub fn cut(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        // It may be closed already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    /// Whether we ended it.
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::SeqCst)
    }

    fn look(&self, now: Instant) {
        let mut running = lock(&self.running);
        let Some(at_work) = running.as_mut() else { return };
        let is_slow = now.duration_since(at_work.since) >= at_work.stretch;
        if now >= at_work.until || (is_slow && at_work.moved < at_work.least_bytes) {
            *running = None;
            drop(running);
            self.cut();
        } else if is_slow {
            (at_work.since, at_work.moved) = (now, 0);
        }
    }
}

/// A thread that panicked while it held the lock has left whole values behind.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    const FOREVER: Duration = Duration::from_secs(600);

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (ours, listener.accept().unwrap().0)
    }

    /// How long a blocking read lasts under these limits.
    fn blocked(limits: Limits, while_it_blocks: impl FnOnce(&Watchdog, &Leash)) -> Duration {
        let (mut ours, _theirs) = pair();
        let watchdog = Watchdog::default();
        let leash = watchdog.watch(ours.try_clone().unwrap());
        let began = Instant::now();
        leash.begin(limits);
        let reader = std::thread::spawn(move || ours.read(&mut [0; 1]).unwrap_or(0));
        while_it_blocks(&watchdog, &leash);
        assert_eq!(reader.join().unwrap(), 0);
        assert!(leash.is_cut());
        began.elapsed()
    }

    #[test]
    fn a_call_that_takes_too_long_is_cut() {
        let limits = Limits { deadline: Duration::from_millis(100), stretch: FOREVER, least_bytes: 0 };
        assert!(blocked(limits, |_, _| {}) < Duration::from_secs(5));
    }

    #[test]
    fn a_call_in_which_hardly_anything_moves_is_cut() {
        let limits = Limits { deadline: FOREVER, stretch: Duration::from_millis(100), least_bytes: 10 };
        assert!(blocked(limits, |_, leash| leash.moved(1)) < Duration::from_secs(5));
    }

    #[test]
    fn a_stop_cuts_what_is_and_what_comes() {
        let limits = Limits { deadline: FOREVER, stretch: FOREVER, least_bytes: 0 };
        assert!(blocked(limits, |watchdog, _| watchdog.stop()) < Duration::from_secs(5));
        let watchdog = Watchdog::default();
        watchdog.stop();
        assert!(watchdog.watch(pair().0).is_cut());
    }

    #[test]
    fn idle_connections_and_those_that_move_are_left_alone() {
        let watchdog = Watchdog::default();
        let (idle, moving) = (watchdog.watch(pair().0), watchdog.watch(pair().0));
        moving.begin(Limits { deadline: FOREVER, stretch: Duration::from_millis(60), least_bytes: 1 });
        for _ in 0..20 {
            moving.moved(1);
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(!idle.is_cut() && !moving.is_cut());
    }
}
