// Event streams that break, stay open or end too soon, and the server's own.
import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { type TestContext, test } from "node:test";
import type { HttpTransportOptions } from "../../../../../src/gateway/backends/transports/http/http-transport.ts";
import { UNSIGNED } from "../../../../../src/gateway/backends/transports/transport-authorization.ts";
import { isJsonObject } from "../../../../../src/gateway/json-rpc.ts";
import { writtenResult } from "../../../../../src/gateway/written-results.ts";
import { eventually } from "../../../../support/eventually.ts";
import { leastGrowth } from "../../../../support/heap-growth.ts";
import { createManualClock } from "../../../../support/manual-clock.ts";
import { passTimeUntil } from "../../../../support/pass-time.ts";
import { pluck } from "../../../../support/pluck.ts";
import { openEvents } from "../../programs/http-server.ts";
import { result, takeEcho, withEcho, withSession } from "./bench.ts";

test("a broken stream is resumed from its last event, after the server's retry time", async (t) => {
  let gets = 0;
  let lastId: unknown;
  const { recorded } = await withSession(t, {
    take: takeEcho((response, message) => {
      lastId = message.id;
      openEvents(response).end("id: 1\nretry: 20\ndata:\n\n");
    }),
    onGet(request, response) {
      if (request.headers["last-event-id"] === undefined) response.writeHead(405).end();
      else if (request.headers["last-event-id"] === "1") {
        gets += 1;
        if (gets < 3) response.writeHead(503).end();
        else openEvents(response).end('id: 2\ndata: {"jsonrpc":"2.0","method":"notifications/x"}\n\n');
      } else openEvents(response).end(`data: ${result(lastId)}\n\n`);
    },
  });
  assert.deepEqual(await recorded.ask("echo"), { late: true });
  assert.deepEqual(pluck(recorded.received, "streamOf"), [1, 2, 2]);
});

test("a large result in an event keeps its original bytes", async (t) => {
  const large = `{ "late": true, "text": "${"x".repeat(300_000)}" }`;
  const { recorded } = await withSession(t, {
    take: takeEcho((response, { id }) => {
      openEvents(response).end(`data: {"result":${large},"jsonrpc":"2.0","id":${id}}\n\n`);
    }),
  });
  assert.equal(writtenResult(await recorded.ask("echo"))?.toString(), large);
});

test("a server that sets no retry time, and ends each stream after one event, is not queried without pause", async (t) => {
  const manual = createManualClock();
  const notice = 'id: 1\nretry: 0\ndata: {"jsonrpc":"2.0","method":"notifications/x"}\n\n';
  const answeredAt: number[] = [];
  const answer = (response: ServerResponse): void => {
    answeredAt.push(manual.monotonicMs());
    openEvents(response).end(notice);
  };
  const { recorded } = await withSession(t, {
    take: takeEcho((response) => {
      answer(response);
    }),
    onGet(request, response) {
      if (request.headers["last-event-id"] === undefined) response.writeHead(405).end();
      else answer(response);
    },
    clock: manual,
  });
  recorded.link.send({ jsonrpc: "2.0", id: 5, method: "echo" });
  await passTimeUntil(manual, () => answeredAt.length > 5, 10);
  for (const [index, atMs] of answeredAt.slice(1).entries()) {
    assert.ok(atMs - (answeredAt[index] ?? 0) >= 50, `at ${answeredAt}`);
  }
});

test("a stream that cannot be resumed fails the request, after a bounded number of tries", async (t) => {
  const refusals = [
    (response: ServerResponse) => response.writeHead(405).end(),
    (response: ServerResponse) => response.writeHead(503).end(),
    (response: ServerResponse) => openEvents(response).end(),
    (response: ServerResponse) => response.destroy(),
  ];
  const tried = refusals.map(async (refuse) => {
    let gets = 0;
    const { recorded } = await withEcho(t, {
      take: takeEcho((response) => openEvents(response).end("id: 1\nretry: 1\ndata:\n\n")),
      onGet(request, response) {
        if (request.headers["last-event-id"] !== undefined) gets += 1;
        refuse(response);
      },
    });
    recorded.link.send({ jsonrpc: "2.0", id: 5, method: "echo" });
    const failure = await eventually(() => recorded.failed.get(5));
    assert.equal(failure.kind, "closed");
    assert.ok(gets >= 1 && gets <= 5);
  });
  await Promise.all(tried);
});

