//! The rules of projects: what is done with rooms by themselves.

use async_trait::async_trait;
use echosphere_domain::id::ProjectId;
use echosphere_domain::rule::Rule;

use crate::Result;

/// The rules of projects.
#[async_trait]
pub trait ProjectRules {
    /// The rules of a project, in their order. Scope: project.
    async fn project_rules(&self, project: &ProjectId) -> Result<Vec<Rule>>;

    /// Replaces the rules of a project, in one transaction. Scope: project.
    async fn set_project_rules(&self, project: &ProjectId, rules: &[Rule]) -> Result<()>;
}
