"""Strands' MCP client, which runs in a thread of its own."""
import asyncio

from lines import ARGUMENTS, ENVIRONMENT, TARGET, TRANSPORT, serve
from mcp import StdioServerParameters, stdio_client
from mcp.client.sse import sse_client
from strands.tools.mcp import MCPClient


async def main() -> None:
    client = {
        "HTTP": lambda: MCPClient(url=TARGET),
        "SSE": lambda: MCPClient(lambda: sse_client(TARGET)),
        "stdio": lambda: MCPClient(
            lambda: stdio_client(StdioServerParameters(command=TARGET, args=ARGUMENTS, env=ENVIRONMENT))
        ),
    }[TRANSPORT]()
    await asyncio.to_thread(client.start)

    async def list_tools():
        return [tool.tool_name for tool in await asyncio.to_thread(client.list_tools_sync)]

    async def call(name, given):
        result = await asyncio.to_thread(client.call_tool_sync, "use", name, given)
        text = "".join(block.get("text", "") for block in result["content"])
        return text if result["status"] == "success" else f"error: {text}"

    await serve(list_tools, call)
    await asyncio.to_thread(client.stop, None, None, None)


asyncio.run(main())
