//! The flow: drop → decode → validate → match → post → emit. Plain functions, one step's answer is the next one's question.

pub mod book;
pub mod intake;
pub mod lists;
pub mod matching;
pub mod planning;
pub mod post;
pub mod resolving;
