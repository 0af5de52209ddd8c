// Ending in reverse, once, whatever fails on the way.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createDisposalStack } from "../../src/runtime/disposal.ts";

function start() {
  const failures: unknown[] = [];
  const stack = createDisposalStack((error) => failures.push(error));
  const ended: string[] = [];
  return { stack, failures, ended };
}

describe("disposal", () => {
  it("ends in reverse, each after the one before has ended", async () => {
    const { stack, ended } = start();
    stack.defer(() => void ended.push("first"));
    stack.defer(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      ended.push("second");
    });
    stack.use({ [Symbol.dispose]: () => void ended.push("third") });
    const resource = { [Symbol.asyncDispose]: async () => void ended.push("fourth") };
    assert.equal(stack.use(resource), resource);
    assert.equal(stack.disposed, false);
    const ending = stack[Symbol.asyncDispose]();
    assert.equal(stack.disposed, true);
    await ending;
    assert.deepEqual(ended, ["fourth", "third", "second", "first"]);
  });

  it("ends once, however often it is asked, and all who ask wait for the same end", async () => {
    const { stack, ended } = start();
    stack.defer(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      ended.push("x");
    });
    await Promise.all([stack[Symbol.asyncDispose](), stack[Symbol.asyncDispose]()]);
    await stack[Symbol.asyncDispose]();
    assert.deepEqual(ended, ["x"]);
  });

  it("goes on when one fails, and says so", async () => {
    const { stack, ended, failures } = start();
    stack.defer(() => void ended.push("first"));
    stack.defer(() => {
      throw new Error("sync");
    });
    stack.defer(async () => {
      throw new Error("async");
    });
    await stack[Symbol.asyncDispose]();
    assert.deepEqual(ended, ["first"]);
    assert.deepEqual(failures.map(String), ["Error: async", "Error: sync"]);
  });

  it("ends at once what comes too late", async () => {
    const { stack, ended, failures } = start();
    await stack[Symbol.asyncDispose]();
    stack.defer(() => void ended.push("late"));
    stack.use({
      [Symbol.dispose]() {
        throw new Error("late too");
      },
    });
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(ended, ["late"]);
    assert.equal(failures.length, 1);
  });
});
