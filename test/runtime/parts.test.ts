// The bus: every listener gets every event.
import assert from "node:assert/strict";
import { describe, it, test } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { dropOldest } from "../../src/runtime/bounded-map.ts";
import { createBus } from "../../src/runtime/bus.ts";
import { coalesce } from "../../src/runtime/coalesce.ts";
import { createDisposalStack } from "../../src/runtime/disposal.ts";
import { ShortLivedMap, ShortLivedSet } from "../../src/runtime/short-lived.ts";
import { eventually } from "../support/eventually.ts";

function start() {
  const errors: unknown[] = [];
  const bus = createBus<string>({ onListenerError: (error) => errors.push(error) });
  const heard: string[] = [];
  const listener = (name: string) => (event: string) => void heard.push(`${name}:${event}`);
  return { bus, errors, heard, listener };
}

describe("bus", () => {
  it("calls every listener, at once and in the order they registered", () => {
    const { bus, heard, listener } = start();
    bus.publish("nobody");
    bus.subscribe(listener("a"));
    bus.subscribe(listener("b"));
    bus.publish("1");
    assert.deepEqual(heard, ["a:1", "b:1"]);
  });

  it("calls no listener that has left, even in the middle of an event", () => {
    const { bus, heard, listener } = start();
    bus.subscribe(() => leave());
    const leave = bus.subscribe(listener("left"));
    bus.subscribe(listener("stays"));
    bus.publish("1");
    leave();
    bus.publish("2");
    assert.deepEqual(heard, ["stays:1", "stays:2"]);
  });

  it("calls a listener that joins in the middle of an event only for later ones", () => {
    const { bus, heard, listener } = start();
    let joined = false;
    bus.subscribe(() => {
      if (!joined) bus.subscribe(listener("late"));
      joined = true;
    });
    bus.publish("1");
    bus.publish("2");
    assert.deepEqual(heard, ["late:2"]);
  });

  it("continues when a listener throws, and reports it", () => {
    const { bus, errors, heard, listener } = start();
    const failure = new Error("listener");
    bus.subscribe(() => {
      throw failure;
    });
    bus.subscribe(listener("b"));
    bus.publish("1");
    assert.deepEqual(heard, ["b:1"]);
    assert.deepEqual(errors, [failure]);
  });
});

const MANY = 2_000;
const IN_FLIGHT = 8;
/** Words of each value. */
const FILLING = 256;

setFlagsFromString("--expose-gc");
const collect: (options: { type: "major" | "minor" }) => void = runInNewContext("gc");

interface Registry {
  add(id: number, value: object): void;
  delete(id: number, value: object): void;
}

/** The part of all removed entries that is still in memory after collections of the young heap alone. */
function shareLeft(registry: Registry): number {
  const flying: { readonly id: number; readonly value: object }[] = [];
  const one = (id: number): void => {
    const value = { id, filling: new Array(FILLING).fill(id) };
    registry.add(id, value);
    flying.push({ id, value });
    const over = flying.length > IN_FLIGHT ? flying.shift() : undefined;
    if (over !== undefined) registry.delete(over.id, over.value);
  };
  for (let id = 0; id < IN_FLIGHT; id++) one(id);
  // Moves the present table to the old heap.
  collect({ type: "major" });
  const before = process.memoryUsage().heapUsed;
  for (let id = IN_FLIGHT; id < MANY; id++) one(id);
  for (let round = 0; round < 3; round++) collect({ type: "minor" });
  return (process.memoryUsage().heapUsed - before) / (MANY * FILLING * 8);
}

