//! The command line: its arguments, and what each command does.

mod approvals;
mod arguments;
mod audit;
mod config;
mod context;
mod curation;
mod doctor;
mod erasure;
mod failure;
mod follow;
mod forecast;
mod ingest;
mod keys;
mod lifecycle;
mod memory;
mod nodes;
mod plans;
mod policy;
mod queue;
mod run;
mod runs;
mod schedules;
mod secrets;
mod serve;
mod stop;
mod token;
mod tools;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;

use arguments::{Arguments, Command};
use context::Context;
use failure::{Exit, Failure};
use l9::stop::Scope;

/// How long work that cannot be interrupted may hold the process at its end.
const LAST_WORK: Duration = Duration::from_secs(15);

/// Reads the arguments, does what they say, and tells how it went.
pub(crate) fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        // Help and version go to standard output and are no failure.
        Err(error) => {
            let code = if error.use_stderr() { Exit::Usage } else { Exit::Done };
            // Nothing is left to tell anybody if this fails.
            let _ = error.print();
            return code.into();
        }
    };
    let json = arguments.global.json;
    let done = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("no threads can be started: {error}")))
        .and_then(|runtime| {
            let done = runtime.block_on(Box::pin(dispatch(arguments)));
            match &done {
                Ok(Exit::Interrupted) => runtime.shutdown_background(),
                // A tool that is still being compiled is kept for the next start.
                _ => runtime.shutdown_timeout(LAST_WORK),
            }
            done
        });
    match done {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.show(json);
            failure.exit().into()
        }
    }
}

async fn dispatch(arguments: Arguments) -> Result<Exit, Failure> {
    let Arguments { global, serve, command } = arguments;
    if command.is_some() && !serve.is_empty() {
        return Err(Failure::usage("--host, --port and --role belong after `serve`"));
    }
    match command.unwrap_or(Command::Serve(serve)) {
        Command::Config { command } => config::config(&global, &command),
        Command::Doctor => doctor::doctor(&global).await,
        Command::Serve(arguments) => {
            let context = Context::load(&global, &arguments.settings(), "info")?.sharing_queue();
            serve::serve(&context, &arguments).await
        }
        Command::Tools { command: tools::Tools::Inspect(inspect) } if inspect.schema => Ok(tools::schema()),
        Command::Policy { command } => Box::pin(policy::policy(&global, &command)).await,
        other => {
            let scope = global.tenant.clone().map_or(Scope::All, Scope::Tenant);
            let context = Context::load(&global, &[], "warn")?;
            match other {
                Command::Run(arguments) => run::run(&context, arguments).await,
                Command::Ingest(arguments) => ingest::ingest(&context, &arguments).await,
                Command::Runs { command } => Box::pin(runs::runs(&context, command)).await,
                Command::Plans { command } => Box::pin(plans::plans(&context, command)).await,
                Command::Schedules { command } => Box::pin(schedules::schedules(&context, command)).await,
                Command::Approvals { command } => Box::pin(approvals::approvals(&context, command)).await,
                Command::Queue { command } => queue::queue(&context.sharing_queue(), &scope, command).await,
                Command::Stop(asked) => Box::pin(stop::stop(&context, scope, asked)).await,
                Command::Unstop(asked) => Box::pin(stop::unstop(&context, scope, asked)).await,
                Command::Retention { command } => runs::retention(&context, &command).await,
                Command::Tools { command } => Box::pin(tools::tools(&context, command)).await,
                Command::Audit { command } => audit::audit(&context, &command).await,
                Command::Memory { command } => Box::pin(memory::memory(&context, command)).await,
                Command::Secrets { command } => Box::pin(secrets::secrets(&context, command)).await,
                Command::Keys { command } => Box::pin(keys::keys(&context, command)).await,
                Command::Nodes { command } => nodes::nodes(&context, &command).await,
                Command::Token { command } => token::token(&context, &command),
                Command::Config { .. } | Command::Doctor | Command::Policy { .. } | Command::Serve(_) => Ok(Exit::Done),
            }
        }
    }
}
