//! A worker for tests: keeps the journal, checks each transition, and has time and chance in its hand.

use crate::definition::{Definition, NodeName, validate};
use crate::engine::{
    Chance, Command, Event, Input, Mode, Moment, Outcome, Progress, Request, Run, Start, StepError,
    StepErrorCode, StepStatus,
};
use env::Timestamp;
use ids::{Id, RunId, StepId, WorkflowId};
use serde_json::{Value, json};
use std::collections::BTreeMap;

pub(super) const START: i64 = 1_790_000_000_000;

pub(super) struct Driver {
    pub(super) definition: Definition,
    pub(super) run: Run,
    pub(super) journal: Vec<Event>,
    pub(super) now: Timestamp,
    pub(super) chance: u64,
    pub(super) room: Option<u64>,
    /// Attempts that a worker is at, with all that it was told.
    pub(super) open: BTreeMap<NodeName, Command>,
    /// Every attempt that was ever commanded.
    pub(super) performed: Vec<(NodeName, u32)>,
    pub(super) keys: BTreeMap<NodeName, Vec<String>>,
}

pub(super) fn name(text: &str) -> NodeName {
    text.parse().unwrap()
}

pub(super) fn error() -> StepError {
    StepError::new(StepErrorCode::UpstreamFailed, "The service is down.")
}

impl Driver {
    pub(super) fn new(definition: &str, input: Value, config: Value, mode: Mode) -> Self {
        let definition = validate(definition).unwrap_or_else(|faults| panic!("{faults:#?}"));
        let now = Timestamp::from_millis(START);
        let mut count = 0;
        let mut step_id = || {
            count += 1;
            StepId::from_parts(1, [count; 10])
        };
        let start = Start {
            run: RunId::from_parts(1, [1; 10]),
            workflow: WorkflowId::from_parts(1, [2; 10]),
            mode,
            input,
            config,
            delivery: None,
            now,
        };
        let (run, progress) = Run::start(&definition, start, &mut step_id).unwrap();
        let journal = progress.events;
        let (open, performed, keys) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        Self { definition, run, journal, now, chance: 7, room: None, open, performed, keys }
    }

    /// A live run of nodes in flow style, begun.
    pub(super) fn begun(nodes: &str) -> Self {
        let text = format!("name: test\nnodes:\n  - {{id: start, type: source, kind: manual}}\n{nodes}");
        let mut driver = Self::new(&text, json!({"n": 1}), json!({}), Mode::Live);
        driver.admit();
        driver
    }

    pub(super) fn admit(&mut self) -> Progress {
        self.say(Input::Admit)
    }

    pub(super) fn tick_after(&mut self, seconds: i64) -> Progress {
        self.now = Timestamp::from_millis(self.now.millis() + seconds * 1_000);
        self.say(Input::Tick)
    }

    pub(super) fn admit_after(&mut self, seconds: i64) -> Progress {
        self.now = Timestamp::from_millis(self.now.millis() + seconds * 1_000);
        self.say(Input::Admit)
    }

    /// Reports the outcome of the attempt that is open.
    pub(super) fn end(&mut self, node: &str, outcome: Outcome) -> Progress {
        let node = name(node);
        let attempt = self.run.step_of(&node).unwrap().current().unwrap().number;
        self.say(Input::Outcome { node, attempt, outcome })
    }

    pub(super) fn succeed(&mut self, node: &str, output: Value) -> Progress {
        self.end(node, Outcome::Succeeded { output, cost: None })
    }

    pub(super) fn fail(&mut self, node: &str, retryable: bool) -> Progress {
        self.end(node, Outcome::Failed { error: error(), retryable, cost: None })
    }

    pub(super) fn status(&self, node: &str) -> StepStatus {
        self.run.step_of(&name(node)).unwrap().status
    }

    pub(super) fn request(&self, node: &str) -> &Request {
        match &self.open[&name(node)] {
            Command::Perform { request, .. } => request,
            other => panic!("{other:?}"),
        }
    }

    /// One transition, with everything that must hold for each.
    pub(super) fn say(&mut self, input: Input) -> Progress {
        let moment = Moment { now: self.now, chance: Chance(self.chance), room: self.room };
        self.chance = self.chance.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        let before = self.run.clone();
        let progress = self.run.step(&self.definition, input, moment);
        if progress.events.is_empty() {
            assert_eq!(before, self.run, "what is not journaled changes nothing");
            assert!(progress.commands.is_empty(), "what is not journaled commands nothing");
        }
        let journaled: Vec<Event> =
            serde_json::from_str(&serde_json::to_string(&progress.events).unwrap()).unwrap();
        assert_eq!(journaled, progress.events);
        self.journal.extend(journaled);
        for command in &progress.commands {
            self.obey(command);
        }
        self.check();
        progress
    }

    fn obey(&mut self, command: &Command) {
        match command {
            Command::Perform { node, attempt, idempotency_key, .. } => {
                assert!(!self.open.contains_key(node), "`{node}` is performed twice at once");
                assert!(!self.performed.contains(&(node.clone(), *attempt)), "an attempt is commanded twice");
                for edge in self.definition.edges().iter().filter(|edge| edge.to == *node) {
                    let before = self.run.step_of(&edge.from).unwrap().status;
                    assert!(before.is_over(), "`{node}` does not wait for `{}`", edge.from);
                }
                self.performed.push((node.clone(), *attempt));
                self.keys.entry(node.clone()).or_default().push(idempotency_key.clone());
                self.open.insert(node.clone(), command.clone());
            }
            Command::Abort { node, attempt, .. } => match self.open.remove(node) {
                Some(Command::Perform { attempt: open, .. }) => assert_eq!(open, *attempt),
                other => panic!("{other:?} is aborted"),
            },
            Command::Wake { at } => assert_eq!(Some(*at), self.run.wake_at()),
        }
    }

    fn check(&mut self) {
        let running = |node: &NodeName| self.run.step_of(node).unwrap().current().is_some();
        let open: BTreeMap<_, _> =
            self.open.iter().filter(|(node, _)| running(node)).map(|(a, b)| (a.clone(), b.clone())).collect();
        self.open = open;
        let replayed = Run::replay(&self.definition, self.journal.clone()).unwrap();
        assert_eq!(replayed, self.run, "replaying the journal gives the run");
        let cursor: Run = serde_json::from_str(&serde_json::to_string(&self.run).unwrap()).unwrap();
        assert_eq!(cursor.with_values(self.run.values().clone()), self.run, "the cursor round-trips");
        assert_eq!(self.run.sequence(), self.journal.len() as u64);
        let derived: Vec<_> = self.run.commands(&self.definition);
        let performs: Vec<_> =
            derived.iter().filter(|command| matches!(command, Command::Perform { .. })).cloned().collect();
        let mut open: Vec<_> = self.open.values().cloned().collect();
        open.sort_by_key(|command| performs.iter().position(|other| other == command));
        assert_eq!(performs, open, "outstanding commands are derived from the run");
        for (node, step) in self.run.steps() {
            let most = self.definition.node(node).unwrap().retry().max_attempts;
            assert!(step.attempts_counted() <= most, "`{node}` was tried too often");
        }
    }
}
