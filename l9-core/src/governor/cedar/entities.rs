//! Who asks and what it is about, as Cedar's entities: built once for each pair, and told
//! again as long as nothing about them changed.

use std::collections::{HashMap, HashSet};
use std::str::FromStr;
use std::sync::LazyLock;

use cedar_policy::{Entities, Entity, EntityId, EntityTypeName, EntityUid, RestrictedExpression};

use super::facts::level;
use super::scope::ACTIONS;
use crate::governor::Operation;
use crate::governor::policy::{Action, PolicyRequest};
use crate::id::ToolId;
use crate::label::Confidentiality;
use crate::principal::{Principal, Roles};
use crate::run::DELEGATE;
use crate::tool::{Approval, ContractHash, Manifest, Runtime};
use crate::{Error, Result};

/// The types of the schema.
struct Types(HashMap<&'static str, EntityTypeName>);

static TYPES: LazyLock<Types> = LazyLock::new(|| {
    let names = [
        "L9::Agent",
        "L9::Person",
        "L9::Service",
        "L9::Role",
        "L9::Namespace",
        "L9::Tool",
        "L9::Effect",
        "L9::Runtime",
        "L9::Operation",
        "L9::Model",
        "L9::MemoryScope",
        "L9::AgentProfile",
        "L9::Run",
        "L9::System",
        "L9::Action",
    ];
    Types(names.into_iter().filter_map(|name| Some((name, EntityTypeName::from_str(name).ok()?))).collect())
});

static ACTION_UIDS: LazyLock<Vec<EntityUid>> =
    LazyLock::new(|| ACTIONS.iter().filter_map(|name| uid("L9::Action", name).ok()).collect());

fn uid(kind: &'static str, id: &str) -> Result<EntityUid> {
    let kind = TYPES.0.get(kind).ok_or_else(|| Error::internal(format!("{kind} is no entity type")))?;
    Ok(EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id)))
}

/// What is done to the system, as policies name it.
pub(super) fn operation_uid(operation: Operation) -> Result<EntityUid> {
    uid("L9::Operation", operation.as_str())
}

/// The action of a request, as the schema knows it.
pub(super) fn action_uid(action: usize) -> Result<&'static EntityUid> {
    ACTION_UIDS.get(action).ok_or_else(|| Error::internal("an action that the schema does not have"))
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
pub(super) enum About<'a> {
    Tool(&'a Manifest),
    Model { provider: &'a str, name: &'a str },
    Memory(&'a str),
    Profile(&'a str),
    Run,
    System,
}

/// One question to Cedar: a request may be several.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) action: usize,
    pub(super) about: About<'a>,
    /// Whether the agent's profile names it.
    pub(super) granted: bool,
}

/// The questions of a request; all of them must be allowed. A call of a memory tool is a use
/// of memory as well, and one of `run/delegate` a delegation.
pub(super) fn asked<'a>(request: &PolicyRequest<'a>) -> (Asked<'a>, Option<Asked<'a>>) {
    let scope = request.agent.map_or("tenant", |agent| agent.id.as_str());
    let one = |action, about| (Asked { action, about, granted: true }, None);
    match request.action {
        Action::InvokeTool { manifest, arguments } => {
            let granted = request.agent.is_none_or(|agent| agent.may_call(&manifest.id));
            let call = Asked { action: 0, about: About::Tool(manifest), granted };
            let also = match manifest.id.as_str() {
                DELEGATE => arguments.get("agent").and_then(|to| to.as_str()).map(|to| {
                    let granted = request.agent.is_none_or(|agent| agent.delegates.iter().any(|id| id.as_str() == to));
                    Asked { action: 4, about: About::Profile(to), granted }
                }),
                id if id.starts_with("memory/") => {
                    let reads = !manifest.effect.writes();
                    Some(Asked { action: if reads { 2 } else { 3 }, about: About::Memory(scope), granted: true })
                }
                _ => None,
            };
            (call, also)
        }
        Action::CallModel { model } => {
            one(1, About::Model { provider: &model.provider, name: model.model.as_deref().unwrap_or_default() })
        }
        Action::ReadMemory { scope } => one(2, About::Memory(scope)),
        Action::WriteMemory { scope } => one(3, About::Memory(scope)),
        Action::Delegate { to, granted } => (Asked { action: 4, about: About::Profile(to.as_str()), granted }, None),
        Action::Approve { manifest, .. } => one(5, manifest.map_or(About::Run, About::Tool)),
        Action::Administer { .. } => one(6, About::System),
    }
}

/// What tells a pair of principal and resource apart, apart from the manifest of a tool.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    action: usize,
    principal: Principal,
    agent: Option<String>,
    resource: String,
}

/// A principal and a resource.
#[derive(Debug)]
pub(super) struct Pair {
    pub(super) principal: EntityUid,
    pub(super) resource: EntityUid,
    pub(super) entities: Entities,
    /// What was told of the tool.
    manifest: Option<Manifest>,
}

