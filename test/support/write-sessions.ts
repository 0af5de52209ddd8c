// A program that keeps one session after the other in the file it is given, and drops every other one, until it is
// killed. What is durable it prints: a number a line.
import { SessionLines } from "../../src/gateway/frontend/session/session-file.ts";
import { noopLogger as logger } from "../../src/runtime/log/log.ts";
import { systemClock as clock } from "../../src/runtime/time/clock.ts";
import { hashOf, recordOf } from "./session-records.ts";

const [path = "", from = "0"] = process.argv.slice(2);
const file = new SessionLines({ path, clock, logger });
await file.load();
for (let count = Number(from); ; count += 8) {
  const group = Array.from({ length: 8 }, (_, index) => count + index);
  await Promise.all(group.map((each) => file.keep(hashOf(each), recordOf(each))));
  for (const each of group) if (each % 2 === 1) file.drop(hashOf(each));
  process.stdout.write(group.map((each) => `${each}\n`).join(""));
}
