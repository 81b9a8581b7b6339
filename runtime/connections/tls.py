"""TLS 1.3 between the parties, with certificates on both sides, as Python's ``ssl`` has it; and a test authority.

The server lets in whom its authority has certified: who gets the difference between weights and masks has to be known,
and who prepares blocks. Plain connections are for tests on one machine.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from hecc.runtime.errors import InputError
from hecc.runtime.files.atomic import replacing, writing

__all__ = ["AUTHORITY", "client_context", "make_test_authority", "server_context"]

AUTHORITY = "authority.pem"
"""The file of a test authority that all parties get; those of each are called by its name, as ``server.pem``."""

DAYS = 30
"""That certificates of a test authority are valid."""


def server_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """For the side that listens: clients have to be certified by an authority.

    Raises
    ------
    InputError
        A file is missing, or no certificate or key.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    return _with_files(context, certificate, key, authority)


def client_context(certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    """For the side that connects: the server has to be certified by an authority, for its name.

    Raises
    ------
    InputError
        As :func:`server_context`.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return _with_files(context, certificate, key, authority)


def _with_files(context: ssl.SSLContext, certificate: Path, key: Path, authority: Path) -> ssl.SSLContext:
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.verify_mode = ssl.CERT_REQUIRED
    for path in (certificate, key, authority):
        with writing(path), path.open("rb"):
            pass
    try:
        context.load_cert_chain(certificate, key)
        context.load_verify_locations(authority)
    except ssl.SSLError as error:
        raise InputError(
            f"{certificate}, {key} and {authority} are not a certificate, its key and an authority in PEM "
            f"({error.reason or 'malformed'}); `hecc authority` makes such files for tests"
        ) from None
    return context


def make_test_authority(
    folder: Path, names: tuple[str, ...] = ("server", "client", "dealer"), hosts: tuple[str, ...] = ()
) -> None:
    """An authority that nobody else trusts, and a certificate with its key for each party, in a new folder.

    The authority's key is forgotten: it certifies nobody later. Each certificate is for one party, ``localhost``, the
    loopback addresses, and what else is given as ``hosts``.

    Raises
    ------
    InputError
        The folder exists, or cannot be made; or a host is neither a name nor an address.
    """
    alternatives = [_host(each) for each in ("localhost", "127.0.0.1", "::1", *hosts)]
    with writing(folder):
        folder.mkdir(mode=0o700)
    authority_key = generate_private_key(SECP256R1())
    issuer = _name("hecc test authority")
    builder = _builder(issuer, issuer, authority_key).add_extension(x509.BasicConstraints(True, 0), critical=True)
    _write(folder / AUTHORITY, builder.sign(authority_key, SHA256()).public_bytes(Encoding.PEM))
    for name in names:
        key = generate_private_key(SECP256R1())
        # A server asks a dealer, too; a client never listens.
        listens = [] if name.startswith("client") else [ExtendedKeyUsageOID.SERVER_AUTH]
        asks = [] if name.startswith("dealer") else [ExtendedKeyUsageOID.CLIENT_AUTH]
        made = (
            _builder(_name(name), issuer, key)
            .add_extension(x509.BasicConstraints(False, None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([*listens, *asks]), critical=True)
            .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        )
        _write(folder / f"{name}.pem", made.sign(authority_key, SHA256()).public_bytes(Encoding.PEM))
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write(folder / f"{name}.key", secret)


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    if re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?", host) is None:
        raise InputError(f"{host!r} is neither the name nor the address of a host")
    return x509.DNSName(host)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(subject: x509.Name, issuer: x509.Name, key: EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
    )


def _write(path: Path, content: bytes) -> None:
    with replacing(path, secret=path.suffix == ".key") as file:
        file.write(content)
