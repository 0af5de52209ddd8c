// The cifs driver as a user whom fstab lets mount: with a line for each route, and with the one line of a carried mount.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { objectOf } from "../../../src/runtime/text/json-object.ts";
import { eventually } from "../../support/eventually.ts";
import { makeReadable, whileMoving } from "./carried.ts";
import { startCarrying } from "./carrying.ts";
import { makeHome, PATIENT_MS } from "./daemon-home.ts";
import * as nas from "./nas.ts";
import { startProgram, told } from "./programs.ts";
import { must, run } from "./run.ts";
import { chapter, type Say } from "./verdicts.ts";

const IDS = ["user.one-line", "user.moves", "user.sqlite", "user.unmounted", "user.two-lines"] as const;
const MOVES = 4;

export function user(product: boolean, carryLines: readonly string[]): Promise<void> {
  return chapter(IDS, async (say) => {
    await oneLine(say, product);
    await say("user.two-lines", () => twoLines(carryLines));
  });
}

/** Its daemon and its mount are gone when this resolves. */
async function oneLine(say: Say, product: boolean): Promise<void> {
  let made: Awaited<ReturnType<typeof startCarrying>> | null = null;
  await say("user.one-line", async () => {
    made = await startCarrying({ who: "ann", product });
    assert.equal(await must(["cat", made.at("marker.txt")], { as: "ann" }), "hello from CORE\n");
    return made.words;
  });
  if (made === null) throw new Error("nothing is mounted");
  await using carrying: Awaited<ReturnType<typeof startCarrying>> = made;
  await makeReadable();
  await using base = await startProgram("sqlite", [carrying.at("base.db")], "ann");
  await say("user.moves", () => whileMoving(carrying, { who: "ann", moves: MOVES, more: [base] }));
  await say("user.sqlite", async () => {
    const report = await base.end();
    const { rows, check } = await serversRows();
    const seen = `${told("sqlite", report)}; ${rows.size} rows on the server, integrity ${check}`;
    assert.equal(check, "ok", seen);
    assert.ok(report.lines.length > 0, seen);
    assert.deepEqual(
      report.lines.filter((number) => !rows.has(number)),
      [],
      `committed rows are missing; ${seen}`,
    );
    return seen;
  });

  await say("user.unmounted", async () => {
    await carrying.unmount();
    assert.deepEqual(await nas.cifsMounts(), []);
    return "by the user, gone from the mount table";
  });
}

/** Why the documentation wants one line: mount.cifs takes the first line of a path, whatever it is asked for. */
async function twoLines(carryLines: readonly string[]): Promise<string> {
  const path = "/home/ann/mountaineer/volumes/CORE";
  await writeFile("/home/ann/.nas", `username=${nas.USERNAME}\npassword=${nas.PASSWORD}\n`, { mode: 0o600 });
  await must(["chown", "ann:", "/home/ann/.nas"]);
  const line = (host: string) =>
    `//${host}/CORE ${path} cifs users,noauto,credentials=/home/ann/.nas,soft 0 0\n`;
  await writeFile("/etc/fstab", line(nas.HOSTS.tb) + line(nas.HOSTS.fallback));
  const scene = await makeHome({
    who: "ann",
    settings: { check_interval_secs: 2, auto_failback: false },
    shares: [{ name: "CORE", lines: carryLines }],
  });
  await must(["mkdir", "-p", path], { as: "ann" });
  const raw = await run(["mount", "--", `//${nas.HOSTS.fallback}/CORE`], { as: "ann" });
  assert.notEqual(raw.code, 0);
  assert.match(raw.err, /no match for .* found in \/etc\/fstab/);
  await must(["rmdir", path], { as: "ann" });
  await using monitor = await scene.start();
  await scene.untilOver("CORE", "tb", PATIENT_MS);
  await nas.cutLink("tb");
  const after = await scene.until("CORE", (one) => one.mount_state !== "mounted", PATIENT_MS);
  const said = await eventually(
    async () => (await scene.until("CORE", () => true, PATIENT_MS)).last_error,
    PATIENT_MS,
  );
  assert.match(said, /only the first line of \/etc\/fstab/);
  assert.deepEqual(await nas.cifsMounts(), []);
  await nas.restoreLink("tb");
  await monitor.stop();
  await run(["umount", "-l", path]);
  return `mount says "${raw.err.trim()}"; after a cut the share is ${after.mount_state}: ${said}`;
}

async function serversRows(): Promise<{ readonly rows: ReadonlySet<number>; readonly check: string }> {
  // A copy with its journal: the suite changes nothing on the server.
  const script = `set -e; rm -rf /tmp/base; mkdir /tmp/base; cp ${nas.exported("CORE")}/base.db* /tmp/base/
python3 -c 'import sqlite3,json
base = sqlite3.connect("/tmp/base/base.db")
print(json.dumps({"rows": [row[0] for row in base.execute("select number from rows")], "check": base.execute("pragma integrity_check").fetchone()[0]}))'`;
  const { rows, check } = objectOf(JSON.parse(await must(["bash", "-c", script])));
  return { rows: new Set(Array.isArray(rows) ? rows.map(Number) : []), check: String(check) };
}
