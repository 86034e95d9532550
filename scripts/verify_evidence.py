#!/usr/bin/env python3
"""A second verifier of evidence bundles and of statements about stops, written from
docs/evidence-format.md alone.

It uses nothing but Python's standard library and shares no code with L9, so a slip in one
of the two verifiers shows. Ed25519 is written out after RFC 8032 section 6: slow, and only
for checking public signatures.

    verify_evidence.py BUNDLE KEY [TRUSTED_HEAD]
    verify_evidence.py STATEMENT KEY

Exit codes: 0 all of it holds, 1 rejected, 2 bad usage.
"""

import base64
import hashlib
import hmac
import json
import re
import sys

EXACT = 2**53 - 1
HEX = re.compile(r"[0-9a-f]{64}\Z")
RUN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
TENANT = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}\Z")
KIND = re.compile(r"[a-z._]+\Z")


class Rejected(Exception):
    """The bundle or the statement proves nothing."""


def need(holds, what):
    if not holds:
        raise Rejected(what)


# Ed25519, RFC 8032 section 6.

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)


def add(one, two):
    a = (one[1] - one[0]) * (two[1] - two[0]) % P
    b = (one[1] + one[0]) * (two[1] + two[0]) % P
    c = 2 * one[3] * two[3] * D % P
    d = 2 * one[2] * two[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return (e * f % P, g * h % P, f * g % P, e * h % P)


def multiply(scalar, point):
    total = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            total = add(total, point)
        point, scalar = add(point, point), scalar >> 1
    return total


def same(one, two):
    return (one[0] * two[2] - two[0] * one[2]) % P == 0 and (one[1] * two[2] - two[1] * one[2]) % P == 0


def recover_x(y, sign):
    if y >= P:
        return None
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if x2 == 0:
        return None if sign else 0
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - x2) % P:
        return None
    return P - x if x & 1 != sign else x


