// Who hears what, and that no listener takes it from another.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createBus } from "../../src/runtime/bus.ts";

function start() {
  const errors: unknown[] = [];
  const bus = createBus<string>({ onListenerError: (error) => errors.push(error) });
  const heard: string[] = [];
  const listener = (name: string) => (event: string) => void heard.push(`${name}:${event}`);
  return { bus, errors, heard, listener };
}

describe("bus", () => {
  it("tells every listener, at once and in the order they came", () => {
    const { bus, heard, listener } = start();
    bus.publish("nobody");
    bus.subscribe(listener("a"));
    bus.subscribe(listener("b"));
    bus.publish("1");
    assert.deepEqual(heard, ["a:1", "b:1"]);
  });

  it("tells nobody who has left, even in the middle of an event", () => {
    const { bus, heard, listener } = start();
    bus.subscribe(() => leave());
    const leave = bus.subscribe(listener("left"));
    bus.subscribe(listener("stays"));
    bus.publish("1");
    leave();
    bus.publish("2");
    assert.deepEqual(heard, ["stays:1", "stays:2"]);
  });

  it("tells who joins in the middle of an event only of later ones", () => {
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

  it("takes one function twice for two listeners", () => {
    const { bus, heard, listener } = start();
    const same = listener("a");
    const leave = bus.subscribe(same);
    bus.subscribe(same);
    bus.publish("1");
    leave();
    bus.publish("2");
    assert.deepEqual(heard, ["a:1", "a:1", "a:2"]);
  });

  it("goes on when a listener throws, and says so", () => {
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
