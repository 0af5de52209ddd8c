import assert from "node:assert/strict";
import test from "node:test";
import { createSemaphore } from "../../../src/network/probe/semaphore.ts";
import { settle } from "../../support/manual-clock.ts";

test("so many run at once, the rest in order of coming, and a failure frees its slot", async () => {
  const semaphore = createSemaphore(2);
  const started: number[] = [];
  const finish: (() => void)[] = [];
  const work = (index: number): Promise<number> =>
    semaphore.use(
      () =>
        new Promise((resolve, reject) => {
          started.push(index);
          finish.push(() => (index === 0 ? reject(new Error("on purpose")) : resolve(index)));
        }),
    );
  const all = Promise.allSettled([0, 1, 2, 3].map(work));
  await settle();
  assert.deepEqual(started, [0, 1]);
  finish[0]?.();
  await settle();
  assert.deepEqual(started, [0, 1, 2]);
  finish[2]?.();
  finish[1]?.();
  await settle();
  finish[3]?.();
  assert.deepEqual(
    (await all).map(({ status }) => status),
    ["rejected", "fulfilled", "fulfilled", "fulfilled"],
  );
  const later = work(9);
  await settle();
  finish[4]?.();
  assert.equal(await later, 9);
});
