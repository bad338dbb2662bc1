//! Which steps of the engine are so little work that they need no thread of their own.

use super::{Input, Outcome, Run};
use crate::Definition;
use crate::template::bytes_up_to;

/// Bytes of the values that templates of a light step may look up.
const LIGHT_BYTES: usize = 16 * 1024;

impl Run {
    /// Whether taking this input is certainly little work: whatever it leads to, templates only look values up,
    /// and all that there is to look up is small.
    pub fn is_light(&self, definition: &Definition, input: &Input) -> bool {
        if !definition.looks_up_only {
            return false;
        }
        let arriving = match input {
            Input::Outcome { outcome: Outcome::Succeeded { output, .. }, .. } => Some(output),
            _ => None,
        };
        let values = self.values();
        let held = [&values.input, &values.config].into_iter().chain(values.outputs.values());
        let left = held
            .chain(arriving)
            .try_fold(LIGHT_BYTES, |left, value| bytes_up_to(value, left).map(|bytes| left - bytes));
        left.is_some()
    }
}
