//! Enums as stored: their place in the list of words. The order of those lists never changes.

use crate::domain::instruction::{BatchState, InstructionState};
use crate::domain::ledger::{Account, Event};
use crate::domain::participant::{Category, DistrictCode, Payer};
use crate::domain::plan::PlanState;
use crate::domain::returns::Outcome;
use crate::domain::settlement::{ExPostState, SettlementState};
use crate::store::{Error, Result};
use rusqlite::Connection;
use std::collections::BTreeMap;

macro_rules! stored {
    ($($read:ident: $kind:ident),*) => {
        $(
            #[doc = concat!("The stored `", stringify!($kind), "`.")]
            pub(crate) fn $read(value: i64) -> $kind {
                usize::try_from(value).ok().and_then(|place| $kind::ALL.get(place)).expect("a stored word is one of ours").0
            }
        )*
    };
}

stored!(instruction_state: InstructionState, batch_state: BatchState, plan_state: PlanState, outcome: Outcome, payer: Payer, category: Category, event: Event, ex_post_state: ExPostState, settlement_state: SettlementState);

/// Accounts and their stored numbers: 1 to 4 are fixed, receivables get the next number when they are first used.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    ids: BTreeMap<Account, i64>,
    accounts: BTreeMap<i64, Account>,
}

impl Accounts {
    /// Reads all that are known.
    pub(crate) fn load(conn: &Connection) -> Result<Accounts> {
        let mut known = Accounts::default();
        for account in [Account::Collection, Account::Suspense, Account::PersonalOwn, Account::PersonalGovernment] {
            known.accounts.insert(fixed(account).expect("only receivables are numbered as they come"), account);
        }
        let mut statement = conn.prepare_cached("SELECT id, payer, district FROM account WHERE payer IS NOT NULL")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let district: String = row.get(2)?;
            known.add(row.get(0)?, Account::Receivable(payer(row.get(1)?), self::district(&district)?));
        }
        Ok(known)
    }

    fn add(&mut self, id: i64, account: Account) {
        self.ids.insert(account, id);
        self.accounts.insert(id, account);
    }

    /// The number of an account, given now if it is new.
    pub(crate) fn id(&mut self, conn: &Connection, account: Account) -> Result<i64> {
        if let Some(id) = fixed(account).or_else(|| self.ids.get(&account).copied()) {
            return Ok(id);
        }
        let Account::Receivable(payer, district) = account else { unreachable!("only receivables are added") };
        conn.prepare_cached("INSERT INTO account (payer, district) VALUES (?1, ?2)")?
            .execute((payer as i64, district.as_str()))?;
        let id = conn.last_insert_rowid();
        self.add(id, account);
        Ok(id)
    }

    /// The account of a number.
    pub(crate) fn account(&self, id: i64) -> Result<Account> {
        self.accounts.get(&id).copied().ok_or_else(|| Error::Broken(format!("account {id} is not known")))
    }
}

/// The stored number of the accounts that every bureau has.
fn fixed(account: Account) -> Option<i64> {
    match account {
        Account::Collection => Some(1),
        Account::Suspense => Some(2),
        Account::PersonalOwn => Some(3),
        Account::PersonalGovernment => Some(4),
        Account::Receivable(..) => None,
    }
}

/// A stored district code.
pub(crate) fn district(text: &str) -> Result<DistrictCode> {
    DistrictCode::parse(text).ok_or_else(|| Error::Broken(format!("{text} is no district code")))
}