test("a stream of a request without a session is not resumed, whatever ids its events have", async (t) => {
  const { echo, recorded } = await withEcho(t, {
    take: takeEcho((response) => openEvents(response).end("id: 1\nretry: 1\ndata:\n\n")),
  });
  recorded.link.stateless?.send({ jsonrpc: "2.0", id: 5, method: "echo" }, {});
  assert.equal((await eventually(() => recorded.failed.get(5))).kind, "closed");
  assert.deepEqual(echo.seen, ["POST echo"]);
});

test("a stream without event ids that ends too soon fails the request at once", async (t) => {
  const { echo, recorded } = await withEcho(t, {
    take: takeEcho((response) => openEvents(response).end(": nothing\n\n")),
  });
  assert.equal((await recorded.askInVain("echo")).kind, "closed");
  assert.deepEqual(echo.seen, ["POST echo"]);
});

test("a server that leaves a stream open after the answer keeps no connection busy", async (t) => {
  const manual = createManualClock();
  let closed = false;
  const { recorded } = await withEcho(t, {
    take: takeEcho((response, message) => {
      response.on("close", () => {
        closed = true;
      });
      openEvents(response).write(`data: ${result(message.id)}\n\n`);
    }),
    clock: manual,
  });
  await recorded.ask("echo");
  assert.equal(closed, false);
  await manual.advance(2_000);
  await eventually(() => closed);
  assert.equal(recorded.failed.size, 0);
});

test("the server's own stream is opened after initialized, read, and reopened from its last event", async (t) => {
  const opened: (string | undefined)[] = [];
  let order: string[] = [];
  const { echo, recorded } = await withSession(t, {
    onGet(request, response) {
      order = [...echo.seen];
      opened.push(String(request.headers["last-event-id"] ?? ""));
      const count = opened.length;
      openEvents(response).write(`id: ${count}\nretry: 120\ndata: {"n":${count}}\n\n`);
      if (count < 3) response.end();
    },
  });
  await eventually(() => opened.length === 3);
  assert.deepEqual(opened, ["", "1", "2"]);
  assert.equal(order[1], "POST notifications/initialized");
  await eventually(() => recorded.received.length === 4);
  assert.deepEqual(
    recorded.received.slice(1),
    [1, 2, 3].map((n) => ({ message: { n }, streamOf: null })),
  );
});

test("a server without a GET stream is asked for it once", async (t) => {
  const manual = createManualClock();
  const { echo, recorded } = await withSession(t, { clock: manual });
  await eventually(() => echo.seen.includes("GET"));
  await manual.advance(120_000);
  await recorded.ask("echo");
  assert.equal(echo.seen.filter((each) => each === "GET").length, 1);
});

test("a stream that was open and is then refused makes the session suspect; one that never opened does not", async (t) => {
  const cases = [
    [404, 1, 1],
    [400, 1, 1],
    [405, 1, 1],
    [404, 0, 0],
    [503, 1, 0],
    [409, 1, 0],
  ] as const;
  const asked = cases.map(async ([status, granted, suspects]) => {
    let gets = 0;
    const { recorded } = await withSession(t, {
      onGet(_, response) {
        gets += 1;
        if (gets <= granted) openEvents(response).end("id: 7\nretry: 1\n\n");
        else response.writeHead(status).end();
      },
    });
    await eventually(() => gets > granted && recorded.suspects === suspects);
    await recorded.ask("echo");
    assert.equal(recorded.suspects, suspects, String(status));
  });
  await Promise.all(asked);
});

