//! Whether a sidecar is well.
//!
//! Owns: the decision, from what its datasets say. Never: asks them.

pub(crate) use crate::readiness::Readiness;
use grotto::consumer::Health;

/// How a dataset is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Nothing of it is served yet.
    Opening,
    /// It is served and followed.
    Serving,
    /// It is served, and something needs attention.
    Degraded,
}

impl Condition {
    /// That of an open dataset.
    pub(crate) fn of(health: Health) -> Self {
        match health {
            Health::Ready => Self::Serving,
            Health::NotReady => Self::Opening,
            _ => Self::Degraded,
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Serving => "serving",
            Self::Degraded => "degraded",
        }
    }
}

/// What a dataset says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) dataset: String,
    pub(crate) condition: Condition,
    pub(crate) reasons: Vec<String>,
    /// What is good to know, and no reason to worry.
    pub(crate) notes: Vec<String>,
}

/// Decides. A sidecar whose store is down goes on serving, so that it is not to be taken out of service.
pub(crate) fn judge(views: &[View]) -> Readiness {
    if !views
        .iter()
        .any(|view| view.condition != Condition::Opening)
    {
        return Readiness::NotReady;
    }
    let well = |view: &View| view.condition == Condition::Serving && view.reasons.is_empty();
    match views.iter().all(well) {
        true => Readiness::Ready,
        false => Readiness::Degraded,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(conditions: &[Condition]) -> Readiness {
        let view = |condition: &Condition| View {
            dataset: "d".to_owned(),
            condition: *condition,
            reasons: Vec::new(),
            notes: vec!["not announced".to_owned()],
        };
        judge(&conditions.iter().map(view).collect::<Vec<_>>())
    }

    #[test]
    fn all_datasets_have_to_be_well_for_a_sidecar_to_be_ready_and_one_has_to_be_served() {
        use Condition as C;
        assert_eq!(judged(&[C::Serving, C::Serving]), Readiness::Ready);
        assert_eq!(judged(&[C::Serving, C::Opening]), Readiness::Degraded);
        assert_eq!(judged(&[C::Degraded]), Readiness::Degraded);
        assert_eq!(judged(&[C::Opening, C::Opening]), Readiness::NotReady);
        assert_eq!(judged(&[]), Readiness::NotReady);
    }
}
