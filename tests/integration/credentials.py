"""Secrets and certificates for processes under test."""

import subprocess

SECRET = "0123456789abcdef0123456789abcdef0123456789abcdef"


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=60)


def secret_file(path, secret=SECRET, mode=0o600):
    path.write_text(secret + "\n")
    path.chmod(mode)
    return str(path)


def certificates(directory, names) -> list[str]:
    """The flags of processes that share one certificate with all of their names, signed by an authority of its own."""
    directory.mkdir()
    ca, ca_key, request, key, certificate, extensions = (
        str(directory / name) for name in ("ca.crt", "ca.key", "request", "key", "crt", "extensions"))
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *curve, "-keyout", ca_key, "-out", ca, "-subj", "/CN=test authority", "-days", "1")
    openssl("req", *curve, "-keyout", key, "-out", request, "-subj", "/CN=mooncake")
    (directory / "extensions").write_text("subjectAltName=" + ",".join(f"DNS:{name}" for name in names) +
                                          "\nextendedKeyUsage=serverAuth,clientAuth\n")
    openssl("x509", "-req", "-in", request, "-CA", ca, "-CAkey", ca_key, "-days", "1", "-extfile", extensions, "-out",
            certificate)
    return ["--auth", "tls", "--tls-cert", certificate, "--tls-key", key, "--tls-ca", ca]
