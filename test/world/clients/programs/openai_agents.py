"""OpenAI's Agents SDK: its servers, called without a model."""
import asyncio

from agents.mcp import MCPServerSse, MCPServerStdio, MCPServerStreamableHttp
from lines import ARGUMENTS, ENVIRONMENT, TARGET, TRANSPORT, serve, text_of


async def main() -> None:
    command = {"command": TARGET, "args": ARGUMENTS, "env": ENVIRONMENT}
    server = {
        "HTTP": lambda: MCPServerStreamableHttp(params={"url": TARGET}),
        "SSE": lambda: MCPServerSse(params={"url": TARGET}),
        "stdio": lambda: MCPServerStdio(params=command, client_session_timeout_seconds=30),
    }[TRANSPORT]()
    async with server:

        async def list_tools():
            return [tool.name for tool in await server.list_tools()]

        async def call(name, given):
            return text_of(await server.call_tool(name, given))

        await serve(list_tools, call)


asyncio.run(main())
