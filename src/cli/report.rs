//! `daikou report`: papers for the file and for finance.

use crate::cli::paper::PaperArgs;
use crate::cli::{CliError, Context, Exit, Ran};
use crate::daemon::finance::{account, transfers, voucher};
use crate::daemon::reporting::{plans, results};
use crate::daemon::vouchers::vouchers;
use crate::domain::calendar::Month;
use crate::domain::ids::IdNumber;
use crate::store::book::closed_months;

/// Arguments of `report`.
#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// plans: by district, category and tier; results: deductions by bank and result; transfers: payers' money against
    /// settlements; voucher: the month's voucher on a cash basis; account: the extract of one person's account
    #[arg(value_enum)]
    what: What,
    /// Fee year of plans and results, settlement year of transfers
    #[arg(long, value_name = "Y", required_if_eq_any([("what", "plans"), ("what", "results"), ("what", "transfers")]))]
    year: Option<i16>,
    /// Month of the voucher
    #[arg(long, value_name = "YYYY-MM", required_if_eq("what", "voucher"))]
    month: Option<String>,
    /// Identity number of whose account
    #[arg(long, value_name = "ID", required_if_eq("what", "account"))]
    person: Option<String>,
    #[command(flatten)]
    paper: PaperArgs,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum What {
    Plans,
    Results,
    Transfers,
    Voucher,
    Account,
}

/// Runs `report`.
pub fn run(args: &ReportArgs, context: &Context) -> Ran {
    let year = args.year.unwrap_or_default();
    let month = args.month.as_deref().map(parse_month).transpose()?;
    let person = args.person.as_deref().map(parse_person).transpose()?;
    let bureau = context.open_to_read()?;
    let today = context.now().date();
    let mut papers = match (args.what, month, person) {
        (What::Plans, ..) => vec![plans(&bureau, year, today)?],
        (What::Results, ..) => vec![results(&bureau, year, today)?],
        (What::Transfers, ..) => transfers(&bureau, year, today)?.into(),
        (What::Voucher, Some(month), _) => {
            let conn = bureau.store.connection();
            let is_closed = closed_months(conn)?.contains(&month);
            voucher(&vouchers(conn, &bureau.config, month)?, &bureau.config, month, is_closed, today)
        }
        (What::Account, _, Some(id)) => vec![account(&bureau, id, args.paper.mask, today)?],
        (What::Voucher, None, _) => return Err(CliError::Usage("voucher wants --month YYYY-MM".to_owned())),
        (What::Account, _, None) => return Err(CliError::Usage("account wants --person ID".to_owned())),
    };
    args.paper.write(&mut papers, context)?;
    Ok(Exit::Done)
}

fn parse_month(text: &str) -> Result<Month, CliError> {
    Month::parse(text).ok_or_else(|| CliError::no_month(text))
}

/// The number itself stays out of the message.
fn parse_person(text: &str) -> Result<IdNumber, CliError> {
    let parsed = IdNumber::parse(text).map_err(|_| CliError::Usage("--person：应为身份证号".to_owned()))?;
    Ok(parsed.id)
}
