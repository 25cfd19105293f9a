//! Which account does what: the first rule that fits an account speaks, and every other account pays.

use crate::cli::bank::{Asked, Behaviour};
use crate::domain::money::Money;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use sha2::{Digest, Sha256};

/// Conditions, all of which must hold, and what follows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What the account does.
    pub behaviour: Behaviour,
    /// At least so much is asked for.
    #[serde(default, deserialize_with = "yuan")]
    pub amount_from: Option<Money>,
    /// At most so much is asked for.
    #[serde(default, deserialize_with = "yuan")]
    pub amount_to: Option<Money>,
    /// One of these holders; empty: anybody.
    #[serde(default)]
    pub names: Vec<String>,
    /// One of these accounts; empty: any.
    #[serde(default)]
    pub accounts: Vec<String>,
    /// So many of a hundred accounts, always the same ones.
    #[serde(default)]
    pub percent: Option<u8>,
    /// Only the first so many times that the account is asked.
    #[serde(default)]
    pub times: Option<u32>,
}

impl Rule {
    /// A rule for every account.
    pub fn all(behaviour: Behaviour) -> Rule {
        Rule {
            behaviour,
            amount_from: None,
            amount_to: None,
            names: Vec::new(),
            accounts: Vec::new(),
            percent: None,
            times: None,
        }
    }

    fn fits(&self, asked: &Asked<'_>, seed: u64, place: u64) -> bool {
        self.amount_from.is_none_or(|from| asked.due >= from)
            && self.amount_to.is_none_or(|to| asked.due <= to)
            && (self.names.is_empty() || self.names.iter().any(|name| name == asked.name))
            && (self.accounts.is_empty() || self.accounts.iter().any(|account| account == asked.account))
            && self.times.is_none_or(|times| asked.times <= times)
            && self.percent.is_none_or(|percent| lot(seed, place, asked.account) < u64::from(percent))
    }
}

/// What an account does by these rules; another seed picks other accounts for the percentages.
pub fn behaviour(rules: &[Rule], seed: u64, asked: &Asked<'_>) -> Behaviour {
    let fitting = rules.iter().zip(0..).find(|(rule, place)| rule.fits(asked, seed, *place));
    fitting.map_or(Behaviour::Pays, |(rule, _)| rule.behaviour)
}

fn yuan<'de, D: Deserializer<'de>>(reader: D) -> Result<Option<Money>, D::Error> {
    let text = String::deserialize(reader)?;
    Money::parse_yuan(&text)
        .map(Some)
        .ok_or_else(|| Error::custom(format!("expected yuan as in \"30.00\", found {text}")))
}

/// A number below 100 that an account always draws.
fn lot(seed: u64, place: u64, account: &str) -> u64 {
    let digest = Sha256::new().chain_update(seed.to_be_bytes()).chain_update(place.to_be_bytes());
    let digest = digest.chain_update(account).finalize();
    digest[..8].iter().fold(0, |number, byte| (number << 8 | u64::from(*byte)) % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(account: &str, due: i64, times: u32) -> Asked<'_> {
        Asked { account, name: "测试甲", due: Money::from_fen(due), times }
    }

    #[test]
    fn the_first_rule_that_fits_speaks() {
        let rules = [
            Rule { accounts: vec!["1".into()], times: Some(1), ..Rule::all(Behaviour::InsufficientFunds) },
            Rule { amount_from: Some(Money::from_fen(20_000)), ..Rule::all(Behaviour::Limit) },
            Rule { names: vec!["测试乙".into()], ..Rule::all(Behaviour::Closed) },
        ];
        let does = |asked: &Asked<'_>| behaviour(&rules, 0, asked);
        assert_eq!(does(&asked("1", 3_000, 1)), Behaviour::InsufficientFunds);
        assert_eq!(does(&asked("1", 3_000, 2)), Behaviour::Pays);
        assert_eq!(does(&asked("2", 20_000, 1)), Behaviour::Limit);
        assert_eq!(does(&Asked { name: "测试乙", ..asked("2", 3_000, 1) }), Behaviour::Closed);
        assert_eq!(behaviour(&[], 0, &asked("3", 1, 9)), Behaviour::Pays);
    }

    #[test]
    fn a_percentage_picks_the_same_accounts_again() {
        let rules = [Rule { percent: Some(20), ..Rule::all(Behaviour::Frozen) }];
        let is_frozen =
            |seed, number: u32| behaviour(&rules, seed, &asked(&number.to_string(), 1, 1)) == Behaviour::Frozen;
        let picked = |seed| (0..1_000).filter(|number| is_frozen(seed, *number)).collect::<Vec<_>>();
        assert_eq!(picked(1), picked(1));
        assert_ne!(picked(1), picked(2));
        assert!((150..250).contains(&picked(1).len()));
    }
}
