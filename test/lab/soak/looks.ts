// What is looked at from outside while a soak runs, whatever happens: paths, mounts, files, and the status.
import { execFile } from "node:child_process";
import { readdir, readFile, readlink } from "node:fs/promises";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { systemErrorCode } from "../../../src/runtime/errors.ts";
import { SHARES, type World } from "./soak-world.ts";

const BETWEEN_LOOKS_MS = 250;
/** So many looks are between two commands, each of which is a process. */
const LOOKS_A_STATUS = 20;
/**
 * 2 s to connect and 6 s of silence are a hang for a command; the rest of its time is work, 7 times an empty Node's
 * where no daemon runs, on whatever machine.
 */
const HANG_MS = 8_000;
const EMPTY_NODES = 15;
const GIVEN_UP_MS = 120_000;

export type Looks = ReturnType<typeof startLooks>;

export function startLooks(world: World) {
  /** What `status --json` said, to be searched for secrets. */
  const told: string[] = [];
  /** Where each path led when it was first seen. */
  const targets = new Map<string, string>();
  let longestStatusMs = 0;
  let ending = false;
  const status = async (): Promise<void> => {
    const beforeMs = await emptyNodeMs();
    const { code, stdout, stderr, ms } = await world.scene.home.cli(["status", "--json"], GIVEN_UP_MS);
    // A busy machine is quick for one process and slow for the next.
    const limitMs = HANG_MS + EMPTY_NODES * Math.max(beforeMs, await emptyNodeMs());
    longestStatusMs = Math.max(longestStatusMs, ms);
    const words = `it ended with ${code} after ${Math.round(ms)} of ${Math.round(limitMs)} ms: ${stderr.trim().slice(0, 300)}`;
    world.ledger.expect("status", code !== null && ms <= limitMs, () => words);
    told.push(stdout, stderr);
    if (code === 0) world.ledger.expect("readable", isJson(stdout), () => "status --json is no JSON");
  };
  const looking = (async () => {
    for (let looks = 0; !ending; looks++) {
      await lookAtPaths(world, targets);
      await lookAtFiles(world);
      if (looks % LOOKS_A_STATUS === 0) await status();
      await pause(BETWEEN_LOOKS_MS);
    }
  })();
  return {
    told,
    get longestStatusMs() {
      return longestStatusMs;
    },
    async finish() {
      ending = true;
      await looking;
    },
  };
}

async function emptyNodeMs(): Promise<number> {
  const startedAt = performance.now();
  await promisify(execFile)(process.execPath, ["-e", "0"]);
  return performance.now() - startedAt;
}

async function lookAtPaths({ scene, ledger }: World, targets: Map<string, string>): Promise<void> {
  const root = path.dirname(scene.at(SHARES[0]));
  const names = (await readdir(root)).filter((name) => name !== "Links").toSorted();
  ledger.expect(
    "path",
    names.join() === SHARES.toSorted().join(),
    () => `in shares_root are ${names.join(", ")}`,
  );
  for (const share of SHARES) {
    const target = await readlink(scene.at(share)).catch(String);
    const first = targets.get(share) ?? target;
    targets.set(share, first);
    ledger.expect("path", target === first, () => `${share} leads to ${target}, once to ${first}`);
  }
  const mounts = await scene.mounts();
  const points = mounts.map(({ path: point }) => point);
  const twice = points.filter((point, index) => points.indexOf(point) !== index);
  ledger.expect("path", twice.length === 0, () => `mounted twice: ${twice.join(", ")}`);
  const strange = points.filter((point) => !SHARES.some((share) => path.basename(point) === share));
  ledger.expect("path", strange.length === 0, () => `mounted at ${strange.join(", ")}`);
}

async function lookAtFiles({ scene, ledger, config }: World): Promise<void> {
  const complaint = await config.complaint();
  ledger.expect("readable", complaint === null, () => complaint ?? "");
  const { home } = scene.home;
  for (const name of await readdir(home)) {
    if (!/\.jsonl?$/.test(name)) continue;
    const text = await textOf(path.join(home, name));
    if (text === null) continue;
    // What follows the last line's end is being written.
    const texts = name.endsWith("l") ? text.split("\n").slice(0, -1) : [text];
    const wrong = texts.find((each) => !isJson(each));
    ledger.expect(
      "readable",
      wrong === undefined,
      () => `${name} has ${JSON.stringify(wrong?.slice(0, 100))}`,
    );
  }
}

/** null: it is not there. */
async function textOf(file: string): Promise<string | null> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (systemErrorCode(error) === "ENOENT") return null;
    throw error;
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
