// A light client of the older HTTP+SSE transport, which one of the peers serves: answers come on one GET stream.
import { Agent, request } from "node:http";

export type Json = Readonly<Record<string, unknown>>;

export interface BenchClient extends AsyncDisposable {
  /** The result; rejects for an error. */
  request(method: string, params?: Json): Promise<Json>;
}

/** Opens a session at the URL of its GET stream. */
export async function connectSse(url: string): Promise<BenchClient> {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const waiting = new Map<number, { resolve(result: Json): void; reject(error: Error): void }>();
  const endpoint = Promise.withResolvers<string>();
  let lastId = 0;
  let text = "";
  const failed = (error: Error): void => {
    endpoint.reject(error);
    for (const call of waiting.values()) call.reject(error);
    waiting.clear();
  };
  const stream = request(url, { headers: { accept: "text/event-stream" } }, (response) => {
    response.on("error", failed);
    response.on("close", () => failed(new Error(`no stream: ${response.statusCode}`)));
    response.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
      const frames = text.split("\n\n");
      text = frames.pop() ?? "";
      for (const frame of frames) {
        const data = /^data: ?(.*)$/mu.exec(frame)?.[1] ?? "";
        if (/^event: ?endpoint$/mu.test(frame)) endpoint.resolve(new URL(data, url).href);
        else if (data !== "") take(JSON.parse(data));
      }
    });
  });
  const take = (message: { id?: number; method?: string; result?: Json; error?: { message: string } }) => {
    if (message.id === undefined || message.method !== undefined) return;
    const call = waiting.get(message.id);
    waiting.delete(message.id);
    if (message.result === undefined) call?.reject(new Error(message.error?.message));
    else call?.resolve(message.result);
  };
  stream.on("error", failed);
  stream.end();
  const late = setTimeout(() => stream.destroy(new Error("no endpoint within 2 s")), 2_000);
  let target: string;
  try {
    target = await endpoint.promise;
  } finally {
    clearTimeout(late);
  }
  const post = (message: Json): void => {
    const body = JSON.stringify({ jsonrpc: "2.0", ...message });
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const sent = request(target, { method: "POST", agent, headers }, (response) =>
      response.on("error", failed).resume(),
    );
    sent.on("error", failed);
    sent.end(body);
  };
  const self: BenchClient = {
    request(method, params = {}) {
      const id = ++lastId;
      const { promise, resolve, reject } = Promise.withResolvers<Json>();
      waiting.set(id, { resolve, reject });
      post({ id, method, params });
      return promise;
    },
    async [Symbol.asyncDispose]() {
      stream.destroy();
      agent.destroy();
    },
  };
  await self.request("initialize", {
    protocolVersion: "2024-11-05",
    capabilities: {},
    clientInfo: { name: "light-client", version: "1.0.0" },
  });
  post({ method: "notifications/initialized" });
  return self;
}
