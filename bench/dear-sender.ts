// Sends one call with so many MB of a shape after the other, and reads the answers, until it is ended. Usage:
// dear-sender.ts URL TOOL SHAPE MB; it prints a line when the first call is on its way.
import { Agent, request as httpRequest, type IncomingMessage } from "node:http";

const [url = "", tool = "", shape = "", mb = ""] = process.argv.slice(2);
const UNITS: Readonly<Record<string, string>> = {
  "empty-objects": "{}",
  "nested-lists": "[[[[[[[[]]]]]]]]",
  "long-numbers-in-texts": '"12345678901234567890"',
  records: '{"id":"12345678901234567890","name":"somebody","n":12.5,"ok":true}',
  text: `"${"x".repeat(60_000)}"`,
};
const unit = UNITS[shape] ?? "0";
const value = `[${`${unit},`.repeat(Math.floor((Number(mb) * 1e6) / (unit.length + 1)))}1e999]`;
const agent = new Agent({ keepAlive: true });

function post(body: string, headers: Readonly<Record<string, string>>): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = httpRequest(new URL(url), {
    method: "POST",
    agent,
    headers: {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      accept: "application/json, text/event-stream",
      ...headers,
    },
  });
  request.on("error", reject);
  request.on("response", (response) => {
    response.resume();
    response.on("end", () => resolve(response));
  });
  request.end(body);
  return promise;
}

const params = {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "dear", version: "1" },
};
const opened = await post(JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params }), {});
const session = { "mcp-session-id": String(opened.headers["mcp-session-id"]) };
process.stdout.write("under way\n");
for (let id = 1; ; id += 1)
  await post(
    `{"jsonrpc":"2.0","id":${id},"method":"tools/call","params":{"name":"${tool}","arguments":{"m":${value}}}}`,
    session,
  );