def decompress(text):
    y = int.from_bytes(text, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    x = recover_x(y, sign)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recover_x(BASE_Y, 0)
BASE = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def ed25519(public, text, signature):
    a, r, s = decompress(public), decompress(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    digest = hashlib.sha512(signature[:32] + public + text).digest()
    h = int.from_bytes(digest, "little") % L
    return same(multiply(s, BASE), add(r, multiply(h, a)))


# Notes.


def unbase64(text):
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raise Rejected("malformed base64") from None
    need(base64.b64encode(raw).decode() == text, "base64 in another form")
    return raw


class Key:
    def __init__(self, text):
        try:
            self.name, self.hash, key = text.split("+", 2)
            raw = base64.b64decode(key, validate=True)
        except ValueError:
            sys.exit(usage("the key is not name+hash+key"))
        self.public = raw[1:]
        if len(raw) != 33 or raw[0] != 1 or self.hash != self.expected():
            sys.exit(usage("the key is not name+hash+key"))

    def expected(self):
        return hashlib.sha256(self.name.encode() + b"\n\x01" + self.public).digest()[:4].hex()

    def open(self, note):
        """The lines of a note that this key signed."""
        need(not any(c < " " and c != "\n" for c in note), "a note holds control characters")
        end = note.rfind("\n\n")
        need(end >= 0 and note.endswith("\n"), "a malformed note")
        text, signed = note[: end + 1], 0
        for line in note[end + 2 : -1].split("\n"):
            parts = line.split(" ")
            need(len(parts) == 3 and parts[0] == "\u2014" and parts[1], "a malformed signature line")
            raw = unbase64(parts[2])
            need(len(raw) >= 4, "a malformed signature line")
            if parts[1] == self.name and raw[:4].hex() == self.hash:
                need(len(raw) == 68 and ed25519(self.public, text.encode(), raw[4:]), "a signature does not verify")
                signed += 1
        need(signed == 1, "the key did not sign a note, or did twice")
        return text[:-1].split("\n")


def decimal(text):
    need(re.match(r"(0|-?[1-9][0-9]*)\Z", text), f"{text!r} is no number")
    return int(text)


def checkpoint(key, note):
    lines = key.open(note)
    need(len(lines) == 4 and lines[0] == key.name and lines[3].startswith("time "), "the note is no checkpoint")
    decimal(lines[3][5:])
    size, root = decimal(lines[1]), unbase64(lines[2])
    need(size >= 0 and len(root) == 32, "the note is no checkpoint")
    return size, root


def horizon(key, note):
    lines = key.open(note)
    need(len(lines) == 6 and lines[0] == key.name + "/horizon", "the note is no horizon")
    decimal(lines[3])
    return lines[1], decimal(lines[2]), decimal(lines[4]), unbase64(lines[5])


def erasure(key, note):
    lines = key.open(note)
    need(len(lines) == 8 and lines[0] == key.name + "/erasure", "the note is no erasure")
    need(lines[2].startswith("run ") and RUN.match(lines[2][4:]), "what was erased is no run")
    need(HEX.match(lines[7]), "the order is no digest")
    return lines[1], lines[2][4:], decimal(lines[3]), decimal(lines[4]), decimal(lines[5]), unbase64(lines[6])


# Statements about an emergency stop.


def is_statement(raw):
    first = raw.split(b"\n", 1)[0]
    return first.startswith(b'{"by":') or first.endswith((b"/quiet", b"/lifted"))


def standstill(key, note):
    lines = key.open(note)
    need(len(lines) == 7 and lines[0] in (key.name + "/quiet", key.name + "/lifted"), "the note is no standstill")
    need(lines[1] == "*" or TENANT.match(lines[1]), "the note stops nobody")
    since, at, size = (decimal(line) for line in lines[2:5])
    need(all(0 <= number <= EXACT for number in (since, at, size)), "a number is below 0 or beyond 2^53")
    need(since <= at, "it was quiet, or lifted, before it was ordered")
    root = unbase64(lines[5])
    need(len(root) == 32 and (size == 0) == (root == hashlib.sha256(b"").digest()), "the root is none of that size")
    need(HEX.match(lines[6]), "the order is no digest")
    return lines[0].rsplit("/", 1)[1], lines[1], since, at, lines[6]


def statement(raw, key):
    text, order = raw.decode("utf-8"), None
    if text.startswith("{"):
        need("\n" in text, "the statement is cut")
        line, text = text.split("\n", 1)
        turn, scope, since, at, digest = standstill(key, text)
        need(hashlib.sha256(line.encode()).hexdigest() == digest, "the order is not what the note commits to")
        order = form(read(line.encode()), {"by": TEXT, "reason": TEXT}, {"within_ms": COUNT})
        need(order["by"].strip() and order["reason"].strip(), "the order names nobody, or no reason")
        need(turn == "quiet" or "within_ms" not in order, "what lifts a stop names no time for quiet")
    else:
        turn, scope, since, at, _ = standstill(key, text)
    whom = "all tenants" if scope == "*" else f"tenant {scope}"
    by, reason = (order["by"], order["reason"]) if order else ("somebody", "not in the file")
    within = (order or {}).get("within_ms")
    soon = "" if within is None else f", {'within' if at - since <= within else 'later than'} {within} ms"
    return f"{turn}: {whom}, {at - since} ms after {since}{soon}, by {by!r}, because {reason!r}"


# The tree.


def node(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def split(count):
    return 1 << (count - 1).bit_length() - 1


def root_of_some(size, leaves, proof):
    need(all(one[0] < two[0] for one, two in zip(leaves, leaves[1:])), "leaves do not rise")
    need(leaves[-1][0] < size, "a leaf is beyond the checkpoint")
    rest = iter(proof)

    def walk(lo, hi, leaves):
        if not leaves:
            found = next(rest, None)
            need(found is not None, "the proof is too short")
            return found
        if hi - lo == 1:
            return leaves[0][1]
        middle = lo + split(hi - lo)
        left = [leaf for leaf in leaves if leaf[0] < middle]
        return node(walk(lo, middle, left), walk(middle, hi, leaves[len(left) :]))

    root = walk(0, size, leaves)
    need(next(rest, None) is None, "the proof has hashes to spare")
    return root


def consistent(old, old_root, size, root, proof):
    """RFC 9162 section 2.1.4.2, for 0 < old < size."""
    path = [old_root] + proof if old & (old - 1) == 0 else proof
    if not path:
        return False
    fn, sn = old - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for c in path[1:]:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            fr, sr = node(c, fr), node(c, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node(sr, c)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and fr == old_root and sr == root


# The bundle.

DIGEST, COUNT, NUMBER, TEXT, TEXTS, ANY = "digest", "count", "number", "text", "texts", "any"
HEAD = {
    "artifacts": COUNT, "checkpoint": TEXT, "consistency": ANY, "end": TEXT, "format": TEXT, "proof": ANY,
    "records": COUNT, "run": TEXT, "tenant": TEXT,
}
RECORD = {
    "at": NUMBER, "body": ANY, "commitment": DIGEST, "epoch": COUNT, "hash": DIGEST, "kind": TEXT, "leaf": COUNT,
    "prev": DIGEST, "run": TEXT, "seq": COUNT, "version": COUNT,
}


def form(value, members, optional={}):
    need(isinstance(value, dict), "not an object")
    need(set(members) <= set(value) <= set(members) | set(optional), f"members {sorted(value)}")
    for name, found in value.items():
        kind = members.get(name) or optional[name]
        if kind == DIGEST:
            need(isinstance(found, str) and HEX.match(found), f"{name} is no digest")
        elif kind in (COUNT, NUMBER):
            need(type(found) is int and abs(found) <= EXACT, f"{name} is no number")
            need(kind == NUMBER or found >= 0, f"{name} is negative")
        elif kind == TEXT:
            need(isinstance(found, str), f"{name} is no text")
        elif kind == TEXTS:
            need(isinstance(found, list) and all(isinstance(item, str) for item in found), f"{name} are no texts")
    return value


def digests(value):
    need(isinstance(value, list), "not a list")
    need(all(isinstance(item, str) and HEX.match(item) for item in value), "not a list of digests")
    return [bytes.fromhex(item) for item in value]


def read(line):
    try:
        value = json.loads(line)
        again = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except ValueError as error:
        raise Rejected(f"a line does not read: {error}") from None
    need(again.encode() == line, "a line is not in the canonical form")
    return value


def keyed(key, text):
    return hmac.new(bytes.fromhex(key), text.encode(), hashlib.sha256).hexdigest()


def references(value, found):
    if isinstance(value, list):
        for item in value:
            references(item, found)
    elif isinstance(value, dict):
        inner = value.get("artifact") if len(value) == 1 else None
        is_one = isinstance(inner, dict) and set(inner) == {"bytes", "id"} and type(inner["bytes"]) is int
        if is_one and isinstance(inner["id"], str) and HEX.match(inner["id"]):
            found[inner["id"]] = inner["bytes"]
            return
        for name, item in value.items():
            if name not in ("inline", "withheld"):
                references(item, found)


def check_record(line, tenant, wanted):
    record = form(read(line), RECORD)
    need(KIND.match(record["kind"]) and RUN.match(record["run"]), "its kind or run is not of its form")
    header = (
        f'{{"at":{record["at"]},"epoch":{record["epoch"]},"format":"l9.record.1","kind":"{record["kind"]}",'
        f'"run":"{record["run"]}","seq":{record["seq"]},"tenant":"{tenant}","version":{record["version"]}}}'
    )
    fields = header.encode() + bytes.fromhex(record["commitment"]) + bytes.fromhex(record["prev"])
    need(hashlib.sha256(fields).hexdigest() == record["hash"], "its hash is not that of its fields")
    if record["body"] is not None:
        body = form(record["body"], {"key": DIGEST, "payload": TEXT})
        need(keyed(body["key"], body["payload"]) == record["commitment"], "its payload is not what was committed to")
        try:
            references(json.loads(body["payload"]), wanted)
        except ValueError:
            raise Rejected("its payload is no JSON") from None
    return record


def check_chain(records, head):
    before = None
    for seq, record in enumerate(records):
        place = f"record {seq}: "
        need(record["seq"] == seq, place + "seq is not dense")
        need(record["prev"] == (before["hash"] if before else "00" * 32), place + "prev is not the hash before")
        if before is None:
            need(record["kind"] == "run.created", place + "a run begins with run.created")
        else:
            need(record["epoch"] >= before["epoch"], place + "its epoch falls")
            need(record["at"] >= before["at"], place + "its time falls")
            forks = record["kind"] == "run.forked"
            need(record["run"] == before["run"] or forks, place + "another run without run.forked")
            need(before["kind"] != "run.closed" or forks, place + "it stands after the end")
        before = record
    need(before["run"] == head["run"], "the last record is another run's")
    need(head["end"] == ("closed" if before["kind"] == "run.closed" else "open"), "the end is not what the head says")


def check_missing(records, head, key, size, root):
    erased = []
    for note in head.get("erasures", []):
        tenant, run, count, at, then, root_then = erasure(key, note)
        own = [record for record in records if record["run"] == run]
        need(tenant == head["tenant"], "an erasure is another tenant's")
        need(then < size or (then == size and root_then == root), "an erasure belongs to another tree")
        need(own and all(record["body"] is None for record in own), "not every body of an erased run is missing")
        need(all(record["at"] <= at for record in own), "a record of an erased run is younger")
        need(len(own) <= count, "an erased run has more records than its erasure says")
        erased.append(run)
    need(erased == sorted(set(erased)) and ("erasures" in head) == bool(erased), "erasures are out of order")
    missing = any(record["body"] is None and record["run"] not in erased for record in records)
    need(missing == ("horizon" in head), "a body is missing without a horizon, or a horizon is there without need")
    if missing:
        tenant, before, then, root_then = horizon(key, head["horizon"])
        need(tenant == head["tenant"], "the horizon is another tenant's")
        need(head["end"] == "closed" and records[-1]["at"] < before, "the horizon does not reach to the run's end")
        need(then < size or (then == size and root_then == root), "the horizon belongs to another tree")


def check_artifacts(lines, wanted):
    before = ""
    for line in lines:
        artifact = form(read(line), {"artifact": DIGEST, "key": DIGEST, "value": TEXT})
        name = artifact["artifact"]
        need(keyed(artifact["key"], artifact["value"]) == name, f"artifact {name} is not what its id commits to")
        need(before < name, "artifacts are out of order")
        need(wanted.pop(name, None) == len(artifact["value"].encode()), f"artifact {name} is not wanted, or of another length")
        before = name
    need(not wanted, f"artifacts are missing: {sorted(wanted)}")


def verify(bundle, key, trusted):
    need(bundle.endswith(b"\n"), "the bundle is cut")
    lines = bundle[:-1].split(b"\n")
    head = form(read(lines[0]), HEAD, {"erasures": TEXTS, "horizon": TEXT})
    need(head["format"] == "l9.evidence.1", "the form is not known")
    need(head["records"] > 0 and len(lines) == 1 + head["records"] + head["artifacts"], "lines are missing or to spare")
    need(TENANT.match(head["tenant"]) and RUN.match(head["run"]), "the tenant or run is not of its form")
    size, root = checkpoint(key, head["checkpoint"])

    wanted = {}
    records = [check_record(line, head["tenant"], wanted) for line in lines[1 : 1 + head["records"]]]
    check_chain(records, head)
    leaves = [(r["leaf"], hashlib.sha256(b"\x00" + bytes.fromhex(r["hash"])).digest()) for r in records]
    need(root_of_some(size, leaves, digests(head["proof"])) == root, "the records do not lead to the root")
    check_missing(records, head, key, size, root)
    check_artifacts(lines[1 + head["records"] :], wanted)

    older, last = {}, 0
    for entry in head["consistency"]:
        form(entry, {"from": COUNT, "hashes": ANY, "root": DIGEST})
        need(last < entry["from"] < size, "consistency proofs are out of order")
        last, old_root = entry["from"], bytes.fromhex(entry["root"])
        need(consistent(last, old_root, size, root, digests(entry["hashes"])), f"no consistency from {last}")
        older[last] = old_root
    if trusted is not None:
        then, root_then = checkpoint(key, trusted)
        need(then <= size, "the checkpoint is older than the trusted head")
        need((root if then == size else older.get(then)) == root_then, "the log does not continue the trusted head")
    return records, size


def judge(raw, key, trusted):
    """What the file says, whichever it is."""
    if is_statement(raw):
        need(trusted is None, "a statement proves nothing of a trusted head")
        return statement(raw, key)
    records, size = verify(raw, key, trusted)
    return f"{len(records)} records verify, in the tree over {size}"


def usage(message):
    print(f"error: {message}\n{__doc__}", file=sys.stderr)
    return 2


def main():
    if len(sys.argv) not in (3, 4):
        return usage("a bundle or a statement, and a key, are needed")
    key = Key(sys.argv[2])
    with open(sys.argv[1], "rb") as file:
        raw = file.read()
    trusted = None
    if len(sys.argv) == 4:
        with open(sys.argv[3], encoding="utf-8") as file:
            trusted = file.read()
    try:
        print(judge(raw, key, trusted))
    except (Rejected, UnicodeError, RecursionError) as rejected:
        print(f"rejected: {rejected}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
