// Who is at the other end of a connection: read from the system's tables, and asked of a real one.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { connect } from "node:net";
import { describe, type TestContext, test } from "node:test";
import { hasMount, isPresent } from "../../../src/relay/system/mount-presence.ts";
import type { OwnerTable } from "../../../src/relay/system/owner-table.ts";
import { createSocketOwners } from "../../../src/relay/system/socket-owner.ts";
import { parseLsofOwners } from "../../../src/relay/system/socket-owner-darwin.ts";
import { parseOwners, readOwnersLinux } from "../../../src/relay/system/socket-owner-linux.ts";
import { processIdentity } from "../../../src/runtime/process/process-identity.ts";
import { systemClock } from "../../../src/runtime/time/clock.ts";
import { startPeer } from "../../network/tcp-peer.ts";
import { eventually } from "../../support/eventually.ts";
import { LINUX_ALONE } from "../../support/where.ts";
import { startShare } from "../connections/share-bench.ts";
import { startFakeNas } from "../fake-nas.ts";
import { COMMAND, request } from "../smb-messages.ts";

const HEAD =
  "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
// 40000 = 9C40, 50000 = C350, 50001 = C351.
const FOUR =
  HEAD +
  "   0: 0100007F:9C40 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1 1 0 100 0 0 10 0\n" +
  "   1: 0100007F:9C40 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 2 1 0 20 4 30 10 -1\n" +
  "   2: 0100007F:C350 0100007F:9C40 01 00000000:00000000 00:00000000 00000000  1001        0 3 1 0 20 4 30 10 -1\n" +
  "   3: 0100007F:C351 0100007F:9C40 04 00000000:00000000 00:00000000 00000000     0        0 0 1 0 20 4 30 10 -1\n";
const SIX =
  HEAD +
  "   0: 0000000000000000FFFF00000100007F:C352 0000000000000000FFFF00000100007F:9C40 01 00000000:00000000 00:00000000 00000000   33        0 9 1 0 20 4 30 10 -1\n";

describe("the owner of a connection", () => {
  test("A10 is read from the row of the client's end, among established connections only", () => {
    const table = parseOwners(FOUR, SIX);
    assert.equal(table.ownerOf("127.0.0.1", 50_000, 40_000), 1001);
    assert.equal(table.ownerOf("::ffff:127.0.0.1", 50_000, 40_000), 1001);
    assert.equal(
      table.ownerOf("127.0.0.1", 50_001, 40_000),
      null,
      "closed before it was accepted: uid 0 there",
    );
    assert.equal(table.ownerOf("127.0.0.1", 50_002, 40_000), 33, "an IPv6 socket that talks IPv4");
    assert.equal(table.ownerOf("127.0.0.1", 50_000, 40_001), null);
    assert.equal(table.ownerOf("127.0.0.2", 50_000, 40_000), null);
    assert.equal(table.ownerOf("::1", 50_000, 40_000), null);
    assert.equal(parseOwners("", "").ownerOf("127.0.0.1", 50_000, 40_000), null);
  });

  test("A10 is read from what lsof prints, where the system has no such table", () => {
    const output =
      "p812\nu501\nf7\nn127.0.0.1:50000->127.0.0.1:40000\nf8\nn127.0.0.1:40000->127.0.0.1:50000\np900\nu502\nf3\nn127.0.0.1:50001->127.0.0.1:40000\n";
    const table = parseLsofOwners(output);
    assert.equal(table.ownerOf("127.0.0.1", 50_000, 40_000), 501);
    assert.equal(table.ownerOf("127.0.0.1", 50_001, 40_000), 502);
    assert.equal(table.ownerOf("127.0.0.1", 50_002, 40_000), null, "one of the kernel's has no row");
  });

  test("A10 one reading serves all callers from before it began", async () => {
    const begun: PromiseWithResolvers<OwnerTable>[] = [];
    const owners = createSocketOwners(systemClock, {
      hasAllPorts: true,
      read() {
        const reading = Promise.withResolvers<OwnerTable>();
        begun.push(reading);
        return reading.promise;
      },
    });
    const table = { ownerOf: () => 7 };
    const first = owners.ownerOf("127.0.0.1", 1, 2);
    const later = Array.from({ length: 50 }, (_, port) => owners.ownerOf("127.0.0.1", 1, port));
    assert.equal(begun.length, 1);
    begun[0]?.resolve(table);
    assert.equal(await first, 7);
    await eventually(() => begun.length === 2);
    begun[1]?.resolve(table);
    assert.deepEqual(new Set(await Promise.all(later)), new Set([7]));
    assert.equal(begun.length, 2);
    const last = owners.ownerOf("127.0.0.1", 1, 2);
    assert.equal(begun.length, 3, "nothing is remembered");
    begun[2]?.resolve(table);
    await last;
  });

  test("A10 a failed reading fails its callers, and no later ones", async () => {
    let count = 0;
    const owners = createSocketOwners(systemClock, {
      hasAllPorts: false,
      read() {
        count += 1;
        return count === 1 ? Promise.reject(new Error("no")) : Promise.resolve({ ownerOf: () => 5 });
      },
    });
    await assert.rejects(owners.ownerOf("127.0.0.1", 1, 2), /no/);
    assert.equal(await owners.ownerOf("127.0.0.1", 1, 2), 5);
  });

  test("A10 is ours for our own connection", { skip: notLinux() }, async (t) => {
    const { port } = await startPeer(t, () => {});
    const client = connect(port, "127.0.0.1");
    t.after(() => client.destroy());
    await once(client, "connect");
    const table = await readOwnersLinux();
    assert.equal(table.ownerOf("127.0.0.1", client.localPort ?? 0, port), process.getuid?.());
  });

  test("A10 another user gets no byte through the port", { skip: notRoot() }, async (t) => {
    const nas = await startFakeNas();
    const bench = await startShare(t, { nas, owners: createSocketOwners(systemClock), uid: 0 });
    const own = await bench.client();
    own.send(request(COMMAND.read, 1));
    await eventually(() => own.received.length > 0);
    const answers = await Promise.all(Array.from({ length: 10 }, () => askAs(t, 65_534, bench.port)));
    assert.deepEqual(new Set(answers), new Set(["reset"]));
    assert.equal(nas.joined().length, 1);
    assert.equal(bench.share.state().bytesUp, request(COMMAND.read, 1).length);
  });
});

