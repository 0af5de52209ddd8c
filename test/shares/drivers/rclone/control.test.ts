// Connections that rclone keeps and that are dead are used up by asking it beside the mount, which takes a password.
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { processIdentity } from "../../../../src/runtime/process/process-identity.ts";
import { resetSocket } from "../../../../src/runtime/reset-socket.ts";
import { askSpace, controlOf } from "../../../../src/shares/drivers/rclone/control.ts";
import { rcloneFiles } from "../../../../src/shares/drivers/rclone/files.ts";
import { limits, PLAIN_NAME } from "../driver-contract.ts";
import { noSkip, type RcloneBench, server, startBench } from "./bench.ts";

const AT_ONCE = 6;

/** A port of 127.0.0.1 in front of the server, whose connections can all be cut at once. */
async function startGate(t: TestContext, bench: RcloneBench) {
  const sockets = new Set<Socket>();
  const gate = createServer((client) => {
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
  });
  gate.listen(0, "127.0.0.1");
  await once(gate, "listening");
  const cut = (): void => {
    for (const socket of sockets) resetSocket(socket);
  };
  t.after(() => {
    cut();
    gate.close();
  });
  const address = gate.address();
  assert.ok(typeof address === "object" && address !== null);
  return { port: address.port, cut };
}

/** Mounted over the gate, with as many connections kept as `AT_ONCE`, each used more than once. */
async function mountedBehindGate(t: TestContext, bench: RcloneBench) {
  const share = bench.share(PLAIN_NAME);
  const gate = await startGate(t, bench);
  const exported = bench.behind(share, "tb");
  const names = Array.from({ length: AT_ONCE }, (_, index) => `${index}`);
  for (const name of names) {
    await mkdir(join(exported, "folders", name), { recursive: true });
    await writeFile(join(exported, name), Buffer.alloc(4 * 1024 * 1024, name));
  }
  const outcome = await bench.driver.mount(share, "tb", limits(), { port: gate.port, patienceMs: 30_000 });
  assert.ok(outcome.ok, outcome.ok ? "" : outcome.text);
  for (let rounds = 0; rounds < 3; rounds++) {
    await Promise.all(names.map((name) => readFile(join(share.mountPath, name))));
  }
  return { share, gate, folders: names.map((name) => join(share.mountPath, "folders", name)) };
}

describe("connections that rclone keeps", noSkip, () => {
  it("A10 are used up when they are dead: what programs do next gets no error", async (t) => {
    await using bench = await startBench(t);
    const { share, gate, folders } = await mountedBehindGate(t, bench);
    gate.cut();
    await bench.driver.dropLost?.(share, AT_ONCE);
    for (const folder of folders) assert.deepEqual(await readdir(folder), []);
  });

  it("A10 of a daemon before are used up as well", async (t) => {
    await using bench = await startBench(t);
    const { share, gate, folders } = await mountedBehindGate(t, bench);
    gate.cut();
    await bench.freshDriver().dropLost?.(share, AT_ONCE);
    for (const folder of folders) assert.deepEqual(await readdir(folder), []);
  });

  it("A10 rclone answers only whoever knows its password, which only its user may read", async (t) => {
    await using bench = await startBench(t);
    const { share } = await mountedBehindGate(t, bench);
    const files = rcloneFiles(bench.stateFolder, share.name);
    const pid = await server(bench, share);
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
