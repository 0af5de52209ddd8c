// An MCP server on stdio whose one tool notes each call in a file before it answers: what is there twice ran twice.
// Arguments: FILE
import { appendFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";
import { argument } from "./work-log.ts";

interface Request {
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: {
    readonly protocolVersion?: string;
    readonly arguments?: { readonly id?: string; readonly ms?: number };
  };
}

const noted = argument(0);

const TOOL = {
  name: "count",
  description: "Notes the id, waits, and answers it.",
  inputSchema: {
    type: "object",
    properties: { id: { type: "string" }, ms: { type: "number" } },
    required: ["id"],
  },
};

async function answer({ method, params }: Request): Promise<object> {
  switch (method) {
    case "initialize":
      return {
        protocolVersion: params?.protocolVersion,
        capabilities: { tools: {} },
        serverInfo: { name: "counting-server", version: "1.0.0" },
      };
    case "tools/list":
      return { tools: [TOOL] };
    case "tools/call": {
      const { id = "", ms = 0 } = params?.arguments ?? {};
      appendFileSync(noted, `${id}\n`);
      await pause(ms);
      return { content: [{ type: "text", text: id }] };
    }
    default:
      return {};
  }
}

createInterface({ input: process.stdin }).on("line", (line) => {
  const request: Request = JSON.parse(line);
  if (request.id === undefined || request.method === undefined) return;
  void answer(request).then((result) => {
    process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id: request.id, result })}\n`);
  });
});
