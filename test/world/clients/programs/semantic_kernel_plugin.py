"""Semantic Kernel's plugins, whose functions are the server's tools."""
import asyncio

from lines import ARGUMENTS, ENVIRONMENT, TARGET, TRANSPORT, serve
from semantic_kernel.connectors.mcp import MCPSsePlugin, MCPStdioPlugin, MCPStreamableHttpPlugin


async def main() -> None:
    plugin = {
        "HTTP": lambda: MCPStreamableHttpPlugin(name="world", url=TARGET),
        "SSE": lambda: MCPSsePlugin(name="world", url=TARGET),
        "stdio": lambda: MCPStdioPlugin(name="world", command=TARGET, args=ARGUMENTS, env=ENVIRONMENT),
    }[TRANSPORT]()
    async with plugin:

        async def list_tools():
            functions = [getattr(plugin, name, None) for name in dir(plugin)]
            return {one.__kernel_function_name__ for one in functions if hasattr(one, "__kernel_function__")}

        async def call(name, given):
            answer = await plugin.call_tool(name, **given)
            return answer if isinstance(answer, str) else "".join(str(one) for one in answer)

        await serve(list_tools, call)


asyncio.run(main())
