//! `policy/accounts.toml`: codes and names of the fund's accounts, for the voucher of a month.

use crate::config::source::{Problem, Source};
use crate::domain::ledger::{Account, Basis};
use serde::Deserialize;

/// Code and name of one account of the fund's books.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Title {
    /// Code.
    pub code: String,
    /// Name.
    pub name: String,
}

/// The fund's accounts that our ledger speaks of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Titles {
    collection: Title,
    suspense: Title,
    own_income: Title,
    transfer_income: Title,
    memo_receivable: Title,
    memo_personal: Title,
}

impl Titles {
    /// Reads `accounts.toml`.
    pub(super) fn load(source: &Source, problems: &mut Vec<Problem>) -> Titles {
        source.read(problems).unwrap_or_default()
    }

    /// The fund's account for one of ours. What is deemed is a memorandum; money on a receivable is income.
    pub fn of(&self, account: Account, basis: Basis) -> &Title {
        match (account, basis) {
            (Account::Collection, _) => &self.collection,
            (Account::Suspense, _) => &self.suspense,
            (Account::PersonalOwn, _) => &self.own_income,
            (Account::PersonalGovernment, _) => &self.memo_personal,
            (Account::Receivable(..), Basis::Cash) => &self.transfer_income,
            (Account::Receivable(..), Basis::Deemed) => &self.memo_receivable,
        }
    }
}