test("a server that allows one stream, and has not noticed the end of the last, is asked again", async (t) => {
  let gets = 0;
  const manual = createManualClock();
  const { recorded } = await withSession(t, {
    onGet(_, response) {
      gets += 1;
      if (gets === 1) openEvents(response).end();
      else if (gets === 2) response.writeHead(409).end();
      else openEvents(response).write('data: {"n":1}\n\n');
    },
    clock: manual,
  });
  await passTimeUntil(
    manual,
    () => recorded.received.some(({ message }) => isJsonObject(message) && message["n"] === 1),
    500,
  );
});

test("a reopened stream reports the gap, unless it resumes after its last event", async (t) => {
  for (const [id, gaps] of [
    ["", 2],
    ["id: 7\n", 0],
  ] as const) {
    const manual = createManualClock();
    let gets = 0;
    const { recorded } = await withSession(t, {
      onGet(_, response) {
        gets += 1;
        openEvents(response).write(`${id}retry: 1\n\n`);
        if (gets < 3) response.end();
      },
      clock: manual,
    });
    await passTimeUntil(manual, () => gets === 3 && recorded.gaps === gaps, 500);
    await recorded.ask("echo");
    assert.equal(recorded.gaps, gaps);
  }
});

test("a server whose stream fails is tried at increasing intervals", async (t) => {
  const manual = createManualClock();
  const { echo, recorded } = await withEcho(t, {
    onGet: (_, response) => response.writeHead(503).end(),
    clock: manual,
  });
  const gets = (): number => echo.seen.filter((each) => each === "GET").length;
  await recorded.initialize();
  for (const [count, delayMs] of [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000].entries()) {
    // That of the next look, and that of the connection which is kept.
    await eventually(() => gets() === count + 1 && manual.pendingTimers === 2);
    await manual.advance(delayMs - 1);
    assert.equal(gets(), count + 1);
    await manual.advance(1);
  }
});

/** What the looks for the server's stream said and got; `answers` answers them in turn, the last one the others. */
async function looking(
  t: TestContext,
  answers: readonly ((response: ServerResponse) => unknown)[],
  more: Partial<HttpTransportOptions> = {},
) {
  const manual = createManualClock();
  const ids: unknown[] = [];
  const { recorded } = await withSession(t, {
    onGet(request, response) {
      answers[Math.min(ids.length, answers.length - 1)]?.(response);
      ids.push(request.headers["last-event-id"]);
    },
    clock: manual,
    ...more,
  });
  return { manual, ids, recorded };
}

const granted = (text: string) => (response: ServerResponse) => openEvents(response).end(text);
const refusedWith = (status: number) => (response: ServerResponse) => response.writeHead(status).end();
const openFor = (response: ServerResponse) => openEvents(response).flushHeaders();

test("D2 a server that ends its stream each time is asked twice a minute, and leaves nothing in memory", async (t) => {
  const { manual, ids } = await looking(t, [granted("id: 1\n: hello\n\n")]);
  const opens = async (more: number): Promise<void> => {
    const wanted = ids.length + more;
    await passTimeUntil(manual, () => ids.length >= wanted, 30_000);
  };
  await opens(6);
  const before = { count: ids.length, ms: manual.monotonicMs() };
  const grown = await leastGrowth(() => opens(50));
  const minutes = (manual.monotonicMs() - before.ms) / 60_000;
  assert.ok((ids.length - before.count) / minutes <= 2.1, `${ids.length - before.count} in ${minutes} min`);
  assert.ok(grown < 50 * 1_024, `${grown} bytes in 50 streams`);
});

