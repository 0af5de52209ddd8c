// One client too many, as a program of its own: it does its worst until it is ended. Usage: flood.ts URL TOKEN KIND;
// it prints a line once it is under way.
import { Agent, type ClientRequest, request as httpRequest } from "node:http";
import { connect, type Socket } from "node:net";

const [url = "", token = "", kind = ""] = process.argv.slice(2);
const target = new URL(url);
const agent = new Agent({ keepAlive: true, maxSockets: 128 });

function post(message: object, headers: Readonly<Record<string, string>> = {}): Promise<string | undefined> {
  const body = JSON.stringify({ jsonrpc: "2.0", ...message });
  const { promise, resolve } = Promise.withResolvers<string | undefined>();
  const request: ClientRequest = httpRequest(target, {
    method: "POST",
    agent,
    headers: {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(body),
      accept: "application/json, text/event-stream",
      authorization: `Bearer ${token}`,
      ...headers,
    },
  });
  request.on("error", () => resolve(undefined));
  request.on("response", (response) => {
    response.resume();
    response.on("close", () => resolve(response.headers["mcp-session-id"]?.toString()));
  });
  request.end(body);
  return promise;
}

const initialize = (): Promise<string | undefined> =>
  post({
    id: 0,
    method: "initialize",
    params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "flood", version: "1" } },
  });

/** So many a second, whether or not those before have been answered. */
function everySecond(count: number, act: () => unknown): void {
  let done = 0;
  const startedAt = performance.now();
  setInterval(() => {
    const due = ((performance.now() - startedAt) / 1_000) * count;
    for (; done < due; done++) void act();
  }, 10);
}

function idle(text: string): Socket {
  const socket = connect(Number(target.port), target.hostname);
  socket.on("error", () => {});
  socket.write(text);
  return socket.resume();
}

const kinds: Readonly<Record<string, () => unknown>> = {
  "wrong-tokens": () =>
    everySecond(300, () => post({ id: 1, method: "tools/list" }, { authorization: "Bearer wrong" })),
  sessions: () => everySecond(400, initialize),
  idle() {
    for (let count = 0; count < 2_000; count++) idle("");
  },
  "slow-bodies"() {
    const head = `POST /mcp HTTP/1.1\r\nHost: ${target.host}\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\nContent-Length: 100000\r\n\r\n`;
    for (let count = 0; count < 100; count++) {
      const socket = idle(head);
      setInterval(() => socket.writable && socket.write(" "), 100);
    }
  },
  async calls() {
    const session = await initialize();
    const headers = session === undefined ? {} : { "mcp-session-id": session };
    let id = 1;
    const params = { name: "echo", arguments: { text: "hello" } };
    everySecond(1_000, () => post({ id: ++id, method: "tools/call", params }, headers));
  },
};

await (kind === "all" ? Promise.all(Object.values(kinds).map((begin) => begin())) : kinds[kind]?.());
process.stdout.write("under way\n");
