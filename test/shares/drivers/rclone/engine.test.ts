// The engine's own promises on a real SMB server. Skipped where `npm run engine` has not built it.
import assert from "node:assert/strict";
import { access, mkdir, open, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import test from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { startTcpRelay } from "../../../../src/demo/stage/tcp-relay.ts";
import { knownBlock, writeKnownFile, wrongBytes } from "../../../lab/programs/known-bytes.ts";
import { eventually } from "../../../support/eventually.ts";
import { limits, PLAIN_NAME } from "../driver-contract.ts";
import { noSkip, startBench } from "./bench.ts";

const PROGRAM = join(import.meta.dirname, "../../../../rclone/rclone");
const skip =
  noSkip.skip ||
  (await access(PROGRAM).then(
    () => false,
    () => "npm run engine has not built it",
  ));
/** 60 s by hand, with the stock program in the engine's place for comparison. */
const RESETS_FOR_MS = Number(process.env["MOUNTAINEER_RESETS_MS"] ?? 10_000);
const RESET_EACH_MS = 2_000;
const FOLDERS = 40;
const FILES = 20;
const MARK = "large";
const BLOCKS = 16_384;
const BLOCKS_OF_A_READ = 32;

test("A10 a server that resets all connections each two seconds costs no program an open, a read or a write", {
  skip,
  timeout: RESETS_FOR_MS + 120_000,
}, async (t) => {
  await using bench = await startBench(t);
  const share = bench.share(PLAIN_NAME);
  const disk = bench.behind(share, "tb");
  for (let folder = 0; folder < FOLDERS; folder++) {
    await mkdir(join(disk, `folder ${folder}`));
    for (let file = 0; file < FILES; file++)
      await writeFile(join(disk, `folder ${folder}`, `${file}.txt`), `${folder} ${file}`);
  }
  await mkdir(join(disk, "written"));
  await writeKnownFile(join(disk, "large.bin"), BLOCKS, MARK);
  const target = { targetHost: "127.0.0.1", targetPort: bench.rig.serverPort };
  await using relay = await startTcpRelay({ host: "127.0.0.1", ...target });
  const mounted = await bench.driver.mount(share, "tb", limits(), { port: relay.port, patienceMs: 20_000 });
  assert.ok(mounted.ok, mounted.ok ? "" : mounted.text);

  const at = (...names: string[]): string => join(share.mountPath, ...names);
  const untilMs = performance.now() + RESETS_FOR_MS;
  const failures: string[] = [];
  const counts: Record<string, string> = {};
  const again = async (what: string, pauseMs: number, act: (round: number) => Promise<void>) => {
    let [round, failed] = [0, 0];
    for (; performance.now() < untilMs; round++) {
      try {
        await act(round);
      } catch (error) {
        failed++;
        failures.push(`${what} ${round}: ${String(error)}`);
      }
      await pause(pauseMs);
    }
    counts[what] = `${failed} of ${round}`;
  };
  const resets = async (): Promise<void> => {
    for (; performance.now() < untilMs; ) {
      await pause(RESET_EACH_MS);
      relay.leadTo(target.targetHost, target.targetPort);
    }
  };
  await using large = await open(at("large.bin"));
  const sent: string[] = [];
  await Promise.all([
    resets(),
    again("lists", 100, async (round) => {
      assert.equal((await readdir(at(`folder ${round % FOLDERS}`))).length, FILES);
    }),
    again("opens", 100, async (round) => {
      const [folder, file] = [(round * 7) % FOLDERS, round % FILES];
      assert.equal(await readFile(at(`folder ${folder}`, `${file}.txt`), "utf8"), `${folder} ${file}`);
    }),
    again("reads", 10, async (round) => {
      const first = (round * 7_919) % (BLOCKS - BLOCKS_OF_A_READ);
      const bytes = Buffer.alloc(BLOCKS_OF_A_READ * knownBlock(0, MARK).length);
      await large.read(bytes, 0, bytes.length, first * knownBlock(0, MARK).length);
      assert.equal(wrongBytes(bytes, first, MARK), null);
    }),
    again("writes", 400, async (round) => {
      await writeFile(at("written", `${round}.txt`), `written ${round}`);
      sent.push(`${round}.txt`);
    }),
  ]);
  t.diagnostic(JSON.stringify(counts));
  await eventually(async () => {
    for (const name of sent)
      assert.equal(await readFile(join(disk, "written", name), "utf8"), `written ${parseInt(name, 10)}`);
    return true;
  }, 60_000);
  assert.deepEqual(failures, []);
});
