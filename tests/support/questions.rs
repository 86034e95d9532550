//! Questions that runs ask people.

use std::time::Duration;

use l9::Runtime;
use l9::kernel::OpenQuestion;

/// Waits until a run asks a person.
pub(crate) async fn asked(runtime: &Runtime) -> OpenQuestion {
    let tenant = runtime.principal().tenant;
    let look = async {
        loop {
            if let Some(open) = runtime.engine().approvals(&tenant).await.unwrap().pop() {
                return open;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), look).await.unwrap()
}
