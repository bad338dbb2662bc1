//! A server of our own: it hands every connection to the test's script and counts them.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// A listening server. It stops when it is dropped.
pub(super) struct Server {
    pub(super) port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<String>>>,
    listening: JoinHandle<()>,
}

impl Server {
    /// Runs `script` on every connection.
    pub(super) async fn running<F, Running>(script: F) -> Self
    where
        F: Fn(TcpStream, Arc<Mutex<Vec<String>>>) -> Running + Send + 'static,
        Running: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, requests) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (counter, log) = (connections.clone(), requests.clone());
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(script(stream, log.clone()));
            }
        });
        Self { port, connections, requests, listening }
    }

    /// Answers every request with these bytes and closes.
    pub(super) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = Arc::new(answer.into());
        Self::running(move |mut stream, log| {
            let answer = answer.clone();
            async move {
                let request = read_request(&mut stream).await;
                log.lock().unwrap().push(request);
                let _ = stream.write_all(&answer).await;
            }
        })
        .await
    }

    /// Takes connections and says nothing.
    pub(super) async fn silent() -> Self {
        Self::running(|stream, _| async move {
            let _open = stream;
            std::future::pending().await
        })
        .await
    }

    /// Redirects every request to `location`.
    pub(super) async fn redirecting(status: u16, location: &str) -> Self {
        Self::answering(format!(
            "HTTP/1.1 {status} Elsewhere\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
        ))
        .await
    }

    /// Host and port under the name `host`.
    pub(super) fn at(&self, host: &str) -> String {
        format!("{host}:{}", self.port)
    }

    /// How many connections were made.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The requests as they came, headers and body.
    pub(super) fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// An answer with this body.
pub(super) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Reads one request, its body by its `content-length`.
pub(super) async fn read_request<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !read.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).await.is_ok() {
        read.extend_from_slice(&byte);
    }
    let head = String::from_utf8(read).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.unwrap();
    head + &String::from_utf8(body).unwrap()
}
