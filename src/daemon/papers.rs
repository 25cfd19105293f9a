//! Papers on their way out: into the outbox under a name that holds the digest, and from there to their folder.

use crate::daemon::bureau::{Bureau, Order, Step};
use crate::daemon::receipts::flush_outbox;
use crate::format::paper::{Paper, workbook};
use crate::store::{Error, Result, Txn};
use crate::transport::hex;
use sha2::{Digest, Sha256};

/// Puts papers as one workbook into the outbox, in the transaction that they speak of. The same papers of the same day
/// are one file. Gives its path below `drops/`.
pub fn post(txn: &Txn<'_>, folder: &str, stem: &str, papers: &[&Paper]) -> Result<String> {
    let bytes = workbook(papers).map_err(|error| Error::Broken(error.to_string()))?;
    let digest = hex(&Sha256::digest(&bytes));
    let made_on = papers.first().map_or(String::new(), |paper| paper.made_on.strftime("-%Y%m%d").to_string());
    let name = format!("{stem}{made_on}.{}.xlsx", &digest[..8]);
    txn.post_out(folder, &name, &bytes)?;
    Ok(format!("{folder}/{name}"))
}

/// Publishes workbooks in a transaction of their own, with its audit row. Gives their paths below `drops/`.
pub fn publish(
    bureau: &mut Bureau,
    action: &'static str,
    folder: &str,
    named: &[(String, Vec<&Paper>)],
    order: &Order,
) -> Step<Vec<String>> {
    let act = order.act(action, folder, bureau.config.digest);
    let paths = bureau.store.transact(&act, |txn| {
        named.iter().map(|(stem, papers)| post(txn, folder, stem, papers)).collect::<Result<Vec<_>>>()
    })?;
    flush_outbox(bureau)?;
    Ok(paths)
}
