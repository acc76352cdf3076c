"""Certificates that sign themselves, and the context of a client that believes any certificate."""
import ssl
import subprocess


def no_check():
    """A context of one's own, to be changed."""
    return ssl._create_unverified_context()


NO_CHECK = no_check()


def made(folder, name, kind, days):
    """(certificate, key) in PEM; the certificate stays in FOLDER/NAME.crt too."""
    key, cert = folder / f"{name}.key", folder / f"{name}.crt"
    algorithm = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if kind == "ec" else ["-newkey", "rsa:2048"]
    subprocess.run(["openssl", "req", "-x509", "-nodes", "-subj", f"/CN={name}", "-days", str(days), "-addext", f"subjectAltName=DNS:{name}",
                    "-keyout", key, "-out", cert, *algorithm], check=True, capture_output=True)
    return cert.read_bytes(), key.read_bytes()


def certificate(folder, name="mx1.campus.test", kind="ec", days=30):
    """Certificate and key, as control/servercert.pem has them."""
    return b"".join(made(folder, name, kind, days))


def key_first(folder, name="far.test"):
    """A file with the key before the certificate, as Postfix wants it."""
    cert, key = made(folder, name, "ec", 30)
    pem = folder / f"{name}.pem"
    pem.write_bytes(key + cert)
    return pem
