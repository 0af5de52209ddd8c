// The shell that holds the carrier's ports, where it does not do as it is told.
import assert from "node:assert/strict";
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createSocketHolder } from "../../../src/relay/control/socket-holder.ts";
import { noopLogger } from "../../../src/runtime/log/log.ts";
import { endProcess, isRunning } from "../../../src/runtime/process/process-identity.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { eventually } from "../../support/eventually.ts";
import { createManualClock } from "../../support/manual-clock.ts";
import { passTimeUntilSettled } from "../../support/pass-time.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";

async function start(t: TestContext, content: string) {
  const home = await temporaryFolder(t);
  const script = join(home, "keeper.sh");
  await writeFile(script, content);
  const server = createServer().listen(0, "127.0.0.1");
  t.after(() => server.close());
  await once(server, "listening");
  const clock = createManualClock();
  const changes: (number | null)[] = [];
  const onChange = async (identity: { readonly pid: number } | null): Promise<void> => {
    changes.push(identity?.pid ?? null);
  };
  const options = { script, program: "", home, clock, logger: noopLogger, onChange };
  const keeper = createSocketHolder(options);
  await keeper.replace([server]);
  return { clock, changes, keeper };
}

test("A10 a socket holder that receives no farewell is ended after a second, and no other takes its place", async (t) => {
  const { clock, changes, keeper } = await start(t, "exec sleep 600\n");
  const { identity } = keeper;
  assert.ok(identity !== null);
  t.after(
    async () => void (await endProcess(identity, { clock: systemClock, graceMs: 0, deadlineMs: 10_000 })),
  );
  await passTimeUntilSettled(clock, keeper[Symbol.asyncDispose](), 500);
  // The clock may pass the wait for its end before the killed process has gone.
  await eventually(async () => !(await isRunning(identity)));
  assert.deepEqual(changes, [identity.pid]);
});

test("A10 a socket holder that was killed is replaced at once, one that was asked to end after 250 ms", async (t) => {
  const { clock, changes, keeper } = await start(t, "exec cat\n");
  t.after(() => keeper[Symbol.asyncDispose]());
  const end = (signal: "SIGKILL" | "SIGTERM") => process.kill(keeper.identity?.pid ?? assert.fail(), signal);
  end("SIGKILL");
  await eventually(() => changes.length === 2);
  end("SIGTERM");
  await eventually(() => clock.pendingTimers > 0 || changes.length > 2);
  await clock.advance(249);
  assert.deepEqual([clock.pendingTimers, changes.length], [1, 2]);
  await clock.advance(1);
  await eventually(() => changes.length === 3);
});
