import assert from "node:assert/strict";
import { test } from "node:test";
import { type Asker, Rounds } from "../../../../../src/gateway/backends/links/era/rounds.ts";
import type { JsonObject, Reply, RpcRequest } from "../../../../../src/gateway/json-rpc.ts";

const QUESTION = { method: "elicitation/create", params: { mode: "form", message: "?" } };

function started(method = "tools/call") {
  const asked: RpcRequest[] = [];
  const retried: { params: JsonObject; isLater: boolean }[] = [];
  const failed: Reply[] = [];
  let lastId = 100;
  const rounds = new Rounds<Asker>({
    nextId: () => ++lastId,
    ask: (_asker, request) => void asked.push(request),
    retry: (_asker, params, isLater) => void retried.push({ params, isLater }),
    fail: (_asker, reply) => void failed.push(reply),
  });
  const message: RpcRequest = { jsonrpc: "2.0", id: 1, method, params: { name: "a" } };
  const asker: Asker = { message, rounds: 0, pages: [] };
  const ask = (inputRequests: unknown, requestState?: string): void =>
    rounds.begin(asker, { inputRequests, ...(requestState !== undefined && { requestState }) });
  return { rounds, asker, asked, retried, failed, ask };
}

test("D2 the retry has what was asked for, by its keys, and the server's state", () => {
  const { rounds, asked, retried, ask } = started();
  ask({ a: QUESTION, b: { method: "roots/list" } }, "state");
  assert.deepEqual(
    asked.map(({ id, method }) => [id, method]),
    [
      [101, "elicitation/create"],
      [102, "roots/list"],
    ],
  );
  assert.ok(rounds.take(102, { result: { roots: [] } }));
  assert.deepEqual(retried, []);
  assert.ok(rounds.take(101, { result: { action: "decline" } }));
  const inputResponses = { b: { roots: [] }, a: { action: "decline" } };
  assert.deepEqual(retried, [
    { params: { name: "a", inputResponses, requestState: "state" }, isLater: false },
  ]);
  assert.equal(rounds.take(101, { result: {} }), false);
});

test("D2 state alone is sent back later, without a question", () => {
  const { asked, retried, ask } = started();
  ask(undefined, "state");
  assert.deepEqual(asked, []);
  assert.deepEqual(retried, [{ params: { name: "a", requestState: "state" }, isLater: true }]);
});

test("D2 after ten rounds the call fails", () => {
  const { rounds, retried, failed, ask } = started();
  for (let nth = 0; nth < 10; nth++) {
    ask({ a: QUESTION });
    rounds.take(101 + nth, { result: {} });
  }
  assert.deepEqual([retried.length, failed.length], [10, 0]);
  ask({ a: QUESTION });
  assert.match(JSON.stringify(failed), /more than 10 times.*"isError":true/);
});

test("D2 an error of the client ends the call, and other answers come too late", () => {
  const error = { code: -32601, message: "not here" };
  for (const method of ["tools/call", "prompts/get"]) {
    const { rounds, retried, failed, ask } = started(method);
    ask({ a: QUESTION, b: QUESTION });
    assert.ok(rounds.take(101, { error }));
    assert.match(JSON.stringify(failed), /answered elicitation\/create with an error: not here/);
    assert.equal(method === "tools/call", "result" in (failed[0] ?? {}));
    assert.equal(rounds.take(102, { result: {} }), false);
    assert.deepEqual(retried, []);
  }
});

test("D2 what nobody can be asked fails the call, and nothing is asked of a call that is gone", () => {
  const odd = started();
  odd.ask({ fine: QUESTION, odd: { method: "tools/call" } });
  assert.deepEqual([odd.asked.length, odd.failed.length], [0, 1]);
  assert.match(JSON.stringify(odd.failed), /input that nobody can give: odd/);
  const gone = started();
  gone.ask({ a: QUESTION });
  gone.rounds.drop(gone.asker);
  assert.equal(gone.rounds.take(101, { result: {} }), false);
});

test("D2 a page gets an id, for older clients know none without", () => {
  const { asker, asked, ask } = started();
  ask({ a: { method: "elicitation/create", params: { mode: "url", url: "https://a.example" } } });
  const id = asked[0]?.params?.["elicitationId"];
  assert.match(String(id), /^[0-9a-f-]{36}$/);
  assert.deepEqual(asker.pages, [id]);
});
