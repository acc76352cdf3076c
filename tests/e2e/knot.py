"""A real name server, Knot, with the zones of a test."""
import subprocess

from conftest import free_port, wait_for


class Knot:
    """On .port of 127.0.0.1, once it answers.  ZONES: name to the zone's text, without $ORIGIN, SOA and NS; FILES: name to the whole text, None for a
    file that is missing, which is answered with SERVFAIL."""
    def __init__(self, folder, zones, files=None):
        self.port = free_port()
        files = {**{name: f"$ORIGIN {name}.\n$TTL 60\n@ SOA ns.{name}. h.{name}. 1 60 60 60 60\n@ NS ns.{name}.\n{text}" for name, text in zones.items()}, **(files or {})}
        conf = f"""server:
    listen: 127.0.0.1@{self.port}
    rundir: {folder}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: {folder}/db
zone:
"""
        for n, (name, text) in enumerate(files.items()):
            if text is not None:
                (folder / f"{n}.zone").write_text(text)
            conf += f"  - domain: {name}\n    storage: {folder}\n    file: {n}.zone\n"
        (folder / "knot.conf").write_text(conf)
        self.process = subprocess.Popen(["/usr/sbin/knotd", "-c", str(folder / "knot.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: dig(self.port, next(iter(files)), "SOA"), 20, "knotd does not answer")

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


def dig(port, *question):
    """The short answer of the name server on PORT of 127.0.0.1; nothing where there is none within a second."""
    return subprocess.run(["/usr/bin/kdig", "+short", "+time=1", "+retry=0", "@127.0.0.1", "-p", str(port), *question], capture_output=True, text=True).stdout.strip()
