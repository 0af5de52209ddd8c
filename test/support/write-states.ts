// A program that writes one state after the other to the file it is given, until it is killed. Each state gives all
// its shares the same switch time; a file in which they differ is torn.
import { EMPTY_SHARE_MEMORY } from "../../src/reconcile/memory.ts";
import { openMemory } from "../../src/reconcile/state-file.ts";
import { silentLogger as logger } from "../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../src/runtime/time/clock.ts";

const [path = ""] = process.argv.slice(2);
const memory = await openMemory({ path, clock, logger });
const before = memory.recollection.shares.get("SHARE-0")?.lastSwitchAt ?? 0;
process.stdout.write("writing\n");
for (let count = before + 1; ; count++) {
  const share = { ...EMPTY_SHARE_MEMORY, lastSwitchAt: count, lastError: "x".repeat(count % 3000) };
  await Promise.all(Array.from({ length: 8 }, (_, index) => memory.remember(`SHARE-${index}`, share)));
}
