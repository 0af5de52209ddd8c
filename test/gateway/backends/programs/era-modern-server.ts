// A server of 2026-07-28 by the official SDK. Usage: era-modern-server.ts [modern|both|older] [--http PORT]. With
// SPEAKS_FILE it speaks what that file says at its start.
import { readFileSync } from "node:fs";
import {
  type CallToolResult,
  type InputRequests,
  type InputRequiredResult,
  Server,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { serve } from "../../../mcp/fixtures/scripted-server.ts";
import { serveSdk } from "../../../mcp/fixtures/serve-modern.ts";

const { SPEAKS_FILE } = process.env;
const speaks = SPEAKS_FILE === undefined ? process.argv[2] : readFileSync(SPEAKS_FILE, "utf8").trim();

const ANYTHING = { type: "object" as const };
const BAD_HEADER = { ...ANYTHING, properties: { a: { type: "object", "x-mcp-header": "A" } } };
const TOOLS = [
  ...["echo", "ask", "ask_rounds", "ask_as_before", "version"].map((name) => ({
    name,
    inputSchema: ANYTHING,
  })),
  { name: "bad_header", inputSchema: BAD_HEADER },
];

const form = (message: string) => ({
  method: "elicitation/create",
  params: {
    mode: "form",
    message,
    requestedSchema: { type: "object", properties: { name: { type: "string" } } },
  },
});

const text = (said: unknown): CallToolResult => ({
  content: [{ type: "text", text: JSON.stringify(said) }],
});
const inputs = (inputRequests: unknown, requestState: string): InputRequiredResult => ({
  resultType: "input_required",
  inputRequests: inputRequests as InputRequests,
  requestState,
});

async function call(
  name: string,
  args: unknown,
  { mcpReq }: ServerContext,
): Promise<CallToolResult | InputRequiredResult> {
  const { inputResponses } = mcpReq;
  const state = mcpReq.requestState<string>();
  switch (name) {
    case "ask_rounds": {
      const done = state === undefined ? 0 : Number(state);
      return done < 3
        ? inputs({ [`q${done}`]: form(`${done}?`) }, String(done + 1))
        : text({ done, inputResponses });
    }
    case "ask_as_before": {
      const asked = { ...form("Who?").params, mode: "form" };
      const { action, content } = await mcpReq.elicitInput(asked as never);
      return text({ action, content });
    }
    case "version":
      return text(mcpReq.envelope === undefined ? "2025-11-25" : "2026-07-28");
    default:
      return text(args ?? null);
  }
}

function create(): Server {
  const server = new Server({ name: "era", version: "2" }, { capabilities: { tools: {} } });
  server.setRequestHandler("tools/list", () => ({ tools: TOOLS, ttlMs: 0, cacheScope: "private" }));
  server.setRequestHandler("tools/call", ({ params }, ctx) => call(params.name, params.arguments, ctx));
  return server;
}

if (speaks === "older") serve({ name: "era" });
else serveSdk(create, speaks === "both");
