// Connections that rclone keeps and that are dead are used up by asking it beside the mount, which takes a password.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { processIdentity } from "../../../../src/runtime/process/process-identity.ts";
import { resetSocket } from "../../../../src/runtime/reset-socket.ts";
import { askSpace, controlOf } from "../../../../src/shares/drivers/rclone/control.ts";
import { rcloneFiles } from "../../../../src/shares/drivers/rclone/files.ts";
import { eventually } from "../../../support/eventually.ts";
import type { Scope } from "../../../support/temporary-folder.ts";
import { limits } from "../driver-contract.ts";
import { noSkip, type RcloneBench, standingMount } from "./bench.ts";

const AT_ONCE = 6;

/** A port of 127.0.0.1 in front of the server, whose connections can all be cut at once, and which can keep new ones waiting. */
async function startGate(t: Scope, bench: RcloneBench) {
  const sockets = new Set<Socket>();
  const waiting: Socket[] = [];
  let isShut = false;
  const pass = (client: Socket): void => {
    const behind = connect(bench.rig.tbPort, bench.rig.tbHost);
    for (const socket of [client, behind]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => {
        sockets.delete(socket);
        client.destroy();
        behind.destroy();
      });
    }
    client.pipe(behind).pipe(client);
  };
  const gate = createServer((client) => (isShut ? waiting.push(client) : pass(client)));
  gate.listen(0, "127.0.0.1");
  await once(gate, "listening");
  const cut = (): void => {
    for (const socket of sockets) resetSocket(socket);
  };
  const shut = (): void => {
    isShut = true;
  };
  const open = (): void => {
    isShut = false;
    for (const client of waiting.splice(0)) pass(client);
  };
  t.after(() => {
    cut();
    open();
    gate.close();
  });
  const address = gate.address();
  assert.ok(typeof address === "object" && address !== null);
  return { port: address.port, cut, shut, open, waiting };
}

const NAMES = Array.from({ length: AT_ONCE }, (_, index) => `${index}`);

describe("connections that rclone keeps", noSkip, () => {
  const ends: (() => unknown)[] = [];
  after(() => Promise.all(ends.map((end) => end())));
  let gate: Awaited<ReturnType<typeof startGate>>;
  const standing = standingMount(async (bench, share) => {
    gate = await startGate({ after: (end) => void ends.push(end) }, bench);
    const exported = bench.behind(share, "tb");
    for (const name of NAMES) {
      await mkdir(join(exported, "folders", name), { recursive: true });
      await writeFile(join(exported, name), Buffer.alloc(4 * 1024 * 1024, name));
    }
    const outcome = await bench.driver.mount(share, "tb", limits(), { port: gate.port, patienceMs: 30_000 });
    assert.ok(outcome.ok, outcome.ok ? "" : outcome.text);
    return outcome.mount;
  });

  for (const [what, driverOf] of [
    ["are used up when they are dead", (bench: RcloneBench) => bench.driver],
    ["of a daemon before are used up as well", (bench: RcloneBench) => bench.freshDriver()],
  ] as const) {
    it(`A10 ${what}: what programs do next gets no error`, async () => {
      const { bench, share } = standing();
      // As many are kept as were in use at once, each used more than once.
      for (let rounds = 0; rounds < 3; rounds++)
        await Promise.all(NAMES.map((name) => readFile(join(share.mountPath, name))));
      gate.cut();
      await driverOf(bench).dropLost?.(share, AT_ONCE);
      for (const name of NAMES) assert.deepEqual(await readdir(join(share.mountPath, "folders", name)), []);
    });
  }

  it("A10 a question that rclone has yet to answer is neither given up nor followed by others", async () => {
    const { bench, share } = standing();
    gate.shut();
    gate.cut();
    const dropped = bench.driver.dropLost?.(share, AT_ONCE);
    await eventually(() => gate.waiting.length > 0);
    await dropped;
    const waiting = gate.waiting.length;
    await bench.driver.dropLost?.(share, AT_ONCE);
    assert.equal(gate.waiting.length, waiting);
    assert.ok(gate.waiting.every(({ closed, readableEnded }) => !closed && !readableEnded));
    gate.open();
    await eventually(async () => (await readdir(join(share.mountPath, "folders"))).length === AT_ONCE);
  });

  it("A10 rclone answers only whoever knows its password, which only its user may read", async () => {
    const { bench, share, pid } = standing();
    const files = rcloneFiles(bench.stateFolder, share.name);
    const identity = await processIdentity(pid);
    assert.ok(identity);
    const control = await controlOf(files, identity);
    assert.ok(control);
    const remote = `share:${share.shareName}`;
    assert.equal(await askSpace(control, remote, 10_000), "done");
    assert.equal(await askSpace({ ...control, password: "guessed" }, remote, 10_000), "unreachable");
    assert.equal((await stat(files.control)).mode & 0o777, 0o600);
    assert.ok(!(await readFile(`/proc/${pid}/cmdline`, "utf8")).includes(control.password));
    assert.equal(await controlOf(files, { ...identity, startTime: "another" }), null);
  });
});
