//! Where proofs that touch files lie.

/// A folder of its own. In memory where there is room: a proof waits for the disk half of its time, and neither a rule nor the
/// death of a process is another one there. What a disk forgets is the simulation's.
pub(crate) fn scratch() -> tempfile::TempDir {
    const ROOM: u64 = 2 << 30;
    let memory = std::path::Path::new("/dev/shm");
    let is_roomy = rustix::fs::statvfs(memory).is_ok_and(|about| about.f_bavail * about.f_frsize >= ROOM);
    let made = if is_roomy { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a temporary folder")
}
