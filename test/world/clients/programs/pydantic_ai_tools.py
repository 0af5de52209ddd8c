"""Pydantic AI's toolset of a server, called without a model."""
import asyncio

from fastmcp.client.transports import SSETransport, StdioTransport, StreamableHttpTransport
from lines import ARGUMENTS, ENVIRONMENT, TARGET, TRANSPORT, serve
from pydantic_ai.mcp import MCPToolset


async def main() -> None:
    transport = {
        "HTTP": lambda: StreamableHttpTransport(TARGET),
        "SSE": lambda: SSETransport(TARGET),
        "stdio": lambda: StdioTransport(TARGET, ARGUMENTS, env=ENVIRONMENT),
    }[TRANSPORT]()
    async with MCPToolset(transport) as toolset:

        async def list_tools():
            return [tool.name for tool in await toolset.list_tools()]

        await serve(list_tools, toolset.direct_call_tool)


asyncio.run(main())
