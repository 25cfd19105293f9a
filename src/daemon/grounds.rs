//! What all that follows from a drop file rests on: its private copy, and the digest that a bank's file is held against.

use crate::daemon::bureau::Step;
use crate::daemon::own_digest::OwnDigest;
use crate::transport::copying::Copying;

/// Copy and digest are in the making while the file is decoded, matched and written. No commit comes before them.
#[derive(Debug)]
pub struct Grounds {
    /// The private copy: the only bytes that are parsed.
    pub copy: Copying,
    /// The digest of the copy, where the bank's layout has one.
    pub digest: Option<OwnDigest>,
    /// The digest that the file states: it passes for the computed one until the first commit.
    believed: Option<String>,
}

impl Grounds {
    /// Nothing is believed yet.
    pub fn new(copy: Copying, digest: Option<OwnDigest>) -> Grounds {
        Grounds { copy, digest, believed: None }
    }

    /// From here on all is decided as if the copy had the digest that the file states.
    pub fn believe(&mut self, stated: String) -> String {
        self.believed.insert(stated).clone()
    }

    /// Whether a digest is believed that is not computed yet.
    pub fn is_believed(&self) -> bool {
        self.believed.is_some()
    }

    /// Ends a belief: nothing is written that was decided on it.
    pub fn doubt(&mut self) {
        self.believed = None;
    }

    /// Waits until the copy is on disk and its digest is computed; whether it is the one that was believed.
    pub fn hold(&mut self) -> Step<bool> {
        self.copy.land()?;
        let Some(believed) = &self.believed else { return Ok(true) };
        let computed = self.digest.as_mut().map(OwnDigest::wait).transpose()?;
        let holds = computed == Some(believed);
        if holds {
            self.believed = None;
        }
        Ok(holds)
    }

    /// Waits until the copy is on disk, where nothing may be believed.
    pub fn land(&mut self) -> Step<()> {
        assert!(self.believed.is_none(), "what rests on a belief is written by `Taking::apply` alone");
        self.copy.land()?;
        Ok(())
    }
}
