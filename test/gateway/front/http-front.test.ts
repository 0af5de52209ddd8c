import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { errorReply } from "../../../src/gateway/json-rpc.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import {
  BOTH_TYPES,
  callMessage,
  collect,
  eventsOf,
  initializeMessage,
  readAll,
  startRig,
} from "./http-rig.ts";
import { createHeldTool, createScriptedGateway, objectOf, onlySession, text } from "./scripted-gateway.ts";

const user = (name: string, role = "any") =>
  ({ ok: true, principal: { kind: "user", name, roles: [role] } }) as const;

describe("the HTTP front's sessions", () => {
  it("initialize opens a session with an unguessable id and the version that was asked for", async () => {
    const gateway = createScriptedGateway();
    await using rig = await startRig(gateway);
    for (const version of ["2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"]) {
      const answer = await rig.post(initializeMessage(version));
      assert.equal(answer.status, 200);
      assert.match(String(answer.headers["mcp-session-id"]), /^[\w-]{32}$/);
      const result = objectOf(answer.json()["result"]);
      assert.equal(result["protocolVersion"], version);
      assert.deepEqual(result["serverInfo"], { name: "scripted", version: "1" });
    }
    const other = await rig.post(initializeMessage("1999-01-01"));
    assert.equal(objectOf(other.json()["result"])["protocolVersion"], "2025-11-25");
    assert.equal(rig.front.sessions, 5);
    assert.equal(gateway.sessions.size, 5);
  });

  it("a request is served before notifications/initialized came, and answered as one JSON body", async () => {
    await using rig = await startRig(createScriptedGateway());
    const id = await rig.initialize();
    const answer = await rig.post(callMessage("a", "echo", { x: "ü" }), { "mcp-session-id": id });
    assert.equal(answer.headers["content-type"], "application/json");
    assert.equal(Number(answer.headers["content-length"]), Buffer.byteLength(answer.body));
    assert.deepEqual(answer.json(), {
      jsonrpc: "2.0",
      id: "a",
      result: { content: [{ type: "text", text: '{"x":"ü"}' }] },
    });
  });

  it("a missing id is 400, an unknown or ended one 404, a second initialize an error", async () => {
    const gateway = createScriptedGateway();
    await using rig = await startRig(gateway);
    assert.equal((await rig.post(callMessage(1, "echo"))).status, 400);
    assert.equal((await rig.post(callMessage(1, "echo"), { "mcp-session-id": "nope" })).status, 404);
    const id = await rig.initialize();
    const again = await rig.post(initializeMessage(), { "mcp-session-id": id });
    assert.equal(objectOf(again.json()["error"])["code"], -32600);
    assert.equal((await rig.send("DELETE", "/mcp", {})).status, 400);
    assert.equal((await rig.send("DELETE", "/mcp", { "mcp-session-id": id })).status, 200);
    assert.equal(gateway.sessions.size, 0);
    assert.equal((await rig.post(callMessage(1, "echo"), { "mcp-session-id": id })).status, 404);
    assert.equal((await rig.send("DELETE", "/mcp", { "mcp-session-id": id })).status, 404);
  });

  it("any supported version header is accepted, another is 400", async () => {
    await using rig = await startRig(createScriptedGateway());
    const id = await rig.initialize();
    const headers = { "mcp-session-id": id };
    for (const version of ["2025-03-26", "2025-06-18", "2025-11-25"]) {
      const answer = await rig.post(callMessage(1, "x"), { ...headers, "mcp-protocol-version": version });
      assert.equal(answer.status, 200);
    }
    const wrong = await rig.post(callMessage(1, "x"), { ...headers, "mcp-protocol-version": "2026-07-28" });
    assert.equal(wrong.status, 400);
    assert.equal(wrong.json()["jsonrpc"], "2.0");
  });

  it("a session belongs to its principal, whose roles follow, and anonymous ones become somebody", async () => {
    const gateway = createScriptedGateway();
    await using rig = await startRig(gateway);
    const id = await rig.initialize();
    const headers = { "mcp-session-id": id };
    gateway.authenticate = () => user("ann");
    assert.equal((await rig.post(callMessage(1, "x"), headers)).status, 200);
    assert.equal(onlySession(gateway).principal.name, "ann");
    gateway.authenticate = () => user("ann", "admin");
    assert.equal((await rig.post(callMessage(1, "x"), headers)).status, 200);
    assert.deepEqual(onlySession(gateway).principal.roles, ["admin"]);
    gateway.authenticate = () => user("bob");
    assert.equal((await rig.post(callMessage(1, "x"), headers)).status, 404);
    assert.equal((await rig.send("DELETE", "/mcp", headers)).status, 404);
    assert.equal((await rig.send("GET", "/mcp", { ...headers, accept: "text/event-stream" })).status, 404);
    assert.equal(onlySession(gateway).principal.name, "ann");
    gateway.authenticate = () => ({ ok: false, reason: "a token is needed" });
    const refused = await rig.post(callMessage(1, "x"), headers);
    assert.equal(refused.status, 401);
    assert.equal(refused.headers["www-authenticate"], "Bearer");
    assert.equal(objectOf(refused.json()["error"])["message"], "a token is needed");
  });

  it("the thousand-and-first session ends the one idle for longest", async () => {
    const gateway = createScriptedGateway();
    await using rig = await startRig(gateway);
    const first = await rig.initialize();
    const second = await rig.initialize();
    for (let count = 2; count < 1_000; count++) await rig.initialize();
    // Used again: the second is the oldest now.
    await rig.post(callMessage(1, "x"), { "mcp-session-id": first });
    await rig.initialize();
    assert.equal(rig.front.sessions, 1_000);
    assert.equal((await rig.post(callMessage(1, "x"), { "mcp-session-id": second })).status, 404);
    assert.equal((await rig.post(callMessage(1, "x"), { "mcp-session-id": first })).status, 200);
  });

  it("a session without a stream or a call ends after a day", async () => {
    const clock = createManualClock();
    const gateway = createScriptedGateway();
    await using rig = await startRig(gateway, { clock });
    await rig.initialize();
    const listening = await rig.initialize();
    const { response } = await rig.open("GET", { "mcp-session-id": listening });
    response.resume();
    await clock.advance(23 * 3_600_000);
    assert.equal(gateway.sessions.size, 2);
    await clock.advance(2 * 3_600_000);
    assert.equal(onlySession(gateway).sessionId, listening);
    response.destroy();
  });
});

