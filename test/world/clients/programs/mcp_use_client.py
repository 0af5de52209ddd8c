"""mcp-use's client."""
import asyncio

from lines import ARGUMENTS, ENVIRONMENT, TARGET, TRANSPORT, serve, text_of
from mcp_use import MCPClient


async def main() -> None:
    entry = {
        "HTTP": {"url": TARGET},
        "SSE": {"url": TARGET, "transport": "sse"},
        "stdio": {"command": TARGET, "args": ARGUMENTS, "env": ENVIRONMENT},
    }[TRANSPORT]
    client = MCPClient.from_dict({"mcpServers": {"world": entry}})
    session = await client.create_session("world")

    async def list_tools():
        return [tool.name for tool in await session.list_tools()]

    async def call(name, given):
        return text_of(await session.call_tool(name, given))

    await serve(list_tools, call)
    await client.close_all_sessions()


asyncio.run(main())
