"""The docker command of a node: finds the verb, checks its words, turns refusals into Docker's texts and statuses."""

from collections.abc import Awaitable, Callable

from tests.lab.nodes.docker import life, run, show
from tests.lab.nodes.docker.engine import DockerError, Engine
from tests.lab.nodes.docker.options import Parsed, UsageError, parse
from tests.lab.nodes.docker.syntax import SYNTAX
from tests.lab.nodes.docker.template import TemplateError
from tests.lab.nodes.gate import Call

NO_DAEMON = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"

Verb = Callable[[Engine, Call, Parsed], Awaitable[int]]

_VERBS: dict[str, Verb] = {
    "version": show.version,
    "info": show.info,
    "ps": show.ps,
    "inspect": show.inspect,
    "images": show.images,
    "logs": show.logs,
    "top": show.top,
    "restart": life.restart,
    "stop": life.stop,
    "start": life.start,
    "kill": life.kill,
    "rm": life.rm,
    "wait": life.wait,
    "rename": life.rename,
    "update": life.update,
    "create": run.create,
    "run": run.run,
    "exec": run.execute,
    "cp": run.cp,
    "pull": run.pull,
}
_GROUPS = {
    "container": {"ls": "ps", "list": "ps"},
    "image": {"ls": "images", "list": "images", "inspect": "inspect", "pull": "pull"},
    "system": {"info": "info"},
}


class Docker:
    """Carries out ``docker …`` calls on one node and keeps a record of them."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.log: list[list[str]] = []

    async def __call__(self, call: Call) -> int:
        """Run one command line; never raises for what the caller got wrong."""
        words = list(call.argv)
        self.log.append(words)
        if words[:1] in (["-v"], ["--version"]):
            await call.out(f"Docker version {self.engine.version}, build 039a7df9ba\n")
            return 0
        return await self._verb(call, words)

    async def _verb(self, call: Call, words: list[str]) -> int:
        name, rest, kind = _resolve(words)
        if name not in _VERBS:
            await call.err(f"docker: '{' '.join(words[:1])}' is not a docker command.\nSee 'docker --help'\n")
            return 1
        try:
            parsed = parse(SYNTAX[name], rest, self.engine.version)
            if kind and name == "inspect":
                parsed.flags["type"] = [kind]
            if self.engine.hung:
                await call.gone()
                return 1
            if self.engine.dead:
                return await _no_daemon(call, name)
            return await _VERBS[name](self.engine, call, parsed)
        except UsageError as error:
            await (call.out if error.status == 0 else call.err)(str(error))
            return error.status
        except DockerError as error:
            await call.err(f"Error response from daemon: {error}\n")
            return 1
        except TemplateError as error:
            await call.err(f"Template parsing error: {error}\n")
            return 64


def _resolve(words: list[str]) -> tuple[str, list[str], str]:
    """The verb, its words, and the kind of object a group such as ``docker image`` names."""
    if len(words) > 1 and words[0] in _GROUPS:
        group = words[0]
        kind = group if group != "system" else ""
        return _GROUPS[group].get(words[1], words[1]), words[2:], kind
    return (words[0] if words else "", words[1:], "")


async def _no_daemon(call: Call, verb: str) -> int:
    if verb in {"run", "create"}:
        prefix, suffix = ("docker: ", ".\nSee 'docker run --help'.") if verb == "run" else ("", "")
        await call.err(f"{prefix}{NO_DAEMON}{suffix}\n")
        return 125 if verb == "run" else 1
    await call.err(f"{NO_DAEMON}\n")
    return 1
