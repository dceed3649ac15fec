//! The rules of all projects as their rows have them. What the configuration says is written there at the start.

use std::collections::BTreeMap;
use std::sync::Arc;

use echosphere_domain::id::ProjectId;
use echosphere_domain::rule::Rule;
use echosphere_store::{Error, Store};

use crate::config::{Config, Project};

/// The rules of all projects.
#[derive(Debug, Clone, Default)]
pub struct ProjectRules {
    by_project: Arc<BTreeMap<ProjectId, Vec<Rule>>>,
}

impl ProjectRules {
    /// What the configuration says. It is written into the rows where they differ.
    pub async fn load(store: &dyn Store, config: &Config) -> Result<Self, Error> {
        let mut by_project = BTreeMap::new();
        for project in &config.projects {
            let configured = configured(config, project);
            if store.project_rules(&project.id).await? != configured {
                store.set_project_rules(&project.id, &configured).await?;
            }
            by_project.insert(project.id.clone(), configured);
        }
        Ok(Self { by_project: Arc::new(by_project) })
    }

    /// The rules of a project, in their order; none of one that is not known.
    pub fn of(&self, project: &ProjectId) -> &[Rule] {
        self.by_project.get(project).map(Vec::as_slice).unwrap_or_default()
    }
}

/// What the configuration says of a project.
fn configured(config: &Config, project: &Project) -> Vec<Rule> {
    let excluded = project.excluded_rooms.iter().map(|rooms| Rule::ExcludeRooms { rooms: rooms.clone() });
    let auto = &config.recorder.auto;
    let patterns = auto.rooms.iter().filter(|_| project.id == *config.recording_project());
    let recorded =
        patterns.map(|rooms| Rule::AutoRecord { rooms: rooms.clone(), agents: auto.agents, percent: auto.percent });
    excluded.chain(recorded).collect()
}
