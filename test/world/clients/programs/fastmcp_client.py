"""FastMCP's client."""
import asyncio

from fastmcp import Client
from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport
from lines import ARGUMENTS, ENVIRONMENT, TARGET, TRANSPORT, serve, text_of


async def main() -> None:
    transport = {
        "HTTP": lambda: StreamableHttpTransport(TARGET),
        "SSE": lambda: SSETransport(TARGET),
        "stdio": lambda: StdioTransport(TARGET, ARGUMENTS, env=ENVIRONMENT),
    }[TRANSPORT]()
    async with Client(transport) as client:

        async def list_tools():
            return [tool.name for tool in await client.list_tools()]

        async def call(name, given):
            return text_of(await client.call_tool(name, given, raise_on_error=False))

        await serve(list_tools, call)


asyncio.run(main())