describe("the HTTP front's calls", () => {
  it("turns to an event stream at the first notification, with the answer as its last event", async () => {
    const gateway = createScriptedGateway({
      async noisy({ port }) {
        port.notify("notifications/progress", { progressToken: 1, progress: 1 });
        port.notify("notifications/message", { level: "info", data: "x\ny" });
        return text("done");
      },
    });
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const answer = await rig.post(callMessage(7, "noisy"), headers);
    assert.equal(answer.headers["content-type"], "text/event-stream");
    assert.equal(answer.headers["cache-control"], "no-store, no-transform");
    assert.equal(answer.headers["x-accel-buffering"], "no");
    assert.doesNotMatch(answer.body, /^(id|retry):/m);
    assert.deepEqual(
      eventsOf(answer.body).map((message) => message["method"] ?? message["id"]),
      ["notifications/progress", "notifications/message", 7],
    );
  });

  it("a client that reads only one of the two kinds gets that one", async () => {
    const gateway = createScriptedGateway({
      async noisy({ port, signal }) {
        port.notify("notifications/progress", { progressToken: 1, progress: 1 });
        const reply = await port.request("roots/list", undefined, signal);
        return text(JSON.stringify(reply));
      },
    });
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const json = await rig.post(callMessage(1, "noisy"), { ...headers, accept: "application/json" });
    assert.match(json.body, /no open stream/);
    assert.equal(json.headers["content-type"], "application/json");
    const events = await rig.post(callMessage(1, "x"), { ...headers, accept: "text/event-stream" });
    assert.equal(events.headers["content-type"], "text/event-stream");
    assert.equal(eventsOf(events.body)[0]?.["id"], 1);
    assert.equal((await rig.post(callMessage(1, "x"), { ...headers, accept: "text/html" })).status, 406);
    assert.equal((await rig.post(callMessage(1, "x"), { ...headers, accept: "*/*" })).status, 200);
  });

  it("a question travels on its call's stream, and the client's POST settles it", async () => {
    const gateway = createScriptedGateway({
      async ask({ port, signal }) {
        return text(JSON.stringify(await port.request("sampling/createMessage", { a: 1 }, signal)));
      },
    });
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const { response } = await rig.open("POST", headers, callMessage(1, "ask"));
    const stream = collect(response);
    const question = await eventually(() => stream.messages[0], 2_000);
    assert.deepEqual(question, {
      jsonrpc: "2.0",
      id: "m1",
      method: "sampling/createMessage",
      params: { a: 1 },
    });
    const unknown = await rig.post({ jsonrpc: "2.0", id: "m9", result: {} }, headers);
    assert.deepEqual([unknown.status, unknown.body], [202, ""]);
    const told = await rig.post({ jsonrpc: "2.0", id: "m1", result: { role: "user" } }, headers);
    assert.equal(told.status, 202);
    await eventually(stream.ended, 2_000);
    assert.match(JSON.stringify(stream.messages[1]), /role.*user/);
  });

  it("an answer that is no response settles its question with an error", async () => {
    const gateway = createScriptedGateway({
      async ask({ port, signal }) {
        return text(JSON.stringify(await port.request("roots/list", undefined, signal)));
      },
    });
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const { response } = await rig.open("POST", headers, callMessage(1, "ask"));
    const stream = collect(response);
    await eventually(() => stream.messages.length === 1, 2_000);
    const answer = await rig.post({ jsonrpc: "2.0", id: "m1", result: null }, headers);
    assert.equal(answer.status, 400);
    await eventually(stream.ended, 2_000);
    assert.match(JSON.stringify(stream.messages[1]), /-32600.*no JSON-RPC response/);
  });

  it("who is not let in any more hears and is asked nothing outside of calls, until it shows who it is", async () => {
    const gateway = createScriptedGateway();
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const { response } = await rig.open("GET", headers);
    const stream = collect(response);
    const session = onlySession(gateway);
    session.admit(false);
    session.notify("notifications/message", { level: "error", data: "secret" });
    const asked = await session.request("roots/list", undefined, new AbortController().signal);
    assert.ok("error" in asked);
    await rig.post({ jsonrpc: "2.0", id: 1, method: "ping" }, headers);
    session.notify("notifications/message", { level: "error", data: "for all" });
    await eventually(() => stream.messages.length > 0, 2_000);
    assert.match(JSON.stringify(stream.messages), /for all/);
    assert.doesNotMatch(JSON.stringify(stream.messages), /secret/);
    response.destroy();
  });

  it("a resource's changes are told as the rules of that moment allow", async () => {
    const gateway = createScriptedGateway();
    gateway.mayHearOf = (_, uri) => uri === "x://open";
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const { response } = await rig.open("GET", headers);
    const stream = collect(response);
    for (const uri of ["x://secret", "x://open"]) {
      onlySession(gateway).notify("notifications/resources/updated", { uri });
    }
    await eventually(() => stream.messages.length > 0, 2_000);
    assert.deepEqual(
      stream.messages.map(({ params }) => params),
      [{ uri: "x://open" }],
    );
    response.destroy();
  });

  it("no answer of another session settles a question", async () => {
    const gateway = createScriptedGateway({
      async ask({ port, signal }) {
        return text(JSON.stringify(await port.request("roots/list", undefined, signal)));
      },
    });
    await using rig = await startRig(gateway);
    const one = { "mcp-session-id": await rig.initialize() };
    const two = { "mcp-session-id": await rig.initialize() };
    const { response } = await rig.open("POST", one, callMessage(1, "ask"));
    const stream = collect(response);
    await eventually(() => stream.messages.length === 1, 2_000);
    await rig.post({ jsonrpc: "2.0", id: "m1", result: { from: "two" } }, two);
    await rig.post({ jsonrpc: "2.0", id: "m1", result: { from: "one" } }, one);
    await eventually(stream.ended, 2_000);
    assert.match(JSON.stringify(stream.messages[1]), /from.*one/);
  });

  it("a client's progress on a question reaches who asked, until it is answered", async () => {
    const seen: unknown[] = [];
    const gateway = createScriptedGateway({
      async ask({ port, signal }) {
        const params = { _meta: { progressToken: "t-1" } };
        const reply = await port.request("sampling/createMessage", params, signal, (told) => seen.push(told));
        return text(JSON.stringify(reply));
      },
    });
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const { response } = await rig.open("POST", headers, callMessage(1, "ask"));
    const stream = collect(response);
    await eventually(() => stream.messages.length === 1, 2_000);
    const progress = (token: unknown) => ({
      jsonrpc: "2.0",
      method: "notifications/progress",
      params: { progressToken: token, progress: 1 },
    });
    await rig.post(progress("t-1"), headers);
    await rig.post(progress("t-2"), headers);
    await rig.post({ jsonrpc: "2.0", id: "m1", result: {} }, headers);
    await rig.post(progress("t-1"), headers);
    assert.deepEqual(seen, [{ progressToken: "t-1", progress: 1 }]);
    assert.deepEqual(gateway.heard, []);
  });

  it("a cancelled call is aborted with the reason, its response ends without a message", async () => {
    const held = createHeldTool();
    const gateway = createScriptedGateway({ held: held.tool });
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const answer = rig.post(callMessage(5, "held"), headers);
    const request = await eventually(() => held.started[0], 2_000);
    const cancel = (requestId: unknown) => ({
      jsonrpc: "2.0",
      method: "notifications/cancelled",
      params: { requestId, reason: "the person left" },
    });
    await rig.post(cancel("5"), headers);
    assert.equal(request.signal.aborted, false);
    assert.equal((await rig.post(cancel(5), headers)).status, 202);
    const { status, body, headers: got } = await answer;
    assert.deepEqual([status, body, got["content-type"]], [200, "", "text/event-stream"]);
    assert.match(String(request.signal.reason), /the person left/);
    await eventually(() => rig.front.inFlight === 0, 2_000);
    // Its id is free again.
    assert.equal((await rig.post(callMessage(5, "x"), headers)).status, 200);
  });

  it("cancelling a call withdraws its question on the same stream before that ends", async () => {
    const gateway = createScriptedGateway({
      async ask({ port, signal }) {
        return await port.request("elicitation/create", {}, signal);
      },
    });
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const { response } = await rig.open("POST", headers, callMessage(5, "ask"));
    const stream = collect(response);
    await eventually(() => stream.messages.length === 1, 2_000);
    await rig.post(
      { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 5, reason: "no" } },
      headers,
    );
    await eventually(stream.ended, 2_000);
    assert.deepEqual(stream.messages.slice(1), [
      { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: "m1", reason: "no" } },
    ]);
  });

  it("a client that goes away cancels nothing, yet its questions get an error", async () => {
    const held = createHeldTool();
    let replied: unknown = null;
    const gateway = createScriptedGateway({
      held: held.tool,
      async ask({ port, signal }) {
        replied = await port.request("roots/list", undefined, signal);
        return text("asked");
      },
    });
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const { request } = await rig.open("POST", headers, callMessage(1, "ask"));
    request.destroy();
    await eventually(() => replied, 2_000);
    assert.match(JSON.stringify(replied), /closed the stream/);
    const socketGone = rig.post(callMessage(2, "held"), headers).catch(() => "gone");
    const call = await eventually(() => held.started[0], 2_000);
    assert.equal(call.signal.aborted, false);
    held.release(text("late"));
    await socketGone;
    await eventually(() => rig.front.inFlight === 0, 2_000);
  });

  it("refuses an id in flight and the 513th request, whose slots come free again", async () => {
    const held = createHeldTool();
    const gateway = createScriptedGateway({ held: held.tool });
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const answers = Array.from({ length: 512 }, (_, id) => rig.post(callMessage(id, "held"), headers));
    await eventually(() => held.started.length === 512, 5_000);
    const twice = await rig.post(callMessage(3, "x"), headers);
    assert.match(twice.body, /"code":-32600.*in flight/);
    const over = await rig.post(callMessage("more", "x"), headers);
    assert.match(over.body, /too many requests in flight \(512\)/);
    assert.equal(over.status, 200);
    for (const _ of answers) held.release(text("ok"));
    await Promise.all(answers);
    assert.match((await rig.post(callMessage("more", "x"), headers)).body, /result/);
  });

  it("DELETE ends the session and answers what is in flight", async () => {
    const held = createHeldTool();
    const gateway = createScriptedGateway({ held: held.tool });
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const answer = rig.post(callMessage(1, "held"), headers);
    const { response } = await rig.open("GET", headers);
    const stream = collect(response);
    await eventually(() => held.started.length === 1, 2_000);
    await rig.send("DELETE", "/mcp", headers);
    assert.match((await answer).body, /the client ended the session/);
    assert.equal(held.started[0]?.signal.aborted, true);
    await eventually(stream.ended, 2_000);
  });

  it("an answer that nobody could write, or a chain that rejects, becomes an error", async () => {
    let deep: unknown = 1;
    for (let depth = 0; depth < 200_000; depth++) deep = { deep };
    const loop: { self?: unknown } = {};
    loop.self = loop;
    const gateway = createScriptedGateway({
      deep: async () => ({ result: { deep } }),
      loop: async () => ({ result: { loop } }),
      async broken() {
        throw new Error("secret detail");
      },
    });
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    assert.match((await rig.post(callMessage(1, "loop"), headers)).body, /"id":1,"error":.*-32603/);
    assert.equal((await rig.post(callMessage(1, "deep"), headers)).status, 200);
    const broken = await rig.post(callMessage(2, "broken"), headers);
    assert.match(broken.body, /-32603/);
    assert.doesNotMatch(broken.body, /secret/);
  });

  it("a mistake inside costs its request alone", async () => {
    const gateway = createScriptedGateway();
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const broken = { ...gateway };
    gateway.authenticate = () => {
      throw new Error("secret detail");
    };
    const answer = await rig.post(callMessage(1, "x"), headers);
    assert.deepEqual([answer.status, objectOf(answer.json()["error"])["message"]], [500, "internal error"]);
    gateway.authenticate = broken.authenticate;
    gateway.handle = () => {
      throw new Error("secret detail");
    };
    assert.match((await rig.post(callMessage(1, "x"), headers)).body, /"id":1,"error":.*internal error/);
    gateway.handle = broken.handle;
    assert.equal((await rig.post(callMessage(1, "x"), headers)).status, 200);
    assert.equal(rig.front.inFlight, 0);
  });

  it("ping is answered here, and other notifications reach the gateway", async () => {
    const gateway = createScriptedGateway();
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const ping = await rig.post({ jsonrpc: "2.0", id: 1, method: "ping" }, headers);
    assert.deepEqual(ping.json(), { jsonrpc: "2.0", id: 1, result: {} });
    const told = await rig.post({ jsonrpc: "2.0", method: "notifications/roots/list_changed" }, headers);
    assert.equal(told.status, 202);
    await rig.post({ jsonrpc: "2.0", method: "notifications/initialized" }, headers);
    assert.deepEqual(
      gateway.heard.map(({ method }) => method),
      ["notifications/roots/list_changed"],
    );
    assert.equal(gateway.requests.length, 0);
  });
});

