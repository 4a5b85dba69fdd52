"""Reads tables by a Trino server of its own (tables.py). `PROGRAM` is the server's folder; Java 24 or 25 is wanted."""

import atexit
import base64
import glob
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from datetime import date, datetime
from datetime import time as clock
from urllib.request import Request, urlopen

from canonical import value_text
from tables import TOKEN, URI, serve, sql_columns, sql_table

program = os.environ["PROGRAM"]
java = os.environ.get("DAILIES_TRINO_JAVA") or next(iter(sorted(glob.glob("/usr/lib/jvm/*-25-*/bin/java"))), None)
if java is None:
    sys.exit("Trino needs Java 24 or 25: install one, and name its `java` in DAILIES_TRINO_JAVA.")
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    port = free.getsockname()[1]
folder = tempfile.mkdtemp(prefix="trino-")
os.makedirs(f"{folder}/catalog")
with open(f"{folder}/config.properties", "w") as file:
    file.write(f"""coordinator=true
node-scheduler.include-coordinator=true
http-server.http.port={port}
discovery.uri=http://127.0.0.1:{port}
query.max-memory=512MB
query.max-memory-per-node=512MB
memory.heap-headroom-per-node=256MB
catalog.management=static
catalog.config-dir={folder}/catalog
plugin.dir={program}/plugin
""")
with open(f"{folder}/catalog/dailies.properties", "w") as file:
    file.write(f"""connector.name=iceberg
iceberg.catalog.type=rest
iceberg.rest-catalog.uri={URI}
iceberg.rest-catalog.security=OAUTH2
iceberg.rest-catalog.oauth2.token={TOKEN}
fs.hadoop.enabled=false
fs.native-local.enabled=true
local.location=/
""")
# Without node's settings on the command line its port would open on every interface.
server = subprocess.Popen(
    [java, "-Xmx1536m", "-XX:+UseG1GC", "-XX:+ExplicitGCInvokesConcurrent", "-Djdk.attach.allowAttachSelf=true"]
    + ["--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow", "--add-modules", "jdk.incubator.vector"]
    + ["-Dnode.environment=test", "-Dnode.id=n1", f"-Dnode.data-dir={folder}/data", "-Dnode.bind-ip=127.0.0.1"]
    + ["-Dnode.internal-address=127.0.0.1", f"-Dconfig={folder}/config.properties", "-cp", f"{program}/lib/*"]
    + ["io.trino.server.TrinoServer"],
    stdout=sys.stderr,
    cwd=folder,
)


@atexit.register
def stop():
    server.kill()
    server.wait()
    shutil.rmtree(folder)


def ask(address, body=None):
    # Without the capability times come in milliseconds.
    capability = {"X-Trino-Client-Capabilities": "PARAMETRIC_DATETIME"}
    headers = {"X-Trino-User": "test", "X-Trino-Time-Zone": "UTC", **capability}
    with urlopen(Request(address, body, headers)) as answer:
        return json.load(answer)


def query(sql):
    page = ask(f"http://127.0.0.1:{port}/v1/statement", sql.encode())
    rows = []
    while True:
        if "error" in page:
            raise RuntimeError(page["error"]["message"])
        rows += page.get("data") or []
        if "nextUri" not in page:
            return rows
        page = ask(page["nextUri"])


def wait_until_started():
    while True:
        if server.poll() is not None:
            sys.exit(f"Trino ended with status {server.returncode}")
        try:
            if not ask(f"http://127.0.0.1:{port}/v1/info")["starting"]:
                return
        except OSError:
            pass
        time.sleep(0.2)


def moment(text):
    return datetime.fromisoformat(text.removesuffix(" UTC"))


LEAVES = {
    "float": lambda text: struct.unpack("f", struct.pack("f", float(text)))[0],
    "double": float,
    "date": date.fromisoformat,
    "time": clock.fromisoformat,
    "timestamp": moment,
    "timestamptz": moment,
    "binary": base64.b64decode,
    "fixed": base64.b64decode,
    "int": int,
    "long": int,
}


def python_value(value, kind):
    """Trino's JSON as the Python values that canonical.py prints."""
    name = kind["kind"]
    if value is None:
        return None
    if name == "struct":
        return [python_value(item, field["type"]) for item, field in zip(value, kind["fields"], strict=True)]
    if name == "list":
        return [python_value(item, kind["element"]) for item in value]
    if name == "map":
        return [
            (python_value(key, kind["key"]), python_value(item, kind["value"])) for key, item in value.items()
        ]
    return LEAVES.get(name, lambda same: same)(value)


def read(request):
    kinds = [field["type"] for field in request["fields"]]
    table = sql_table("dailies", request["name"])
    return [
        [value_text(python_value(value, kind), kind) for value, kind in zip(row, kinds)]
        for row in query(f"SELECT {sql_columns(request)} FROM {table}")
    ]


wait_until_started()
serve(read)
