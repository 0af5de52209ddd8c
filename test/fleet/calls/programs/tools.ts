// An MCP server over stdio for calls across machines. It writes down each call before it does anything, so that a test sees
// how often one was made.
import { appendFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { isJsonObject, type JsonObject, type RpcId } from "../../../../src/gateway/json-rpc.ts";

const [, , written = "/dev/null"] = process.argv;
const send = (message: JsonObject): void => {
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
};
const text = (words: string): JsonObject => ({ content: [{ type: "text", text: words }] });
const names = ["echo", "slow", "ask", "large", "grow", "die"];
/** Calls of `slow` under way. */
const slow = new Map<RpcId, () => void>();
/** Calls of `ask`, by our question. */
const asked = new Map<string, RpcId>();

function call(id: RpcId, params: JsonObject): void {
  const given = isJsonObject(params["arguments"]) ? params["arguments"] : {};
  const mark = String(given["mark"] ?? "");
  appendFileSync(written, `${String(params["name"])} ${mark}\n`);
  if (params["name"] === "die") process.exit(1);
  switch (params["name"]) {
    case "echo":
      send({ id, result: text(mark) });
      return;
    case "large":
      send({ id, result: text("ü".repeat(Number(given["length"]))) });
      return;
    case "grow":
      names.push(`grown-${mark}`);
      send({ method: "notifications/tools/list_changed" });
      send({ id, result: text(mark) });
      return;
    case "ask": {
      const question = `ask-${asked.size}`;
      asked.set(question, id);
      const requestedSchema = { type: "object", properties: { word: { type: "string" } } };
      send({
        id: question,
        method: "elicitation/create",
        params: { message: `which ${mark}?`, requestedSchema },
      });
      return;
    }
    case "slow": {
      const meta = isJsonObject(params["_meta"]) ? params["_meta"] : {};
      const progressToken = meta["progressToken"];
      let progress = 0;
      const steps = setInterval(() => {
        progress += 1;
        if (progressToken !== undefined) {
          send({ method: "notifications/progress", params: { progressToken, progress, total: 5 } });
        }
        if (progress === given["steps"]) {
          slow.get(id)?.();
          send({ id, result: text(mark) });
        }
      }, 20);
      slow.set(id, () => {
        clearInterval(steps);
        slow.delete(id);
      });
    }
  }
}

function take(message: JsonObject): void {
  const { id, method, params } = message;
  const given = isJsonObject(params) ? params : {};
  if (method === "notifications/cancelled") {
    appendFileSync(written, "cancelled\n");
    slow.get(given["requestId"] as RpcId)?.();
  } else if (id === undefined) return;
  else if (method === undefined) {
    const waiting = asked.get(String(id));
    if (waiting !== undefined) send({ id: waiting, result: text(JSON.stringify(message["result"])) });
  } else if (method === "initialize") {
    const capabilities = { tools: { listChanged: true } };
    const serverInfo = { name: "tools", version: "1" };
    send({ id, result: { protocolVersion: "2025-11-25", capabilities, serverInfo } });
  } else if (method === "tools/list") {
    send({ id, result: { tools: names.map((name) => ({ name, inputSchema: { type: "object" } })) } });
  } else if (method === "tools/call") call(id as RpcId, given);
  else send({ id, error: { code: -32601, message: "unknown" } });
}

createInterface({ input: process.stdin }).on("line", (line) => take(JSON.parse(line)));
