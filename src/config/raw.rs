//! `daikou.toml` as it is written: keys, defaults, order. What the values mean is decided in `config`.

use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    #[serde(default = "drops")]
    pub(super) drops: Spanned<String>,
    #[serde(default = "state")]
    pub(super) state: Spanned<String>,
    #[serde(default)]
    pub(super) served: super::Served,
    #[serde(default = "http")]
    pub(super) http: Spanned<String>,
    #[serde(default = "settle_ms")]
    pub(super) settle_ms: u64,
    #[serde(default = "incomplete_after_s")]
    pub(super) incomplete_after_s: u64,
    #[serde(default = "least_free_mb")]
    pub(super) least_free_mb: u64,
    #[serde(default = "ageing_workdays")]
    pub(super) ageing_workdays: u16,
    #[serde(default)]
    pub(super) backup_days: Option<u16>,
    #[serde(default)]
    pub(super) schedule: RawSchedule,
    #[serde(default)]
    pub(super) district: Vec<RawDistrict>,
    #[serde(default)]
    pub(super) expected_list: Vec<RawExpectedList>,
    #[serde(default)]
    pub(super) bank: Vec<RawBank>,
    #[serde(default)]
    pub(super) feed: super::Feed,
    #[serde(default)]
    pub(super) approvals: super::Approvals,
    #[serde(default)]
    pub(super) papers: RawPapers,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawSchedule {
    pub(super) plan: Spanned<String>,
    pub(super) instruct: Spanned<String>,
    pub(super) send: Spanned<String>,
}

impl Default for RawSchedule {
    fn default() -> Self {
        RawSchedule { plan: unwritten("08:30"), instruct: unwritten("09:00"), send: unwritten("10:00") }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawDistrict {
    pub(super) code: Spanned<String>,
    pub(super) name: Spanned<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawExpectedList {
    pub(super) payer: Spanned<String>,
    pub(super) districts: Vec<Spanned<String>>,
    pub(super) from: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawPapers {
    pub(super) unit: String,
    pub(super) mask: bool,
}

impl Default for RawPapers {
    fn default() -> Self {
        RawPapers { unit: String::new(), mask: true }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBank {
    pub(super) key: Spanned<String>,
    #[serde(default)]
    pub(super) names: Vec<Spanned<String>>,
    pub(super) layout: Spanned<String>,
    pub(super) number: Spanned<i64>,
    #[serde(default = "max_rows")]
    pub(super) max_rows: Spanned<i64>,
    #[serde(default = "cutoff")]
    pub(super) cutoff: Spanned<String>,
    #[serde(default = "reply_workdays")]
    pub(super) reply_workdays: u32,
    #[serde(default)]
    pub(super) receipts: bool,
    #[serde(default)]
    pub(super) header: BTreeMap<String, HeaderValue>,
    pub(super) utc_offset: Option<Spanned<String>>,
    pub(super) sftp: Option<super::sftp::RawSftp>,
}

/// A value of `[bank.header]`: usually a text, since numbers of banks may begin with zeros.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text in quotes or a whole number")]
pub(super) enum HeaderValue {
    Text(String),
    Number(i64),
}

impl From<HeaderValue> for String {
    fn from(value: HeaderValue) -> String {
        match value {
            HeaderValue::Text(text) => text,
            HeaderValue::Number(number) => number.to_string(),
        }
    }
}

fn unwritten<T>(value: impl Into<T>) -> Spanned<T> {
    Spanned::new(0..0, value.into())
}

fn drops() -> Spanned<String> {
    unwritten("drops")
}

fn state() -> Spanned<String> {
    unwritten("state")
}

fn http() -> Spanned<String> {
    unwritten("127.0.0.1:9187")
}

fn settle_ms() -> u64 {
    2_000
}

fn incomplete_after_s() -> u64 {
    600
}

fn least_free_mb() -> u64 {
    64
}

fn ageing_workdays() -> u16 {
    10
}

fn max_rows() -> Spanned<i64> {
    unwritten(50_000)
}

fn cutoff() -> Spanned<String> {
    unwritten("16:00")
}

fn reply_workdays() -> u32 {
    2
}
