// A small MCP server that writes each call's id into a ledger: on stdio, or over HTTP where it is given an address.
// Arguments: its route's name, the ledger, the file that keeps it from starting, and host and port.
import { appendFileSync, existsSync } from "node:fs";
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { setTimeout as pause } from "node:timers/promises";

const [route = "", ledger = "", down = "", host, port] = process.argv.slice(2);
if (existsSync(down)) process.exit(3);

interface Message {
  readonly id?: number | string;
  readonly method: string;
  readonly params?: { readonly arguments?: { readonly id?: string; readonly ms?: number } };
}

async function answer({ method, params }: Message): Promise<object> {
  switch (method) {
    case "initialize":
      return {
        protocolVersion: "2025-11-25",
        capabilities: { tools: {} },
        serverInfo: { name: "counting-server", version: "1" },
      };
    case "tools/list":
      return { tools: [{ name: "count", inputSchema: { type: "object" } }] };
    case "tools/call":
      appendFileSync(ledger, `${params?.arguments?.id} ${route}\n`);
      await pause(params?.arguments?.ms ?? 0);
      return { content: [], structuredContent: { route } };
    default:
      return {};
  }
}

async function reply(text: string): Promise<string | null> {
  const message: Message = JSON.parse(text);
  const { id } = message;
  return id === undefined ? null : JSON.stringify({ jsonrpc: "2.0", id, result: await answer(message) });
}

if (host === undefined) {
  createInterface({ input: process.stdin }).on("line", (line) => {
    void reply(line).then((text) => text !== null && process.stdout.write(`${text}\n`));
  });
} else {
  const server = createServer((request, response) => {
    if (request.method !== "POST") {
      response.writeHead(405).end();
      return;
    }
    let body = "";
    request.setEncoding("utf8");
    request.on("data", (part: string) => {
      body += part;
    });
    request.on("end", () => {
      void reply(body).then((text) => {
        if (text === null) response.writeHead(202).end();
        else response.writeHead(200, { "content-type": "application/json" }).end(text);
      });
    });
  });
  server.listen(Number(port), host, () => process.stderr.write("listening\n"));
}