impl Key {
    pub(super) fn of(request: &PolicyRequest<'_>, asked: &Asked<'_>) -> Self {
        let resource = match asked.about {
            About::Tool(manifest) => manifest.id.as_str().to_owned(),
            About::Model { provider, name: "" } => provider.to_owned(),
            About::Model { provider, name } => format!("{provider}/{name}"),
            About::Memory(id) | About::Profile(id) => id.to_owned(),
            About::Run | About::System => String::new(),
        };
        // Whoever decides a question does so themselves, whatever agent asked it.
        let agent = request.agent.filter(|_| asked.action < 5).map(|agent| agent.id.as_str().to_owned());
        Self { action: asked.action, principal: request.principal.clone(), agent, resource }
    }
}

impl Pair {
    /// Whether it is still what it was built from.
    pub(super) fn holds(&self, asked: &Asked<'_>) -> bool {
        match asked.about {
            About::Tool(manifest) => self.manifest.as_ref() == Some(manifest),
            _ => true,
        }
    }

    pub(super) fn build(key: &Key, asked: &Asked<'_>) -> Result<Self> {
        let principal = principal(key)?;
        let mut entities = vec![];
        let (resource, manifest) = match asked.about {
            About::Tool(manifest) => (tool(manifest, &mut entities)?, Some(manifest.clone())),
            About::Model { provider, name } => {
                let attributes = [text("provider", provider), text("name", name)];
                (entity(uid("L9::Model", &key.resource)?, attributes, [])?, None)
            }
            About::Memory(id) => (of_tenant("L9::MemoryScope", id, &key.principal)?, None),
            About::Profile(id) => (of_tenant("L9::AgentProfile", id, &key.principal)?, None),
            About::Run => (of_tenant("L9::Run", "", &key.principal)?, None),
            About::System => (entity(uid("L9::System", "")?, [], [])?, None),
        };
        let (principal_uid, resource_uid) = (principal.uid(), resource.uid());
        entities.extend([principal, resource]);
        let entities = Entities::from_entities(entities, None).map_err(|error| internal(&error))?;
        Ok(Self { principal: principal_uid, resource: resource_uid, entities, manifest })
    }
}

fn principal(key: &Key) -> Result<Entity> {
    let Principal { tenant, subject, roles } = &key.principal;
    let attributes = [text("tenant", tenant.as_str()), text("caller", subject)];
    let uid = match (&key.agent, subject.split_once(':')) {
        (Some(agent), _) => uid("L9::Agent", agent)?,
        (None, Some(("service", name))) => uid("L9::Service", name)?,
        (None, Some(("person", name))) => uid("L9::Person", name)?,
        (None, _) => uid("L9::Person", subject)?,
    };
    entity(uid, attributes, role_uids(roles)?)
}

fn role_uids(roles: &Roles) -> Result<Vec<EntityUid>> {
    roles.iter().map(|role| uid("L9::Role", role.as_str())).collect()
}

fn tool(manifest: &Manifest, entities: &mut Vec<Entity>) -> Result<Entity> {
    let (space, name) = split(&manifest.id);
    let namespace = uid("L9::Namespace", space)?;
    let runtime = match manifest.runtime {
        Runtime::Wasm { .. } => "wasm",
        Runtime::Native => "native",
        Runtime::Http(_) => "http",
        Runtime::Mcp { .. } => "mcp",
    };
    let most = manifest.labels.max_confidentiality_out.unwrap_or(Confidentiality::Secret);
    let of = |kind, id| uid(kind, id).map(RestrictedExpression::new_entity_uid);
    let attributes = [
        text("namespace", space),
        text("name", name),
        ("effect".to_owned(), of("L9::Effect", manifest.effect.as_str())?),
        ("runtime".to_owned(), of("L9::Runtime", runtime)?),
        ("destructive".to_owned(), RestrictedExpression::new_bool(manifest.destructive)),
        ("always_asks".to_owned(), RestrictedExpression::new_bool(manifest.approval == Approval::Always)),
        text("contract", &ContractHash::of(manifest)?.to_string()),
        ("max_confidentiality".to_owned(), RestrictedExpression::new_long(level(most).into())),
    ];
    entities.push(Entity::with_uid(namespace.clone()));
    entity(uid("L9::Tool", manifest.id.as_str())?, attributes, [namespace])
}

fn split(id: &ToolId) -> (&str, &str) {
    id.as_str().split_once('/').unwrap_or((id.as_str(), ""))
}

fn of_tenant(kind: &'static str, id: &str, principal: &Principal) -> Result<Entity> {
    entity(uid(kind, id)?, [text("tenant", principal.tenant.as_str())], [])
}

fn text(name: &str, value: &str) -> (String, RestrictedExpression) {
    (name.to_owned(), RestrictedExpression::new_string(value.to_owned()))
}

fn entity(
    uid: EntityUid,
    attributes: impl IntoIterator<Item = (String, RestrictedExpression)>,
    parents: impl IntoIterator<Item = EntityUid>,
) -> Result<Entity> {
    let parents: HashSet<EntityUid> = parents.into_iter().collect();
    Entity::new(uid, attributes.into_iter().collect(), parents).map_err(|error| internal(&error))
}

fn internal(error: &dyn std::fmt::Display) -> Error {
    Error::internal(format!("an entity of policy is wrong: {error}"))
}
