#!/usr/bin/python3
"""A simulated campus from a fixed seed, run through `postern skim replay`: how many stolen accounts are found, how many honest people are locked out.

    simulate.py [--users N] [--days N] [--stolen N] [--seed N] [--keep DIR] [--events-only]

Prints one line of figures and, with --misses, whom it missed and whom it harmed.  Nobody's real mail is like this: the figures compare rule sets with one
another; they promise nothing."""
import argparse
import collections
import datetime
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
BIN = pathlib.Path(os.environ.get("POSTERN_BIN", HERE.parents[1] / "build/bin"))
START = datetime.datetime(2026, 2, 2, tzinfo=datetime.timezone.utc)
DAY = 86400

# name, network (a /16), country, ASN, latitude, longitude, radius, city, organisation
NETS = [
    ("campus", "10.1", "DE", 680, 52.4, 13.0, 10, "Potsdam", "University"),
    ("home1", "10.2", "DE", 3320, 52.5, 13.4, 50, "Berlin", "Telecom"),
    ("home2", "10.3", "DE", 31334, 52.3, 13.1, 50, "Potsdam", "Cable"),
    ("home3", "10.4", "DE", 8881, 48.1, 11.6, 80, "Munich", "DSL Sued"),
    ("mobile", "10.5", "DE", 12638, 50.9, 6.9, 300, "Cologne", "Example Mobile GmbH"),
    ("isp4", "10.6", "DE", 6830, 53.5, 10.0, 50, "Hamburg", "Cable Nord"),
    ("fr", "10.20", "FR", 3215, 48.8, 2.3, 60, "Paris", "Telecom FR"), ("es", "10.21", "ES", 3352, 40.4, -3.7, 60, "Madrid", "Telecom ES"),
    ("it", "10.22", "IT", 3269, 41.9, 12.5, 60, "Rome", "Telecom IT"), ("us", "10.23", "US", 7922, 41.8, -87.6, 60, "Chicago", "Cable US"),
    ("us2", "10.24", "US", 7018, 37.8, -122.4, 60, "San Francisco", "Telecom US"), ("jp", "10.25", "JP", 4713, 35.7, 139.7, 60, "Tokyo", "Net JP"),
    ("gb", "10.26", "GB", 2856, 51.5, -0.1, 60, "London", "Telecom GB"), ("tr", "10.27", "TR", 9121, 41.0, 29.0, 60, "Istanbul", "Telecom TR"),
    ("cn", "10.28", "CN", 4134, 39.9, 116.4, 100, "Beijing", "Net CN"), ("in", "10.29", "IN", 9498, 28.6, 77.2, 100, "Delhi", "Net IN"),
    ("ng", "10.40", "NG", 29465, 6.5, 3.4, 50, "Lagos", "Net NG"), ("ng2", "10.41", "NG", 37148, 9.0, 7.4, 50, "Abuja", "Net NG 2"),
    ("ru", "10.42", "RU", 12389, 55.7, 37.6, 80, "Moscow", "Net RU"), ("br", "10.43", "BR", 28573, -23.5, -46.6, 80, "Sao Paulo", "Net BR"),
    ("vn", "10.44", "VN", 45899, 21.0, 105.8, 80, "Hanoi", "Net VN"), ("za", "10.45", "ZA", 3741, -26.2, 28.0, 80, "Johannesburg", "Net ZA"),
    ("id", "10.46", "ID", 7713, -6.2, 106.8, 80, "Jakarta", "Net ID"), ("ma", "10.47", "MA", 36903, 33.6, -7.6, 80, "Casablanca", "Net MA"),
    ("vpnnl", "10.60", "NL", 60781, 52.3, 4.9, 50, "Amsterdam", "Some Hosting"), ("vpnus", "10.61", "US", 20473, 40.7, -74.0, 50, "New York", "Some Hosting"),
    ("vpnch", "10.62", "CH", 51852, 47.4, 8.5, 50, "Zurich", "Private Layer Hosting"), ("cloudsg", "10.63", "SG", 14061, 1.3, 103.8, 50, "Singapore", "Cloud"),
    ("cloudus", "10.64", "US", 16509, 39.0, -77.5, 50, "Ashburn", "Cloud"), ("clouddenet", "10.65", "DE", 24940, 50.1, 8.7, 50, "Frankfurt", "Hosting DE"),
    ("proxyde", "10.66", "DE", 3209, 51.2, 6.8, 100, "Duesseldorf", "Telecom West"),
]
BY_NAME = {n[0]: n for n in NETS}
ABROAD = ["fr", "es", "it", "us", "us2", "jp", "gb", "tr", "cn", "in"]
EVIL = ["ng", "ng2", "ru", "br", "vn", "za", "id", "ma"]
CLOUD = ["vpnnl", "vpnus", "vpnch", "cloudsg", "cloudus", "clouddenet"]


