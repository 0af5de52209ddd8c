import assert from "node:assert/strict";
import { test } from "node:test";
import { CallAbort, type CallSignal } from "../../src/gateway/call-signal.ts";

/** What happens to one signal, in order. */
function told(signal: CallSignal, abort: (reason: unknown) => void): readonly string[] {
  const seen: string[] = [];
  const second = (): void => void seen.push("second");
  const taken = (): void => void seen.push("taken away before");
  signal.addEventListener("abort", () => {
    seen.push(`first: ${signal.aborted} ${String(signal.reason)}`);
    signal.removeEventListener("abort", third);
  });
  const third = (): void => void seen.push("taken away meanwhile");
  signal.addEventListener("abort", taken, { once: true });
  signal.addEventListener("abort", third, { once: true });
  signal.addEventListener("abort", second, { once: true });
  signal.addEventListener("abort", second, { once: true });
  signal.removeEventListener("abort", taken);
  signal.removeEventListener("abort", () => {});
  seen.push(`before: ${signal.aborted} ${String(signal.reason)}`);
  abort("gone");
  abort("again");
  signal.addEventListener("abort", () => void seen.push("too late"));
  seen.push(`after: ${String(signal.reason)}`);
  return seen;
}

test("a call's signal tells as an AbortSignal does: each listener once, in order, and why", () => {
  const own = new CallAbort();
  const controller = new AbortController();
  const ours = told(own, (reason) => own.abort(reason));
  assert.deepEqual(ours, ["before: false undefined", "first: true gone", "second", "after: gone"]);
  assert.deepEqual(
    ours,
    told(controller.signal, (reason) => controller.abort(reason)),
  );
});

test("listeners that come and go keep their order, whichever goes first", () => {
  const seen: string[] = [];
  const listeners = ["a", "b", "c", "d"].map((name) => () => void seen.push(name));
  const [a, b, c, d] = listeners as [() => void, () => void, () => void, () => void];
  const order = (signal: CallSignal): void => {
    for (const each of [a, b, a]) signal.addEventListener("abort", each);
    signal.removeEventListener("abort", a);
    for (const each of [c, b, a, d]) signal.addEventListener("abort", each);
    signal.removeEventListener("abort", d);
  };
  const [own, controller] = [new CallAbort(), new AbortController()];
  order(own);
  order(controller.signal);
  own.abort("gone");
  assert.deepEqual(seen.splice(0), ["b", "c", "a"]);
  controller.abort("gone");
  assert.deepEqual(seen, ["b", "c", "a"]);
});

test("a listener that throws holds up neither the others nor who aborts, and is not swallowed", async () => {
  const signal = new CallAbort();
  let isTold = false;
  signal.addEventListener("abort", () => {
    throw new Error("a mistake");
  });
  signal.addEventListener("abort", () => {
    isTold = true;
  });
  const thrown = Promise.withResolvers<unknown>();
  process.setUncaughtExceptionCaptureCallback(thrown.resolve);
  try {
    signal.abort(null);
    assert.equal(isTold, true);
    assert.match(String(await thrown.promise), /a mistake/);
  } finally {
    process.setUncaughtExceptionCaptureCallback(null);
  }
});
