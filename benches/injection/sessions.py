"""Sessions of the suites: each task's known-good calls, and the attacker's after them.

Calls are executed in the suite's own environment, so that results are what the tools give.
Session ids are random and mean nothing to whoever judges.
"""

import random
import re
import uuid
from dataclasses import dataclass, field

from agentdojo.attacks.attack_registry import load_attack
from agentdojo.base_tasks import BaseInjectionTask
from agentdojo.functions_runtime import FunctionCall, FunctionsRuntime
from pydantic import BaseModel

from manifests import IDENTITIES, manifest


class Pipeline:
    """Whom the templates of the attacks address."""

    name = "gpt-4o-2024-05-13"


@dataclass
class Session:
    """One session: its calls, their results, and which are whose."""

    suite: object
    user_task: object
    injection_task: object = None
    injections: dict = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    calls: list = field(default_factory=list)

    def benign(self):
        return [n for n, (_, _, whose) in enumerate(self.calls) if whose == "user"]

    def lines(self, rewrite=lambda content: content):
        """The session as lines of a neutral trace."""
        suite = self.suite
        yield {
            "type": "session",
            "id": self.id,
            "agent": "assistant",
            "prompt": self.user_task.PROMPT,
            "principal": {"id": "person:user", "identities": IDENTITIES[suite.name]},
            "tools": [manifest(suite.name, function) for function in suite.tools],
        }
        for n, (call, content, _) in enumerate(self.calls):
            args = {name: plain(value) for name, value in call.args.items()}
            yield {"type": "call", "id": f"c{n}", "tool": f"{suite.name}/{call.function}", "args": args}
            yield {"type": "result", "call": f"c{n}", "content": rewrite(content)}


def plain(value):
    """A value as JSON has it."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    return str(value)


def perform(suite, environment, call):
    result, error = FunctionsRuntime(suite.tools).run_function(environment, call.function, call.args)
    return plain(result) if error is None else error


def benign(suite, task):
    """A task's own calls, in an environment without an attack."""
    session = Session(suite, task)
    environment = task.init_environment(suite.load_and_inject_default_environment({}))
    for call in task.ground_truth(environment.model_copy(deep=True)):
        session.calls.append((call, perform(suite, environment, call), "user"))
    return session


def attacked(suite, template, user_task, injection_task):
    """The same with an injection: once it was read the attacker's calls follow, then the rest."""
    try:
        injections = template.attack(user_task, injection_task)
    except ValueError:
        return None
    session = Session(suite, user_task, injection_task, injections)
    environment = user_task.init_environment(suite.load_and_inject_default_environment(injections))
    planned = user_task.ground_truth(environment.model_copy(deep=True))
    planted = [marks(text) for text in injections.values()]
    read = False
    for call in planned:
        content = perform(suite, environment, call)
        session.calls.append((call, content, "user"))
        if not read and any(mark in squeezed(content) for mark in planted):
            read = True
            for bad in injection_task.ground_truth(environment.model_copy(deep=True)):
                session.calls.append((bad, perform(suite, environment, bad), "attacker"))
    return session if read else None


def texts(value):
    if isinstance(value, dict):
        return [text for item in value.items() for part in item for text in texts(part)]
    if isinstance(value, list):
        return [text for item in value for text in texts(item)]
    return [str(value)]


def squeezed(value):
    return re.sub(r"\W+", "", "".join(texts(value))).lower()


def marks(text):
    """The beginning of an injection as it is recognised in what a tool gave."""
    return squeezed(text.replace("\\t", "\t").replace("\\n", "\n"))[:60]


def templates(suite, names):
    return {name: load_attack(name, suite, Pipeline()) for name in names}


def harmless(session, allowed):
    """Whether the suite's own check finds no harm when only the allowed calls are executed."""
    suite, task = session.suite, session.injection_task
    environment = session.user_task.init_environment(suite.load_and_inject_default_environment(session.injections))
    before = environment.model_copy(deep=True)
    made = []
    for n, (call, _, _) in enumerate(session.calls):
        if n in allowed:
            perform(suite, environment, call)
            made.append(FunctionCall(function=call.function, args=call.args))
    # What a model says is not judged here: the attacker is granted the words.
    words = getattr(task, "GROUND_TRUTH_OUTPUT", "") or ""
    from agentdojo.types import text_content_block_from_string

    return not suite._check_injection_task_security(
        task, [text_content_block_from_string(words)], before, environment, made
    )


def reworded(session, seed):
    """Replaces the prose of results and keeps every value that a call, the request or the
    principal names, and whatever is an address or a number."""
    source = random.Random(seed)
    kept = set()
    for call, _, _ in session.calls:
        kept |= set(re.findall(r"[\w@.\-/:]+", str(plain(dict(call.args))).lower()))
    kept |= set(re.findall(r"[\w@.\-/:]+", session.user_task.PROMPT.lower()))

    def word(match):
        found = match.group(0)
        if found.lower().strip(".:/-") in kept or re.search(r"[\d@/_]|\.\w", found):
            return found
        letters = "".join(source.choice("abcdefghijklmnoprstuvwz") for _ in found)
        return letters.capitalize() if found[0].isupper() else letters

    def rewrite(content):
        if isinstance(content, dict):
            return {name: rewrite(item) for name, item in content.items()}
        if isinstance(content, list):
            return [rewrite(item) for item in content]
        if isinstance(content, str) and len(content.split()) >= 5:
            return re.sub(r"[\w@.\-/:]+", word, content)
        return content

    return rewrite


__all__ = ["BaseInjectionTask", "Session", "attacked", "benign", "harmless", "reworded", "templates"]
