// kill -9 of the daemon right before each of the steps between a person's yes and what was approved running.
import assert from "node:assert/strict";
import { access, readFile, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import type { DaemonClient } from "../../src/api/client/client.ts";
import { eventually } from "../support/eventually.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { type Section, startGatewayRig } from "./gateway-rig.ts";

const HOOK = pathToFileURL(path.join(import.meta.dirname, "fixtures/kill-at-step.ts"));
const ID = "backends.files";
const SIGNAL = (): AbortSignal => AbortSignal.timeout(60_000);
/** More steps than that would be another program. */
const MOST_STEPS = 80;

const isThere = (file: string): Promise<boolean> =>
  access(file).then(
    () => true,
    () => false,
  );

test("E2 kill -9 between a yes and what it is for, at each step: it runs after the restart or is asked again", async (t) => {
  const folder = await temporaryFolder(t);
  const order = path.join(folder, "kill");
  const ran = (name: string): string => path.join(folder, `ran-${name}`);
  const running = (name: string): Section => ({
    command: "/bin/sh",
    args: ["-c", `: > ${ran(name)}; exec sleep 600`],
  });
  const more = { trust: { approve: "commands" } };
  const rig = await startGatewayRig(
    t,
    { backends: { files: running("first") }, more },
    { env: { NODE_OPTIONS: `--import ${HOOK}`, KILL_AT: order } },
  );
  await eventually(() => isThere(ran("first")));
  const waitingOf = async (daemon: DaemonClient) => (await daemon.ask("approvals", null, SIGNAL())).waiting;
  const waits = async (daemon: DaemonClient, name: string) =>
    eventually(async () =>
      (await waitingOf(daemon)).find(({ id, waiting }) => id === ID && waiting.includes(name)),
    );
  const killed: string[] = [];
  const outcomes = { asked: 0, applied: 0 };
  let isDone = false;
  for (const step of ["spawn /bin/sh", ...Array.from({ length: MOST_STEPS }, (_, index) => index + 1)]) {
    const name = `step-${String(step).replace(/\W/g, "")}-`;
    // Beside it something that nobody ever approves.
    await rig.save({ backends: { files: running(name), evil: running("evil") }, more });
    const daemon = await rig.daemon();
    const { id, digest } = await waits(daemon, name);
    assert.equal(await isThere(ran(name)), false);
    await writeFile(`${order}.new`, String(step));
    await rename(`${order}.new`, order);
    const answer = await daemon.ask("approve", { entries: [{ id, digest }] }, SIGNAL()).catch(() => null);
    const isKilled = await eventually(async () => {
      if (await isThere(`${order}.killed`)) return "killed";
      return (await isThere(ran(name))) && answer !== null && "done";
    });
    await rm(order);
    assert.equal(await isThere(ran("evil")), false, `step ${step}`);
    isDone = isKilled === "done";
    if (isDone) break;
    // It is there before its text is.
    killed.push(await eventually(() => readFile(`${order}.killed`, "utf8")));
    await rm(`${order}.killed`);
    await rig.goDown("SIGKILL");
    await rig.comeBack();
    const next = await rig.daemon();
    const again = (await waitingOf(next)).find((entry) => entry.id === ID);
    if (again === undefined) outcomes.applied += 1;
    else {
      outcomes.asked += 1;
      assert.ok(answer === null, "what was answered with yes is not asked again");
      assert.equal(again.digest, digest);
      await next.ask(
        "approve",
        { entries: [again].map(({ id: which, digest: what }) => ({ id: which, digest: what })) },
        SIGNAL(),
      );
    }
    await eventually(() => isThere(ran(name)));
    assert.equal(await isThere(ran("evil")), false, `after step ${step}`);
  }
  const told = killed.join("; ");
  assert.ok(isDone && killed.length > 5, `killed before: ${told}`);
  assert.ok(killed[0]?.startsWith("spawn") && /rename \S+\.approvals\.sealed/.test(told), told);
  assert.ok(outcomes.asked > 0 && outcomes.applied > 0, JSON.stringify(outcomes));
  t.diagnostic(`${killed.length} steps: ${outcomes.asked} asked again, ${outcomes.applied} applied`);
});
