//! `daikou expost`: tells each payer whom it owes an ex-post subsidy (R14).

use crate::cli::out::Kind;
use crate::cli::table::aligned;
use crate::cli::words::both;
use crate::cli::{Context, Exit, Ran};
use crate::daemon::payouts::list;
use crate::store::payouts::PayoutList;
use crate::transport::hex;
use serde_json::{Value, json};

/// Arguments of `expost`.
#[derive(Debug, clap::Args)]
pub struct ExpostArgs {
    /// Fee year
    #[arg(long, value_name = "Y")]
    year: i16,
}

/// Runs `expost`.
pub fn run(args: &ExpostArgs, context: &Context) -> Ran {
    let mut bureau = context.open()?;
    let lists = list(&mut bureau, args.year, &context.order())?;
    if context.json {
        context.print_json(&json!({ "lists": lists.iter().map(as_json).collect::<Vec<_>>() }));
    } else if lists.is_empty() {
        println!("{} 年度没有新的应发放事后补助", args.year);
    } else {
        print!("{}", table(&lists));
    }
    Ok(Exit::Done)
}

fn as_json(list: &PayoutList) -> Value {
    json!({
        "file": list.name,
        "payer": list.payer.word(),
        "district": list.district.to_string(),
        "people": list.people,
        "amount": list.amount.to_string(),
        "digest": hex(&list.sha256),
    })
}

fn table(lists: &[PayoutList]) -> String {
    let headings = [
        ("代缴部门", Kind::Text),
        ("区县", Kind::Text),
        ("人数", Kind::Number),
        ("金额", Kind::Amount),
        ("文件", Kind::Text),
    ];
    let row = |list: &PayoutList| {
        let (payer, district) = (both(list.payer.word()), list.district.to_string());
        vec![payer, district, list.people.to_string(), list.amount.to_string(), list.name.clone()]
    };
    aligned(&headings, &lists.iter().map(row).collect::<Vec<_>>())
}
