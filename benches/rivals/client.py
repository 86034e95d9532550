"""What both rivals' programs use to write to the ledger."""

from http.client import HTTPConnection


def write(ledger: str, kind: str, key: str) -> str:
    """Posts one line under `key`, which is the same each time the step runs."""
    connection = HTTPConnection(ledger, timeout=30)
    try:
        connection.request("POST", f"/{kind}", "one more", {"idempotency-key": key})
        answer = connection.getresponse()
        answer.read()
        return f"{answer.status}"
    finally:
        connection.close()
