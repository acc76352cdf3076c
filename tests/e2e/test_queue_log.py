"""The queue's log seen from outside: `postern queue verify` on what the suite wrote, on what was damaged, and on what a later version would write."""
import hashlib
import os
import pathlib
import shutil
import smtplib
import struct
import subprocess

import pytest

from conftest import LDIF, free_port, wait_for

MESSAGE = b"From: u1@campus.test\r\nTo: x@campus.test\r\nSubject: one\r\nMessage-ID: <q1@campus.test>\r\n\r\nthe body\r\n"
AWAY = """
dn: uid=away,ou=people,dc=campus,dc=test
objectClass: qmailUser
uid: away
mail: away@campus.test
mailHost: store2.campus.test
"""


@pytest.fixture
def queue(suite):
    """Mail for `away` waits: nothing listens where its host should be."""
    suite.control("directory.ldif", LDIF + AWAY)
    suite.control("qmqproutes", f"store2.campus.test:127.0.0.1:{free_port()}")
    suite.control("queuesegment", "1048576")
    return suite


def listed(suite):
    return suite.json("queue", "list")


def waiting(suite, count):
    ids = [suite.send("far@far.test", ["away@campus.test", "u1@campus.test"], MESSAGE)[1].split()[-1] for _ in range(count)]
    wait_for(lambda: len(listed(suite)) == count and all(m["attempts"] == 1 and m["state"] == "waiting" for m in listed(suite)))
    return ids