describe("the HTTP front's listening streams", () => {
  it("hands a change notice to the newest stream alone, and keeps it, once per kind, while there is none", async () => {
    const gateway = createScriptedGateway();
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const session = onlySession(gateway);
    session.listChanged("tools");
    session.listChanged("tools");
    session.listChanged("prompts");
    const first = await rig.open("GET", headers);
    const one = collect(first.response);
    await eventually(() => one.messages.length === 2, 2_000);
    const second = await rig.open("GET", headers);
    const two = collect(second.response);
    session.listChanged("resources");
    await eventually(() => two.messages.length === 1, 2_000);
    second.request.destroy();
    await eventually(() => {
      session.notify("notifications/message", { level: "info" });
      return one.messages.length > 2;
    }, 2_000);
    assert.deepEqual(
      one.messages.slice(0, 3).map(({ method }) => method),
      ["notifications/tools/list_changed", "notifications/prompts/list_changed", "notifications/message"],
    );
    assert.deepEqual(two.messages, [{ jsonrpc: "2.0", method: "notifications/resources/list_changed" }]);
    first.request.destroy();
  });

  it("the fifth stream of a session ends the first", async () => {
    await using rig = await startRig(createScriptedGateway());
    const headers = { "mcp-session-id": await rig.initialize() };
    const streams: ReturnType<typeof collect>[] = [];
    for (let count = 0; count < 5; count++) streams.push(collect((await rig.open("GET", headers)).response));
    await eventually(() => streams[0]?.ended(), 2_000);
    assert.deepEqual(
      streams.map((stream) => stream.ended()),
      [true, false, false, false, false],
    );
  });

  it("a question outside of calls goes there, is withdrawn there, and is an error without it", async () => {
    const gateway = createScriptedGateway();
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const session = onlySession(gateway);
    const never = new AbortController();
    assert.match(JSON.stringify(await session.request("ping", undefined, never.signal)), /no open stream/);
    const { response } = await rig.open("GET", headers);
    const stream = collect(response);
    const asked = session.request("ping", undefined, never.signal);
    const question = await eventually(() => stream.messages[0], 2_000);
    await rig.post({ jsonrpc: "2.0", id: question["id"], error: { code: 1, message: "no" } }, headers);
    assert.deepEqual(await asked, errorReply(1, "no"));
    const withdrawn = session.request("ping", undefined, never.signal);
    never.abort(new Error("not needed"));
    assert.match(JSON.stringify(await withdrawn), /withdrawn/);
    await eventually(() => stream.messages.length === 3, 2_000);
    assert.deepEqual(objectOf(stream.messages[2]?.["params"])["reason"], "not needed");
    response.destroy();
  });

  it("says a word every 15 s, and needs an id and the right Accept", async () => {
    const clock = createManualClock();
    await using rig = await startRig(createScriptedGateway(), { clock });
    const headers = { "mcp-session-id": await rig.initialize() };
    assert.equal((await rig.send("GET", "/mcp", { accept: "text/event-stream" })).status, 400);
    assert.equal((await rig.send("GET", "/mcp", { ...headers, accept: "application/json" })).status, 406);
    const { response } = await rig.open("GET", headers);
    const stream = collect(response);
    await clock.advance(15_000);
    await clock.advance(15_000);
    await eventually(() => stream.text() === ": \n\n: \n\n", 2_000);
    response.destroy();
  });
});

