// A light client of 2026-07-28 over node:http with kept connections: each request stands for itself.
import { Agent, request as httpRequest } from "node:http";
import { META, MODERN_VERSION } from "../src/gateway/protocol.ts";
import type { BenchClient, Json } from "./light-sse-client.ts";

const ABOUT: Json = {
  [META.protocolVersion]: MODERN_VERSION,
  [META.clientCapabilities]: {},
  [META.clientInfo]: { name: "light-modern-client", version: "1.0.0" },
};

/** Rejects when the server does not speak this version. */
export async function connectModern(url: string): Promise<BenchClient> {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const target = new URL(url);
  let lastId = 0;
  const self: BenchClient = {
    request(method, params = {}) {
      const body = JSON.stringify({
        jsonrpc: "2.0",
        id: ++lastId,
        method,
        params: { ...params, _meta: ABOUT },
      });
      const { name } = params;
      const headers = {
        accept: "application/json, text/event-stream",
        "content-type": "application/json",
        "content-length": String(Buffer.byteLength(body)),
        "mcp-protocol-version": MODERN_VERSION,
        "mcp-method": method,
        ...(typeof name === "string" && { "mcp-name": name }),
      };
      return new Promise((resolve, reject) => {
        const sent = httpRequest(target, { method: "POST", agent, headers }, (response) => {
          let text = "";
          response.setEncoding("utf8").on("data", (chunk: string) => {
            text += chunk;
          });
          response.on("error", reject);
          response.on("end", () => {
            const result = response.statusCode === 200 ? JSON.parse(text).result : undefined;
            if (result === undefined) reject(new Error(`${response.statusCode}: ${text.slice(0, 500)}`));
            else resolve(result);
          });
        });
        sent.on("error", reject);
        sent.end(body);
      });
    },
    async [Symbol.asyncDispose]() {
      agent.destroy();
    },
  };
  try {
    await self.request("server/discover");
    return self;
  } catch (error) {
    agent.destroy();
    throw error;
  }
}
