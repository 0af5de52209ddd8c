// Who does not come in over HTTP, and what the gateway is told of it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { IncomingMessage, ServerResponse } from "node:http";
import { connect, Socket } from "node:net";
import { test } from "node:test";
import { type Listener, openListener } from "../../../../src/gateway/frontend/http/listener.ts";
import { noopLogger } from "../../../../src/runtime/log/log.ts";
import { eventually } from "../../../support/eventually.ts";
import { createManualClock } from "../../../support/manual-clock.ts";
import { pluck } from "../../../support/pluck.ts";
import { createScriptedGateway, withdraw } from "../scripted-gateway.ts";
import { begin, callMessage, initializeMessage, openFront, startRig } from "./http-rig.ts";

const user = (name: string) => ({ ok: true, principal: { kind: "user", name, roles: [] } }) as const;

test("the HTTP front's admission reports a foreign Host and a foreign Origin, whatever they address", async (t) => {
  const { gateway, rig } = await openFront(t);
  await rig.send("GET", "/manage/v1/health", { host: "evil.example" });
  await rig.post(callMessage(1, "x"), { origin: "https://evil.example" });
  const told = gateway.turnedAwayRequests.map(({ status, remote, principal }) => [status, remote, principal]);
  assert.deepEqual(told, [
    [403, "127.0.0.1", null],
    [403, "127.0.0.1", null],
  ]);
  assert.doesNotMatch(JSON.stringify(gateway.turnedAwayRequests), /evil/);
});

test("E1 a batch in which one request lacks a scope is refused, and none of it runs", async (t) => {
  const { gateway, rig } = await openFront(t);
  const headers = { "mcp-session-id": await rig.initialize("2025-03-26") };
  gateway.requests.length = 0;
  gateway.missingScope = (_principal, _method, params) =>
    params?.["name"] === "write"
      ? { ok: false, status: 403, error: "insufficient_scope", reason: "a scope", scope: "writes" }
      : null;
  const { status } = await rig.post(
    JSON.stringify([callMessage(1, "read"), callMessage(2, "write")]),
    headers,
  );
  assert.deepEqual([status, gateway.requests.length], [403, 0]);
});

test("the HTTP front's admission reports a missing or wrong token, without distinguishing them", async (t) => {
  const { gateway, rig } = await openFront(t);
  gateway.authenticate = () => ({ ok: false, reason: "a token is needed" });
  const headers = { authorization: "Bearer guessed" };
  assert.equal((await rig.post(callMessage(1, "x"), headers)).headers["www-authenticate"], "Bearer");
  assert.deepEqual(gateway.turnedAwayRequests, [
    { status: 401, reason: "a token is needed", principal: null, remote: "127.0.0.1" },
  ]);
});

test("the HTTP front's admission says when to retry where tokens cannot be checked now, and does not ask for a different one", async (t) => {
  const { gateway, rig } = await openFront(t);
  gateway.authenticate = () => ({ ok: false, status: 503, reason: "the issuer is away" });
  const { status, headers } = await rig.post(callMessage(1, "x"));
  assert.deepEqual([status, headers["retry-after"], headers["www-authenticate"]], [503, "5", undefined]);
});

test("the HTTP front's admission reports an unknown session and a foreign one, without a difference for the sender", async (t) => {
  const { gateway, rig } = await openFront(t);
  gateway.authenticate = () => user("ann");
  const id = await rig.initialize();
  gateway.authenticate = () => user("bob");
  const unknown = await rig.post(callMessage(1, "x"), { "mcp-session-id": "guessed" });
  const other = await rig.post(callMessage(1, "x"), { "mcp-session-id": id });
  assert.deepEqual([unknown.status, other.status], [404, 404]);
  assert.equal(other.body, unknown.body);
  assert.deepEqual(pluck(gateway.turnedAwayRequests, "principal"), ["bob", "bob"]);
  const [first, second] = gateway.turnedAwayRequests;
  assert.match(String(first?.reason), /not known/);
  assert.match(String(second?.reason), /another principal/);
  assert.doesNotMatch(JSON.stringify(gateway.turnedAwayRequests), new RegExp(`guessed|${id}`));
});

test("the HTTP front's admission refuses a token that is withdrawn while it is checked, or while the body arrives", async (t) => {
  const { gateway, rig, headers } = await begin(t);
  withdraw(gateway);
  assert.equal((await rig.post(callMessage(1, "x"), headers)).status, 401);
  const late = await begin(t);
  withdraw(late.gateway, { authenticate: async () => user("ann") });
  assert.equal((await late.rig.send("DELETE", "/mcp", late.headers)).status, 401);
});

test("the HTTP front's admission: a session belongs to the group at whose address it began", async (t) => {
  const { gateway, rig, headers } = await begin(t);
  gateway.hasGroup = () => true;
  const type = { "content-type": "application/json", accept: "application/json", ...headers };
  const at = async (path: string): Promise<number> =>
    (await rig.send("POST", path, type, JSON.stringify(callMessage(1, "x")))).status;
  assert.deepEqual([await at("/mcp/work"), await at("/mcp")], [404, 200]);
});

