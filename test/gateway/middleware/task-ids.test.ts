import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { ANONYMOUS } from "../../../src/gateway/client-port.ts";
import { type OpenTask, TaskIds } from "../../../src/gateway/middleware/task-ids.ts";
import { user } from "./requests.ts";

const key = (): string => randomBytes(32).toString("base64url");
const TASK: OpenTask = {
  backend: "ü",
  tool: "x",
  originalTool: "y",
  id: "t/1 ✓",
  home: "h",
  mark: null,
};

test("D1 an id of a task says where it is, to its principal alone, and to each daemon with the key", () => {
  const own = key();
  const [ids, next, other] = [own, own, key()].map((one) => new TaskIds(() => one));
  const sealed = ids?.seal(TASK, user("ann", "old")) ?? "";
  assert.match(sealed, /^[\w-]+\.[\w-]{43}$/u);
  assert.deepEqual(ids?.open(sealed, user("ann", "new")), TASK);
  assert.deepEqual(next?.open(sealed, user("ann")), TASK);
  assert.equal(other?.open(sealed, user("ann")), null);
  for (const principal of [user("bob"), ANONYMOUS]) assert.equal(ids?.open(sealed, principal), null);
});

test("D1 an id of a task that was changed, or is none, is not read", () => {
  const own = key();
  const ids = new TaskIds(() => own);
  const sealed = ids.seal(TASK, ANONYMOUS) ?? "";
  for (let at = 0; at < sealed.length; at++) {
    const other = sealed[at] === "A" ? "B" : "A";
    assert.equal(ids.open(`${sealed.slice(0, at)}${other}${sealed.slice(at + 1)}`, ANONYMOUS), null);
  }
  for (const token of [undefined, 1, {}, "", ".", `${sealed}=`, `.${sealed}`, "x".repeat(100_000)]) {
    assert.equal(ids.open(token, ANONYMOUS), null);
  }
});

test("D1 an id of a server's that a header could not carry is not passed on", () => {
  const ids = new TaskIds(key);
  assert.notEqual(ids.seal({ ...TASK, id: "x".repeat(1_024) }, ANONYMOUS), null);
  assert.equal(ids.seal({ ...TASK, id: "x".repeat(1_025) }, ANONYMOUS), null);
});
