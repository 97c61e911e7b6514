//! Where a study goes: the partition scheme with the archive's sites.

use crate::institution::other_bucket;
use crate::{Institutions, PartitionInput, PartitionKey, PartitionScheme, Site};

/// All that decides a study's partition. Fixed when an archive is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// What studies are partitioned by.
    pub scheme: PartitionScheme,
    /// Which site an institution is.
    pub institutions: Institutions,
}

/// Where a study goes, and where it goes instead if its institution is one too many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// Its partition.
    pub partition: PartitionKey,
    /// For an institution that no rule knows: its normalised name, and the partition that it shares
    /// with others once as many have one of their own as may.
    pub unmapped: Option<(String, PartitionKey)>,
}

impl Placement {
    /// The partition of a study; `institution` of the input is the InstitutionName as it is.
    #[must_use]
    pub fn place(&self, input: PartitionInput<'_>) -> Placed {
        let site = self.institutions.site(input.institution);
        let partition = self.scheme.partition_at(&input, site.name());
        let unmapped = match site {
            Site::Unmapped(name) if self.scheme.institution => {
                let other = self.scheme.partition_at(&input, &other_bucket(&name));
                Some((name, other))
            }
            _ => None,
        };
        Placed { partition, unmapped }
    }
}

impl From<PartitionScheme> for Placement {
    fn from(scheme: PartitionScheme) -> Self {
        Self { scheme, institutions: Institutions::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Domain, InstitutionRule};

    #[test]
    fn only_unmapped_institutions_may_have_to_share() {
        let rules = vec![InstitutionRule { pattern: "north*".into(), site: "North Group".into() }];
        let placement = Placement {
            scheme: "institution,date:year".parse().expect("a scheme"),
            institutions: Institutions::new(rules, 5).expect("a mapping"),
        };
        let place = |institution| {
            let domain = Domain::default();
            placement.place(PartitionInput { domain: &domain, study_date: Some("20190304"), institution })
        };
        let mapped = place(Some("North-West Clinic"));
        assert_eq!(mapped.partition.label(), "institution=north group|date=2019");
        assert_eq!((mapped.unmapped, place(None).unmapped), (None, None));
        let (name, other) = place(Some("South, Inc.")).unmapped.expect("unmapped");
        assert_eq!(name, "south inc");
        assert!(other.label().starts_with("institution=other-"), "{}", other.label());
        let by_date = Placement::from(PartitionScheme::default());
        let domain = Domain::default();
        let input = PartitionInput { domain: &domain, study_date: None, institution: Some("South") };
        assert_eq!(by_date.place(input).unmapped, None);
    }
}
