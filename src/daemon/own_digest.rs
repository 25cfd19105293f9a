//! The digest that a bank's file holds over itself, or its control file over it. It takes longer than all else before the
//! first posting, so another thread computes it behind the private copy.

use crate::daemon::bureau::Step;
use crate::daemon::intake::Control;
use crate::format::decode::decode;
use crate::format::decoded::Decoded;
use crate::format::digest::{Algorithm, Hasher};
use crate::format::layout::{FileKind, Layout};
use crate::transport::Error;
use crate::transport::copying::Follower;
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

/// Bytes that are hashed at once: they stay in the processor's cache.
const SLICE_BYTES: usize = 128 * 1024;

/// Which digest a return file is held against, if the file is sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    algorithm: Algorithm,
    range: Range<u64>,
}

impl Wanted {
    /// The digest of a return file of `size` bytes; `None` where the layout has none.
    pub fn of(layout: &Layout, control: Option<&Control>, size: u64) -> Option<Wanted> {
        let file = layout.file(FileKind::Return)?;
        let control = decode_control(layout, control);
        let algorithm = control.as_ref().and_then(Decoded::asked_digest).or(file.own_digest())?;
        Some(Wanted { algorithm, range: file.digest_range(size) })
    }
}

/// A control file, read.
pub fn decode_control<'l>(layout: &'l Layout, control: Option<&Control>) -> Option<Decoded<'l>> {
    decode(layout, FileKind::ReturnControl, &control?.bytes, None, &mut |_| {})
}

/// A digest in the making.
#[derive(Debug)]
pub struct OwnDigest {
    end_of_range: u64,
    is_unwanted: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<String>>>,
    computed: Option<String>,
}

impl OwnDigest {
    /// Begins to read behind the copy.
    pub fn begin(wanted: Wanted, follower: Follower) -> io::Result<OwnDigest> {
        let (end_of_range, is_unwanted) = (wanted.range.end, Arc::new(AtomicBool::new(false)));
        let stop = is_unwanted.clone();
        let thread = std::thread::Builder::new().name("digest".to_owned());
        let thread = thread.spawn(move || compute(&wanted, follower, &stop))?;
        Ok(OwnDigest { end_of_range, is_unwanted, thread: Some(thread), computed: None })
    }

    /// Where the bytes end that it is over.
    pub fn end_of_range(&self) -> u64 {
        self.end_of_range
    }

    /// Waits for it: lower-case hexadecimal.
    pub fn wait(&mut self) -> Step<&str> {
        let failed = |source| Error::io(Path::new("the private copy"), "read", source);
        if let Some(thread) = self.thread.take() {
            let computed = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            self.computed = Some(computed.map_err(failed)?);
        }
        Ok(self.computed.as_deref().ok_or_else(|| failed(io::Error::other("it failed before")))?)
    }
}

impl Drop for OwnDigest {
    /// A digest that nobody waits for any more is not computed to its end.
    fn drop(&mut self) {
        self.is_unwanted.store(true, Ordering::Relaxed);
    }
}

fn compute(wanted: &Wanted, follower: Follower, stop: &AtomicBool) -> io::Result<String> {
    let mut hasher = Hasher::new(wanted.algorithm);
    let mut buffer = vec![0; SLICE_BYTES];
    let mut bytes = follower.from(wanted.range.start).take(wanted.range.end - wanted.range.start);
    while !stop.load(Ordering::Relaxed) {
        match bytes.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        }
    }
    Ok(hasher.finish())
}
