//! The columns that tables may have, in English and in Chinese, and which table needs which (design section 4).

/// A column that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Column {
    /// 身份证号.
    IdNumber,
    /// 姓名.
    Name,
    /// 区县.
    District,
    /// 缴费档次, yuan.
    Tier,
    /// 开户银行.
    Bank,
    /// 银行账号.
    Account,
    /// 户名.
    AccountName,
    /// 参保状态.
    Status,
    /// 状态日期.
    StatusSince,
    /// 乡镇街道.
    Town,
    /// 村社区.
    Village,
    /// 社保编号.
    PersonNumber,
    /// 认定类别.
    Category,
    /// 认定年度.
    RecognizedYear,
    /// 数据日期.
    AsOf,
    /// 缴费年度.
    FeeYear,
    /// 金额.
    Amount,
    /// 缴费日期, 发放日期.
    PaidOn,
    /// 渠道.
    Channel,
    /// 凭证号, 摘要, 批次号.
    Reference,
    /// 记账日期.
    BookedOn,
    /// 流水号.
    Serial,
    /// 代缴部门.
    Payer,
    /// 清算年度.
    SettlementYear,
    /// 到款日期.
    ReceivedOn,
    /// 文件序号 of the feed of postings.
    FeedNumber,
    /// 文件摘要, SHA-256.
    Sha256,
    /// 发放结果.
    Outcome,
}

impl Column {
    /// Every column with its English name, its Chinese name, and other names that staff write.
    pub const ALL: [(Column, &str, &str, &[&str]); 28] = [
        (
            Column::IdNumber,
            "id_number",
            "身份证号",
            &["身份证号码", "公民身份号码", "公民身份证号码", "身份号码", "证件号码", "身份证"],
        ),
        (Column::Name, "name", "姓名", &["参保人姓名", "参保人员姓名"]),
        (Column::District, "district", "区县", &["参保区县", "所属区县", "认定区县", "区县代码", "行政区划"]),
        (Column::Tier, "tier", "缴费档次", &["档次", "缴费标准"]),
        (Column::Bank, "bank", "开户银行", &["开户行", "银行", "银行名称"]),
        (Column::Account, "account", "银行账号", &["银行帐号", "银行卡号", "账号", "帐号"]),
        (Column::AccountName, "account_name", "户名", &["账户名", "账户名称", "开户名"]),
        (Column::Status, "status", "参保状态", &["人员状态"]),
        (Column::StatusSince, "status_since", "状态日期", &["状态变更日期"]),
        (Column::Town, "town", "乡镇街道", &["乡镇", "街道", "镇街", "乡镇(街道)"]),
        (Column::Village, "village", "村社区", &["村", "社区", "村居", "村(社区)"]),
        (Column::PersonNumber, "person_number", "社保编号", &["个人编号", "人员编号"]),
        (Column::Category, "category", "认定类别", &["代缴对象类别", "类别", "困难类别"]),
        (Column::RecognizedYear, "recognized_year", "认定年度", &["认定年份"]),
        (Column::AsOf, "as_of", "数据日期", &[]),
        (Column::FeeYear, "fee_year", "缴费年度", &["费款所属年度", "年度"]),
        (Column::Amount, "amount", "金额", &["缴费金额", "划款金额", "发放金额", "发生额"]),
        (Column::PaidOn, "paid_on", "缴费日期", &["发放日期", "到账日期"]),
        (Column::Channel, "channel", "渠道", &["缴费渠道"]),
        (Column::Reference, "reference", "凭证号", &["摘要", "批次号", "摘要/批次号"]),
        (Column::BookedOn, "booked_on", "记账日期", &["入账日期", "交易日期"]),
        (Column::Serial, "serial", "流水号", &["银行流水号", "交易流水号"]),
        (Column::Payer, "payer", "代缴部门", &["划款部门", "部门"]),
        (Column::SettlementYear, "settlement_year", "清算年度", &[]),
        (Column::ReceivedOn, "received_on", "到款日期", &["收款日期"]),
        (Column::FeedNumber, "number", "文件序号", &["序号"]),
        (Column::Sha256, "sha256", "文件摘要", &[]),
        (Column::Outcome, "state", "发放结果", &["发放状态", "发放情况"]),
    ];

    /// The English name.
    pub fn word(self) -> &'static str {
        Column::ALL[self as usize].1
    }

    /// The Chinese name.
    pub fn chinese(self) -> &'static str {
        Column::ALL[self as usize].2
    }

    /// The column of a heading, spaces, width, case and a unit such as （元） folded.
    pub fn parse(heading: &str) -> Option<Column> {
        let heading = fold(heading);
        let bare = heading.strip_suffix("(元)").unwrap_or(&heading);
        let known = |(_, word, zh, others): &&(Column, &str, &str, &[&str])| {
            bare == *word || bare == *zh || others.contains(&bare)
        };
        Column::ALL.iter().find(known).map(|(column, ..)| *column)
    }
}

fn fold(heading: &str) -> String {
    let narrow = |c: char| match c {
        '！'..='～' => char::from_u32(c as u32 - 0xFEE0).unwrap_or(c),
        c => c,
    };
    let kept = |c: &char| !c.is_whitespace() && !matches!(c, '*' | '\u{feff}');
    heading.chars().map(narrow).filter(kept).map(|c| c.to_ascii_lowercase()).collect()
}

