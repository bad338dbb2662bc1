//! An OAuth provider with an API behind it. Refresh tokens rotate; one that was used before kills the family,
//! as RFC 9700, section 4.14.2, advises.

use std::collections::HashMap;
use std::collections::HashSet;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// How the token endpoint answers the next request, where not as it should.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// With this status and body, having changed nothing.
    Says(u16, &'static str),
    /// Having rotated, with nothing: the connection breaks.
    Breaks,
    /// Having rotated, with what is no token.
    Gibberish,
}

#[derive(Default)]
pub(crate) struct State {
    /// The refresh token that counts, and those that were used.
    present: String,
    used: HashSet<String>,
    access: HashSet<String>,
    issued: usize,
    pub(crate) dead: bool,
    pub(crate) faults: VecDeque<Fault>,
    pub(crate) delay: Duration,
    pub(crate) asked: usize,
    pub(crate) connections: usize,
    pub(crate) requests: Vec<String>,
}

pub(crate) struct Provider {
    pub(crate) port: u16,
    pub(crate) state: Arc<Mutex<State>>,
    listening: JoinHandle<()>,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { present: "refresh-0-s3cret".into(), ..State::default() }));
        let shared = state.clone();
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { port, state, listening }
    }

    /// How often tokens were asked for.
    pub(crate) fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state.lock().unwrap().dead
    }

    pub(crate) fn fail(&self, fault: Fault) {
        self.state.lock().unwrap().faults.push_back(fault);
    }

    pub(crate) fn delay(&self, delay: Duration) {
        self.state.lock().unwrap().delay = delay;
    }

    /// Makes every access token so far worthless.
    pub(crate) fn revoke_access(&self) {
        self.state.lock().unwrap().access.clear();
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let Some(request) = read(&mut stream).await else { return };
    let (answer, delay) = {
        let mut state = state.lock().unwrap();
        state.requests.push(request.clone());
        (
            if request.starts_with("POST /token ") {
                state.token(&request)
            } else {
                Some(state.api(&request))
            },
            state.delay,
        )
    };
    tokio::time::sleep(delay).await;
    let Some((status, body)) = answer else { return };
    let head = format!(
        "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let _ = stream.write_all((head + &body).as_bytes()).await;
}

impl State {
    fn api(&self, request: &str) -> (u16, String) {
        let token = request.lines().find_map(|line| line.strip_prefix("authorization: Bearer "));
        let live = token.is_some_and(|token| self.access.contains(token));
        (if live { 200 } else { 401 }, "{}".into())
    }

    fn token(&mut self, request: &str) -> Option<(u16, String)> {
        self.asked += 1;
        let fault = self.faults.pop_front();
        if let Some(Fault::Says(status, body)) = fault {
            return Some((status, body.into()));
        }
        let body = request.split("\r\n\r\n").nth(1).unwrap_or_default();
        let form: HashMap<&str, &str> = body.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let mut refresh = String::new();
        if form.get("grant_type") == Some(&"refresh_token") {
            let shown = form.get("refresh_token").copied().unwrap_or_default().to_owned();
            if self.used.contains(&shown) {
                self.dead = true;
            }
            if self.dead || shown != self.present {
                return Some((400, r#"{"error":"invalid_grant"}"#.into()));
            }
            self.used.insert(shown);
            self.present = format!("refresh-{}-s3cret", self.asked);
            refresh = format!(r#","refresh_token":"{}""#, self.present);
        }
        self.issued += 1;
        let access = format!("access-{}-s3cret", self.issued);
        self.access.insert(access.clone());
        match fault {
            Some(Fault::Breaks) => None,
            Some(Fault::Gibberish) => Some((200, "{}".into())),
            _ => Some((
                200,
                format!(r#"{{"access_token":"{access}","token_type":"Bearer","expires_in":600{refresh}}}"#),
            )),
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).await.ok()?;
        read.push(byte[0]);
    }
    let head = String::from_utf8(read).ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some(head + &String::from_utf8(body).ok()?)
}
