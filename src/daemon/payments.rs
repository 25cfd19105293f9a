//! Takes payments that came through other channels (R14): each row is judged on what the rows before it left.

use crate::config::Config;
use crate::daemon::bureau::{Order, Step};
use crate::daemon::intake::{Ended, Taking};
use crate::daemon::roster::notices;
use crate::daemon::statements::recognise;
use crate::domain::exception::Class;
use crate::domain::instruction::InstructionState;
use crate::domain::ledger::{Posting, PostingKey};
use crate::domain::plan::{PlanEvent, PlanState, PlanVersion, in_force};
use crate::domain::policy::Terms;
use crate::domain::postings;
use crate::domain::returns::{OtherPayment, Verdict, judge_payment};
use crate::format::table::Table;
use crate::pipeline::book::*;
use crate::pipeline::emit::findings;
use crate::pipeline::intake::{PaymentRow, Words, payments};
use crate::pipeline::planning::release_live;
use crate::pipeline::post::known;
use crate::store::{self, Txn, book, files};
use sha2::{Digest, Sha256};

/// Takes a table of payments.
pub fn take(taking: &mut Taking<'_>, table: &Table, order: &Order) -> Step<Ended> {
    let config = taking.bureau.config.clone();
    let code = |text: &str| config.districts.code(text);
    let bank = |text: &str| config.bank_named(text).map(|bank| bank.number);
    let knows_area = |area: i64| config.districts.knows_area(area);
    let words = Words { district: &code, bank: &bank, knows_area: &knows_area, arrived: order.today() };
    let intake = payments(table, words);
    let (refused, findings) = findings(&intake.defects, &intake.warnings);
    let accepted = intake.rows.len() as u64;
    taking.write(order, |txn, file| {
        for (line, row) in &intake.rows {
            pay(txn, &config, row, *line, file, order)?;
        }
        Ok(Ended::Processed { accepted, refused, findings, notes: notices(table) })
    })
}

fn pay(txn: &mut Txn<'_>, config: &Config, row: &PaymentRow, line: u32, file: i64, order: &Order) -> store::Result<()> {
    let reference = if mutant!("key-from-line") { format!("{file}-{line}") } else { row.reference.clone() };
    let key = PostingKey::Payment(row.channel.clone(), reference);
    let content = format!("{} {} {} {}", row.id.key(), row.fee_year, row.amount, row.paid_on);
    let dossier = book::dossier(txn.connection(), row.id, row.fee_year)?;
    let mut changes = Changeset::default();
    match files::content_behind(txn.connection(), &key.to_string())? {
        Some(digest) if digest == <[u8; 32]>::from(Sha256::digest(content.as_bytes())) => return Ok(()),
        Some(_) => {
            // The reference stays with the file and its line: it may lead to a person.
            let reason = format!("渠道 {} 的同一凭证号此前已按其他内容入账", row.channel);
            changes
                .opened
                .push(NewException { line: Some(line), ..NewException::note(Class::KeyConflict, &dossier, reason) });
        }
        None => {
            let closed = book::closed_months(txn.connection())?;
            let payment = Payment {
                row,
                line,
                dossier: &dossier,
                key: key.clone(),
                content,
                booked: known(Some(row.paid_on), order.today(), &closed),
                order,
            };
            payment.carry_out(payment.judge(config), &mut changes);
        }
    }
    let is_new = !changes.postings.is_empty();
    txn.write(&changes, Some(file), order.today())?;
    // The bank's statement may have shown it before its table came.
    if is_new { recognise(txn, &row.reference, row.amount, &key, order) } else { Ok(()) }
}

/// One payment with what is known of its payer.
struct Payment<'a> {
    row: &'a PaymentRow,
    line: u32,
    dossier: &'a Dossier,
    key: PostingKey,
    content: String,
    booked: postings::Booked,
    order: &'a Order,
}

