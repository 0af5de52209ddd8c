"""What the matrix asks of a server, with FastMCP. `fastmcp_server.py` speaks stdio, `fastmcp_server.py PORT` HTTP."""
import asyncio
import sys

from fastmcp import Context, FastMCP

app = FastMCP("matrix")
cancelled = 0


@app.tool
async def echo(text: str) -> str:
    return text


@app.tool
async def progress(ctx: Context) -> str:
    for step in (1, 2, 3):
        await ctx.report_progress(step, 3)
    return "done"


@app.tool
async def say(ctx: Context) -> str:
    await ctx.info("said")
    return "done"


@app.tool
async def wait() -> str:
    global cancelled
    try:
        await asyncio.sleep(30)
    except asyncio.CancelledError:
        cancelled += 1
        raise
    return "waited"


@app.tool
async def ended() -> str:
    return str(cancelled)


@app.tool
async def ask(ctx: Context) -> str:
    answer = await ctx.elicit("name?", response_type=str)
    return f"{answer.action} {answer.data if answer.action == 'accept' else ''}"


@app.tool
async def count(ctx: Context) -> str:
    counted = (await ctx.get_state("count") or 0) + 1
    await ctx.set_state("count", counted)
    return str(counted)


@app.tool
async def big(after: str, ctx: Context) -> str:
    if after == "progress":
        await ctx.report_progress(1, 1)
    if after == "pause":
        await asyncio.sleep(12)
    return "x" * 2_000_000


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
        app.run(transport="http", port=int(sys.argv[1]), show_banner=False)
    else:
        app.run(transport="stdio", show_banner=False)