describe("a collection for short-lived entries", () => {
  it("does not stay until the next full collection, as nearly all does in a plain Map", () => {
    const plain = new Map<number, object>();
    const map = new ShortLivedMap<number, object>();
    const set = new ShortLivedSet<object>();
    const ofPlain = shareLeft({ add: (id, value) => plain.set(id, value), delete: (id) => plain.delete(id) });
    const ofMap = shareLeft({ add: (id, value) => map.set(id, value), delete: (id) => map.delete(id) });
    const ofSet = shareLeft({ add: (_, value) => set.add(value), delete: (_, value) => set.delete(value) });
    assert.ok(ofPlain > 0.5, `of a plain Map ${ofPlain} is left: FleetingMap is not needed any more`);
    assert.ok(ofMap < 0.1, `${ofMap} of the map is left`);
    assert.ok(ofSet < 0.1, `${ofSet} of the set is left`);
  });

  it("is found, listed and removed as in a Map and a Set", () => {
    const map = new ShortLivedMap<number, string>();
    const set = new ShortLivedSet<number>();
    for (let id = 0; id < MANY; id++) {
      map.set(id, `value ${id}`);
      set.add(id);
      if (id < IN_FLIGHT) continue;
      assert.equal(map.delete(id - IN_FLIGHT), true);
      assert.equal(map.delete(id - IN_FLIGHT), false);
      assert.equal(set.delete(id - IN_FLIGHT), true);
      assert.equal(set.delete(id - IN_FLIGHT), false);
      assert.deepEqual([map.size, set.size], [IN_FLIGHT, IN_FLIGHT]);
    }
    const ids = Array.from({ length: IN_FLIGHT }, (_, index) => MANY - IN_FLIGHT + index);
    assert.deepEqual([...map.keys()], ids);
    assert.deepEqual([...set], ids);
    assert.deepEqual(
      [...map.values()],
      ids.map((id) => `value ${id}`),
    );
    assert.deepEqual(
      [...map],
      ids.map((id) => [id, `value ${id}`]),
    );
    assert.equal(map.get(MANY - 1), `value ${MANY - 1}`);
    assert.deepEqual(
      [map.has(MANY - 1), map.has(0), set.has(MANY - 1), set.has(0)],
      [true, false, true, false],
    );
    map.clear();
    set.clear();
    assert.deepEqual([map.size, set.size], [0, 0]);
  });

  it("is listed whole, whatever is added and removed in between", () => {
    const map = new ShortLivedMap<number, number>();
    const set = new ShortLivedSet<number>();
    for (let id = 0; id < IN_FLIGHT; id++) {
      map.set(id, id);
      set.add(id);
    }
    const comeAndGo = (): void => {
      for (let id = 1_000; id < 1_000 + MANY; id++) {
        map.set(id, id);
        map.delete(id);
        set.add(id);
        set.delete(id);
      }
    };
    const wholes = [() => map.values(), () => map.keys(), () => map, () => set];
    for (const whole of wholes) {
      let told = 0;
      for (const _ of whole()) {
        told += 1;
        comeAndGo();
      }
      assert.equal(told, IN_FLIGHT);
    }
  });
});

test("the oldest entries are dropped, and reinserted ones stay", () => {
  const map = new Map([..."abcd"].map((key) => [key, key]));
  map.delete("a");
  map.set("a", "again");
  dropOldest(map, 4);
  assert.deepEqual([...map.keys()], ["b", "c", "d", "a"]);
  dropOldest(map, 2);
  assert.deepEqual([...map.keys()], ["d", "a"]);
  dropOldest(map, 0);
  assert.equal(map.size, 0);
});

test("work runs one at a time, again if requested during a run, and never after the signal", async () => {
  const stop = new AbortController();
  const begun: PromiseWithResolvers<void>[] = [];
  const ask = coalesce(() => {
    begun.push(Promise.withResolvers<void>());
    return begun.at(-1)?.promise ?? Promise.resolve();
  }, stop.signal);
  ask();
  ask();
  ask();
  assert.equal(begun.length, 1);
  begun[0]?.resolve();
  await eventually(() => begun.length === 2);
  begun[1]?.resolve();
  await begun[1]?.promise;
  ask();
  await eventually(() => begun.length === 3);
  ask();
  stop.abort();
  begun[2]?.resolve();
  await begun[2]?.promise;
  await new Promise(setImmediate);
  assert.equal(begun.length, 3);
});

// Disposal in reverse order, once, despite failures.
function startDisposals() {
  const failures: unknown[] = [];
  const stack = createDisposalStack((error) => failures.push(error));
  const ended: string[] = [];
  return { stack, failures, ended };
}

describe("disposal", () => {
  it("ends in reverse, each after the one before has ended", async () => {
    const { stack, ended } = startDisposals();
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

  it("ends once, however often it is requested, and all callers wait for the same end", async () => {
    const { stack, ended } = startDisposals();
    stack.defer(async () => {
      await new Promise((resolve) => setImmediate(resolve));
      ended.push("x");
    });
    await Promise.all([stack[Symbol.asyncDispose](), stack[Symbol.asyncDispose]()]);
    await stack[Symbol.asyncDispose]();
    assert.deepEqual(ended, ["x"]);
  });

  it("continues when one fails, and reports it", async () => {
    const { stack, ended, failures } = startDisposals();
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

  it("ends late additions at once", async () => {
    const { stack, ended, failures } = startDisposals();
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