impl Payment<'_> {
    fn judge(&self, config: &Config) -> Verdict {
        let Some(person) = &self.dossier.participant else { return Verdict::Hold(Class::UnknownPerson) };
        let young = config.policies.of(self.row.fee_year).is_some_and(|(policy, year)| {
            policy.age_refusal_after_planning(self.row.id, year.fee_year, self.row.paid_on).is_ok()
        });
        let payment = OtherPayment {
            amount: self.row.amount,
            fee_year: self.row.fee_year,
            paid_on: self.row.paid_on,
            versions: self.dossier.versions(),
            plan: self.dossier.plan.as_ref().map(|plan| plan.state),
            normal: person.is_normal_on(self.row.paid_on),
            young_enough: young,
            has_subsidy: self.dossier.plan.as_ref().is_some_and(|plan| plan.ex_post.is_some()),
        };
        judge_payment(&payment, self.order.today())
    }

    fn carry_out(&self, verdict: Verdict, out: &mut Changeset) {
        match verdict {
            Verdict::Post(terms) => {
                let posting = postings::self_payment(self.key.clone(), self.booked, terms.own(), terms.deemed());
                self.push(posting, |version| *version == terms, out);
                self.receive(PlanEvent::Received, out);
            }
            Verdict::PostWhole(amount, subsidy) => {
                let posting = postings::self_payment(self.key.clone(), self.booked, amount, None);
                self.push(posting, |version| version.tier == amount, out);
                self.receive(PlanEvent::PaidWhole, out);
                // R14: what was paid before its own money went back still stands.
                if self.dossier.plan.as_ref().is_some_and(|plan| plan.ex_post.is_some()) {
                    return;
                }
                out.ex_post.push(ExPost {
                    participant: self.row.id,
                    fee_year: self.row.fee_year,
                    subsidy,
                    paid: amount,
                    booked_on: self.row.paid_on,
                });
            }
            Verdict::Hold(class) => self.hold(class, out),
            _ => unreachable!("money through another channel is posted or held"),
        }
    }

    /// What has not left is withdrawn; what is at the bank will be looked at closely when it answers.
    fn receive(&self, event: PlanEvent, out: &mut Changeset) {
        let Some(plan) = &self.dossier.plan else { return };
        let freed = release_live(plan, plan.state, out);
        if let Ok(state) = freed.after(event) {
            self.push_plan(state, out);
        }
    }

    fn hold(&self, class: Class, out: &mut Changeset) {
        let posting = Some(out.postings.len());
        self.push(postings::suspense(self.key.clone(), self.booked, self.row.amount), |_| true, out);
        let reason = format!("{} 经渠道 {} 缴费 {} 元", self.row.paid_on, self.row.channel, self.row.amount);
        out.opened.push(NewException {
            line: Some(self.line),
            amount: self.row.amount,
            posting,
            ..NewException::note(class, self.dossier, reason)
        });
        // R14: open suspense blocks what has not left, and whatever would come next.
        let Some(plan) = self.dossier.plan.as_ref().filter(|plan| !plan.state.is_paid()) else { return };
        let in_flight = plan.live().is_some_and(|live| live.state > InstructionState::Released);
        if !in_flight {
            let freed = release_live(plan, plan.state, out);
            if let Ok(state) = freed.after(PlanEvent::Blocked) {
                self.push_plan(state, out);
            }
        }
    }

    fn push_plan(&self, state: PlanState, out: &mut Changeset) {
        out.plans.push(PlanChange {
            participant: self.row.id,
            fee_year: self.row.fee_year,
            version: None,
            state,
            failed: 0,
            turns_limit: None,
        });
    }

    /// R14: the version by which it was posted is that of the day of payment if it fits, else today's.
    fn push(&self, posting: Posting, fits: impl Fn(&Terms) -> bool, out: &mut Changeset) {
        let versions = self.dossier.versions();
        let that_day = in_force(versions, self.row.paid_on);
        let fits = |version: &&PlanVersion| version.terms.as_ref().is_ok_and(&fits);
        let version = that_day.filter(fits).or(versions.last()).map(|version| version.number);
        let concerns = Concerns {
            participant: Some(self.row.id),
            fee_year: Some(self.row.fee_year),
            version,
            instruction: None,
            line: Some(self.line),
            content: self.content.clone(),
        };
        out.postings.push(NewPosting { posting, concerns: Some(Box::new(concerns)) });
    }
}
