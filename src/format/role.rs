//! What a field means to the rest of the program. A layout says which of its fields plays which role; the code asks
//! by role and never by a bank's own field name.

/// The meaning of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Batch number.
    Batch,
    /// Instruction number, the only match key.
    Instruction,
    /// Account number.
    Account,
    /// Identity number (GB 11643).
    IdNumber,
    /// Name of the account's holder.
    Name,
    /// 社保编号.
    Person,
    /// Amount instructed.
    Amount,
    /// Amount the bank took.
    Actual,
    /// The bank's code for one row.
    Code,
    /// The bank's words for one row.
    Message,
    /// Booking date, or date and time.
    BookedOn,
    /// Booking time of day.
    BookedTime,
    /// The bank's serial number.
    Serial,
    /// Place of a row in its file, from 1.
    Sequence,
    /// Fee year.
    FeeYear,
    /// Fee year followed by `00`.
    FeePeriod,
    /// Debit date.
    ValueDate,
    /// The date in the batch number.
    BatchDate,
    /// Number of a return file among those of its batch, from 1.
    PartNo,
    /// `Y` on the last return file of a batch.
    Final,
    /// The bank's code for the whole file.
    FileCode,
    /// The bank's words for the whole file.
    FileMessage,
    /// Detail rows.
    Count,
    /// Sum of the amounts instructed.
    Sum,
    /// Rows whose code means `ok`.
    OkCount,
    /// Sum of what was taken on `ok` rows.
    OkSum,
    /// All other rows.
    NgCount,
    /// Sum of what was instructed on all other rows.
    NgSum,
    /// Sum of the last eight digits of every account.
    TailSum,
    /// Digest over the bytes the layout names.
    Digest,
    /// Which digest it is.
    DigestAlgorithm,
    /// Name of the data file (control files).
    FileName,
    /// Bytes of the data file (control files).
    FileSize,
    /// When the file was made.
    Created,
}

impl Role {
    /// Every role with its word in `layout.toml`, in the order of the declaration.
    pub const ALL: [(Role, &str); 34] = [
        (Role::Batch, "batch"),
        (Role::Instruction, "instruction"),
        (Role::Account, "account"),
        (Role::IdNumber, "id-number"),
        (Role::Name, "name"),
        (Role::Person, "person"),
        (Role::Amount, "amount"),
        (Role::Actual, "actual"),
        (Role::Code, "code"),
        (Role::Message, "message"),
        (Role::BookedOn, "booked-on"),
        (Role::BookedTime, "booked-time"),
        (Role::Serial, "serial"),
        (Role::Sequence, "sequence"),
        (Role::FeeYear, "fee-year"),
        (Role::FeePeriod, "fee-period"),
        (Role::ValueDate, "value-date"),
        (Role::BatchDate, "batch-date"),
        (Role::PartNo, "part-no"),
        (Role::Final, "final"),
        (Role::FileCode, "file-code"),
        (Role::FileMessage, "file-message"),
        (Role::Count, "count"),
        (Role::Sum, "sum"),
        (Role::OkCount, "ok-count"),
        (Role::OkSum, "ok-sum"),
        (Role::NgCount, "ng-count"),
        (Role::NgSum, "ng-sum"),
        (Role::TailSum, "account-tail-sum"),
        (Role::Digest, "digest"),
        (Role::DigestAlgorithm, "digest-algorithm"),
        (Role::FileName, "file-name"),
        (Role::FileSize, "file-size"),
        (Role::Created, "created"),
    ];

    /// The word in `layout.toml`.
    pub fn word(self) -> &'static str {
        Role::ALL[self as usize].1
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<Role> {
        Role::ALL.iter().find(|(_, w)| *w == word).map(|(role, _)| *role)
    }

    /// Whether what stands here belongs to a person, and is not shown unless asked for.
    pub fn is_personal(self) -> bool {
        matches!(self, Role::Account | Role::IdNumber | Role::Name | Role::Person)
    }

    /// An amount of money.
    pub fn is_money(self) -> bool {
        matches!(self, Role::Amount | Role::Actual | Role::Sum | Role::OkSum | Role::NgSum)
    }

    /// A number that is counted or added up.
    pub fn is_number(self) -> bool {
        use Role::{Count, FileSize, NgCount, OkCount, PartNo, Sequence, TailSum};
        matches!(self, Count | OkCount | NgCount | TailSum | FileSize | Sequence | PartNo)
    }

    /// Worked out of the other bytes when a file is written, whatever was given.
    pub fn is_computed(self) -> bool {
        use Role::{Count, Digest, NgCount, NgSum, OkCount, OkSum, Sum, TailSum};
        matches!(self, Count | Sum | OkCount | OkSum | NgCount | NgSum | TailSum | Digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_declaration() {
        for (place, (role, word)) in Role::ALL.into_iter().enumerate() {
            assert_eq!(role as usize, place);
            assert_eq!(Role::parse(word), Some(role));
        }
    }
}
