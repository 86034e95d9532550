"""A private PostgreSQL for as long as a bench runs."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def binaries() -> Path | None:
    """The folder of this machine's newest server, if it has one."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/postgres")
    found = sorted(debian, key=lambda path: float(path.parts[-3]))
    other = shutil.which("postgres")
    return found[-1].parent if found else Path(other).parent if other else None


@contextmanager
def server(where: Path) -> Iterator[str]:
    """Runs one on a free loopback port; gives its URL without a database's name.

    It refuses to run as root, so root starts it as `nobody`.
    """
    user = "nobody" if os.getuid() == 0 else None
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "user": user}
    with tempfile.TemporaryDirectory(prefix="l9-rivals-") as home:
        if user:
            shutil.chown(home, user)
        data = ["-D", f"{home}/data"]
        setup = ["--auth=trust", "--username=scribe", "--encoding=UTF8"]
        subprocess.run([where / "initdb", *data, *setup], check=True, cwd=home, **quiet)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        options = ["-p", port, "-k", home, "-c", "listen_addresses=127.0.0.1"]
        command = [where / "postgres", *data, *options]
        process = subprocess.Popen(command, cwd=home, **quiet)
        try:
            ready = [where / "pg_isready", "-q", "-h", "127.0.0.1", "-p", port]
            while subprocess.run(ready, check=False).returncode:
                if process.poll() is not None:
                    raise RuntimeError(f"PostgreSQL ended with {process.returncode}")
                time.sleep(0.1)
            yield f"postgresql://scribe@127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGINT)  # a fast shutdown
            process.wait()
