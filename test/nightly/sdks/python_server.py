"""What the matrix asks of a server, with the official Python SDK. `python_server.py` speaks stdio, `python_server.py PORT` HTTP."""
import asyncio
import sys
import weakref

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import SamplingMessage, TextContent
from pydantic import BaseModel


class Person(BaseModel):
    name: str


app = MCPServer("matrix")
counts: "weakref.WeakKeyDictionary[object, int]" = weakref.WeakKeyDictionary()
cancelled = 0


@app.tool()
async def echo(text: str) -> str:
    return text


@app.tool()
async def progress(ctx: Context) -> str:
    for step in (1, 2, 3):
        await ctx.report_progress(step, 3)
    return "done"


@app.tool()
async def say(ctx: Context) -> str:
    await ctx.info("said")
    return "done"


@app.tool()
async def wait() -> str:
    global cancelled
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        cancelled += 1
        raise
    return "waited"


@app.tool()
async def ended() -> str:
    return str(cancelled)


@app.tool()
async def ask(ctx: Context) -> str:
    answer = await ctx.elicit("name?", Person)
    return f"{answer.action} {answer.data.name if answer.action == 'accept' else ''}"


@app.tool()
async def sample(ctx: Context) -> str:
    question = SamplingMessage(role="user", content=TextContent(type="text", text="hello?"))
    answer = await ctx.session.create_message([question], max_tokens=10)
    return answer.content.text


@app.tool()
async def roots(ctx: Context) -> str:
    return ",".join(str(root.uri) for root in (await ctx.session.list_roots()).roots)


@app.tool()
async def count(ctx: Context) -> str:
    counts[ctx.session] = counts.get(ctx.session, 0) + 1
    return str(counts[ctx.session])


@app.tool()
async def big(after: str, ctx: Context) -> str:
    if after == "progress":
        await ctx.report_progress(1, 1)
    if after == "pause":
        await asyncio.sleep(12)
    return "x" * 2_000_000


@app.tool()
async def touch(ctx: Context) -> str:
    await ctx.session.send_resource_updated("memo://note")
    return "done"


@app.resource("memo://note")
def note() -> str:
    return "a note"


def many(name: str) -> None:
    @app.tool(name=name, description="One of many. " * 200)
    async def one() -> str:
        return name


for index in range(400):
    many(f"many_{index}")

if __name__ == "__main__":
    if len(sys.argv) > 1:
        app.run(transport="streamable-http", port=int(sys.argv[1]))
    else:
        app.run(transport="stdio")