test("the HTTP front's admission reports no admitted request, even if it is refused for its content", async (t) => {
  const { gateway, rig, headers } = await begin(t);
  const plain = { ...headers, "content-encoding": "identity" };
  assert.equal((await rig.post(callMessage(1, "x"), plain)).status, 200);
  await rig.post("{", headers);
  await rig.post(callMessage(1, "x"));
  await rig.send("GET", "/nothing", {});
  assert.deepEqual(gateway.turnedAwayRequests, []);
});

// A full listener: which connection is closed.

const REQUEST = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";

async function startListener(connectionLimit: number) {
  const clock = createManualClock();
  const responses: ServerResponse<IncomingMessage>[] = [];
  const listener = await openListener({
    host: "127.0.0.1",
    port: 0,
    clock,
    logger: noopLogger,
    connectionLimit,
    handler: (request, response) => {
      responses.push(response);
      if (request.url === "/") response.end("here");
    },
  });
  const opened: Socket[] = [];
  const open = async (text = ""): Promise<Socket> => {
    const before = listener.connections;
    const socket = connect(listener.port, "127.0.0.1").resume();
    socket.on("error", () => {});
    opened.push(socket);
    await once(socket, "connect");
    if (text !== "") socket.write(text);
    if (before < connectionLimit) await eventually(() => listener.connections > before);
    return socket;
  };
  return {
    clock,
    responses,
    open,
    listener,
    async [Symbol.asyncDispose]() {
      for (const socket of opened) socket.destroy();
      await listener.close(0);
    },
  };
}

const hasEnded = (socket: Socket): boolean => socket.closed || socket.readableEnded;

