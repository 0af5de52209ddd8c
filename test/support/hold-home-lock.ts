// A program that tries for a home's lock, prints one line of JSON about how that went, holds it until its stdin
// ends, and then releases it. Arguments: HOME COMMAND WAIT_MS [detach: start a child that outlives it first].
import { once } from "node:events";
import { startDetached } from "../../src/runtime/child-process.ts";
import { systemClock } from "../../src/runtime/clock.ts";
import { errorText, MountaineerError } from "../../src/runtime/errors.ts";
import { acquireHomeLock } from "../../src/runtime/home-lock.ts";

const [home = "", command = "", waitMs = "0", detach] = process.argv.slice(2);
try {
  const lock = await acquireHomeLock(home, { command, waitMs: Number(waitMs), clock: systemClock });
  const child =
    detach === "detach"
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
