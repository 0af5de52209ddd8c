// The least that a forwarder can be, for comparison: node:http in front of one stdio server; ids rewritten, all else as
// it comes. The same HTTP server, and lines of JSON parsed and written once each way, as in the gateway. It checks nothing,
// also not what every server must (Host and Origin; that the headers of 2026-07-28 say what the body says), has no
// deadlines, limits or sessions, and V8's own young heap of 16 MB, where the daemon has 8.
// Usage: bare-forwarder.ts PROGRAM (a light server). It prints its URL as its first line.
import { spawn } from "node:child_process";

const { createServer } = process.getBuiltinModule("node:http");
const [program = ""] = process.argv.slice(2);
const child = spawn(process.execPath, [program], { stdio: ["pipe", "pipe", "inherit"] });
const waiting = new Map<number, { readonly id: unknown; readonly answer: (text: string) => void }>();
let lastId = 0;
let rest = "";
child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
  const lines = (rest + chunk).split("\n");
  rest = lines.pop() ?? "";
  for (const line of lines) {
    const message: { id: number } = JSON.parse(line);
    const call = waiting.get(message.id);
    waiting.delete(message.id);
    call?.answer(JSON.stringify({ ...message, id: call.id }));
  }
});
const server = createServer((request, response) => {
  if (request.method !== "POST") {
    response.writeHead(405).end();
    return;
  }
  let body = "";
  request.setEncoding("utf8");
  request.on("data", (chunk: string) => {
    body += chunk;
  });
  request.on("end", () => {
    const message: { id?: unknown } = JSON.parse(body);
    if (message.id === undefined) {
      child.stdin.write(`${body}\n`);
      response.writeHead(202).end();
      return;
    }
    const id = ++lastId;
    waiting.set(id, {
      id: message.id,
      answer: (text) => {
        response.writeHead(200, {
          "content-type": "application/json",
          "content-length": Buffer.byteLength(text),
        });
        response.end(text);
      },
    });
    child.stdin.write(`${JSON.stringify({ ...message, id })}\n`);
  });
});
process.on("SIGTERM", () => {
  child.kill("SIGKILL");
  process.exit(0);
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  process.stdout.write(`http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/mcp\n`);
});
