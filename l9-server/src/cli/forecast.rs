//! What a plan would do, as `plans validate` shows it. It must not judge: that is the kernel's.

use l9::governor::Decision;
use l9::kernel::{Expected, Forecast, Foreseen, Level};

use super::failure::Exit;
use crate::terminal::{Screen, Table, clip, count};

/// Shows a forecast; the plan is refused if policy denies a call of it or its budget cannot suffice.
pub(super) fn show(screen: Screen, forecast: &Forecast) -> Exit {
    if screen.is_json() {
        screen.object(forecast);
    } else {
        contents(screen, forecast);
        calls(screen, &forecast.calls);
        cost(screen, &forecast.cost);
        remarks(screen, forecast);
    }
    if forecast.is_refused() { Exit::Denied } else { Exit::Done }
}

fn contents(screen: Screen, forecast: &Forecast) {
    let paint = screen.paint();
    let can = if forecast.is_refused() { paint.bad("would be refused") } else { "can run".to_owned() };
    screen.line(&format!("plan {} {can}: {} nodes", forecast.plan, forecast.nodes));
    for (tool, contract) in &forecast.tools {
        let contract: String = contract.to_string().chars().take(12).collect();
        screen.line(&format!(
            "  calls {}  {}",
            paint.name(tool.as_str()),
            paint.faint(&format!("contract {contract}"))
        ));
    }
    for agent in &forecast.agents {
        screen.line(&format!("  delegates to {}", paint.name(agent.as_str())));
    }
}

fn calls(screen: Screen, calls: &[Foreseen]) {
    let mut table = Table::new(&["NODE", "CALLS", "EFFECT", "AFTER A CRASH", "TIMES", "POLICY", "WHY"]);
    for call in calls {
        let tool = if call.compensates { format!("{} to undo", call.tool) } else { call.tool.to_string() };
        let verdict = match call.verdict {
            Decision::Allow => "allow",
            Decision::Ask => "ask",
            Decision::Deny => "deny",
        };
        let mark = if call.depends.is_empty() { "" } else { ", depends" };
        table.row([
            screen.safe(&call.node),
            tool,
            call.effect.as_str().to_owned(),
            if call.repeats { "repeated" } else { "not repeated" }.to_owned(),
            span(call.least, call.most),
            format!("{verdict}{mark}"),
            screen.safe(&clip(&why(call), 160)),
        ]);
    }
    if !table.is_empty() {
        table.lines(screen.paint()).iter().for_each(|line| screen.line(line));
    }
}

fn why(call: &Foreseen) -> String {
    let depends: Vec<String> = call.depends.iter().map(|one| format!("{} at {}", one.reference, one.at)).collect();
    let unknown = (!depends.is_empty()).then(|| format!("not known yet: {}", depends.join(", ")));
    call.reasons.iter().cloned().chain(unknown).collect::<Vec<_>>().join("; ")
}

fn cost(screen: Screen, cost: &Expected) {
    let Expected { least, most, budget } = cost;
    let mut table = Table::new(&["COST", "EXPECTED", "BUDGET"]);
    let amounts = least.amounts().into_iter().zip(most.amounts()).zip(budget.amounts());
    for (((name, least), (_, most)), (_, limit)) in amounts {
        let limit = limit.map_or_else(|| "unlimited".to_owned(), count);
        table.row([name.to_owned(), span(least, most), limit]);
    }
    table.lines(screen.paint()).iter().for_each(|line| screen.line(line));
}

fn remarks(screen: Screen, forecast: &Forecast) {
    let paint = screen.paint();
    for remark in &forecast.remarks {
        let level = match remark.level {
            Level::Error => paint.bad("error:"),
            Level::Warning => paint.warn("warning:"),
        };
        screen.line(&format!("{level} {}", screen.safe(&remark.message)));
    }
}

/// From the least to the most.
fn span(least: u64, most: Option<u64>) -> String {
    match most {
        Some(most) if most == least => count(least),
        Some(most) => format!("{} to {}", count(least), count(most)),
        None => format!("{} or more", count(least)),
    }
}