/** Sends a request as another user, with what that user can run; how it ended. */
function askAs(t: TestContext, uid: number, port: number): Promise<string> {
  const program = [
    'exec 3<>/dev/tcp/127.0.0.1/"$0" || { echo reset; exit; }',
    "printf 'a request of a stranger' >&3 2>/dev/null",
    "if IFS= read -r -n 1 -t 10 byte <&3 2>/dev/null; then echo answered; else [ $? -gt 128 ] && echo silent || echo reset; fi",
  ].join("\n");
  const args = [`--reuid=${uid}`, `--regid=${uid}`, "--clear-groups", "bash", "-c", program, String(port)];
  const child = spawn("setpriv", args, { stdio: ["ignore", "pipe", "ignore"] });
  t.after(() => child.kill("SIGKILL"));
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => {
    output += chunk.toString();
  });
  return new Promise((resolve) => child.once("close", () => resolve(output.trim())));
}

function notLinux(): string | false {
  return process.platform === "linux" ? false : "Linux's table";
}

function notRoot(): string | false {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "needs root, to become another user";
  try {
    execFileSync("setpriv", ["--version"], { stdio: "ignore" });
    return false;
  } catch {
    return "setpriv is not installed";
  }
}

// A mount is known by its id and its path.
const TABLE = [
  "36 25 0:45 / /home/me/NAS\\040Core rw shared:1 - fuse.rclone //nas/CORE rw",
  "37 25 0:46 / /mnt/plain rw - cifs //nas/PLAIN rw",
].join("\n");

describe("the presence of a mount", () => {
  test("A10 needs the id and the path to agree, as ids are reused", () => {
    assert.equal(hasMount(TABLE, { id: "36", path: "/home/me/NAS Core" }), true);
    assert.equal(hasMount(TABLE, { id: "36:0:45:3", path: "/home/me/NAS Core" }), true);
    assert.equal(hasMount(TABLE, { id: "36:0:46", path: "/home/me/NAS Core" }), false);
    assert.equal(hasMount(TABLE, { id: "37", path: "/home/me/NAS Core" }), false);
    assert.equal(hasMount(TABLE, { id: "38", path: "/mnt/plain" }), false);
  });

  test("A10 ends only with the process that serves it", async () => {
    const gone = { id: "999999999", path: "/nowhere" };
    assert.equal(await isPresent({ ...gone, process: null }), false);
    const own = await processIdentity(process.pid);
    assert.ok(own);
    assert.equal(await isPresent({ ...gone, process: own }), true);
    assert.equal(await isPresent({ ...gone, process: { ...own, startTime: "another" } }), false);
  });

  test("A10 is reported for a mount of this machine", { skip: LINUX_ALONE }, async () => {
    const [line = ""] = (await readFile("/proc/self/mountinfo", "utf8")).split("\n");
    const [id, , , , path] = line.split(" ");
    assert.ok(id !== undefined && path !== undefined);
    assert.equal(await isPresent({ id, path, process: null }), true);
  });
});
