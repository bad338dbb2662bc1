//! The routes: each in a file of its own, which says all there is to say about it.

mod agents_create;
mod agents_delete;
mod agents_get;
mod agents_list;
mod agents_update;
mod api_keys_create;
mod api_keys_get;
mod api_keys_list;
mod api_keys_revoke;
mod audit_checkpoint;
mod audit_erase_personal;
mod audit_events;
mod audit_export;
mod audit_key;
mod audit_proof;
mod budgets_delete;
mod budgets_list;
mod budgets_put;
mod chat_completions;
mod credentials_delete;
mod credentials_get;
mod credentials_list;
mod credentials_put;
mod endpoints_get;
mod endpoints_put;
mod errors_get;
mod health;
mod hooks_deliver;
mod limits_get;
mod me;
mod models_get;
mod models_list;
mod openapi;
mod operator_audit_checkpoint;
mod operator_audit_events;
mod operator_audit_key;
mod operator_audit_proof;
mod operator_backup;
mod operator_evidence_sign;
mod operator_keys_create;
mod operator_keys_list;
mod operator_keys_revoke;
mod plans_get;
mod plans_put;
mod problems_list;
mod records_create;
mod records_declare;
mod records_delete;
mod records_get;
mod records_list;
mod records_update;
mod runs_cancel;
mod runs_events;
mod runs_get;
mod runs_list;
mod runs_retry;
mod runs_start;
mod signing_keys_create;
mod signing_keys_get;
mod signing_keys_list;
mod signing_keys_revoke;
mod subjects_listen;
mod subjects_publish;
mod templates_get;
mod templates_list;
mod templates_publish;
mod templates_withdraw;
mod tenants_backup;
mod tenants_create;
mod tenants_data_key;
mod tenants_delete;
mod tenants_export;
mod tenants_get;
mod tenants_import;
mod tenants_list;
mod tenants_move;
mod tenants_restore;
mod tenants_resume;
mod tenants_suspend;
mod tenants_update;
mod usage_get;
mod verify_grants_create;
mod verify_grants_list;
mod verify_grants_revoke;
mod worker_calls;
mod worker_get;
mod worker_questions;
mod workflows_create;
mod workflows_delete;
mod workflows_get;
mod workflows_list;
mod workflows_rotate_hook;
mod workflows_schema;
mod workflows_update;
mod workflows_upgrade;
mod workflows_upgrade_preview;

use crate::Operation;

/// The routes, the files in the order of their names.
const ROUTES: &[fn() -> Operation] = &[
    health::live,
    health::ready,
    agents_create::operation,
    agents_delete::operation,
    agents_get::operation,
    agents_list::operation,
    agents_update::operation,
    api_keys_create::operation,
    api_keys_get::operation,
    api_keys_list::operation,
    api_keys_revoke::operation,
    audit_checkpoint::operation,
    audit_erase_personal::operation,
    audit_events::operation,
    audit_export::operation,
    audit_key::operation,
    audit_proof::operation,
    budgets_delete::operation,
    budgets_list::operation,
    budgets_put::operation,
    chat_completions::operation,
    credentials_delete::operation,
    credentials_get::operation,
    credentials_list::operation,
    credentials_put::operation,
    endpoints_get::operation,
    endpoints_put::operation,
    errors_get::operation,
    hooks_deliver::operation,
    limits_get::operation,
    me::operation,
    models_get::operation,
    models_list::operation,
    openapi::operation,
    operator_audit_checkpoint::operation,
    operator_audit_events::operation,
    operator_audit_key::operation,
    operator_audit_proof::operation,
    operator_backup::operation,
    operator_evidence_sign::operation,
    operator_keys_create::operation,
    operator_keys_list::operation,
    operator_keys_revoke::operation,
    plans_get::operation,
    plans_put::operation,
    problems_list::operation,
    records_create::operation,
    records_declare::operation,
    records_delete::operation,
    records_get::operation,
    records_list::operation,
    records_update::operation,
    runs_cancel::operation,
    runs_events::operation,
    runs_get::operation,
    runs_list::operation,
    runs_retry::operation,
    runs_start::operation,
    signing_keys_create::operation,
    signing_keys_get::operation,
    signing_keys_list::operation,
    signing_keys_revoke::operation,
    subjects_listen::operation,
    subjects_publish::operation,
    templates_get::operation,
    templates_list::operation,
    templates_publish::operation,
    templates_withdraw::operation,
    tenants_backup::operation,
    tenants_create::operation,
    tenants_data_key::operation,
    tenants_delete::operation,
    tenants_export::operation,
    tenants_get::operation,
    tenants_import::operation,
    tenants_list::operation,
    tenants_move::operation,
    tenants_restore::operation,
    tenants_resume::operation,
    tenants_suspend::operation,
    tenants_update::operation,
    usage_get::operation,
    verify_grants_create::operation,
    verify_grants_list::operation,
    verify_grants_revoke::operation,
    worker_calls::operation,
    worker_get::operation,
    worker_questions::operation,
    workflows_create::operation,
    workflows_delete::operation,
    workflows_get::operation,
    workflows_list::operation,
    workflows_rotate_hook::operation,
    workflows_schema::operation,
    workflows_update::operation,
    workflows_upgrade::operation,
    workflows_upgrade_preview::operation,
];

/// Every operation of the API.
pub fn operations() -> Vec<Operation> {
    ROUTES.iter().map(|route| route()).collect()
}
