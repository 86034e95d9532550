"""The virtual environment of the rivals, made when a bench first needs it."""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]


def python() -> Path:
    """The interpreter that has the pinned rivals; installs them the first time."""
    pins = HERE / "requirements.txt"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    digest = hashlib.sha256(pins.read_bytes()).hexdigest()[:12]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "l9" / f"rivals-{version}-{digest}"
    interpreter = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        print(f"installing the rivals into {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        pip = [interpreter, "-m", "pip", "install", "--quiet", "--requirement", pins]
        subprocess.run(pip, check=True)
        ready.touch()
    return interpreter


def pinned() -> dict[str, str]:
    """The versions of requirements.txt, by package."""
    lines = (HERE / "requirements.txt").read_text().split()
    return dict(line.split("==") for line in lines)


def ledger_agent(given: str | None) -> Path:
    """L9's side, the example `ledger_agent`: as given, or built by cargo."""
    if given:
        return Path(given).resolve()
    command = ["cargo", "build", "--quiet", "--release", "--example", "ledger_agent"]
    subprocess.run([*command, "--package", "l9"], cwd=REPOSITORY, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", REPOSITORY / "target"))
    return (REPOSITORY / target / "release" / "examples" / "ledger_agent").resolve()
