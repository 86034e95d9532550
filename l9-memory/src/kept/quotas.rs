//! How much is kept, as the database counts it with every change of a row, and whether more may
//! be.

use std::collections::BTreeMap;

use l9_core::Result;
use l9_core::id::{AgentId, TenantId};
use l9_core::memory::{Quota, Used};

use super::connection::{Answer, Connection, Row, Value};
use super::curation::unreadable;
use super::memory::Memory;
use super::sealing::{self, Prepared};
use super::subjects::named;

/// What stands for the whole tenant where the tokens of agents stand.
const TENANT: [u8; 1] = [0];

/// What is read of the counts.
const COUNTED: &str = "agent, entries, bytes FROM memory_usage";

/// What a call adds, by whose it is.
#[derive(Default)]
struct Shares {
    tenant: Used,
    agents: BTreeMap<Vec<u8>, (AgentId, Used)>,
}

impl Shares {
    fn of(added: &[Prepared]) -> Self {
        let mut shares = Self::default();
        for new in added {
            let one = Used { entries: 1, bytes: (new.sealed.len() + new.terms.len()) as u64 };
            shares.tenant = shares.tenant.and(one);
            if let (Some(token), Some(agent)) = (&new.agent, &new.owner) {
                let share = shares.agents.entry(token.as_bytes().to_vec()).or_insert((agent.clone(), Used::default()));
                share.1 = share.1.and(one);
            }
        }
        shares
    }

    /// Whose bounds are looked at.
    fn tokens(&self, quota: &Quota) -> Vec<Value> {
        let tenant = quota.bounds(false).then(|| TENANT.to_vec());
        let agents = self.agents.keys().filter(|_| quota.bounds(true)).cloned();
        tenant.into_iter().chain(agents).map(Value::Bytes).collect()
    }

    fn check(&self, quota: &Quota, used: &BTreeMap<Vec<u8>, Used>) -> Result<()> {
        let used = |token: &[u8]| used.get(token).copied().unwrap_or_default();
        quota.check(None, used(&TENANT), self.tenant)?;
        self.agents.iter().try_for_each(|(token, (agent, new))| quota.check(Some(agent), used(token), *new))
    }
}

/// Refuses, in a transaction that alone writes the tenant's memories, what the quota has no room
/// for.
pub(super) async fn hold(c: &mut dyn Connection, quota: &Quota, tenant: &TenantId, added: &[Prepared]) -> Answer<()> {
    let shares = Shares::of(added);
    let mut used = BTreeMap::new();
    for (sql, values) in named(tenant, COUNTED, "agent", &shares.tokens(quota)) {
        read(&c.rows(&sql, &values).await?, &mut used)?;
    }
    Ok(shares.check(quota, &used))
}

impl Memory {
    /// Refuses what the quota has no room for now.
    pub(super) async fn hold(&self, tenant: &TenantId, added: &[Prepared]) -> Result<()> {
        let (quota, shares) = (&self.keeper.quota, Shares::of(added));
        let mut used = BTreeMap::new();
        for (sql, values) in named(tenant, COUNTED, "agent", &shares.tokens(quota)) {
            read(&self.rows.read(&sql, &values).await?, &mut used).map_err(unreadable)?;
        }
        shares.check(quota, &used)
    }

    /// What a tenant has, or an agent's own of it, or all tenants together.
    pub(super) async fn used(&self, tenant: Option<&TenantId>, agent: Option<&AgentId>) -> Result<Used> {
        let statements = match tenant {
            Some(tenant) => {
                let token = match agent {
                    Some(agent) => (&sealing::agent_token(self.vault(), tenant, agent.as_str())).into(),
                    None => Value::Bytes(TENANT.to_vec()),
                };
                named(tenant, COUNTED, "agent", &[token])
            }
            None => {
                let sql = "SELECT agent, CAST(sum(entries) AS BIGINT), CAST(sum(bytes) AS BIGINT) FROM memory_usage \
                           WHERE agent = $1 GROUP BY agent";
                vec![(sql.to_owned(), vec![Value::Bytes(TENANT.to_vec())])]
            }
        };
        let mut used = BTreeMap::new();
        for (sql, values) in statements {
            read(&self.rows.read(&sql, &values).await?, &mut used).map_err(unreadable)?;
        }
        Ok(used.into_values().next().unwrap_or_default())
    }
}

fn read(rows: &[Row], used: &mut BTreeMap<Vec<u8>, Used>) -> Result<(), sqlx::Error> {
    for row in rows {
        let count = |at| Ok::<_, sqlx::Error>(u64::try_from(row.number(at)?).unwrap_or(0));
        used.insert(row.bytes(0)?.to_vec(), Used { entries: count(1)?, bytes: count(2)? });
    }
    Ok(())
}
