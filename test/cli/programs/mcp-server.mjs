// A tiny MCP server over stdio, for tests of the command line: two tools that answer, one that fails, one that waits.
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

const tools = [
  { name: "echo", description: "Says it again.", inputSchema: { type: "object" } },
  { name: "fail", description: "Fails.", inputSchema: { type: "object" } },
  { name: "wait", description: "Answers never.", inputSchema: { type: "object" } },
];
const say = (message) => process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
process.stderr.write("fixture started\n");

const answers = {
  initialize: ({ protocolVersion }) => ({
    protocolVersion,
    capabilities: { tools: {} },
    serverInfo: { name: "fixture", version: "1.0.0" },
  }),
  ping: () => ({}),
  "tools/list": () => ({ tools }),
  "tools/call": ({ name, arguments: given }) => {
    if (name === "wait") {
      writeFileSync(process.env.WAITING_FILE, String(process.pid));
      return null;
    }
    const text = name === "fail" ? "no such\nluck" : JSON.stringify(given);
    return { content: [{ type: "text", text }], structuredContent: { given }, isError: name === "fail" };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  if (method === "notifications/cancelled") process.stderr.write("fixture heard: cancelled\n");
  if (id === undefined) continue;
  const answer = answers[method];
  if (answer === undefined) say({ id, error: { code: -32601, message: `no ${method}` } });
  else {
    const result = answer(params ?? {});
    if (result !== null) say({ id, result });
  }
}
