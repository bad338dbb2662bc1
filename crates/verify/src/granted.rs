//! A run on the strength of a grant: what a grant does not reach is not offered.

use crate::description::{Caller, Description};
use crate::pattern::NotOffered;

/// Operations of tenants that need something of the operator's: templates are the operator's, for all tenants.
const NEED_TEMPLATES: &str = "/v1/workflows/{id}/upgrade";

impl Description {
    /// Takes away what a grant does not reach, and says so.
    pub(crate) fn as_granted(&mut self) -> Vec<NotOffered> {
        let give = "an operator's key: `--operator-key-file FILE` in place of `--grant-file`".to_owned();
        let (before, mut operators) = (self.operations.len(), 0);
        self.operations.retain(|operation| {
            operators += usize::from(operation.caller == Caller::Operator);
            operation.caller != Caller::Operator && !operation.path.starts_with(NEED_TEMPLATES)
        });
        let templates = before - operators - self.operations.len();
        vec![
            NotOffered { cell: format!("the operator's {operators} operations"), give: give.clone() },
            NotOffered { cell: format!("{templates} operations on instances of templates"), give },
        ]
    }
}
