//! Whether a daemon is well.
//!
//! Owns: the decision, from what its datasets say. Never: asks them.

pub(crate) use crate::readiness::Readiness;
use grotto::producer::pipeline::Condition;

/// What a dataset says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) dataset: String,
    pub(crate) condition: Condition,
    /// Whether records are taken in now.
    pub(crate) takes_in: bool,
    pub(crate) reasons: Vec<String>,
    /// What is good to know, and no reason to worry.
    pub(crate) notes: Vec<String>,
}

/// Decides. A daemon whose store is down goes on taking records in, so that it is not to be taken out of service. One
/// that stands by for all of its datasets takes none in: whoever sends records is to send them elsewhere.
pub(crate) fn judge(views: &[View]) -> Readiness {
    if !views.iter().any(|view| view.takes_in) {
        return Readiness::NotReady;
    }
    let runs = |view: &View| matches!(view.condition, Condition::Running | Condition::Standby);
    let well = |view: &View| runs(view) && view.reasons.is_empty();
    match views.iter().all(well) {
        true => Readiness::Ready,
        false => Readiness::Degraded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(conditions: &[(Condition, &[&str])]) -> Readiness {
        let views: Vec<View> = conditions
            .iter()
            .map(|(condition, reasons)| View {
                dataset: "d".to_owned(),
                condition: *condition,
                takes_in: !matches!(
                    condition,
                    Condition::Failed | Condition::Draining | Condition::Ended
                ),
                reasons: reasons.iter().map(ToString::to_string).collect(),
                notes: vec!["not announced".to_owned()],
            })
            .collect();
        judge(&views)
    }

    #[test]
    fn all_datasets_have_to_be_well_for_a_daemon_to_be_ready() {
        use Condition as C;
        assert_eq!(
            judged(&[(C::Running, &[]), (C::Running, &[])]),
            Readiness::Ready
        );
        for other in [C::Opening, C::Degraded, C::Failed, C::Draining] {
            assert_eq!(
                judged(&[(C::Running, &[]), (other, &[])]),
                Readiness::Degraded
            );
        }
        let reason: &[&str] = &["the log could not be synced"];
        assert_eq!(judged(&[(C::Running, reason)]), Readiness::Degraded);
    }

    #[test]
    fn a_daemon_is_ready_for_records_while_its_store_is_down() {
        assert_eq!(
            judged(&[(Condition::Degraded, &["store"])]),
            Readiness::Degraded
        );
        assert_eq!(judged(&[(Condition::Opening, &[])]), Readiness::Degraded);
    }

    #[test]
    fn a_daemon_that_takes_nothing_in_is_not_ready() {
        use Condition as C;
        for condition in [C::Failed, C::Draining, C::Ended] {
            assert_eq!(
                judged(&[(condition, &[]), (C::Failed, &[])]),
                Readiness::NotReady
            );
        }
        assert_eq!(judged(&[]), Readiness::NotReady);
        let full = View {
            dataset: "d".to_owned(),
            condition: C::Degraded,
            takes_in: false,
            reasons: vec!["the write-ahead log is full".to_owned()],
            notes: Vec::new(),
        };
        assert_eq!(judge(&[full]), Readiness::NotReady);
    }
}
