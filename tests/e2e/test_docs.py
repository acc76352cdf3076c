"""What docs/ says of the tests, and lib/events.def of the log, is so: every class of docs/attacks.md has a test of its name, and every test named there and in docs/listener.md exists."""
import re

from conftest import ROOT

TABLE = (ROOT / "docs/attacks.md").read_text()


def rows(text):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("| ") and "::" in line]


ROWS = rows(TABLE)


def exists(test):
    file, name = test.split("::")
    if file.endswith(".py"):
        return re.search(rf"^def {name}\(", (ROOT / "tests/e2e" / file).read_text(), re.M)
    return re.search(rf"^START_TEST\({name}\)", (ROOT / "tests/unit" / file).read_text(), re.M)


def test_every_attack_has_a_test_of_its_name():
    assert len(ROWS) >= 35 and len({row[0] for row in ROWS}) == len(ROWS) and all(len(row) == 4 and all(row) for row in ROWS)
    for name, _, _, tests in ROWS:
        tests = tests.split()
        assert all(exists(t) for t in tests), (name, [t for t in tests if not exists(t)])
        assert any(name.strip("`") in t.split("::")[1] for t in tests), name


def test_every_feature_has_a_test():
    features = rows((ROOT / "docs/listener.md").read_text())
    assert len(features) >= 25 and all(len(row) == 3 and all(row) for row in features)
    assert [t for row in features for t in row[2].split() if not exists(t)] == []
    files = {name for row in features for name in re.findall(r"`([a-z.]+)`", row[1])}
    known = (ROOT / "control/files.def").read_text()
    assert [f for f in files - {"norelay", "pernet", "proxy"} if f'"{f}"' not in known] == []


def test_every_attack_test_is_in_the_table():
    names = re.findall(r"^def (test_\w+)\(", (ROOT / "tests/e2e/test_attacks.py").read_text(), re.M)
    names += re.findall(r"^def (test_\w+)\(", (ROOT / "tests/e2e/test_smtp_attacks.py").read_text(), re.M)
    assert names and [n for n in names if f"::{n}" not in TABLE] == []


def test_holds_in_examples_say_why():
    """`reason=` selects, in every verb; what an operator gives as the reason of a hold or a bounce is `because=`."""
    lines = [line for p in sorted((ROOT / "man").iterdir()) for line in p.read_text().splitlines() if re.search(r"\bpostern queue (hold|bounce) ", line)]
    assert len(lines) >= 2 and [line for line in lines if "because=" not in line or "reason=" in line] == []


def calls(text):
    """The LOG() calls of a source: event, and all between its parentheses."""
    for begin in re.finditer(r"\bLOG\(EV_(\w+)", text):
        at, depth = begin.end(), 1
        while depth:
            depth += {"(": 1, ")": -1}.get(text[at], 0)
            at += 1
        yield begin[1], text[begin.end():at]


def test_every_event_has_the_fields_that_are_logged():
    """What postern-log(5) tells of an event is what the programs write: an event that none logs, or a field too many or too few, is none that can be grepped."""
    told = {name: set(fields.split()) for name, fields in re.findall(r'^EVENT\((\w+), "[^"]*", "([^"]*)"', (ROOT / "lib/events.def").read_text(), re.M)}
    sources = "\n".join(p.read_text() for p in sorted(ROOT.glob("*/*.c")))
    written = {}
    for event, text in calls(sources):
        fields = set(re.findall(r'\bF_\w+\("(\w+)"', text)) | ({"error"} if "F_ERR(" in text else set())
        written.setdefault(event, set()).update(fields)
    assert len(told) > 100 and len(written) > 90
    assert {e: f ^ told[e] for e, f in written.items() if f != told[e]} == {}
    assert [e for e in told if not re.search(rf"\bEV_{e}\b", sources)] == []
