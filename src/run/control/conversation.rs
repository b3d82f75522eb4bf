//! One connection: a request, what the loop says to it, and the answer. One request a connection: whoever wants more
//! connects again, and nobody holds a place by silence.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use ::core::net::SocketAddr;
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{Response, StatusCode};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};
use tokio::time::sleep;
use tracing::debug;

use crate::core::attach::PROTOCOL;
use crate::core::control::origin::{Origin, admit};
use crate::core::control::{Answer, Door, Request, page, route};
use crate::run::output::Seat;
use crate::run::supervisor::Happening;

use super::attach::attached;
use super::content::Content;
use super::stream::Stream;
use super::{Asked, Reply, server};

/// How long the head of a request may take.
const HEAD: Duration = Duration::from_secs(5);
/// How long somebody at the address may take nothing of the answer.
const STALL: Duration = Duration::from_secs(10);
/// How much the head of a request may hold, in bytes.
const LARGEST_HEAD: usize = 16 * 1024;
/// How many lines it may have.
const MOST_HEADERS: usize = 64;

/// What a connection needs.
pub struct Conversation {
    /// Where it came in.
    pub door: Door,
    /// The address of `http`, when it came in there.
    pub address: Option<SocketAddr>,
    /// To the loop.
    pub outbox: UnboundedSender<Happening>,
    /// Places for those who follow what services write.
    pub followers: Arc<Semaphore>,
    /// Turns true when the launcher ends.
    pub ending: watch::Receiver<bool>,
    /// What becomes of the connection, once it is no HTTP any more.
    pub attached: RefCell<Option<Attached>>,
}

/// Somebody who was let to the terminal of a service.
pub struct Attached {
    seat: Seat,
    connection: OnUpgrade,
    _place: OwnedSemaphorePermit,
}

/// Serves one connection to its end.
pub async fn converse(socket: Box<dyn server::Bytes>, conversation: Conversation) {
    let patience = (conversation.door == Door::Http).then_some(STALL);
    let asked = Rc::new(Cell::new(false));
    let seen = asked.clone();
    let conversation = Rc::new(conversation);
    let answering = conversation.clone();
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        seen.set(true);
        let conversation = answering.clone();
        async move { Ok::<_, Infallible>(conversation.respond(request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.keep_alive(false).header_read_timeout(None).max_headers(MOST_HEADERS).max_buf_size(LARGEST_HEAD);
    let connection = builder.serve_connection(Stream::new(socket, patience), service).with_upgrades();
    let ended = tokio::select! {
        ended = connection => ended,
        () = without_head(&asked) => return,
    };
    if let Err(problem) = ended {
        debug!("a connection ended early: {problem}");
    }
    conversation.be_attached().await;
}

/// Returns when no request has come in time, and never when one has.
async fn without_head(asked: &Cell<bool>) {
    sleep(HEAD).await;
    if asked.get() {
        std::future::pending().await
    }
}

impl Conversation {
    async fn respond(&self, request: hyper::Request<Incoming>) -> Response<Content> {
        match self.understand(&request) {
            Ok(Request::Attach { .. }) if text(request.headers(), &header::UPGRADE) != Some(PROTOCOL) => whole(
                Answer::text(426, format!("this takes Upgrade: {PROTOCOL}, as launcher attach SERVICE sends it\n")),
            ),
            Ok(asked) => self.ask(asked, hyper::upgrade::on(request)).await,
            Err(answer) => whole(answer),
        }
    }

    /// What is left of the connection is for somebody at a terminal.
    async fn be_attached(&self) {
        let Some(Attached { seat, connection, _place }) = self.attached.take() else { return };
        let Ok(upgraded) = connection.await else { return };
        if let Ok(parts) = upgraded.downcast::<Stream<Box<dyn server::Bytes>>>() {
            attached(parts.io.into_socket(), parts.read_buf, seat, self.ending.clone()).await;
        }
    }

    /// What is asked, if whoever asks may.
    fn understand(&self, request: &hyper::Request<Incoming>) -> Result<Request, Answer> {
        if let Some(address) = self.address {
            let headers = request.headers();
            admit(&Origin {
                loopback: address.ip().is_loopback(),
                host: text(headers, &header::HOST).or(request.uri().authority().map(|host| host.as_str())),
                origin: text(headers, &header::ORIGIN),
                site: text(headers, &HeaderName::from_static("sec-fetch-site")),
                mode: text(headers, &HeaderName::from_static("sec-fetch-mode")),
            })?;
        }
        let uri = request.uri();
        let (path, query) = (uri.path(), uri.query());
        route(self.door, request.method().as_str(), path, query).map_err(|refusal| refusal.answer())
    }

    async fn ask(&self, request: Request, connection: OnUpgrade) -> Response<Content> {
        let (reply, answer) = oneshot::channel();
        if self.outbox.send(Happening::Asked(Box::new(Asked { request, reply }))).is_err() {
            return whole(gone());
        }
        match answer.await {
            Ok(Reply::Whole(answer)) => whole(answer),
            Ok(Reply::OnThread(find)) => whole(on_thread(find).await),
            Ok(Reply::Follow { memory, begin }) => match self.followers.clone().try_acquire_owned() {
                Ok(place) => {
                    let content = Content::followed(&begin, memory, self.ending.clone(), place);
                    response(&Answer::text(200, ""), content)
                }
                Err(_) => whole(Answer::text(503, "too many follow what services write\n")),
            },
            Ok(Reply::Attach(seat)) => match self.followers.clone().try_acquire_owned() {
                Ok(place) => {
                    self.attached.replace(Some(Attached { seat, connection, _place: place }));
                    switching()
                }
                Err(_) => whole(Answer::text(503, "too many are attached, or follow what services write\n")),
            },
            Err(_) => whole(gone()),
        }
    }
}

/// That the connection is no HTTP any more.
fn switching() -> Response<Content> {
    let mut response = Response::new(Content::whole(String::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static(PROTOCOL));
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    response
}

/// The launcher is about to end.
fn gone() -> Answer {
    Answer::text(503, "launcher is ending\n")
}

/// Looks for the answer away from the loop.
async fn on_thread(find: Box<dyn FnOnce() -> Answer + Send>) -> Answer {
    let (found, answer) = oneshot::channel();
    let started = std::thread::Builder::new().name("answer".into()).spawn(move || {
        let _ = found.send(find());
    });
    match started {
        Ok(_) => answer.await.unwrap_or_else(|_| Answer::text(500, "the answer could not be found\n")),
        Err(problem) => Answer::text(503, format!("there is no thread to look for the answer: {problem}\n")),
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    // What is not text matches nothing that is allowed.
    headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"))
}

fn whole(mut answer: Answer) -> Response<Content> {
    let body = std::mem::take(&mut answer.body);
    response(&answer, Content::whole(body))
}

fn response(answer: &Answer, content: Content) -> Response<Content> {
    let mut response = Response::new(content);
    *response.status_mut() = StatusCode::from_u16(answer.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(page::POLICY));
    if let Some(allow) = answer.allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    response
}
