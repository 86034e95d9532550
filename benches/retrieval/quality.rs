//! Which turns are found for questions, through [`l9::Runtime`] and its SQLite database.

use std::collections::HashMap;

use l9::embedding;
use l9::memory::{Layer, Query, Scope};
use l9::{AgentId, Runtime};

use crate::locomo::Conversation;

/// The embedder that is measured: `hashing`, a model's folder, or none.
#[derive(Default)]
pub(crate) struct Embedder(pub(crate) Option<String>);

impl Embedder {
    fn settings(&self) -> embedding::Settings {
        let (embedder, model_dir) = match self.0.as_deref() {
            None => (embedding::Kind::None, None),
            Some("hashing") => (embedding::Kind::Hashing, None),
            Some(folder) => (embedding::Kind::Local, Some(folder.into())),
        };
        embedding::Settings { embedder, model_dir, query_timeout_ms: 600_000, ..embedding::Settings::default() }
    }
}

/// Sums over questions.
#[derive(Default)]
struct Sums {
    questions: usize,
    any5: usize,
    any10: usize,
    session1: usize,
}

/// Keeps every conversation as an agent's own memory, asks, and prints the shares of questions
/// with an answering turn among the first five and ten, and with the first hit in the right session.
pub(crate) async fn measure(name: &str, conversations: &[Conversation], embedder: &Embedder) {
    let folder = tempfile::tempdir().unwrap();
    let settings = l9::Settings { embedding: embedder.settings(), ..l9::Settings::default() };
    let runtime = Runtime::builder().settings(settings).data_dir(folder.path()).build().await.unwrap();
    let (memory, tenant) = (runtime.memory(), runtime.principal().tenant);
    let mut sums = Sums::default();
    for (number, conversation) in conversations.iter().enumerate() {
        let agent = AgentId::new(format!("conversation-{number}")).unwrap();
        let mut turns = conversation.turns.clone();
        turns.iter_mut().for_each(|turn| turn.agent = Some(agent.clone()));
        let sessions: HashMap<&str, &str> = conversation
            .turns
            .iter()
            .filter_map(|turn| Some((turn.key.as_deref()?, turn.session.as_deref()?)))
            .collect();
        memory.remember(&tenant, turns).await.unwrap();
        runtime.embeddings().finish().await.unwrap();
        let scope = Scope { agent: Some(agent), ..Scope::tenant(tenant.clone()) };
        for question in &conversation.questions {
            let query = Query { layer: Some(Layer::LongTerm), ..Query::new(&question.text, 10) };
            let hits = memory.search(&scope, &query).await.unwrap();
            let keys: Vec<&str> = hits.iter().filter_map(|hit| hit.entry.entry.key.as_deref()).collect();
            let answers = |key: &&str| question.evidence.iter().any(|evidence| evidence == key);
            let place = keys.iter().position(answers).unwrap_or(usize::MAX);
            sums.questions += 1;
            sums.any5 += usize::from(place < 5);
            sums.any10 += usize::from(place < 10);
            let first = keys.first().and_then(|key| sessions.get(key));
            sums.session1 +=
                usize::from(question.evidence.iter().any(|key| sessions.get(key.as_str()) == first && first.is_some()));
        }
    }
    let share = |count: usize| count as f64 / sums.questions.max(1) as f64;
    let by = embedder.0.as_deref().unwrap_or("no embedder");
    println!("quality, {name}, {by}: {} conversations, {} questions", conversations.len(), sums.questions);
    println!("  turn any@5    {:.4}", share(sums.any5));
    println!("  turn any@10   {:.4}", share(sums.any10));
    println!("  session@1     {:.4}", share(sums.session1));
    runtime.shutdown().await;
}
