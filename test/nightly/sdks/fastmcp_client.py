"""Asks a server for all that the matrix asks, with FastMCP's client, and prints what came of each as JSON.

`fastmcp_client.py MODE URL`, or `fastmcp_client.py MODE PROGRAM ARGUMENT...`; MODE: auto or legacy."""
import asyncio
import json
import sys

from fastmcp import Client
from fastmcp.client.transports import StdioTransport

told: list[str] = []


async def on_log(message) -> None:
    told.append(str(message.data))


async def on_question(message, response_type, params, context):
    schema = params.requested_schema
    schema = schema if isinstance(schema, dict) else schema.model_dump()
    return {next(iter(schema["properties"])): "Ada"}


async def on_sample(messages, params, context) -> str:
    return "sampled"


async def until(holds) -> bool:
    for _ in range(100):
        if holds():
            return True
        await asyncio.sleep(0.05)
    return False


def text_of(result) -> str:
    text = "".join(getattr(block, "text", "") for block in result.content)
    return f"error: {text[:60]}" if result.is_error else (f"{len(text)} characters" if len(text) > 1000 else text)


async def play(client: Client) -> dict[str, str]:
    done: dict[str, str] = {}

    async def feature(name: str, ask) -> None:
        try:
            done[name] = str(await asyncio.wait_for(ask(), 30))
        except Exception as error:
            done[name] = f"error: {type(error).__name__}: {str(error)[:80]}"

    async def call(name: str, arguments=None, **more) -> str:
        return text_of(await client.call_tool(name, arguments or {}, raise_on_error=False, **more))

    async def listed() -> int:
        return sum(tool.name.startswith("many_") for tool in await client.list_tools())

    async def progress() -> str:
        steps: list[float] = []

        async def on_step(step, total, message) -> None:
            steps.append(step)

        answer = await call("progress", progress_handler=on_step)
        await until(lambda: len(steps) == 3)
        return f"{answer} {len(steps)}"

    async def log() -> str:
        answer = await call("say")
        return f"{answer} {await until(lambda: len(told) > 0)}"

    async def cancel() -> str:
        before = int(await call("ended"))
        waiting = asyncio.ensure_future(client.call_tool("wait", {}))
        await asyncio.sleep(1)
        waiting.cancel()
        for _ in range(100):
            if int(await call("ended")) > before:
                return "ended there"
            await asyncio.sleep(0.1)
        return "goes on there"

    async def twice() -> str:
        first, second = await call("count"), await call("count")
        return "kept" if int(second) == int(first) + 1 else "error: not kept"

    async def on_step(step, total, message) -> None:
        pass

    await feature("call", lambda: call("echo", {"text": "grüß"}))
    await feature("list", listed)
    await feature("progress", progress)
    await feature("log", log)
    await feature("cancel", cancel)
    await feature("elicit", lambda: call("ask"))
    await feature("sample", lambda: call("sample"))
    await feature("roots", lambda: call("roots"))
    await feature("state", twice)
    for after in ("nothing", "progress", "pause"):
        steps = {"progress_handler": on_step} if after == "progress" else {}
        await feature(f"2 MB after {after}", lambda: call("big", {"after": after}, **steps))
    return done


async def main() -> None:
    mode, target, *arguments = sys.argv[1:]
    server = target if target.startswith("http") else StdioTransport(target, arguments)
    client = Client(
        server,
        mode=mode,
        roots=["file:///srv/data"],
        log_handler=on_log,
        elicitation_handler=on_question,
        sampling_handler=on_sample,
    )
    async with client:
        print(json.dumps(await play(client)))


asyncio.run(main())