describe("the HTTP front's batches", () => {
  const two = [callMessage(1, "x"), { jsonrpc: "2.0", method: "notifications/other" }, callMessage(2, "x")];

  it("are answered with an array where the version has them, else refused", async () => {
    const gateway = createScriptedGateway();
    await using rig = await startRig(gateway);
    const old = { "mcp-session-id": await rig.initialize("2025-03-26") };
    const answer = await rig.post(two, old);
    const ids = (JSON.parse(answer.body) as { id: number }[]).map(({ id }) => id);
    assert.deepEqual(ids, [1, 2]);
    assert.equal(gateway.heard.length, 1);
    const notes = await rig.post([{ jsonrpc: "2.0", method: "notifications/other" }], old);
    assert.deepEqual([notes.status, notes.body], [202, ""]);
    const fresh = { "mcp-session-id": await rig.initialize() };
    for (const [batch, headers] of [
      [two, fresh],
      [[], old],
      [[initializeMessage()], old],
      [Array.from({ length: 101 }, (_, id) => callMessage(id, "x")), old],
      [[1], old],
    ] as const) {
      const refused = await rig.post(batch, headers);
      assert.deepEqual([refused.status, objectOf(refused.json()["error"])["code"]], [400, -32600]);
    }
  });

  it("stream when one of them does, and end when all are answered or cancelled", async () => {
    const held = createHeldTool();
    const gateway = createScriptedGateway({
      held: held.tool,
      async noisy({ port }) {
        port.notify("notifications/message", {});
        return text("noisy");
      },
    });
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize("2025-03-26") };
    const batch = rig.post([callMessage(1, "x"), callMessage(2, "held"), callMessage(3, "noisy")], headers);
    await eventually(() => held.started.length === 1, 2_000);
    const cancel = { jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 2 } };
    await rig.post(cancel, headers);
    const messages = eventsOf((await batch).body);
    assert.deepEqual(
      messages
        .map(({ id }) => id)
        .filter((id) => id !== undefined)
        .sort(),
      [1, 3],
    );
  });
});

