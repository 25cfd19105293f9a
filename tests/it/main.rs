//! One integration binary: each module is one kind of proof.

mod attacks;
mod audit;
mod bank_files;
#[cfg(feature = "bank-sim")]
mod bank_sim;
mod bureau;
mod charsets;
mod check;
mod corruption;
mod crash;
mod defects;
#[cfg(feature = "bank-sim")]
mod delivery;
mod demo;
mod disk;
mod docs;
mod drops;
mod evidence;
mod exchange;
mod feed;
mod flow;
mod fuzz;
mod layouts;
mod lifecycles;
#[cfg(feature = "bank-sim")]
mod lines;
mod papers;
mod properties;
mod running;
mod silence;
mod sshd;
mod tidy;
mod upload;
// Fen stand as yuan and fen: 2_000_00.
mod years;

/// A folder of its own. In memory where there is room: a proof waits for the disk half of its time, and neither a rule nor the
/// death of a process is another one there. What a disk forgets is the simulation's.
fn scratch() -> tempfile::TempDir {
    const ROOM: u64 = 2 << 30;
    let memory = std::path::Path::new("/dev/shm");
    let is_roomy = rustix::fs::statvfs(memory).is_ok_and(|about| about.f_bavail * about.f_frsize >= ROOM);
    let made = if is_roomy { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary folder")
}
