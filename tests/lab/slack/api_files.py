"""files.*: the external upload in three steps. Zero length and more than 14 files at once are refused."""

from aiohttp import web

from tests.lab.slack.api_chat import content, thread_root, writable
from tests.lab.slack.state import Message, UploadedFile
from tests.lab.slack.store import Store
from tests.lab.slack.wire import JsonObject, SlackError, refused_arguments

MAX_FILES = 14


def get_upload_url(store: Store, args: JsonObject) -> JsonObject:
    """files.getUploadURLExternal."""
    name = args.get("filename")
    try:
        length = int(args.get("length") or 0)
    except ValueError:
        length = 0
    if not name or not isinstance(name, str):
        raise refused_arguments("missing required field: filename")
    if length <= 0:
        raise refused_arguments("must be greater than 0 [json-pointer:/length]")
    file = UploadedFile(store.next_id("F"), name, length)
    store.files[file.id] = file
    return {"upload_url": f"{store.base_url}/upload/v1/{file.id}", "file_id": file.id}


async def receive(store: Store, request: web.Request) -> web.Response:
    """The POST of the bytes; multipart or bare. A wrong length answers 400."""
    file = store.files.get(request.match_info["file"])
    if file is None:
        return web.Response(status=404, text="no such upload")
    if request.content_type.startswith("multipart/"):
        part = await (await request.multipart()).next()
        data = bytes(await part.read()) if part is not None and hasattr(part, "read") else b""
    else:
        data = await request.read()
    if len(data) != file.length:
        store.violate("upload", "wrong_length", {"file": file.name, "said": file.length, "sent": len(data)})
        return web.Response(status=400, text="length differs from what was announced")
    file.content = data
    store.changed()
    return web.Response(text=f"OK - {len(data)}")


def complete(store: Store, args: JsonObject) -> JsonObject:
    """files.completeUploadExternal. The answer holds no message ts; the message appears by itself."""
    wanted = args.get("files")
    if not isinstance(wanted, list) or not wanted:
        raise refused_arguments("missing required field: files")
    if len(wanted) > MAX_FILES:
        raise refused_arguments(f"no more than {MAX_FILES} items allowed [json-pointer:/files]")
    files = [_uploaded(store, one) for one in wanted]
    channels = str(args.get("channel_id") or args.get("channels") or "")
    if "," in channels:
        raise refused_arguments("a thread or comment takes one channel [json-pointer:/channels]")
    if channels:
        _share(store, channels, files, args)
    return {"files": [{"id": file.id, "title": file.title} for file in files]}


def _uploaded(store: Store, wanted: object) -> UploadedFile:
    file = store.files.get(str(wanted.get("id"))) if isinstance(wanted, dict) else None
    if file is None or not isinstance(wanted, dict):
        raise SlackError("file_not_found")
    if file.content is None:
        raise SlackError("file_upload_not_complete")
    if file.shared_in is not None:
        raise SlackError("file_already_completed")
    file.title = str(wanted.get("title") or file.name)
    return file


def _share(store: Store, channel_id: str, files: list[UploadedFile], args: JsonObject) -> None:
    channel = writable(store, channel_id)
    thread_ts = thread_root(store, channel, args.get("thread_ts"))
    blocks: list[JsonObject] = []
    if args.get("blocks"):
        _, blocks = content(store, args)
    text = str(args.get("initial_comment") or "")
    message = Message(channel.id, store.next_ts(), store.bot_user_id, text, blocks, thread_ts, bot_id=store.bot_id)
    message.subtype = None
    message.files = [file.to_wire() for file in files]
    for file in files:
        file.shared_in = channel.id
    store.post(message)
