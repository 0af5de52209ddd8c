// A small MCP server on stdio that ships with the demo: one tool, which reads a file in a folder.
// Arguments: TOOL FOLDER
import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { createInterface } from "node:readline";
import { errorText } from "../../runtime/errors.ts";
import { jsonObject, objectOf } from "../../runtime/text/json-object.ts";

const [tool = "", folder = ""] = process.argv.slice(2);

const TOOLS = [
  {
    name: tool,
    description: `Reads a file in ${folder}.`,
    inputSchema: { type: "object", properties: { name: { type: "string" } }, required: ["name"] },
  },
];

async function read(name: string): Promise<object> {
  try {
    const text = await readFile(join(folder, basename(name)), "utf8");
    return { content: [{ type: "text", text }] };
  } catch (error) {
    return { content: [{ type: "text", text: errorText(error) }], isError: true };
  }
}

async function answer(method: string, params: Readonly<Record<string, unknown>>): Promise<object> {
  switch (method) {
    case "initialize":
      return {
        protocolVersion: params["protocolVersion"],
        capabilities: { tools: {} },
        serverInfo: { name: "mountaineer-demo-files", version: "1.0.0" },
      };
    case "tools/list":
      return { tools: TOOLS };
    case "tools/call":
      return read(String(objectOf(params["arguments"])["name"]));
    default:
      return {};
  }
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method, params } = jsonObject(line) ?? {};
  // A notification has no response.
  if (id === undefined || typeof method !== "string") return;
  void answer(method, objectOf(params)).then((result) => {
    process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, result })}\n`);
  });
});
