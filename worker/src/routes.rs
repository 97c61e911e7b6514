//! Which shard a study's rows go to: the registry's answers, remembered.

use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use shardex_catalog::{
    Header, HeaderDigest, PartitionInput, Placement, ShardId, StudyKey, attribute_by_keyword,
};
use shardex_seams::{Registry, SiteClaim, StoreError, StudyClaim};

const REMEMBERED_MAX: usize = 100_000;

/// Remembered answers, by digest of the study header: it covers domain and StudyInstanceUID.
#[derive(Default)]
pub(crate) struct Routes {
    shards: HashMap<HeaderDigest, ShardId>,
}

/// The study header above a stack header, and the series header between them.
fn headers_above(stack: &Header) -> (&Arc<Header>, &Arc<Header>) {
    let series = stack.parent().expect("a stack header stands below a series header");
    (series, series.parent().expect("a series header stands below a study header"))
}

impl Routes {
    /// The shard of a row with this stack header, if it is remembered.
    pub(crate) fn get(&self, stack: &Header) -> Option<&ShardId> {
        self.shards.get(&headers_above(stack).1.digest())
    }

    /// Forgets answers where too many are remembered.
    pub(crate) fn trim(&mut self) {
        if self.shards.len() > REMEMBERED_MAX {
            self.shards.clear();
        }
    }

    /// Asks the registry for the shards of these rows; every claim is durable afterwards.
    pub(crate) async fn claim(
        &mut self,
        stacks: impl Iterator<Item = &Arc<Header>>,
        placement: &Placement,
        registry: &dyn Registry,
    ) -> Result<(), StoreError> {
        let mut asked = HashSet::new();
        let mut digests = Vec::new();
        let mut claims = Vec::new();
        for stack in stacks {
            let (series, study) = headers_above(stack);
            if !self.shards.contains_key(&study.digest()) && asked.insert(study.digest()) {
                digests.push(study.digest());
                claims.push(claim(study, series, placement));
            }
        }
        if claims.is_empty() {
            return Ok(());
        }
        let shards = registry.claim(claims).await?;
        self.shards.extend(digests.into_iter().zip(shards));
        Ok(())
    }
}

fn claim(study: &Header, series: &Header, placement: &Placement) -> StudyClaim {
    let text = |header: &Header, keyword: &str| {
        let id = attribute_by_keyword(keyword).expect("an attribute of the table");
        header.values().text(id).map(str::to_owned)
    };
    let uid = text(study, "StudyInstanceUID").expect("a row without a study is never made");
    let (date, institution) = (text(study, "StudyDate"), text(series, "InstitutionName"));
    let input = PartitionInput {
        domain: study.domain(),
        study_date: date.as_deref(),
        institution: institution.as_deref(),
    };
    let placed = placement.place(input);
    let sites_max = placement.institutions.sites_max();
    let site = placed.unmapped.map(|(name, other)| SiteClaim { name: name.into(), sites_max, other });
    StudyClaim {
        key: StudyKey::new(study.domain(), &uid),
        domain: study.domain().clone(),
        partition: placed.partition,
        site,
        study_instance_uid: uid.into(),
    }
}
