//! Which steps of the engine are so little work that they need no thread of their own.

use super::values::Delivered;
use super::{Input, Outcome, Run};
use crate::Definition;
use crate::definition::LIGHT_BYTES;
use crate::template::bytes_up_to;

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
        let held = [&values.input, &values.config].into_iter().chain(values.outputs.values()).chain(arriving);
        let delivered = self.delivery.as_ref().map_or(0, bytes_of_headers);
        let left = LIGHT_BYTES.checked_sub(delivered).and_then(|left| {
            let mut values = held;
            values.try_fold(left, |left, value| bytes_up_to(value, left).map(|bytes| left - bytes))
        });
        left.is_some()
    }
}

fn bytes_of_headers(delivered: &Delivered) -> usize {
    delivered.headers.iter().map(|(name, value)| name.len() + value.len()).sum()
}
