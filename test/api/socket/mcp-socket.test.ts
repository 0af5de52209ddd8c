import assert from "node:assert/strict";
import { once } from "node:events";
import { lstat, mkdir, readdir, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { type TestContext, test } from "node:test";
import { connectToDaemon } from "../../../src/api/client/client.ts";
import { readDaemonInfo, writeDaemonInfo } from "../../../src/api/socket/daemon-info.ts";
import { mostMcpConnections, startMcpSocket } from "../../../src/api/socket/mcp-socket.ts";
import { MCP_SOCKET, requireSocketPlace } from "../../../src/api/socket/private-socket.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { eventually } from "../../support/eventually.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { startRig } from "../management-rig.ts";

/** Answers each chunk with itself, and ends when the client has. */
const echo = (stream: Duplex): void => void stream.pipe(stream);

async function startSocket(t: TestContext, home: string, serve = echo): ReturnType<typeof startMcpSocket> {
  const socket = await startMcpSocket({ home, serve, logger: noopLogger });
  t.after(() => socket[Symbol.asyncDispose]());
  return socket;
}

async function client(t: TestContext, path: string): Promise<Socket> {
  const socket = connect(path);
  t.after(() => socket.destroy());
  socket.on("error", () => {});
  await once(socket, "connect");
  return socket;
}

async function readAll(socket: Socket): Promise<string> {
  let text = "";
  for await (const chunk of socket.setEncoding("utf8")) text += chunk;
  return text;
}

test("it listens in the home, for its owner only, and is gone when it ends", async (t) => {
  const home = await temporaryFolder(t);
  const server = await startSocket(t, home);
  assert.equal(server.socketPath, join(home, "mcp.sock"));
  const { mode } = await lstat(server.socketPath);
  assert.equal(mode & 0o777, 0o600);
  assert.deepEqual(await readdir(home), ["mcp.sock"], "the workshop is gone");
  await server[Symbol.asyncDispose]();
  assert.deepEqual(await readdir(home), []);
});

test("a client that ends its sending side still gets the answers", async (t) => {
  const server = await startSocket(t, await temporaryFolder(t), (stream) => {
    let text = "";
    stream.on("data", (chunk: Buffer) => {
      text += chunk.toString();
    });
    stream.once("end", () => setImmediate(() => stream.end(`heard ${text}`)));
  });
  const socket = await client(t, server.socketPath);
  socket.end("hello");
  assert.equal(await readAll(socket), "heard hello");
});

test("both sockets of a home coexist, and the record names both", async (t) => {
  const home = await temporaryFolder(t);
  const server = await startSocket(t, home);
  await startRig(t, { home, mcpSocket: server.socketPath });
  const note = await readDaemonInfo(home);
  assert.equal(note?.mcp_socket, server.socketPath);
  assert.deepEqual(Object.keys(note ?? {}), ["pid", "socket", "mcp_socket", "version", "started_at", "home"]);
  assert.equal((await connectToDaemon(home))?.mcpSocket.path, server.socketPath);
});

test("without one the record does not mention it", async (t) => {
  const { home } = await startRig(t);
  assert.equal("mcp_socket" in ((await readDaemonInfo(home)) ?? {}), false);
});

test("a dead daemon's socket is replaced; a file that is not a socket stays, and the start is refused", async (t) => {
  const home = await temporaryFolder(t);
  const dead = createServer().listen(join(home, "mcp.sock"));
  await once(dead, "listening");
  t.after(() => dead.close());
  const before = await lstat(join(home, "mcp.sock"));
  const server = await startSocket(t, home);
  assert.notEqual((await lstat(server.socketPath)).ino, before.ino);
  await client(t, server.socketPath);
  const other = await temporaryFolder(t);
  await writeFile(join(other, "mcp.sock"), "mine");
  await assert.rejects(startSocket(t, other), { code: "path_taken", hint: /its MCP socket there/ });
  await assert.rejects(requireSocketPlace(other, MCP_SOCKET), { code: "path_taken" });
  await requireSocketPlace(other);
});

test("where the home's path is too long it is a short one, and a killed daemon's is removed", async (t) => {
  const home = join(await temporaryFolder(t), "x".repeat(100));
  await mkdir(home);
  const first = await startMcpSocket({ home, serve: echo, logger: noopLogger });
  assert.notEqual(first.socketPath, join(home, "mcp.sock"));
  assert.ok(Buffer.byteLength(first.socketPath) <= 100);
  const socket = await client(t, first.socketPath);
  socket.end("x");
  assert.equal(await readAll(socket), "x");
  await writeDaemonInfo(home, {
    pid: 1,
    socket: join(home, "mountaineer.sock"),
    mcp_socket: first.socketPath,
    version: "",
    started_at: "",
  });
  const second = await startSocket(t, home);
  await assert.rejects(lstat(first.socketPath), { code: "ENOENT" });
  assert.notEqual(second.socketPath, first.socketPath);
  await first[Symbol.asyncDispose]();
});

test("it serves clients up to its limit, and again when one leaves", async (t) => {
  const server = await startSocket(t, await temporaryFolder(t));
  const clients = await Promise.all(
    Array.from({ length: mostMcpConnections() }, () => client(t, server.socketPath)),
  );
  const dropped = connect(server.socketPath).on("error", () => {});
  t.after(() => dropped.destroy());
  await once(dropped, "close");
  clients[0]?.destroy();
  await eventually(async () => {
    const next = connect(server.socketPath).on("error", () => {});
    t.after(() => next.destroy());
    next.end("served");
    return (await readAll(next).catch(() => "")) === "served";
  });
});

test("ending it ends every client, even one that reads nothing, and never takes long", async (t) => {
  const server = await startSocket(t, await temporaryFolder(t), (stream) => {
    stream.on("error", () => {});
    stream.write(Buffer.alloc(8 * 1024 * 1024));
  });
  const deaf = await client(t, server.socketPath);
  deaf.pause();
  await server[Symbol.asyncDispose]();
  deaf.resume();
  await once(deaf, "close");
});

test("a client that is cut off, or cannot be served, harms no other", async (t) => {
  const streams: Duplex[] = [];
  const server = await startSocket(t, await temporaryFolder(t), (stream) => {
    streams.push(stream);
    if (streams.length === 2) throw new Error("no");
    stream.on("data", () => stream.write("x"));
  });
  const cut = await client(t, server.socketPath);
  cut.write("x");
  cut.destroy();
  const refused = await client(t, server.socketPath);
  await readAll(refused);
  const good = await client(t, server.socketPath);
  good.write("x");
  assert.equal(String((await once(good, "data"))[0]), "x");
});
