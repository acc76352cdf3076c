"""A real name server, Knot, with the zones of a test."""
import subprocess

from conftest import free_port, wait_for


class Knot:
    """ZONES: name to the zone's text, without $ORIGIN, SOA and NS.  On .port of 127.0.0.1, once it answers."""
    def __init__(self, folder, zones):
        self.port = free_port()
        for name, text in zones.items():
            (folder / f"{name}.zone").write_text(f"$ORIGIN {name}.\n$TTL 60\n@ SOA ns.{name}. h.{name}. 1 60 60 60 60\n@ NS ns.{name}.\n{text}")
        (folder / "knot.conf").write_text(f"""server:
    listen: 127.0.0.1@{self.port}
    rundir: {folder}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: {folder}/db
template:
  - id: default
    storage: {folder}
    file: "%s.zone"
zone:
""" + "".join(f"  - domain: {name}\n" for name in zones))
        self.process = subprocess.Popen(["/usr/sbin/knotd", "-c", str(folder / "knot.conf")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(lambda: dig(self.port, next(iter(zones)), "SOA"), 20, "knotd does not answer")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def dig(port, *question):
    """The short answer of the name server on PORT of 127.0.0.1; nothing where there is none within a second."""
    return subprocess.run(["/usr/bin/kdig", "+short", "+time=1", "+retry=0", "@127.0.0.1", "-p", str(port), *question], capture_output=True, text=True).stdout.strip()
