import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Slots, type Sums } from "../../../src/daemon/numbers/slots.ts";

test("F9 packed slots have the sums of each slot, whatever is added, dropped, packed and unpacked", () => {
  const run = fc.record({
    skip: fc.nat(3),
    count: fc.integer({ min: 1, max: 4 }),
    key: fc.nat(2),
    sum: fc.nat(2 ** 40),
  });
  fc.assert(
    fc.property(fc.array(run, { maxLength: 40 }), fc.nat(60), fc.nat(60), (runs, from, length) => {
      const slots = new Slots();
      const model = new Map<number, Sums>();
      let next = 0;
      for (const { skip, count, key, sum } of runs) {
        // One slot back, now and then: more of the newest slot.
        const at = Math.max(0, next - 1) + skip;
        if (skip === 0 && count > 1) continue;
        slots.push({ at, count, sums: new Map([[key, sum]]) });
        for (let slot = at; slot < at + count; slot++) {
          const sums = model.get(slot) ?? new Map();
          model.set(slot, sums.set(key, (sums.get(key) ?? 0) + sum));
        }
        next = at + count;
      }
      const known = (of: Slots): Map<number, Sums> =>
        new Map(
          [...of.runs()].flatMap((one) =>
            Array.from({ length: one.count }, (_, nth) => [one.at + nth, one.sums]),
          ),
        );
      assert.deepEqual(known(slots), model);
      assert.equal(slots.first, Math.min(...model.keys()));
      assert.deepEqual(known(new Slots(slots.packed())), model);
      slots.clip(from, from + length);
      for (const slot of model.keys()) if (slot < from || slot >= from + length) model.delete(slot);
      assert.deepEqual(known(slots), model);
    }),
  );
});