async function answered(listener: Listener): Promise<string> {
  const socket = connect(listener.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(REQUEST);
  const [chunk] = (await Promise.race([once(socket, "data"), once(socket, "close")])) as [unknown];
  socket.destroy();
  return String(chunk);
}

test("E4 a full listener drops the oldest connection that has sent nothing, and accepts the new one", async () => {
  await using full = await startListener(3);
  const talks = await full.open("GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
  await eventually(() => full.responses.length === 1);
  const older = await full.open();
  const newer = await full.open();
  assert.match(await answered(full.listener), /200 OK/);
  await eventually(() => hasEnded(older));
  assert.deepEqual([hasEnded(talks), hasEnded(newer)], [false, false]);
});

test("E4 a full listener drops a request that arrives too slowly, but only after a while", async () => {
  await using full = await startListener(2);
  const head = await full.open("GET / HTTP/1.1\r\nHo");
  const body = await full.open("POST /held HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nx");
  await eventually(() => full.responses.length === 1);
  assert.doesNotMatch(await answered(full.listener), /200/);
  await full.clock.advance(5_000);
  assert.match(await answered(full.listener), /200 OK/);
  await eventually(() => hasEnded(head));
  assert.equal(hasEnded(body), false);
  const last = await full.open(REQUEST);
  await eventually(() => hasEnded(body) || hasEnded(last));
  assert.deepEqual([hasEnded(body), hasEnded(last)], [true, false]);
});

test("E4 a full listener drops the kept connection whose last request is the oldest, and none that waits for an answer", async () => {
  await using full = await startListener(3);
  const blocking = await full.open("GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
  await eventually(() => full.responses.length === 1);
  const first = await full.open(REQUEST);
  await eventually(() => full.responses.length === 2);
  await full.clock.advance(500);
  const second = await full.open(REQUEST);
  await eventually(() => full.responses.length === 3);
  assert.doesNotMatch(await answered(full.listener), /200/, "both were used a moment ago");
  await full.clock.advance(1_000);
  assert.match(await answered(full.listener), /200 OK/);
  await eventually(() => hasEnded(first));
  assert.deepEqual([hasEnded(blocking), hasEnded(second)], [false, false]);
});

test("E4 a full listener: the greatest allowed number of idle connections keeps no request out", async () => {
  await using full = await startListener(64);
  await Promise.all(Array.from({ length: 76 }, () => full.open()));
  for (let count = 0; count < 20; count++) assert.match(await answered(full.listener), /200 OK/);
  assert.ok(full.listener.connections <= 64);
});

test("E4 wrong tokens at /metrics are slowed like those at /mcp", async () => {
  const clock = createManualClock();
  const gateway = Object.assign(createScriptedGateway(), {
    metrics: () => ({ kind: "token_needed" }) as const,
  });
  await using rig = await startRig(gateway, { clock });
  const metrics = new URL("/metrics", rig.url);
  for (let count = 0; count < 10; count++) assert.equal((await fetch(metrics)).status, 401);
  let isAnswered = false;
  const late = fetch(metrics).then(({ status }) => {
    isAnswered = true;
    return status;
  });
  await eventually(() => gateway.turnedAwayRequests.length === 11);
  assert.equal(isAnswered, false);
  await clock.advance(500);
  assert.equal(await late, 401);
});

test("E5 metrics are requested with the origin of the request, and refused to another machine", async () => {
  const asked: boolean[] = [];
  const gateway = Object.assign(createScriptedGateway(), {
    metrics: (_token: string | undefined, isOwnMachine: boolean) => {
      asked.push(isOwnMachine);
      return isOwnMachine ? ({ kind: "text", text: "up 1\n" } as const) : ({ kind: "foreign" } as const);
    },
  });
  await using rig = await startRig(gateway, {});
  const statuses = ["127.0.0.1", "::ffff:127.0.0.1", "192.0.2.7"].map((remoteAddress) => {
    const request = new IncomingMessage(
      Object.defineProperty(new Socket(), "remoteAddress", { value: remoteAddress }),
    );
    Object.assign(request, { method: "GET", url: "/metrics", headers: { host: "127.0.0.1" } });
    const response = new ServerResponse(request);
    rig.front.handle(request, response);
    return response.statusCode;
  });
  assert.deepEqual(
    [asked, statuses],
    [
      [true, true, false],
      [200, 200, 403],
    ],
  );
  assert.equal(gateway.turnedAwayRequests[0]?.remote, "192.0.2.7");
});

test("E4 served metrics are not reported as refused requests", async () => {
  const gateway = Object.assign(createScriptedGateway(), {
    metrics: () => ({ kind: "text", text: "up 1\n" }) as const,
  });
  await using rig = await startRig(gateway, {});
  assert.equal(await (await fetch(new URL("/metrics", rig.url))).text(), "up 1\n");
  assert.deepEqual(gateway.turnedAwayRequests, []);
});

test("E4 wrong tokens of one address never delay the right one from there", async (t) => {
  const clock = createManualClock();
  const { gateway, rig } = await openFront(t, {}, { clock });
  const right = gateway.authenticate;
  gateway.authenticate = ({ authorization }) =>
    authorization === "Bearer right" ? right({}) : { ok: false, reason: "the bearer token is not accepted" };
  const wrong = Array.from({ length: 300 }, () =>
    rig.post(callMessage(1, "x"), { authorization: "Bearer wrong" }),
  );
  await Promise.all(wrong.slice(0, 1));
  const answer = await rig.post(callMessage(1, "x"), { authorization: "Bearer right" });
  assert.equal(answer.status, 400, "it came in, and had no session");
  let open = true;
  const all = Promise.all(wrong).finally(() => {
    open = false;
  });
  while (open) {
    await clock.advance(500);
    await new Promise(setImmediate);
  }
  assert.deepEqual(new Set((await all).map(({ status }) => status)), new Set([401]));
});

// A slice of the load that `npm run bench -- gateway-flood` measures: one principal does its worst, and another is
// served. What is asserted is who is served, and what is held, never how fast.

const as = (name: string) => ({ ok: true, principal: { kind: "user", name, roles: [] } }) as const;

test("E4 while one principal does its worst, another is admitted and served, keeps its session, and the tables keep their bounds", async (t) => {
  const { gateway, rig } = await openFront(t);
  gateway.sessionsAllowed = () => 100;
  gateway.authenticate = ({ authorization }) => {
    const name = String(authorization).replace("Bearer ", "");
    return name === "much" || name === "little"
      ? as(name)
      : { ok: false, reason: "the bearer token is not accepted" };
  };
  const little = { authorization: "Bearer little" };
  const opened = await rig.post(initializeMessage(), little);
  const session = { ...little, "mcp-session-id": String(opened.headers["mcp-session-id"]) };
  const sockets: Socket[] = [];
  const open = (text: string): void => {
    const socket = connect(rig.listener.port, "127.0.0.1").resume();
    socket.on("error", () => {});
    socket.write(text);
    sockets.push(socket);
  };
  for (let count = 0; count < 2_000; count++) open("");
  const slow = `POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer much\r\nContent-Type: application/json\r\nContent-Length: 9000\r\n\r\n{`;
  for (let count = 0; count < 100; count++) open(slow);
  const much = { authorization: "Bearer much" };
  const load = [
    ...Array.from({ length: 300 }, () => rig.post(callMessage(1, "x"), { authorization: "Bearer guess" })),
    ...Array.from({ length: 300 }, () => rig.post(initializeMessage(), much)),
  ];
  for (let count = 0; count < 50; count++) {
    const answer = await rig.post(callMessage(count, "echo"), session);
    assert.equal(answer.status, 200, answer.body);
  }
  // Some of the load may have been closed at the full: it is what gives way.
  const statuses = (await Promise.allSettled(load)).map((each) =>
    each.status === "fulfilled" ? each.value.status : 0,
  );
  assert.ok(statuses.slice(300).includes(200));
  assert.ok(!statuses.slice(0, 300).includes(200));
  assert.ok(rig.front.sessions <= 101, "its hundred, and the other's one");
  assert.ok(rig.listener.connections <= 2_048);
  for (const socket of sockets) socket.destroy();
});
