// A small MCP server over stdio with the tools that the documents call.
import { createInterface } from "node:readline";

const text = (words) => ({ content: [{ type: "text", text: words }] });
const TOOLS = {
  echo: ({ message }) => text(message),
  read_text_file: ({ path }) => text(`what stands in ${path}`),
  search: ({ words }) => text(`found ${words}`),
  "get-sum": ({ a, b }) => text(String(a + b)),
};
const NO_FIELDS = { type: "object" };
const SCHEMAS = {
  "get-sum": {
    type: "object",
    properties: { a: { type: "number" }, b: { type: "number" } },
    required: ["a", "b"],
  },
};

function resultOf({ method, params }) {
  switch (method) {
    case "initialize":
      return {
        protocolVersion: params.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: "tools", version: "1" },
      };
    case "tools/list":
      return { tools: Object.keys(TOOLS).map((name) => ({ name, inputSchema: SCHEMAS[name] ?? NO_FIELDS })) };
    case "tools/call":
      return TOOLS[params.name](params.arguments);
    default:
      return {};
  }
}

process.stderr.write("ready\n");
for await (const line of createInterface({ input: process.stdin })) {
  const message = JSON.parse(line);
  if (message.id === undefined) continue;
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id: message.id, result: resultOf(message) })}\n`);
}
