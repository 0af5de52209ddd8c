// A daemon as far as its numbers are concerned, which is killed: one call in each ten seconds, and a line with the number of
// calls after each save.
import { stat } from "node:fs/promises";
import { setTimeout as pause } from "node:timers/promises";
import { SAVE_EVERY_MS } from "../../../src/daemon/numbers/numbers-file.ts";
import { numbersBench } from "./numbers-bench.ts";

const b = numbersBench(String(process.argv[2]));
await b.start();
const size = async (): Promise<number> => (await stat(b.path).catch(() => ({ size: 0 }))).size;
for (let calls = 30; ; calls += 30) {
  const before = await size();
  for (let tick = 0; tick < 30; tick++) {
    b.called("files", [8]);
    b.play(10_000);
  }
  for (let turn = 1; (await size()) === before; turn++) {
    await pause(1);
    if (turn % 50 === 0) b.play(SAVE_EVERY_MS);
  }
  process.stdout.write(`${calls}\n`);
}
