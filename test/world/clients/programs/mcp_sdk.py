"""The official Python SDK."""
import asyncio

from lines import ARGUMENTS, ENVIRONMENT, TARGET, TRANSPORT, serve, text_of
from mcp import Client, StdioServerParameters
from mcp.client.sse import sse_client


async def main() -> None:
    server = {
        "HTTP": lambda: TARGET,
        "SSE": lambda: sse_client(TARGET),
        "stdio": lambda: StdioServerParameters(command=TARGET, args=ARGUMENTS, env=ENVIRONMENT),
    }[TRANSPORT]()
    async with Client(server) as client:

        async def list_tools():
            return [tool.name for tool in (await client.list_tools()).tools]

        async def call(name, given):
            return text_of(await client.call_tool(name, given))

        await serve(list_tools, call)


asyncio.run(main())
