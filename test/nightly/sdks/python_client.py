"""Asks a server for all that the matrix asks, with the official Python SDK, and prints what came of each as JSON.

`python_client.py MODE URL`, or `python_client.py MODE PROGRAM ARGUMENT...`; MODE: auto or legacy."""
import asyncio
import json
import sys
import time

from mcp import Client, StdioServerParameters
from mcp.types import CreateMessageResult, ElicitResult, ListRootsResult, Root, TextContent

told: list[str] = []
updates: list[str] = []


async def on_log(params) -> None:
    told.append(str(params.data))


async def on_message(message) -> None:
    root = getattr(message, "root", message)
    if getattr(root, "method", "") == "notifications/resources/updated":
        updates.append(str(root.params.uri))


async def on_question(context, params) -> ElicitResult:
    schema = params.requested_schema
    schema = schema if isinstance(schema, dict) else schema.model_dump()
    name = next(iter(schema["properties"]))
    return ElicitResult(action="accept", content={name: "Ada"})


async def on_sample(context, params) -> CreateMessageResult:
    return CreateMessageResult(role="assistant", content=TextContent(type="text", text="sampled"), model="none")


async def on_roots(context) -> ListRootsResult:
    return ListRootsResult(roots=[Root(uri="file:///srv/data")])


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
        return text_of(await client.call_tool(name, arguments or {}, **more))

    async def listed() -> int:
        return sum(tool.name.startswith("many_") for tool in (await client.list_tools()).tools)

    async def progress() -> str:
        steps: list[float] = []

        async def on_step(step, total, message) -> None:
            steps.append(step)

        answer = await call("progress", progress_callback=on_step)
        await until(lambda: len(steps) == 3)
        return f"{answer} {len(steps)}"

    async def log() -> str:
        answer = await call("say")
        await until(lambda: len(told) > 0)
        return f"{answer} {told[:1]}"

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

    async def subscribe() -> str:
        if client.protocol_version >= "2026":
            return "error: asked for in another way"
        await client.subscribe_resource("memo://note")
        await call("touch")
        return "told" if await until(lambda: "memo://note" in updates) else "error: not told"

    async def twice() -> str:
        first, second = await call("count"), await call("count")
        return "kept" if int(second) == int(first) + 1 else "error: not kept"

    await feature("call", lambda: call("echo", {"text": "grüß"}))
    await feature("list", listed)
    await feature("progress", progress)
    await feature("log", log)
    await feature("cancel", cancel)
    await feature("elicit", lambda: call("ask"))
    await feature("sample", lambda: call("sample"))
    await feature("roots", lambda: call("roots"))
    await feature("state", twice)
    await feature("subscribe", subscribe)
    for after in ("nothing", "progress", "pause"):
        steps = {"progress_callback": on_any_step} if after == "progress" else {}
        await feature(f"2 MB after {after}", lambda: call("big", {"after": after}, **steps))
    return done


async def on_any_step(step, total, message) -> None:
    pass


async def main() -> None:
    mode, target, *arguments = sys.argv[1:]
    server = target if target.startswith("http") else StdioServerParameters(command=target, args=arguments)
    client = Client(
        server,
        mode=mode,
        log_level="info",
        logging_callback=on_log,
        message_handler=on_message,
        elicitation_callback=on_question,
        sampling_callback=on_sample,
        list_roots_callback=on_roots,
    )
    async with client:
        print(json.dumps(await play(client)))


asyncio.run(main())
