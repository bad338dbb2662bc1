//! What is wrong with a definition, where, and what to do about it.

use schemars::JsonSchema;
use serde::Serialize;
use std::fmt;

macro_rules! codes {
    ($($variant:ident $text:literal $doc:literal;)*) => {
        /// A stable code of a fault. Its text never changes once released.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema)]
        pub enum FaultCode {
            $(#[doc = $doc] #[serde(rename = $text)] $variant,)*
        }

        impl FaultCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code as programs compare it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// What it means.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $doc,)* }
            }
        }
    };
}

codes! {
    TooLarge "too_large" "The text, or the work to read it, is over a limit.";
    Syntax "syntax" "The text is neither YAML nor JSON.";
    MissingField "missing_field" "A required field is not there.";
    UnknownField "unknown_field" "A field that does not exist.";
    WrongType "wrong_type" "A value of the wrong type.";
    WrongValue "wrong_value" "A value outside what the field allows.";
    Empty "empty" "Nothing where something is needed.";
    TooMany "too_many" "More nodes or edges than the limit.";
    DuplicateNode "duplicate_node" "Two nodes with one id.";
    DuplicateEdge "duplicate_edge" "One edge written twice.";
    NoSource "no_source" "No source node.";
    SeveralSources "several_sources" "More than one source node.";
    EdgeIntoSource "edge_into_source" "An edge that leads into the source.";
    EdgeBranch "edge_branch" "A `when` where there is no condition to decide it.";
    UnknownNode "unknown_node" "A reference to a node that does not exist.";
    Cycle "cycle" "Nodes that wait for each other.";
    Unreachable "unreachable" "A node that no path from the source reaches.";
    TemplateSyntax "template_syntax" "A template or an expression that cannot be read.";
    UnknownVariable "unknown_variable" "A variable that templates do not have.";
    UnknownFilter "unknown_filter" "A filter or a test that does not exist.";
    NotUpstream "not_upstream" "A reference to a step that need not be over.";
    UnknownConfig "unknown_config" "A configuration member that `config_required` does not declare.";
    ConfigOnly "config_only" "Data where only the definition and the configuration may decide.";
    InvalidSchema "invalid_schema" "Not a usable JSON Schema.";
    InvalidConfig "invalid_config" "The configuration does not fit `config_required`.";
}

impl fmt::Display for FaultCode {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Fault {
    /// What kind of fault, for programs.
    pub code: FaultCode,
    /// The node in which it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The line of the text, from 1. Zero where there is no text that the caller wrote: a definition sent as
    /// JSON, or a fault of a configuration.
    pub line: u64,
    /// The JSON Pointer (RFC 6901) of the value.
    pub pointer: String,
    /// What is wrong and what to do, for people.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(out, "line {}: ", self.line)?;
        } else if !self.pointer.is_empty() {
            write!(out, "at `{}`: ", self.pointer)?;
        }
        if let Some(node) = &self.node {
            write!(out, "node `{node}`: ")?;
        }
        write!(out, "{} ({})", self.message, self.code)
    }
}
