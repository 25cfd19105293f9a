//! `daikou feed`: files of postings for the business system, and which of them it has.

use crate::cli::out::{Kind, say};
use crate::cli::table::aligned;
use crate::cli::{CliError, Context, Exit, Ran};
use crate::daemon::feeding::{feed, overdue};
use crate::store::outgoing::{FeedFile, files};
use crate::transport::hex;
use serde_json::json;

/// Runs `feed`.
pub fn run(context: &Context) -> Ran {
    let mut bureau = context.open()?;
    let order = context.order();
    let made = feed(&mut bureau, None, &order)?;
    let late = overdue(&bureau, order.today())?;
    let mut shown = files(bureau.store.connection())?;
    if context.json {
        let object = |file: &FeedFile| {
            json!({
                "number": file.number,
                "name": file.name(),
                "rows": file.rows,
                "amount": file.amount.to_string(),
                "sha256": hex(&file.sha256),
                "made_on": file.made_on.to_string(),
                "acknowledged_on": file.acked_on.map(|day| day.to_string()),
            })
        };
        let all = |files: &[FeedFile]| files.iter().map(object).collect::<Vec<_>>();
        context.print_json(&json!({ "made": all(&made), "files": all(&shown), "late": late.len() }));
        return Ok(Exit::Done);
    }
    // All that waits for an acknowledgement, and what is new.
    shown.retain(|file| file.acked_on.is_none() || made.contains(file));
    say(&told(made.len(), late.len(), &shown)).map_err(|error| CliError::Io("stdout".to_owned(), error))?;
    Ok(Exit::Done)
}

fn told(made: usize, late: usize, shown: &[FeedFile]) -> String {
    let mut text = format!("新生成 {made} 个推送文件；未回执 {} 个，其中逾期 {late} 个\n", shown.len());
    if shown.is_empty() {
        return text;
    }
    let headings = [
        ("文件", Kind::Text),
        ("分录", Kind::Number),
        ("金额", Kind::Amount),
        ("生成", Kind::Text),
        ("摘要", Kind::Text),
    ];
    let row = |file: &FeedFile| {
        let digest = hex(&file.sha256)[..16].to_owned();
        vec![file.name(), file.rows.to_string(), file.amount.to_string(), file.made_on.to_string(), digest]
    };
    text.push_str(&aligned(&headings, &shown.iter().map(row).collect::<Vec<_>>()));
    text
}
