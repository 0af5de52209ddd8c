// A tool server over stdio for the Catalog screen: one tool for each kind of form, answer and ending.
import { createInterface } from "node:readline";

const text = { type: "string" };
const person = { type: "object", properties: { name: text, age: { type: "integer" } }, required: ["name"] };
const READS = { readOnlyHint: true };

const TOOLS = [
  {
    name: "echo",
    description: "Answers with its arguments.",
    annotations: READS,
    inputSchema: {
      type: "object",
      properties: {
        title: { ...text, description: "What it is called" },
        count: { type: "integer", minimum: 1, maximum: 10, default: 3 },
        loud: { type: "boolean" },
        color: { enum: ["red", "green", "blue"] },
        tags: { type: "array", items: text },
        owner: person,
        filter: { oneOf: [text, { type: "number" }] },
      },
      required: ["title"],
    },
  },
  { name: "wipe", description: "Wipes everything.", inputSchema: { type: "object" } },
  { name: "slow", description: "Never answers.", annotations: READS, inputSchema: { type: "object" } },
  {
    name: "cancelled",
    description: "How many calls were cancelled.",
    annotations: READS,
    inputSchema: { type: "object" },
  },
  { name: "report", description: "A long answer.", annotations: READS, inputSchema: { type: "object" } },
  {
    name: "fail",
    description: "Fails.",
    annotations: { destructiveHint: false },
    inputSchema: { type: "object" },
  },
];

let cancelled = 0;

function send(message: object): void {
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
}

function contentOf(name: string, given: unknown): object | null {
  const said = (words: string): object => ({ content: [{ type: "text", text: words }] });
  switch (name) {
    case "echo":
      return said(`got ${JSON.stringify(given)}`);
    case "wipe":
      return said("wiped \u001b[31mred\u001b[0m");
    case "cancelled":
      return said(`cancelled: ${cancelled}`);
    case "report":
      return said(Array.from({ length: 300 }, (_, index) => `line ${index + 1}`).join("\n"));
    case "fail":
      return { ...said("it went wrong"), isError: true };
    default:
      return null;
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params = {} } = JSON.parse(line);
  if (method === "initialize") {
    const serverInfo = { name: "call-server", version: "1" };
    send({
      id,
      result: { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo },
    });
  } else if (method === "notifications/cancelled") cancelled += 1;
  else if (method === "tools/list") send({ id, result: { tools: TOOLS } });
  else if (method === "tools/call") {
    const result = contentOf(params.name, params.arguments);
    if (result !== null) send({ id, result });
  } else if (id !== undefined) send({ id, error: { code: -32601, message: "no such method" } });
}
