"""The S3 server's own process: `python -m tests.lab.s3.server ADDRESS PORT REGION KEY SECRET`.

It prints a JSON line when it listens and one for each command, which come as JSON lines on stdin;
at the end of stdin it ends. Objects live in its memory.
"""

import contextlib
import datetime
import json
import logging
import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from tests.lab.s3.strict import Strict, Switches


class Listener:
    """A listening socket that can be closed and opened again while the objects stay."""

    def __init__(self, address: str, port: int, app: Strict) -> None:
        """Remember where to listen; `open` does it."""
        self._place, self._app = (address, port), app
        self._server: BaseWSGIServer | None = None

    def open(self) -> None:
        """Accept connections from now on."""
        self._server = make_server(*self._place, self._app, threaded=True)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        """Refuse connections from now on."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


def obey(command: dict[str, object], listener: Listener, switches: Switches) -> None:
    """Carry out one command of the lab."""
    match command:
        case {"do": "down"}:
            switches.down = True
            listener.close()
        case {"do": "up"}:
            switches.down = False
            listener.open()
        case {"do": "advance", "seconds": float(seconds)}:
            switches.clock_ahead += datetime.timedelta(seconds=seconds)
        case {"do": "fail", "status": int(status), "code": str(code), "times": int(times)}:
            switches.failing.extend([(status, code)] * times)
        case _:
            raise ValueError(f"unknown command {command}")


def say(**fields: object) -> None:
    """Answer the lab with one line."""
    print(json.dumps(fields), flush=True)


def main() -> None:
    """Serve until stdin ends."""
    address, port, region, key, secret = sys.argv[1:]
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    switches = Switches()
    moto = DomainDispatcherApplication(create_backend_app)
    listener = Listener(address, int(port), Strict(moto, {key: secret}, region, switches))
    listener.open()
    say(listening=True)
    for line in sys.stdin:
        with contextlib.suppress(BrokenPipeError):
            obey(json.loads(line), listener, switches)
            say(done=True)


if __name__ == "__main__":
    main()
