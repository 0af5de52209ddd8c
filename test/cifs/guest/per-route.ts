// The cifs driver as it mounts for each route, by a daemon of root: every kind of cut, and what it says when it fails.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { ACCOUNT, makeHome, PATIENT_MS } from "./daemon-home.ts";
import * as nas from "./nas.ts";
import { type ProgramReport, startProgram, told } from "./programs.ts";
import { must, run } from "./run.ts";
import { chapter, note, type Say } from "./verdicts.ts";

/** Nothing answers there, and the link tells nobody. */
const NOBODY = { tb: "10.98.1.99", fallback: "10.98.2.99" };

const IDS = [
  "root.mounted",
  "root.wrong",
  "root.link",
  "root.busy",
  "root.server",
  "root.fsynced",
  "root.recovery",
] as const;
const MORE_IDS = ["root.both-silent"] as const;

export function perRoute(all: boolean, carryLines: readonly string[]): Promise<void> {
  return chapter([...IDS, ...(all ? MORE_IDS : [])], (say) => play(say, all, carryLines));
}

async function play(verdict: Say, all: boolean, carryLines: readonly string[]): Promise<void> {
  const scene = await makeHome({
    who: "root",
    settings: { check_interval_secs: 2, auto_failback_stable_secs: 3, mount_hang_secs: 10 },
    shares: [
      { name: "CORE", lines: [...ACCOUNT, ...carryLines] },
      {
        name: "WRONG",
        shareName: "VAULT",
        lines: ['username = "ann"', 'password = "${WRONG_PASSWORD}"', ...carryLines],
      },
      { name: "NONE", shareName: "NOSUCH", lines: [...ACCOUNT, ...carryLines] },
      { name: "GONE", shareName: "HOME", hosts: NOBODY, lines: [...ACCOUNT, ...carryLines] },
    ],
  });
  await using monitor = await scene.start();
  note(`daemon ${monitor.pid} runs`);
  /** What failed is told with what the daemon wrote until then. */
  const say: Say = (id, part) =>
    verdict(id, async () => {
      try {
        return await part();
      } catch (error) {
        note(await scene.logs());
        throw error;
      }
    });
  const state = (name: string) => scene.until(name, () => true, PATIENT_MS);

  await say("root.mounted", async () => {
    const ms = await scene.untilOver("CORE", "tb", PATIENT_MS);
    const [line, ...more] = await nas.cifsMounts();
    assert.deepEqual(more, []);
    assert.match(line ?? "", /^\/\/10\.98\.1\.2\/CORE .*[ ,]addr=10\.98\.1\.2/);
    const status = await state("CORE");
    assert.deepEqual([status.mount_state, status.mount_alive, status.last_error], ["mounted", true, null]);
    return `after ${ms} ms: ${line}`;
  });

  await say("root.wrong", async () => {
    const said: string[] = [];
    for (const [name, words] of [
      ["WRONG", /password/],
      ["NONE", /no such share/],
      ["GONE", /./],
    ] as const) {
      const { last_error, active_interface } = await scene.until(
        name,
        (one) => one.last_error !== null,
        PATIENT_MS,
      );
      assert.match(last_error ?? "", words);
      assert.doesNotMatch(last_error ?? "", /not-this-one/);
      assert.equal(active_interface, "none");
      said.push(`${name}: ${last_error}`);
    }
    assert.equal((await nas.cifsMounts()).length, 1);
    return said.join("; ");
  });

  await say("root.link", async () => {
    // Those that fail are tried again and again, each time with programs that the guest starts slowly.
    await scene.keepOnly(["CORE"]);
    await nas.cutLink("tb");
    const ms = await scene.untilOver("CORE", "fallback", PATIENT_MS);
    return `over fallback ${ms} ms after its own link went down`;
  });

  await say("root.busy", async () => {
    await using holder = await startProgram("hold", [scene.at("CORE", "marker.txt")]);
    await nas.restoreLink("tb");
    const pending = await scene.until("CORE", (one) => one.tb_recovery_pending, PATIENT_MS);
    assert.equal(pending.active_interface, "fallback");
    const refused = await scene.home.cli(["unmount", "--share", "CORE"]);
    assert.notEqual(refused.code, 0);
    const words = `${refused.stdout}${refused.stderr}`.trim().replace(/\s+/g, " ");
    assert.match(words, /python3|busy|open/i);
    assert.equal((await state("CORE")).active_interface, "fallback");
    await holder.end();
    const ms = await scene.untilOver("CORE", "tb", PATIENT_MS);
    return `TB Ready while a file was open, \`unmount\` refused (${words}); over tb ${ms} ms after it was closed`;
  });

  await say("root.server", async () => {
    await nas.killServer();
    const gone = await scene.until("CORE", (one) => one.last_error !== null, PATIENT_MS);
    assert.equal(gone.active_interface, "tb", "both hosts are gone: what is mounted is kept");
    await nas.startServer();
    const ms = await scene.untilOver("CORE", "tb", PATIENT_MS);
    const back = await scene.until(
      "CORE",
      (one) => one.last_error === null && one.active_interface === "tb",
      PATIENT_MS,
    );
    assert.equal(back.mount_state, "mounted");
    return `kept with "${gone.last_error}"; answers ${ms} ms after the server was back`;
  });

  await say("root.fsynced", async () => {
    await must(["bash", "-c", `head -c 8000000 /dev/urandom >${nas.exported("CORE", "read.bin")}`]);
    await using reader = await startProgram("read", [
      scene.at("CORE", "read.bin"),
      nas.exported("CORE", "read.bin"),
    ]);
    await using writer = await startProgram("append", [scene.at("CORE", "lines.txt")]);
    await writer.goesOn(5, PATIENT_MS);
    const acknowledged = Array.from({ length: writer.count() }, (_, number) => number);
    const cutAt = performance.now();
    await nas.silence("tb");
    await scene.untilOver("CORE", "fallback", PATIENT_MS);
    const ms = Math.round(performance.now() - cutAt);
    await assertLines({ lines: acknowledged }, nas.exported("CORE", "lines.txt"));
    const seen = `over fallback after ${ms} ms; ${acknowledged.length} acknowledged lines are all on the server`;
    // Those who wait in the old mount are freed after half a minute.
    if (!all) return seen;
    const [read, written] = await Promise.all([reader.end(), writer.end()]);
    assert.deepEqual(read.wrong, []);
    assert.ok(written.errors.length > 0, "a failover cuts open files off, and says so");
    await assertLines(written, nas.exported("CORE", "lines.txt"));
    return `${seen}; ${told("append", written)}; ${told("read", read)}`;
  });

  await say("root.recovery", async () => {
    await nas.speak("tb");
    const ms = await scene.untilOver("CORE", "tb", PATIENT_MS);
    assert.equal((await state("CORE")).last_error, null);
    return `over tb again ${ms} ms after the silence ended, 3 s of them the window`;
  });

  if (all) {
    await say("root.both-silent", async () => {
      await writeFile(nas.exported("CORE", "late.txt"), "late\n");
      await Promise.all([nas.silence("tb"), nas.silence("fallback")]);
      const unmounted = await run(["mountaineer", "unmount", "--share", "CORE", "--force"], {
        env: { MOUNTAINEER_HOME: scene.home.home },
        deadlineMs: PATIENT_MS,
      });
      const left = await nas.cifsMounts();
      await Promise.all([nas.speak("tb"), nas.speak("fallback")]);
      assert.equal(unmounted.code, 0, `${unmounted.out}${unmounted.err}`);
      assert.deepEqual(left, []);
      return `forced, it is gone after ${unmounted.ms} ms with both routes silent`;
    });
  }
}

/**
 * Every line that fsync acknowledged is on the server's own disk, once each and in order. A line that failed may leave
 * its length in zeros: the kernel had moved the file's end before it had sent the line.
 */
export async function assertLines(
  { lines, errors = [] }: Pick<ProgramReport, "lines"> & Partial<Pick<ProgramReport, "errors">>,
  file: string,
): Promise<void> {
  const text = await readFile(file, "utf8");
  const holes = text.match(/\0+/g) ?? [];
  assert.ok(
    holes.length <= errors.length,
    `${holes.length} holes in the server's file, after ${errors.length} errors (${errors.join(", ")})`,
  );
  const there = text
    .replaceAll("\0", "")
    .split("\n")
    .slice(0, -1)
    .map((line) => Number(line.replace(/^line /, "")));
  const known = new Set(there);
  const missing = lines.filter((number) => !known.has(number));
  assert.deepEqual(missing, [], `of ${lines.length} acknowledged lines these are not on the server`);
  assert.ok(lines.length > 0, "nothing was acknowledged");
  assert.deepEqual(
    there.filter((number, index) => number <= (there[index - 1] ?? -1)),
    [],
    "lines that came twice or out of order",
  );
}
