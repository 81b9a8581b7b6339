"""The client: asks about rows one by one, and writes down how long each took from the first byte to the result.

    python asking.py PLAN ROWS.npy HOST:PORT NUMBER

Works in a folder with material and certificates. Connections, TLS included, are made before the clock starts. Of the
bytes that passed this party's interface, it writes down how many were of the preparation and how many of the rows.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np
from links import wire_bytes

import hecc
from hecc.runtime.connections.tls import client_context
from hecc.runtime.plan.plan import Plan
from hecc.runtime.sharing.parties.clear import integers_of, values_of
from hecc.runtime.sharing.plan.plan import SharingPlan
from hecc.runtime.sharing.sessions.client import SharingClient
from hecc.runtime.sharing.sessions.listening import connect

MATERIAL = Path("client.material")
TRUST = {
    name: Path("tls") / file
    for name, file in (("certificate", "client.pem"), ("key", "client.key"), ("authority", "authority.pem"))
}


def main() -> None:
    plan_file, rows_file, address, number = sys.argv[1:]
    plan = Plan.of(plan_file)
    assert isinstance(plan, SharingPlan), "it is a plan of sharing"
    rows = np.load(rows_file)[: int(number)]
    before = wire_bytes()
    start = time.perf_counter()
    prepared = hecc.prepare(address, plan=plan, material=MATERIAL, **TRUST)
    ahead = time.perf_counter() - start
    between = wire_bytes()
    host, _, port = address.rpartition(":")
    (name,) = (signature.name for signature in plan.header.inputs)
    connecting, asking, outputs = [], [], []
    client = SharingClient(plan, MATERIAL)
    for row in rows:
        integers = integers_of(plan.header, {name: row[np.newaxis].astype(np.float64)})
        start = time.perf_counter()
        with connect(host, int(port), client_context(**TRUST)) as connection:
            connected = time.perf_counter()
            found = client.query(connection, integers)
            done = time.perf_counter()
        connecting.append(connected - start)
        asking.append(done - connected)
        (values,) = values_of(plan.header, plan.checked, found).values()
        outputs.append(values.reshape(-1).tolist())
    client.close()
    report = {
        "rows": len(rows),
        "prepared_seconds_a_row": ahead / prepared.count,
        "connecting": connecting,
        "asking": asking,
        "wire_ahead": between - before,
        "wire_asking": wire_bytes() - between,
        "payload_sent": client.sent / len(rows),
        "payload_received": client.received / len(rows),
        "outputs": outputs,
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
