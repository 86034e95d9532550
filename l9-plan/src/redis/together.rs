//! What several ask of the server at the same time is asked in one request: whoever comes while a
//! request is under way joins the next. A request by itself costs the server several times what
//! one more question within it does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use l9_core::{Error, Result};
use tokio::sync::oneshot;

/// The most questions of one request, which keeps the server from everybody else.
const MOST: usize = 64;
/// Beside a request of fewer than this the server has time for another.
const FEW: usize = 8;

/// How several questions are asked at once.
pub(super) trait Request: Send + Sync + 'static {
    type Question: Send;
    type Answer: Send;

    /// The answer to each, in order.
    fn ask(&self, questions: Vec<Self::Question>) -> impl Future<Output = Result<Vec<Self::Answer>>> + Send;

    /// Whoever asked for it does not wait for it any more.
    fn unwanted(&self, answer: Self::Answer) -> impl Future<Output = ()> + Send;
}

/// Questions of a kind that are asked together.
pub(super) struct Together<R: Request>(Arc<Shared<R>>);

struct Shared<R: Request> {
    request: R,
    asked: Mutex<Asked<R>>,
}

/// A question, and where its answer goes.
type Asking<R> = (<R as Request>::Question, oneshot::Sender<Result<<R as Request>::Answer>>);

struct Asked<R: Request> {
    waiting: Vec<Asking<R>>,
    /// Requests under way, and how many questions they have.
    requests: usize,
    questions: usize,
}

impl<R: Request> Together<R> {
    pub(super) fn new(request: R) -> Self {
        let asked = Mutex::new(Asked { waiting: Vec::new(), requests: 0, questions: 0 });
        Self(Arc::new(Shared { request, asked }))
    }

    /// # Errors
    /// That of the whole request.
    pub(super) async fn ask(&self, question: R::Question) -> Result<R::Answer> {
        let (tell, told) = oneshot::channel();
        let begins = {
            let mut asked = self.0.asked();
            asked.waiting.push((question, tell));
            let begins = asked.requests == 0 || (asked.requests == 1 && asked.questions < FEW);
            asked.requests += usize::from(begins);
            begins
        };
        if begins {
            tokio::spawn(UnderWay { shared: Arc::clone(&self.0), questions: 0, over: false }.go_on());
        }
        told.await.unwrap_or_else(|_| Err(Error::unavailable("the process is going away")))
    }
}

impl<R: Request> Shared<R> {
    fn asked(&self) -> MutexGuard<'_, Asked<R>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Requests that are made one after another, while somebody asks.
struct UnderWay<R: Request> {
    shared: Arc<Shared<R>>,
    /// How many the request has that is under way.
    questions: usize,
    over: bool,
}

impl<R: Request> UnderWay<R> {
    async fn go_on(mut self) {
        while let Some(asked) = self.next() {
            let (questions, tell): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
            match self.shared.request.ask(questions).await {
                Ok(answers) => {
                    for (tell, answer) in tell.into_iter().zip(answers) {
                        if let Err(Ok(answer)) = tell.send(Ok(answer)) {
                            self.shared.request.unwanted(answer).await;
                        }
                    }
                }
                Err(error) => {
                    let mut tell = tell.into_iter();
                    let first = tell.next();
                    for tell in tell {
                        drop(tell.send(Err(Error::new(error.kind(), error.message()))));
                    }
                    // Only one of them learns what the driver said.
                    drop(first.map(|tell| tell.send(Err(error))));
                }
            }
        }
    }

    /// Whoever asks by now; nothing once nobody does.
    fn next(&mut self) -> Option<Vec<Asking<R>>> {
        let mut asked = self.shared.asked();
        asked.questions -= self.questions;
        self.questions = asked.waiting.len().min(MOST);
        asked.questions += self.questions;
        self.over = self.questions == 0;
        asked.requests -= usize::from(self.over);
        let many = self.questions;
        (!self.over).then(|| asked.waiting.drain(..many).collect())
    }
}

/// What is stopped halfway keeps nobody waiting.
impl<R: Request> Drop for UnderWay<R> {
    fn drop(&mut self) {
        if !self.over {
            let mut asked = self.shared.asked();
            asked.questions -= self.questions;
            asked.requests -= 1;
            if asked.requests == 0 {
                asked.waiting.clear();
            }
        }
    }
}
