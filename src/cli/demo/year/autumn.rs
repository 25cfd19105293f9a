//! The finance side of the year: the collection account's statement against the ledger, and in September the settlement with the
//! departments.

use super::{Bank, FEE_YEAR, LATE_PAYMENTS, Year, order};
use crate::cli::CliError;
use crate::cli::bank::Credit;
use crate::cli::demo::people::World;
#[cfg(feature = "bank-sim")]
use crate::cli::demo::server;
use crate::daemon::payouts::list;
use crate::daemon::reconciling::reconcile;
use crate::daemon::settling::settle;
use crate::domain::calendar::Date;
use crate::domain::money::Money;

/// The day of the settlement: due on 20 September (R15).
const SETTLED_ON: Date = Date::constant(FEE_YEAR, 9, 17);

/// The last look of the year.
pub(crate) const YEAR_END: Date = Date::constant(FEE_YEAR, 12, 28);

impl Year<'_> {
    /// September: the statement so far, the settlement of what was booked up to 31 August, the lists of ex-post subsidies.
    pub(super) fn autumn(&mut self, world: &World, banks: &[Bank<'_>]) -> Result<(), CliError> {
        self.statement(world, banks, "对账单-2018年9月.csv", None, SETTLED_ON)?;
        let report = settle(&mut self.played.bureau, FEE_YEAR, &order(SETTLED_ON))?;
        let claimed: Money = report.settlements.iter().map(|one| one.deemed).sum();
        let count = report.settlements.len();
        self.say(SETTLED_ON, &format!("向各代缴部门提交 {FEE_YEAR} 年度清算 {count} 份，代缴 {claimed} 元"));
        let lists = list(&mut self.played.bureau, FEE_YEAR, &order(SETTLED_ON))?;
        let people: u64 = lists.iter().map(|list| list.people).sum();
        self.say(SETTLED_ON, &format!("事后补助名单 {} 份，{people} 人", lists.len()));
        Ok(())
    }

    /// December: the rest of the statement.
    pub(super) fn year_end(&mut self, world: &World, banks: &[Bank<'_>]) -> Result<(), CliError> {
        self.statement(world, banks, "对账单-2018年12月.csv", Some(LATE_PAYMENTS), YEAR_END)
    }

    /// What the banks booked since the last statement, as they booked it, and what differs from our books.
    fn statement(
        &mut self,
        world: &World,
        banks: &[Bank<'_>],
        name: &str,
        late: Option<Date>,
        day: Date,
    ) -> Result<(), CliError> {
        let mut fresh = Vec::new();
        for (place, bank) in banks.iter().enumerate() {
            let all = credits(bank);
            fresh.extend(all.iter().skip(self.shown[place]).map(|credit| (place, credit.clone())));
            self.shown[place] = all.len();
        }
        self.drop_table("bureau", &world.statement(name, &fresh, late), day)?;
        let differences = reconcile(&self.played.bureau, day)?.due().count();
        let what = if fresh.is_empty() {
            "其他渠道收款".to_owned()
        } else {
            format!("{} 个批次的扣款", fresh.len())
        };
        self.say(day, &format!("征缴户对账单到达：{what}；对账差异 {differences} 项"));
        Ok(())
    }
}

fn credits(bank: &Bank<'_>) -> Vec<Credit> {
    match bank {
        Bank::Folders(bank) => bank.credits().to_vec(),
        #[cfg(feature = "bank-sim")]
        Bank::Server(line) => server::Line::credits(line),
    }
}