test("an event id that the server no longer knows is not sent again, nor is one before an event that is too long", async (t) => {
  const unknown = await looking(t, [granted("id: 7\n\n"), refusedWith(400), openFor]);
  await passTimeUntil(unknown.manual, () => unknown.ids.length === 3, 500);
  assert.deepEqual([unknown.ids, unknown.recorded.suspects], [[undefined, "7", undefined], 0]);
  const long = `id: 8\ndata: 1\n\ndata: ${"x".repeat(5_000)}\n\n`;
  const overlong = await looking(t, [granted(long), openFor], { limitBytes: 4_096 });
  await passTimeUntil(overlong.manual, () => overlong.ids.length === 2, 500);
  assert.deepEqual(overlong.ids, [undefined, undefined]);
});

test("a server's long retry time is followed for half a minute, and not once the transport is closed", async (t) => {
  const { manual, ids, recorded } = await looking(t, [granted("retry: 3600000\nid: 1\n\n")]);
  await eventually(() => ids.length === 1 && manual.pendingTimers === 2);
  await manual.advance(29_999);
  assert.equal(ids.length, 1);
  await manual.advance(1);
  await eventually(() => ids.length === 2 && manual.pendingTimers === 2);
  await recorded.link.close();
  assert.equal(manual.pendingTimers, 0);
});

test("a stream that needs another token is requested again with one, and not without", async (t) => {
  for (const [renewed, looks] of [
    [{ header: "Bearer new" }, 2],
    [null, 1],
  ] as const) {
    const authorize = () => ({ ...UNSIGNED, refused: async () => renewed });
    const { manual, ids, recorded } = await looking(t, [refusedWith(401), openFor], { authorize });
    await eventually(() => ids.length === 1);
    await recorded.ask("echo");
    for (let passed = 0; passed < 3_000; passed += 500) await manual.advance(500);
    await recorded.ask("echo");
    await eventually(() => ids.length === looks);
  }
});

test("a stream that lasted ten seconds shortens the next interval again", async (t) => {
  const manual = createManualClock();
  const opened: ServerResponse[] = [];
  await withSession(t, {
    onGet(_, response) {
      opened.push(openEvents(response));
      if (opened.length < 3) response.end();
      else response.flushHeaders();
    },
    clock: manual,
  });
  for (const [count, delayMs] of [1_000, 2_000].entries()) {
    await eventually(() => opened.length === count + 1 && manual.pendingTimers === 2);
    await manual.advance(delayMs);
  }
  await eventually(() => opened.length === 3);
  await passTimeUntil(manual, () => manual.pendingTimers === 0, 1_000);
  await manual.advance(10_000);
  opened[2]?.end();
  await eventually(() => manual.pendingTimers === 2);
  await manual.advance(1_000);
  await eventually(() => opened.length === 4);
});

test("a new session closes the old one's stream", async (t) => {
  let closed = 0;
  const { echo, recorded } = await withSession(t, {
    onGet(_, response) {
      response.on("close", () => {
        closed += 1;
      });
      openEvents(response).flushHeaders();
    },
  });
  await eventually(() => echo.seen.filter((each) => each === "GET").length === 1);
  await recorded.initialize();
  await eventually(() => closed === 1 && echo.seen.filter((each) => each === "GET").length === 2);
  assert.equal(echo.headers[echo.seen.lastIndexOf("GET")]?.["mcp-session-id"], "session-2");
});

test("a session without an id ends with the first message outside any session, and so does its stream", async (t) => {
  let closed = 0;
  const { echo, recorded } = await withSession(t, {
    take(message, response) {
      if (message.method !== "initialize") return false;
      response.setHeader("Content-Type", "application/json");
      response.end(result(message.id));
      return true;
    },
    onGet(_, response) {
      response.on("close", () => {
        closed += 1;
      });
      openEvents(response).flushHeaders();
    },
  });
  await eventually(() => echo.seen.includes("GET"));
  recorded.link.stateless?.send({ jsonrpc: "2.0", id: 9, method: "echo" }, {});
  await eventually(() => closed === 1 && echo.seen.at(-1) === "POST echo");
  assert.equal(echo.headers.at(-1)?.["mcp-protocol-version"], undefined);
});