describe("the HTTP front's ending", () => {
  it("ends listening streams, refuses new requests, and waits for what is in flight", async () => {
    const held = createHeldTool();
    const gateway = createScriptedGateway({ held: held.tool });
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const stream = collect((await rig.open("GET", headers)).response);
    const answer = rig.post(callMessage(1, "held"), headers);
    await eventually(() => held.started.length === 1, 2_000);
    const stopped = rig.front.stop(60_000);
    await eventually(stream.ended, 2_000);
    const late = await rig.post(callMessage(2, "x"), headers);
    assert.deepEqual([late.status, late.headers["retry-after"]], [503, "2"]);
    assert.equal((await rig.send("GET", "/manage/v1/health", {})).status, 200);
    held.release(text("in time"));
    assert.match((await answer).body, /in time/);
    await stopped;
    assert.equal(gateway.sessions.size, 0);
  });

  it("past its grace answers what is in flight with an error", async () => {
    const clock = createManualClock();
    const held = createHeldTool();
    const gateway = createScriptedGateway({ held: held.tool });
    await using rig = await startRig(gateway, { clock });
    const headers = { "mcp-session-id": await rig.initialize() };
    const answer = rig.post(callMessage(1, "held"), headers);
    await eventually(() => held.started.length === 1, 2_000);
    const stopped = rig.front.stop(5_000);
    await clock.advance(5_000);
    await stopped;
    assert.match((await answer).body, /the gateway is stopping/);
    assert.equal(clock.pendingTimers, 0);
  });
});