def octets(folder):
    return {p.name: (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in sorted(pathlib.Path(folder).iterdir())}


def first_segment(folder):
    return next(p for p in sorted(folder.glob("segment.*")) if struct.unpack_from("<Q", p.read_bytes(), 24)[0] == 1)


def test_verify_says_what_is_there(queue):
    queue.start()
    ids = waiting(queue, 3)
    assert queue.send("far@far.test", "u2@campus.test", MESSAGE)[0] == 250
    queue.wait_mail("u2")
    p = queue.postern("queue", "verify", check=111)
    assert "postern-queue runs on this folder" in p.stderr
    assert queue.stop() == 0
    spool = queue.state / "queue"
    before = octets(spool)
    said = queue.json("queue", "verify")
    assert said["messages"] == 3 and said["fault_count"] == 0 and said["clean"] and said["torn_octets"] == 0
    used = [s for s in said["segments"] if s["use"] == "records"]
    assert len(used) == 1 and used[0]["version"] == 1 and used[0]["live"] == 3 and used[0]["dead"] == 1 and used[0]["header"] == "whole"
    assert used[0]["records"]["message"] == 4 and used[0]["records"]["clean"] == 1 and used[0]["records"]["finish"] >= 1
    text = queue.postern("queue", "verify", check=0).stdout
    assert "0 faults; 3 messages in the queue" in text and "4 message" in text
    dump = queue.postern("queue", "verify", "--bytes", check=0).stdout
    assert all(f"message {id}, batch" in dump for id in ids) and "66 61 72 40 66 61 72 2e  74" not in dump
    assert octets(spool) == before, "verify wrote"
    (queue.state / "other").mkdir()
    assert "not the folder of a queue" in queue.postern("queue", "verify", str(queue.state / "other"), check=0).stdout and not list((queue.state / "other").iterdir())
    assert queue.postern("queue", "verify", "--bytes", "--json").returncode == 100
    assert queue.postern("queue", "list", "--bytes").returncode == 100


def test_verify_finds_damage_and_start_keeps_the_rest(queue):
    """One message's octets change: it is named, the others go on, the file is kept aside."""
    queue.start()
    ids = waiting(queue, 3)
    queue.stop()
    spool = queue.state / "queue"
    path = first_segment(spool)
    data = bytearray(path.read_bytes())
    at = data.index(ids[1].encode())
    at = data.index(b"the body", at)
    data[at] ^= 1
    path.write_bytes(data)
    said = queue.json("queue", "verify", check=1)
    assert said["fault_count"] == 1 and said["faults"][0]["id"] == ids[1] and said["faults"][0]["what"] == "the record's checksum is wrong"
    assert said["messages"] == 2
    assert "fault: " + path.name in queue.postern("queue", "verify", check=1).stdout
    queue.start()
    assert {m["id"] for m in listed(queue)} == {ids[0], ids[2]}
    damage = queue.events("queue-damage")
    assert len(damage) == 1 and damage[0]["id"] == ids[1]
    wait_for(lambda: list(spool.glob("damaged.*")))
    queue.stop()
    said = queue.json("queue", "verify")
    assert said["messages"] == 2 and said["put_aside"] == 1
    aside = next(spool.glob("damaged.*"))
    (spool.parent / "look").mkdir()
    shutil.copy(aside, spool.parent / "look" / path.name)
    again = queue.postern("queue", "verify", str(spool.parent / "look"), check=1)
    assert ids[1] in again.stdout


def test_damage_while_it_runs_is_listed(queue):
    """A head that the disk damages while its message waits or is held: list and status name it, the log does once, and it can be deleted."""
    queue.start()
    ids = waiting(queue, 3)
    queue.postern("queue", "hold", ids[1], "because=phished", check=0)
    path = first_segment(queue.state / "queue")
    for id in ids[:2]:
        at = path.read_bytes().index(id.encode() + b"M")
        with path.open("r+b") as f:
            f.seek(at + 80)
            f.write(bytes(8))
    for _ in range(2):
        found = {m["id"]: m for m in listed(queue)}
        assert [found[id]["state"] for id in ids] == ["unreadable", "unreadable", "waiting"]
        assert all(found[id]["reason"] and found[id]["waiting"] == 1 and found[id]["recipients"] == [] for id in ids[:2])
    assert [found[id]["hold"] for id in ids] == ["", "held", ""]
    lines = {line.split()[0]: line for line in queue.postern("queue", "list", check=0).stdout.splitlines()[1:]}
    assert set(lines) == set(ids) and "  unreadable  " in lines[ids[0]] and "<>" not in lines[ids[0]]
    assert [m["id"] for m in queue.json("queue", "list", "sender=far@far.test")] == ids[2:]
    said = queue.postern("queue", "status", check=1).stdout
    assert "messages that could not be read: " in said and ids[0] in said and ids[1] in said and ids[2] not in said
    assert sorted(e["id"] for e in queue.events("queue-unreadable")) == sorted(ids[:2])
    queue.postern("queue", "delete", *ids[:2], check=0)
    assert [m["id"] for m in listed(queue)] == ids[2:] and "could not be read" not in queue.postern("queue", "status", check=0).stdout


def taken(suite, to):
    """A session that a reload ends counts as not yet."""
    try:
        return suite.send("far@far.test", to, MESSAGE)[0] == 250
    except (OSError, smtplib.SMTPException):
        return False


def spoiled(data, how):
    """What a segment is found as, and from which octet on."""
    half = len(data) // 2 // 4096 * 4096
    return {"its records are zeros": (data[:4096] + bytes(len(data) - 4096), 4096), "all is zeros": (bytes(len(data)), 0), "all is noise": (os.urandom(len(data)), 0),
            "cut off behind its header": (data[:4096], 4096), "empty": (b"", 0), "its second half is zeros": (data[:half] + bytes(len(data) - half), half),
            "its second half is noise": (data[:half] + os.urandom(len(data) - half), half)}[how]


@pytest.mark.parametrize("how", ["its records are zeros", "all is zeros", "all is noise", "cut off behind its header", "empty", "its second half is zeros",
                                 "its second half is noise"])
def test_a_whole_segment_is_damaged(queue, how):
    """One of several: verify and the start name its file and octets, an operator is told what to do, the others' mail is delivered, and what is lost can be told."""
    big = MESSAGE + (b"z" * 70 + b"\r\n") * 3000
    queue.start()
    ids = [queue.send("far@far.test", "away@campus.test", big)[1].split()[-1] for _ in range(15)]
    wait_for(lambda: len(listed(queue)) == 15 and all(m["attempts"] == 1 and m["state"] == "waiting" for m in listed(queue)))
    queue.stop()
    spool = queue.state / "queue"
    files = {p: p.read_bytes() for p in spool.glob("segment.*")}
    where = {id: next((p, d.index(id.encode())) for p, d in files.items() if big.splitlines()[-1] + b"\n" in d and id.encode() in d) for id in ids}
    middle = where[ids[6]][0]
    data, damaged_from = spoiled(files[middle], how)
    middle.write_bytes(data)
    # a message is whole where it ends before the damage
    lost = {id for id, (p, at) in where.items() if p == middle and at + len(big) + 2000 > damaged_from}
    assert len(set(p for p, _ in where.values())) >= 3 and lost and len(lost) < 10
    said = queue.json("queue", "verify", check=1)
    assert {f["file"] for f in said["faults"]} == {middle.name} and said["messages"] == 15 - len(lost), said
    assert any(f["offset"] >= damaged_from - 4096 for f in said["faults"])
    assert {s["use"] for s in said["segments"] if s["file"] == middle.name} == {"damaged" if damaged_from == 0 else "records" if "half" in how else "empty"}
    queue.start()
    assert {m["id"] for m in listed(queue)} == set(ids) - lost
    damage = queue.events("queue-damage")
    assert damage and {d["file"] for d in damage} == {middle.name} and all(int(d["octets"]) > 0 for d in damage)
    status = queue.postern("queue", "status", check=1).stdout
    assert "could not be read at the start" in status and "have them sent again" in status
    aside = middle.with_name("damaged" + middle.name[7:])
    wait_for(aside.exists, 20, lambda: str(sorted(spool.iterdir())))
    assert aside.read_bytes() == data
    queue.control("directory.ldif", LDIF + AWAY.replace("mailHost: store2.campus.test\n", ""))
    queue.reload()
    wait_for(lambda: queue.postern("queue", "retry", "all") and len(queue.mails("away")) == 15 - len(lost), 20)
    wait_for(lambda: listed(queue) == [])
    # as the status says: accepted, not done, not there
    assert {e["id"] for e in queue.events("queue-accepted")} - {e["id"] for e in queue.events("queue-done")} == lost
    # and mail is taken as ever
    wait_for(lambda: taken(queue, "u2@campus.test"))
    queue.wait_mail("u2")


def test_a_torn_tail_is_no_fault(queue):
    """The last batch cut short, as a crash leaves it."""
    queue.start()
    waiting(queue, 2)
    queue.stop()
    path = first_segment(queue.state / "queue")
    data = bytearray(path.read_bytes())
    key = bytes(data[32:40])
    last = data.rindex(key)
    data[last + 16:last + 56] = bytes(40)  # the half of a header
    path.write_bytes(data)
    said = queue.json("queue", "verify", check=0)
    assert said["messages"] == 2 and said["torn_octets"] > 0 and not said["clean"]
    queue.start()
    assert len(listed(queue)) == 2
    assert int(queue.events("queue-recovered")[-1]["torn"]) == said["torn_octets"]


def test_another_format_version_is_refused(queue):
    queue.start()
    waiting(queue, 1)
    queue.stop()
    path = first_segment(queue.state / "queue")
    data = bytearray(path.read_bytes())
    for at in (0, 2048):
        struct.pack_into("<I", data, at + 16, 2)
        struct.pack_into("<I", data, at + 60, crc32c(bytes(data[at:at + 60])))
    path.write_bytes(data)
    before = octets(path.parent)
    said = queue.json("queue", "verify", check=1)
    assert said["segments"][-1]["version"] == 2 and said["segments"][-1]["header"] == "unknown version"
    queue.launch()
    wait_for(lambda: "has format version 2; this postern-queue reads version 1" in
             "".join(p.read_text(errors="replace") for p in (queue.state / "log").glob("*")) + queue.stderr(), 20, queue.stderr)
    queue.stop()
    after = octets(path.parent)
    assert after[path.name] == before[path.name], "it was written all the same"


def export(suite, *what, check=0):
    p = subprocess.run(suite.command("queue", "export", *what), capture_output=True, timeout=60)
    assert p.returncode == check, p.stderr
    return p.stdout


def imported(suite, data, check=0):
    p = subprocess.run(suite.command("queue", "import"), input=data, capture_output=True, timeout=60)
    assert p.returncode == check, (p.returncode, p.stdout, p.stderr)
    return p.stdout.decode() + p.stderr.decode()


def test_export_and_import_of_a_running_queue(queue):
    """Hold, export, delete, import, release: what waits moves with its id, hold and age; who had the message already gets no second copy.  What is held for another
    reason stays, or moves as it is."""
    queue.start()
    phished, *ids = waiting(queue, 4)
    queue.postern("queue", "hold", phished, "because=phished", "until=1h", "then=delete", check=0)
    before = {m["id"]: m for m in listed(queue)}
    said = queue.postern("queue", "hold", "all", "because=moving", check=0).stdout
    assert said.startswith("hold: 3 messages of 4 that match; 1 held already, left as it is")
    data = export(queue, "hold=moving")
    assert data.startswith(b"16:postern-export 1,") and data.endswith(b"0:,1:3,") and data.count(b"the body\n") == 3
    assert export(queue, ids[1]).endswith(b"0:,1:1,") and export(queue, "hold=other").endswith(b"0:,1:0,")
    assert "in the queue already" in imported(queue, data)
    queue.postern("queue", "delete", "hold=moving", check=0)
    assert [m["id"] for m in listed(queue)] == [phished]
    held = export(queue, "state=held")
    assert held.endswith(b"0:,1:1,")
    queue.postern("queue", "delete", phished, check=0)
    assert f"{phished} 250 2.0.0 ok {phished}" in imported(queue, held)
    [m] = listed(queue)
    kept = ("id", "hold", "hold_until", "hold_then")
    assert [m[k] for k in kept] == [before[phished][k] for k in kept] and m["hold"] == "phished"
    queue.postern("queue", "delete", phished, check=0)
    said = imported(queue, data)
    assert all(f"{id} 250 2.0.0 ok {id}" in said for id in ids) and "3 taken" in said
    after = {m["id"]: m for m in listed(queue)}
    assert set(after) == set(ids)
    for id, m in after.items():
        assert m["hold"] == "moving" and m["state"] == "held" and m["time"] == before[id]["time"] and m["sender"] == "far@far.test"
        assert [r["address"] for r in m["recipients"]] == ["away@campus.test"]
    queue.postern("queue", "release", "all", check=0)
    wait_for(lambda: all(m["attempts"] == 1 and m["state"] == "waiting" for m in listed(queue)))
    assert len(queue.mails("u1")) == 4


def test_export_of_a_stopped_queue(queue):
    """The spool is gone afterwards: all of it comes back from the file, a large message and one cut off by a kill among them."""
    queue.start()
    ids = waiting(queue, 2)
    big = MESSAGE + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 30000
    ids.append(queue.send("far@far.test", "away@campus.test", big)[1].split()[-1])
    wait_for(lambda: len(listed(queue)) == 3 and all(m["attempts"] == 1 for m in listed(queue)))
    queue.stop()
    before = octets(queue.state / "queue")
    data = export(queue, "all")
    assert octets(queue.state / "queue") == before
    assert export(queue, ids[0], "0000000000000", check=1).endswith(b"0:,1:1,")
    for path in (queue.state / "queue").glob("segment.*"):
        path.unlink()
    queue.start()
    assert listed(queue) == []
    assert "cut off" in imported(queue, data[:len(data) // 2], check=1)
    assert "as many messages as it says" in imported(queue, data[:-7] + b"0:,1:9,", check=1)
    said = imported(queue, data)
    assert "in the queue already" in said
    wait_for(lambda: {m["id"] for m in listed(queue)} == set(ids) and all(m["attempts"] >= 1 for m in listed(queue)))
    size = {m["id"]: m["size"] for m in listed(queue)}
    assert size[ids[2]] > 30000 * 71
    assert len(queue.mails("u1")) == 2
    assert "3 in the queue already" in imported(queue, data) and "one file at a time" in imported(queue, data + data, check=1)
    assert "no export" in imported(queue, b"5:hello,", check=1) and "no export" in imported(queue, b"", check=1)
    assert queue.postern("queue", "export").returncode == 100


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 & -(crc & 1))
    return crc ^ 0xffffffff
