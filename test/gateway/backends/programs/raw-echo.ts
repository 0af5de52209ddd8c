// An MCP server that answers a call with the bytes of its arguments, whatever they are: over stdio if it is run. The tool
// `result` has them as its result, `message` as members of the message; `batch` answers with a batch.
import { createInterface } from "node:readline";

const ARGUMENTS = '"arguments":';

/** The response of a server with that tool to a message as the gateway writes it; null: it needs none. */
export function rawEcho(text: string, tool: string): string | null {
  const at = text.indexOf(ARGUMENTS);
  const head = at === -1 ? text : `${text.slice(0, at)}"arguments":{}}}`;
  const { id, method } = JSON.parse(head);
  if (id === undefined) return null;
  const listed = { tools: [{ name: tool, inputSchema: { type: "object" } }] };
  const result = JSON.stringify(method === "initialize" ? INITIALIZED : listed);
  if (method !== "tools/call") return `{"jsonrpc":"2.0","id":${id},"result":${result}}`;
  const given = text.slice(at + ARGUMENTS.length, text.lastIndexOf("}}"));
  if (tool === "result") return `{"jsonrpc":"2.0","id":${id},"result":${given}}`;
  if (tool === "message") return `{"jsonrpc":"2.0","id":${id},"result":{},${given.slice(1)}`;
  const answer = `{"jsonrpc":"2.0","id":${id},"result":{"content":[],"structuredContent":${given}}}`;
  return tool === "batch" ? `[${answer}]` : answer;
}

const INITIALIZED = {
  protocolVersion: "2025-11-25",
  capabilities: { tools: {} },
  serverInfo: { name: "raw-echo", version: "1" },
};

if (process.argv[1] === import.meta.filename) {
  for await (const line of createInterface({ input: process.stdin })) {
    const answer = rawEcho(line, process.argv[2] ?? "program");
    if (answer !== null) process.stdout.write(`${answer}\n`);
  }
}
