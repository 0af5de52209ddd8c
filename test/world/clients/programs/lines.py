"""Asked by lines of JSON: {"list": true} and {"call": NAME, "given": {...}}; each answer is a line, {"tools"} or {"text"}."""
import asyncio
import json
import os
import sys

TRANSPORT, TARGET, *ARGUMENTS = sys.argv[1:]
ENVIRONMENT = dict(os.environ)
CALL_SECONDS = 20


def text_of(result) -> str:
    """What an SDK's result says, whatever the SDK calls its fields."""
    text = "".join(getattr(block, "text", "") for block in result.content)
    failed = getattr(result, "is_error", False) or getattr(result, "isError", False)
    return f"error: {text}" if failed else text


async def serve(list_tools, call) -> None:
    """`list_tools()`: the names; `call(name, given)`: the text."""

    async def answer(question) -> dict:
        if "list" in question:
            return {"tools": list(await list_tools())}
        return {"text": str(await call(question["call"], question["given"]))}

    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        try:
            done = await asyncio.wait_for(answer(json.loads(line)), CALL_SECONDS)
        except Exception as error:
            done = {"text": f"failed: {type(error).__name__}: {error}"}
        print(json.dumps(done), flush=True)
