//! The process dies at every durable step, at random moments, and with faults put in: nothing is lost, nothing is twice.
//!
//! These proofs need the program with its failpoints:
//! `cargo build --features failpoints --bin daikou-failpoints`, and its path in `DAIKOU_FAILPOINTS_BIN` (`tests/run`
//! does both). Without it they say that they were skipped.

mod kills;
mod large;
#[cfg(feature = "bank-sim")]
mod line;
mod matrix;
mod mutants;
mod oracle;
mod page;
pub(crate) mod stage;
mod versions;
mod year;

use std::path::PathBuf;

/// Runs that go on at once: they wait for the disk and for quiet inboxes.
pub(crate) const AT_ONCE: usize = 8;

/// The program with its failpoints, where it was built.
fn program() -> Option<PathBuf> {
    let program = std::env::var_os("DAIKOU_FAILPOINTS_BIN").map(PathBuf::from);
    if program.is_none() {
        println!("skipped: DAIKOU_FAILPOINTS_BIN does not name the program with its failpoints (see tests/run)");
    }
    program
}

/// Does each piece of work, some at once; the results in the order of the work.
pub(crate) fn each<W: Sync, R: Send>(work: &[W], run: impl Fn(&W) -> R + Sync) -> Vec<R> {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let done = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let place = next.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    let Some(work) = work.get(place) else { return };
                    let result = run(work);
                    done.lock().unwrap().push((place, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap();
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}
