//! People in a log: a leaf never changes, so it names them by pseudonyms, and who they are is among the values
//! that can be erased.

use super::draft::{Actor, ActorKind, AuthMethod, Draft};
use ids::UserId;

/// Under which name a draft's `personal` has the actor's own id.
const SUBJECT: &str = "subject";
/// The same for whom the actor acted.
const BEHIND: &str = "on_behalf_of";

/// Puts pseudonyms in the place of the ids by which people are known elsewhere, and those ids among the
/// personal values.
pub fn hide_people(draft: &mut Draft, pseudonym: impl Fn(&str) -> UserId) {
    let Actor { auth, id, kind, on_behalf_of } = &mut draft.actor;
    if *kind == ActorKind::User && *auth == AuthMethod::Jwt {
        hide(id, SUBJECT, &mut draft.personal, &pseudonym);
    }
    for behind in on_behalf_of.iter_mut().filter(|behind| behind.kind == ActorKind::User) {
        hide(&mut behind.id, BEHIND, &mut draft.personal, &pseudonym);
    }
}

fn hide(
    id: &mut String,
    name: &str,
    personal: &mut std::collections::BTreeMap<String, String>,
    pseudonym: &impl Fn(&str) -> UserId,
) {
    if id.parse::<UserId>().is_err() {
        let hidden = pseudonym(id).to_string();
        personal.insert(name.to_owned(), std::mem::replace(id, hidden));
    }
}

#[cfg(test)]
mod tests {
    use super::hide_people;
    use crate::event::{Action, Actor, ActorKind, ActorRef, AuthMethod, Draft, Outcome, Resource};
    use ids::{Id, UserId};

    fn draft(kind: ActorKind, auth: AuthMethod) -> Draft {
        let behind = ActorRef { id: "bob@example.com".into(), kind: ActorKind::User };
        let actor = Actor { auth, id: "ada@example.com".into(), kind, on_behalf_of: vec![behind] };
        let resource = Resource { id: "r".into(), kind: "record".into() };
        Draft::new(actor, Action::new("record.create"), resource, Outcome::Success)
    }

    fn pseudonym(id: &str) -> UserId {
        UserId::from_bytes([id.as_bytes()[0]; 16])
    }

    #[test]
    fn people_are_named_by_pseudonyms_and_who_they_are_can_be_erased() {
        let mut hidden = draft(ActorKind::User, AuthMethod::Jwt);
        hide_people(&mut hidden, pseudonym);
        assert_eq!(hidden.actor.id, pseudonym("ada").to_string());
        assert_eq!(hidden.actor.on_behalf_of[0].id, pseudonym("bob").to_string());
        assert_eq!(hidden.personal["subject"], "ada@example.com");
        assert_eq!(hidden.personal["on_behalf_of"], "bob@example.com");
        let once = hidden.clone();
        hide_people(&mut hidden, pseudonym);
        assert_eq!(hidden, once);
    }

    #[test]
    fn what_is_no_person_keeps_its_id() {
        let mut key = draft(ActorKind::ServiceKey, AuthMethod::ApiKey);
        key.actor.on_behalf_of.clear();
        let before = key.clone();
        hide_people(&mut key, pseudonym);
        assert_eq!(key, before);
    }
}
