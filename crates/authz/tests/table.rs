//! The whole table as text: a change of rights is a change of this snapshot.

use authz::{Action, Reach, Resource, Rights, Role, Scope, Scopes, SystemPrincipal};
use std::fmt::Write;

#[test]
fn the_table_is_as_reviewed() {
    let mut text = String::new();
    for resource in Resource::ALL {
        for action in Action::ALL {
            let row: Vec<_> = Role::ALL
                .into_iter()
                .filter_map(|role| {
                    let rights = Rights::Granted { role, scopes: Scopes::everything() };
                    match rights.reach(action, *resource) {
                        Reach::None => None,
                        Reach::Own => Some(format!("{}(own)", role.as_str())),
                        Reach::All => Some(role.as_str().to_owned()),
                    }
                })
                .collect();
            if !row.is_empty() {
                writeln!(text, "{:<12} {:<11} {}", resource.as_str(), format!("{action:?}"), row.join(" "))
                    .unwrap();
            }
        }
    }
    for principal in SystemPrincipal::ALL {
        let duties: Vec<_> = principal
            .duties()
            .iter()
            .map(|(action, resource)| format!("{}:{action:?}", resource.as_str()))
            .collect();
        writeln!(text, "system {:<18} {}", principal.as_str(), duties.join(" ")).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_scope_narrows_and_never_widens() {
    let rights = |role, scope: Scope| Rights::Granted { role, scopes: [scope].into_iter().collect() };
    let read: Scope = "records:read".parse().unwrap();
    assert_eq!(rights(Role::Owner, read).reach(Action::Read, Resource::Record), Reach::All);
    assert_eq!(rights(Role::Owner, read).reach(Action::Create, Resource::Record), Reach::None);
    assert_eq!(rights(Role::Owner, read).reach(Action::Read, Resource::Run), Reach::None);
    assert_eq!(rights(Role::Viewer, Scope::Everything).reach(Action::Create, Resource::Record), Reach::None);
}

#[test]
fn nobody_hands_out_more_than_they_have() {
    let scopes =
        |texts: &[&str]| -> Scopes { texts.iter().map(|text| text.parse::<Scope>().unwrap()).collect() };
    assert!(scopes(&["*"]).contain(&scopes(&["records:*", "ai:invoke"])));
    assert!(scopes(&["records:*"]).contain(&scopes(&["records:read"])));
    assert!(!scopes(&["records:read"]).contain(&scopes(&["records:*"])));
    assert!(!scopes(&["records:*"]).contain(&scopes(&["*"])));
    assert!(Role::Admin.may_grant(Role::Admin) && !Role::Admin.may_grant(Role::Owner));
}

#[test]
fn a_scope_is_its_text() {
    for text in ["*", "records:*", "records:read", "runs:content", "ai:invoke", "keys:write"] {
        assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
    }
    for text in ["", "records", "records:", "records:fly", "spaceships:read", "*:read", "Records:read"] {
        assert!(text.parse::<Scope>().is_err(), "{text}");
    }
}
