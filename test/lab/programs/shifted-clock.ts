// Preloaded into a daemon (`NODE_OPTIONS=--import`): its wall clock is ahead by the milliseconds that a file says, and
// behind when they are negative. The machine's own clock is everybody's.
import { readFileSync } from "node:fs";

const LOOKS_MS = 200;

const file = process.env["SOAK_CLOCK_FILE"];
if (file !== undefined) {
  let shiftMs = 0;
  const Real = Date;
  const now = (): number => Real.now() + shiftMs;
  globalThis.Date = new Proxy(Real, {
    construct: (target, given: []) => (given.length === 0 ? new target(now()) : new target(...given)),
    get: (target, key) => (key === "now" ? now : Reflect.get(target, key)),
  });
  setInterval(() => {
    try {
      shiftMs = Number(readFileSync(file, "utf8"));
    } catch {
      // Nobody has moved it yet.
    }
  }, LOOKS_MS).unref();
}
