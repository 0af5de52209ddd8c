// A program that tries for a home's lock, prints one line of JSON about how that went, holds it until its stdin
// ends, and then releases it. Arguments: HOME COMMAND WAIT_MS [HOW]. HOW is `detach`: start a child that outlives it
// first; or `patient`: wait a hundred times as long for what it waits for, as among many on a busy machine.
import { once } from "node:events";
import { errorText, MountaineerError } from "../../src/runtime/errors.ts";
import { startDetached } from "../../src/runtime/process/child-process.ts";
import { acquireHomeLock } from "../../src/runtime/process/home-lock.ts";
import { systemClock } from "../../src/runtime/time/clock.ts";

const [home = "", command = "", waitMs = "0", how] = process.argv.slice(2);
const clock =
  how === "patient" ? { ...systemClock, monotonicMs: () => systemClock.monotonicMs() / 100 } : systemClock;
try {
  const lock = await acquireHomeLock(home, { command, waitMs: Number(waitMs), clock });
  const child =
    how === "detach"
      ? await startDetached(process.execPath, ["-e", "setInterval(() => {}, 1000)"], { logPath: null })
      : null;
  process.stdout.write(`${JSON.stringify({ won: true, ...lock.holder, child: child?.pid })}\n`);
  process.stdin.resume();
  await once(process.stdin, "end");
  await lock[Symbol.asyncDispose]();
} catch (error) {
  const code = error instanceof MountaineerError ? error.code : "other";
  process.stdout.write(`${JSON.stringify({ won: false, code, message: errorText(error) })}\n`);
}
