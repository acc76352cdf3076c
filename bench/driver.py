"""The load (load.c) and other small programs of the bench, built when they are needed."""
import subprocess

from servers import DIR, ROOT


def build(name, *sources, libraries=()):
    tool = DIR / name
    if not tool.exists() or any(tool.stat().st_mtime < (ROOT / s).stat().st_mtime for s in sources):
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", f"-I{ROOT}", "-o", str(tool), *(str(ROOT / s) for s in sources), *libraries], check=True)
    return tool


def load(server, count, how, recipients, sessions=None, octets=4096):
    """Seconds, and milliseconds of an answer: median, 99 %, most."""
    out = subprocess.run([str(DIR / "load"), "127.0.0.1", str(server.port), str(count), str(min(sessions or server.sessions, count)), str(octets), how,
                          *recipients], capture_output=True, text=True)
    if out.returncode:
        raise SystemExit(f"{server.name}: the load was not taken: {out.stderr.strip()}")
    return [float(x) for x in out.stdout.split()]