describe("the HTTP front under load", () => {
  it("a result of 20 MB arrives whole, as JSON and as an event", async () => {
    const large = "ä".repeat(10 * 1024 * 1024);
    const gateway = createScriptedGateway({
      large: async () => text(large),
      async noisy({ port }) {
        port.notify("notifications/message", {});
        return text(large);
      },
    });
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const json = await rig.post(callMessage(1, "large"), headers);
    assert.equal(Number(json.headers["content-length"]), Buffer.byteLength(json.body));
    assert.ok(json.body.includes(large));
    const events = await rig.post(callMessage(1, "noisy"), headers);
    assert.ok(JSON.stringify(eventsOf(events.body)[1]).includes(large));
  });

  it("a reader that does not read congests its call, and is cut beyond 8 MiB", async () => {
    const flooding = Promise.withResolvers<{ sent: number; congestedAt: number; settled: Promise<void> }>();
    const gateway = createScriptedGateway({
      async flood({ port }) {
        const filler = "x".repeat(64 * 1024);
        let congestedAt = 0;
        let settled: Promise<void> = Promise.resolve();
        let sent = 0;
        for (; sent < 2_000; sent++) {
          port.notify("notifications/message", { filler });
          if (congestedAt === 0 && port.congested !== null) {
            congestedAt = sent;
            settled = port.congested;
          }
          if (sent % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        flooding.resolve({ sent, congestedAt, settled });
        return text("done");
      },
    });
    await using rig = await startRig(gateway);
    const headers = { "mcp-session-id": await rig.initialize() };
    const { response } = await rig.open("POST", headers, callMessage(1, "flood"));
    response.pause();
    const { congestedAt, settled } = await flooding.promise;
    assert.ok(congestedAt > 0);
    await settled;
    response.on("error", () => {});
    response.resume();
    await eventually(() => response.closed, 5_000);
    assert.equal(response.complete, false);
    // Others are served.
    assert.equal((await rig.post(callMessage(2, "x"), headers)).status, 200);
  });

  it("a reader that takes nothing of a large result for 60 s is cut", async () => {
    const clock = createManualClock();
    const large = "x".repeat(40 * 1024 * 1024);
    const gateway = createScriptedGateway({ large: async () => text(large) });
    await using rig = await startRig(gateway, { clock });
    const headers = { "mcp-session-id": await rig.initialize() };
    const { response } = await rig.open("POST", headers, callMessage(1, "large"));
    response.on("error", () => {});
    response.pause();
    await clock.advance(59_000);
    assert.equal(rig.listener.connections, 1);
    // The system may still take a little of it for a while, which begins the minute anew.
    await eventually(async () => {
      await clock.advance(15_000);
      return rig.listener.connections === 0;
    }, 2_000);
    response.resume();
    await eventually(() => response.closed, 5_000);
    assert.equal(response.complete, false);
  });

  it("answers 413 with the limit and its key, though the sender goes on sending", async () => {
    await using rig = await startRig(createScriptedGateway(), {
      bodyLimitBytes: 1024 * 1024,
      clock: createManualClock(),
    });
    const headers = {
      "mcp-session-id": await rig.initialize(),
      "content-type": "application/json",
      accept: BOTH_TYPES,
    };
    const body = Buffer.alloc(20 * 1024 * 1024, 0x20);
    const declared = await rig.send("POST", "/mcp", headers, body);
    assert.equal(declared.status, 413);
    assert.match(declared.body, /larger than 1 MiB.*\[server\]\.body_limit_mb/);
    const chunked = await rig.send("POST", "/mcp", { ...headers, "transfer-encoding": "chunked" }, body);
    assert.equal(chunked.status, 413);
    assert.equal(chunked.headers.connection, "close");
    const response = await rig.open("POST", headers, {});
    assert.equal((await readAll(response.response)).includes("-32600"), true);
  });
});