/// What a table is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TableKind {
    /// 参保人员, the roster.
    Participants,
    /// 代缴对象名单.
    List,
    /// 其他渠道缴费.
    Payments,
    /// 银行对账单.
    Statement,
    /// 代缴划款.
    Transfers,
    /// 事后补助已发放.
    ExpostPaid,
    /// 记账推送回执: files of the feed that the business system has.
    FeedAck,
}

impl TableKind {
    /// Every kind; where two fit, the one before is meant.
    pub const EVERY: [TableKind; 7] = {
        use TableKind::*;
        [Participants, List, Payments, Statement, Transfers, ExpostPaid, FeedAck]
    };

    /// Every kind with its word and its Chinese name.
    pub const ALL: [(TableKind, &str, &str); 7] = [
        (TableKind::Participants, "participants", "参保人员"),
        (TableKind::List, "list", "代缴对象名单"),
        (TableKind::Payments, "payments", "其他渠道缴费"),
        (TableKind::Statement, "statement", "银行对账单"),
        (TableKind::Transfers, "transfers", "代缴划款"),
        (TableKind::ExpostPaid, "expost-paid", "事后补助已发放"),
        (TableKind::FeedAck, "feed-ack", "记账推送回执"),
    ];

    /// The word: `--kind`, receipts.
    pub fn word(self) -> &'static str {
        TableKind::ALL[self as usize].1
    }

    /// The word for clerks.
    pub fn chinese(self) -> &'static str {
        TableKind::ALL[self as usize].2
    }

    /// Reads the word.
    pub fn parse(word: &str) -> Option<TableKind> {
        TableKind::ALL.iter().find(|(_, known, _)| *known == word).map(|(kind, ..)| *kind)
    }

    /// The Chinese name of a column in this table.
    pub fn heading(self, column: Column) -> &'static str {
        match (self, column) {
            (TableKind::ExpostPaid, Column::PaidOn) => "发放日期",
            (TableKind::Statement, Column::Reference) => "摘要/批次号",
            _ => column.chinese(),
        }
    }

    /// Columns without which the table says nothing.
    pub const fn required(self) -> &'static [Column] {
        use Column::*;
        match self {
            TableKind::Participants => &[IdNumber, Name, District, Tier, Bank, Account],
            TableKind::List => &[IdNumber, Name, District, Category, RecognizedYear],
            TableKind::Payments => &[IdNumber, FeeYear, Amount, PaidOn, Channel, Reference],
            TableKind::Statement => &[Bank, BookedOn, Reference, Amount, Serial],
            TableKind::Transfers => &[Payer, District, SettlementYear, Amount, ReceivedOn, Reference],
            TableKind::ExpostPaid => &[IdNumber, FeeYear, Amount, PaidOn],
            TableKind::FeedAck => &[FeedNumber, Sha256],
        }
    }

    /// Columns that the table may have.
    pub const fn optional(self) -> &'static [Column] {
        use Column::*;
        match self {
            TableKind::Participants => &[AccountName, Status, StatusSince, Town, Village, PersonNumber],
            TableKind::List => &[AsOf],
            TableKind::ExpostPaid => &[Outcome, Name, District, Category, Payer],
            _ => &[],
        }
    }

    /// The first of these kinds whose required columns are all there.
    pub fn detect(columns: &[Column], kinds: &[TableKind]) -> Option<TableKind> {
        kinds.iter().copied().find(|kind| kind.missing(columns).is_empty())
    }

    /// Required columns that are not there.
    pub fn missing(self, columns: &[Column]) -> Vec<Column> {
        self.required().iter().copied().filter(|column| !columns.contains(column)).collect()
    }

    /// The kind of these that was probably meant: with the fewest columns missing.
    pub(super) fn nearest(columns: &[Column], kinds: &[TableKind]) -> Option<TableKind> {
        kinds.iter().copied().min_by_key(|kind| kind.missing(columns).len())
    }

    /// Whether this column belongs to the table at all.
    pub fn has(self, column: Column) -> bool {
        self.required().contains(&column) || self.optional().contains(&column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_is_known_however_it_is_written() {
        for (heading, column) in [
            ("\u{feff}身份证号", Column::IdNumber),
            (" 姓　名 ", Column::Name),
            ("缴费档次（元）", Column::Tier),
            ("ID_Number", Column::IdNumber),
            ("＊银行账号", Column::Account),
            ("摘要／批次号", Column::Reference),
        ] {
            assert_eq!(Column::parse(heading), Some(column), "{heading}");
        }
        assert_eq!(Column::parse("备注"), None);
    }

    #[test]
    fn order_of_columns_is_order_of_the_enum() {
        for (place, (column, ..)) in Column::ALL.iter().enumerate() {
            assert_eq!(*column as usize, place);
        }
        for (place, (kind, word, _)) in TableKind::ALL.iter().enumerate() {
            assert_eq!((*kind as usize, TableKind::parse(word)), (place, Some(*kind)));
        }
    }

    #[test]
    fn the_kind_follows_from_the_columns() {
        let every = &TableKind::EVERY;
        for kind in TableKind::EVERY {
            assert_eq!(TableKind::detect(kind.required(), every), Some(kind));
        }
        assert_eq!(TableKind::detect(&[Column::IdNumber, Column::Name], every), None);
        let columns = [Column::IdNumber, Column::Name, Column::Category];
        assert_eq!(TableKind::nearest(&columns, every), Some(TableKind::List));
        assert_eq!(TableKind::nearest(&columns, &[TableKind::Payments]), Some(TableKind::Payments));
    }
}
