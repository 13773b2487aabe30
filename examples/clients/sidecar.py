"""A client of the sidecar, with nothing but the standard library of Python 3.8 or later.

    sidecar = Sidecar("http://127.0.0.1:8080")              # or Sidecar("unix:/run/grotto/cities/sidecar.sock")
    sidecar.get("cities", "City", 3117735)                  # a dict, or None
    sidecar.get_many("cities", "City", [3117735, 2950159])  # one request, in the order of the keys
    for version in sidecar.versions("cities"):              # the one that is served, then each one that follows
        ...

A key is the value of the primary key, or a list of its parts. One object is for one thread: it keeps its connection
open from one request to the next. Run as a program, it prints a record:

    python3 sidecar.py http://127.0.0.1:8080 cities City 3117735
"""

import http.client
import json
import socket
import sys
from urllib.parse import quote, urlsplit


class SidecarError(Exception):
    """What the sidecar refuses a request with; `code` stays the same from release to release."""

    def __init__(self, status, code, message):
        super().__init__(f"{code}: {message}")
        self.status, self.code = status, code


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Sidecar:
    def __init__(self, address, token=None, timeout=10.0):
        """`timeout` is that of a request, in seconds, beside what it is told to wait for."""
        if address.startswith("unix:"):
            self._connection = _UnixConnection(address[len("unix:"):], timeout)
        else:
            url = urlsplit(address)
            self._connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=timeout)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout = timeout

    def close(self):
        self._connection.close()

    def get(self, dataset, type_name, key):
        """The record with a primary key; None if there is none."""
        text = key if isinstance(key, str) else json.dumps(key)
        path = f"/v1/datasets/{quote(dataset)}/types/{quote(type_name)}/records/{quote(text, safe='')}"
        try:
            return self._ask("GET", path)
        except SidecarError as error:
            if error.code == "no_record":
                return None
            raise

    def get_many(self, dataset, type_name, keys):
        """The records of many primary keys, all of one version; None for each that is not there."""
        path = f"/v1/datasets/{quote(dataset)}/types/{quote(type_name)}/records:batch"
        return self._ask("POST", path, json.dumps(list(keys)))["records"]

    def version(self, dataset, after=0, wait=0.0):
        """The version that is served: at once if it is not `after`, else after `wait` seconds at most."""
        path = f"/v1/datasets/{quote(dataset)}/versions?after={after}&wait={int(wait * 1000)}ms"
        return self._ask("GET", path, wait=wait)["version"]

    def versions(self, dataset, wait=30.0):
        """The version that is served, then every one that is served when it is asked for; never ends."""
        last = 0
        while True:
            version = self.version(dataset, last, wait)
            if version != last:
                last = version
                yield version

    def _ask(self, method, path, body=None, wait=0.0):
        try:
            return self._ask_once(method, path, body, wait)
        except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError):
            # The sidecar was started again, or closed a connection that was idle: nothing that is asked changes
            # anything, so that it can be asked again.
            self._connection.close()
            return self._ask_once(method, path, body, wait)

    def _ask_once(self, method, path, body, wait):
        self._connection.timeout = self._timeout + wait
        if self._connection.sock:
            self._connection.sock.settimeout(self._connection.timeout)
        try:
            self._connection.request(method, path, body, self._headers)
            answer = self._connection.getresponse()
            text = answer.read()
        except Exception:
            # What is left of the answer must not be taken for the next one.
            self._connection.close()
            raise
        if answer.status >= 400:
            raise self._refused(answer.status, text)
        return json.loads(text)

    @staticmethod
    def _refused(status, text):
        try:
            told = json.loads(text)["error"]
            return SidecarError(status, told["code"], told["message"])
        except (ValueError, KeyError, TypeError):
            return SidecarError(status, "unknown", text[:200].decode(errors="replace"))


def main(arguments):
    if len(arguments) != 4:
        sys.exit("usage: sidecar.py ADDRESS DATASET TYPE KEY")
    address, dataset, type_name, key = arguments
    record = Sidecar(address).get(dataset, type_name, key)
    if record is None:
        sys.exit(f"no record {type_name} {key}")
    print(json.dumps(record, ensure_ascii=False))


if __name__ == "__main__":
    main(sys.argv[1:])