def mmdb(path):
    text = "".join("\t".join([f"{n[1]}.0.0/16"] + [str(x) for x in n[2:]]) + "\n" for n in NETS)
    subprocess.run([HERE / "mmdb.pl", path], input=text.encode(), check=True)


def h(text):
    return hashlib.sha256(text.encode()).hexdigest()[:16]


class Campus:
    def __init__(self, a):
        self.r = random.Random(a.seed)
        self.a = a
        self.events = []
        self.stolen = {}
        self.kind = {}

    def ip(self, net, sticky=None):
        r = random.Random(f"{net}{sticky}") if sticky is not None else self.r
        return f"{BY_NAME[net][1]}.{r.randrange(1, 255)}.{r.randrange(1, 255)}"

    def add(self, t, user, type_, **k):
        e = {"t": t, "type": type_, "user": user, "class": self.cls[user]}
        e.update(k)
        self.events.append(e)

    def login(self, t, user, ip, service="imap", client=None, success=True):
        self.add(t, user, "login", ip=ip, service=service, success=success, client=client or self.client[user])

    def send(self, t, user, ip, recipients, external=None, unknown=0, new=None, frm=None, reply=None, url=None, body=None, verdict="clean",
             service="submission", envelope=None):
        external = int(recipients * 0.5) if external is None else external
        new = sum(self.r.random() < 0.15 for _ in range(min(recipients, 40))) * max(1, recipients // 40) if new is None else new
        k = dict(ip=ip, service=service, success=True, mail_from=envelope or self.mail[user], header_from=frm or self.mail[user], recipients=recipients,
                 external=external, unknown_recipients=unknown, new_recipients=min(new, recipients), size=self.r.randrange(800, 60000),
                 subject_hash=h(body or str(self.r.random())), body_hash=h("b" + (body or str(self.r.random()))), verdict=verdict,
                 client=self.client[user])
        if reply:
            k["reply_to"] = reply
        if url:
            k["url_host"] = url
        self.add(t, user, "send", **k)

    # an honest person's day
    def day(self, user, d):
        r, kind = self.r, self.kind[user]
        t0 = d * DAY
        place = self.home[user]
        trip = self.trip.get(user)
        abroad = trip and trip[0] <= d < trip[1]
        if trip and d == trip[0]:
            self.login(t0 + 7 * 3600 + r.randrange(3600), user, self.ip(place, user))
            t0 += 9 * 3600 + r.randrange(6 * 3600)  # the flight
        if abroad:
            place = trip[2]
        weekend = (START + datetime.timedelta(days=d)).weekday() >= 5
        n = max(1, int(r.gauss(3 if weekend else 6, 2)))
        for i in range(n):
            t = t0 + 7 * 3600 + int(r.random() * 15 * 3600)
            where = place if abroad else r.choice([place, place, "campus", "campus"] if not weekend else [place])
            ip = self.ip(where, user + (str(d) if abroad else str(d // 30)))
            if kind == "mobile" or r.random() < 0.15:
                where = "mobile" if not abroad else place
                ip = self.ip(where)
            if kind == "vpn" and r.random() < 0.5:
                where = self.vpn[user]
                ip = self.ip(where)
            elif kind != "vpn" and r.random() < 0.0008:
                ip = self.ip(r.choice(CLOUD[:3]))  # tries a VPN
            if r.random() < 0.002:
                ip = self.ip(r.choice(["home1", "home2", "home3", "isp4"]))  # at a friend's
            client = self.second.get(user) if r.random() < 0.3 else None
            if r.random() < 0.0006:
                self.client[user] = f"NewPhone {r.randrange(10**6)} {''.join(r.choices('abcdefgh', k=5))}"
            service = "webmail" if kind == "webmail" else "imap"
            if r.random() < 0.03:
                for _ in range(r.randrange(1, 5)):
                    self.login(t - 60 - r.randrange(600), user, ip, service, client, success=False)
            self.login(t, user, ip, service, client)
            if r.random() < self.rate[user]:
                self.mail_out(t + 60 + r.randrange(600), user, ip, service)

    def mail_out(self, t, user, ip, service):
        r = self.r
        x = r.random()
        n = 1 if x < 0.7 else r.randrange(2, 6) if x < 0.95 else r.randrange(6, 30)
        url = r.choice([None, None, "zoom.example", "docs.example", "campus.test", "www.campus.test", f"site{r.randrange(3000)}.example"])
        self.send(t, user, ip, n, unknown=int(r.random() < 0.01), url=url, frm=self.alias.get(user), service=service)

    def special(self, user, d):
        """Large honest mailings, and honest oddities."""
        r, t = self.r, d * DAY + 10 * 3600 + self.r.randrange(6 * 3600)
        ip = self.ip("campus", user)
        if user in self.newsletter and d % 28 == self.newsletter[user][0]:
            n = self.newsletter[user][1]
            self.login(t - 300, user, ip)
            self.send(t, user, ip, n, external=int(n * 0.3), unknown=int(n * 0.02), new=int(n * 0.05), url=r.choice(["www.campus.test", f"news{user}.example"]),
                      body=f"news{user}{d}", frm=self.dept.get(user))
        if self.cls[user] == "staff" and r.random() < 0.002:  # a conference, a survey, written to once
            n = r.randrange(40, 250)
            self.login(t - 300, user, ip)
            self.send(t, user, ip, n, external=int(n * 0.8), unknown=int(n * r.uniform(0, 0.08)), new=int(n * r.uniform(0.5, 1)), url=f"conf{r.randrange(99999)}.example",
                      body=f"conf{user}{d}")
        if self.cls[user] == "student" and r.random() < 0.0008:  # a survey among fellow students
            n = r.randrange(30, 120)
            self.send(t, user, self.ip(self.home[user], user), n, external=0, unknown=int(n * 0.05), new=int(n * 0.8), url="surveys.example", body=f"s{user}")

    def theft(self, user, d, shape):
        r, t = self.r, d * DAY + r_hours(self.r)
        self.stolen[user] = (t, shape)
        client = r.choice([None, "Roundcube", "python-smtplib", "Outlook Express", "Mozilla Windows NT"])
        evil = r.choice(EVIL)
        url = f"login-{r.randrange(10**6)}.example"
        reply = f"office{r.randrange(1000)}@freemail.example"
        who = f"info@{r.choice(['bank', 'parcel', 'lottery'])}{r.randrange(99)}.example"
        ip = self.ip(evil)
        if shape == "blast":
            self.login(t, user, ip, "submission", client)
            for i in range(r.randrange(3, 20)):
                n = r.randrange(80, 500)
                self.send(t + 300 + i * r.randrange(20, 200), user, ip, n, external=n, unknown=int(n * r.uniform(0.05, 0.4)), new=n, url=url, body=url,
                          frm=who if r.random() < 0.5 else None, reply=reply if r.random() < 0.5 else None)
        elif shape == "singles":  # thousands of messages to one each
            self.login(t, user, ip, "submission", client)
            for i in range(r.randrange(200, 900)):
                self.send(t + 300 + i * r.randrange(2, 20), user, ip, 1, external=1, unknown=int(r.random() < 0.2), new=1, url=url, body=url)
        elif shape == "botnet":  # each message from another country
            for i in range(r.randrange(40, 120)):
                net = r.choice(EVIL + ABROAD)
                n = r.randrange(5, 30)
                self.send(t + i * r.randrange(60, 400), user, self.ip(net), n, external=n, unknown=int(n * r.uniform(0, 0.4)), new=n, url=url, body=url)
        elif shape == "cloud":
            ip = self.ip(r.choice(CLOUD))
            self.login(t, user, ip, "submission", client)
            for i in range(r.randrange(10, 60)):
                n = r.randrange(20, 100)
                self.send(t + 900 + i * r.randrange(60, 600), user, ip, n, external=n, unknown=int(n * r.uniform(0.02, 0.3)), new=n, url=url, body=url,
                          reply=reply if r.random() < 0.5 else None)
        elif shape == "lateral":  # phishing of colleagues, by webmail
            self.login(t, user, ip, "webmail", client)
            t2 = t + r.randrange(1, 48) * 3600
            for i in range(r.randrange(2, 8)):
                n = r.randrange(15, 60)
                self.send(t2 + i * r.randrange(120, 900), user, self.ip(evil), n, external=0, unknown=int(n * r.uniform(0, 0.1)), new=int(n * 0.9), url=url, body=url,
                          service="webmail", reply=reply if r.random() < 0.3 else None)
        elif shape == "slow":  # from a proxy in the country, patiently
            ip = self.ip("proxyde")
            self.login(t, user, ip, "submission", client)
            for i in range(r.randrange(60, 150)):
                n = r.randrange(3, 12)
                self.send(t + 600 + i * r.randrange(300, 1500), user, ip, n, external=n, unknown=int(r.random() < 0.3), new=n, url=url, body=url)
        elif shape == "domestic":  # a blast from a proxy in the country
            ip = self.ip(r.choice(["proxyde", "home3", "isp4"]))
            self.login(t, user, ip, "submission", client)
            for i in range(r.randrange(3, 12)):
                n = r.randrange(80, 400)
                self.send(t + 300 + i * r.randrange(30, 400), user, ip, n, external=n, unknown=int(n * r.uniform(0.03, 0.3)), new=n, url=url, body=url,
                          frm=who if r.random() < 0.4 else None)
        elif shape == "reader":  # reads and writes to a few: fraud
            for i in range(r.randrange(3, 8)):
                self.login(t + i * 7200, user, self.ip(evil, user), "imap", client)
                self.send(t + i * 7200 + 600, user, self.ip(evil, user), r.randrange(1, 4), external=1, new=1, reply=reply)

    def build(self):
        r, a = self.r, self.a
        users = [f"u{i}" for i in range(a.users)]
        self.cls = {u: "student" if r.random() < 0.75 else "staff" for u in users}
        self.kind = {u: r.choices(["plain", "mobile", "vpn", "webmail"], [60, 20, 4, 16])[0] for u in users}
        self.home = {u: r.choices(["home1", "home2", "home3", "isp4"], [50, 30, 8, 12])[0] for u in users}
        self.vpn = {u: r.choice(CLOUD[:3]) for u in users}
        self.mail = {u: f"{u}@campus.test" for u in users}
        self.alias = {u: f"first.{u}.last@campus.test" for u in users if r.random() < 0.4}
        self.client = {u: r.choice(["Thunderbird/115", "Apple Mail", "Outlook/16", "Firefox", "Chrome", "K-9 Mail"]) for u in users}
        self.second = {u: r.choice(["iPhone Mail", "Gmail Android", "Outlook Mobile"]) for u in users}
        self.rate = {u: r.choice([0.05, 0.1, 0.3]) if self.cls[u] == "student" else r.choice([0.2, 0.5, 0.8]) for u in users}
        staff = [u for u in users if self.cls[u] == "staff"]
        self.newsletter = {u: (r.randrange(28), r.choice([60, 120, 250, 450, 900])) for u in staff if r.random() < 0.05}
        self.dept = {u: f"dept{u}@campus.test" for u in self.newsletter if r.random() < 0.3}
        self.trip = {}
        for u in users:
            if r.random() < 0.12 * a.days / 30:
                d = r.randrange(5, a.days)
                self.trip[u] = (d, d + r.randrange(2, 20), r.choice(ABROAD))
        shapes = ["blast", "singles", "botnet", "cloud", "lateral", "slow", "domestic", "reader"]
        thieves = {u: (r.randrange(15, a.days), shapes[i % len(shapes)]) for i, u in enumerate(r.sample(users, a.stolen))}
        for d in range(a.days):
            for u in users:
                self.day(u, d)
                self.special(u, d)
                if u in thieves and thieves[u][0] == d:
                    self.theft(u, d, thieves[u][1])
        self.events.sort(key=lambda e: e["t"])

    def write(self, path):
        with open(path, "w") as f:
            for i, e in enumerate(self.events):
                when = (START + datetime.timedelta(seconds=e["t"])).strftime("%Y-%m-%dT%H:%M:%SZ")
                f.write(json.dumps({"id": str(i), "time": when, **{k: v for k, v in e.items() if k != "t" and v is not None}}) + "\n")


def r_hours(r):
    return r.randrange(0, 24) * 3600 + r.randrange(3600)


def measure(a, folder):
    campus = Campus(a)
    campus.build()
    ctl = folder / "control"
    ctl.mkdir(exist_ok=True)
    (ctl / "me").write_text("mx.campus.test\n")
    (ctl / "locals").write_text("campus.test\n")
    if a.skim:
        (ctl / "skim").write_bytes(pathlib.Path(a.skim).read_bytes())
    mmdb(ctl / "geoip.mmdb")
    events = folder / "events.jsonl"
    campus.write(events)
    if a.events_only:
        return None
    run = subprocess.run([BIN / "postern", "skim", "replay", "--json", events, "-c", ctl, "-s", folder / "state"], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(run.stderr)
    worst = collections.defaultdict(lambda: (0, None, []))
    order = {"log": 1, "hold": 2, "stop": 3, "lock": 4}
    for line in run.stdout.splitlines():
        d = json.loads(line)
        t = campus.events[int(d["id"])]["t"]
        who = d["user"]
        honest = who not in campus.stolen or t < campus.stolen[who][0]
        worst[who, honest] = max(worst[who, honest], (order[d["action"]], d["why"], d["rules"]), key=lambda x: x[0])
    got = {k: sum(worst[u, False][0] >= n for u in campus.stolen) for k, n in (("hold", 2), ("stop", 3), ("lock", 4))}
    harm = {k: sum(v[0] >= n for (u, honest), v in worst.items() if honest) for k, n in (("hold", 2), ("stop", 3), ("lock", 4))}
    months = a.users * a.days / 30
    res = {"events": len(campus.events), "stolen": len(campus.stolen), "users": a.users, "days": a.days,
           "caught": got, "honest": harm, "false_locks_per_10000_account_months": round(harm["lock"] * 10000 / months, 1),
           "false_stops_per_10000_account_months": round(harm["stop"] * 10000 / months, 1),
           "false_holds_per_10000_account_months": round(harm["hold"] * 10000 / months, 1)}
    by = collections.Counter((s, worst[u, False][0]) for u, (t, s) in campus.stolen.items())
    if a.misses:
        for k in sorted(by):
            print(f"{k[0]:10} {['pass', 'log', 'hold', 'stop', 'lock'][k[1]]:5} {by[k]}")
        for (u, honest), (n, why, _) in sorted(worst.items(), key=lambda x: -x[1][0]):
            if honest and n >= 3 or not honest and n < 3:
                print("honest" if honest else campus.stolen[u][1], ['pass', 'log', 'hold', 'stop', 'lock'][n], u, campus.kind[u], why)
        held = collections.Counter(" ".join(w[2]) for (u, honest), w in worst.items() if honest and w[0] == 2)
        for why, n in held.most_common(30):
            print("held:", n, why)
    return res


def arguments(argv=None):
    p = argparse.ArgumentParser()
    p.add_argument("--users", type=int, default=1000)
    p.add_argument("--days", type=int, default=60)
    p.add_argument("--stolen", type=int, default=100)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--skim")
    p.add_argument("--keep")
    p.add_argument("--misses", action="store_true")
    p.add_argument("--events-only", action="store_true")
    return p.parse_args(argv)


if __name__ == "__main__":
    args = arguments()
    if args.keep:
        pathlib.Path(args.keep).mkdir(parents=True, exist_ok=True)
        print(json.dumps(measure(args, pathlib.Path(args.keep))))
    else:
        with tempfile.TemporaryDirectory() as d:
            print(json.dumps(measure(args, pathlib.Path(d))))
