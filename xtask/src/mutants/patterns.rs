//! Places that the syntax tells: an access check that is a statement of its own, a comparison with a tenant, an
//! origin or an owner, and what goes into a keyed hash.

use super::Mutant;
use proc_macro2::{TokenStream, TokenTree};
use std::ops::Range;
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr, ExprBinary, ExprMethodCall, File, Stmt};

/// Words by which a comparison is one of whose something is.
const WHOSE: [&str; 8] =
    ["tenant", "origin", "iss", "audience", "owner", "creator", "tenant_id", "key_owner"];

/// The mutants that a file's syntax tells.
pub(super) fn of(file: &str, text: &str, parsed: &File) -> Vec<Mutant> {
    let mut found = Found { file, text, mutants: Vec::new() };
    found.visit_file(parsed);
    found.mutants
}

struct Found<'a> {
    file: &'a str,
    text: &'a str,
    mutants: Vec<Mutant>,
}

impl Found<'_> {
    fn add(&mut self, range: Range<usize>, after: &str) {
        let Some(before) = self.text.get(range.clone()) else { return };
        let before = before.split_whitespace().collect::<Vec<_>>().join(" ");
        let told = if after.is_empty() { "nothing" } else { after };
        let edits = vec![(range, after.to_owned())];
        self.mutants.push(Mutant { file: self.file.to_owned(), name: format!("{before} ==> {told}"), edits });
    }
}

impl<'ast> Visit<'ast> for Found<'_> {
    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if let Stmt::Expr(Expr::Try(tried), Some(_)) = statement
            && let Expr::MethodCall(call) = tried.expr.as_ref()
            && (call.method == "authorize" || call.method == "must_change")
        {
            self.add(statement.span().byte_range(), "");
        }
        visit::visit_stmt(self, statement);
    }

    fn visit_expr_binary(&mut self, binary: &'ast ExprBinary) {
        let sides = [binary.left.as_ref(), binary.right.as_ref()];
        let whose =
            |side: &&Expr| is_plain(side) && self.text.get(side.span().byte_range()).is_some_and(says_whose);
        if sides.iter().any(whose) {
            match binary.op {
                BinOp::Eq(_) => self.add(binary.span().byte_range(), "true"),
                BinOp::Ne(_) => self.add(binary.span().byte_range(), "false"),
                _ => {}
            }
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        if (call.method == "update" || call.method == "chain_update")
            && let Some(part) = call.args.first().filter(|_| call.args.len() == 1)
        {
            self.add(part.span().byte_range(), "[0u8; 0].as_slice()");
        }
        visit::visit_expr_method_call(self, call);
    }
}

/// Whether one of the words stands in an operand.
fn says_whose(operand: &str) -> bool {
    fn within(tokens: TokenStream) -> bool {
        tokens.into_iter().any(|tree| match tree {
            TokenTree::Ident(word) => WHOSE.iter().any(|whose| word == whose),
            TokenTree::Group(group) => within(group.stream()),
            _ => false,
        })
    }
    operand.parse().is_ok_and(within)
}

/// Whether an operand is a value as it stands; in a closure or a block within it the words mean other things.
fn is_plain(operand: &Expr) -> bool {
    matches!(
        operand,
        Expr::Field(_)
            | Expr::Path(_)
            | Expr::MethodCall(_)
            | Expr::Call(_)
            | Expr::Unary(_)
            | Expr::Reference(_)
    )
}
