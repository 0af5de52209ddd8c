// What is checked when a soak ends: what was written is on the server, no secret was told, nothing is left.
import { execFile } from "node:child_process";
import { glob, readdir, readFile, stat } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { describeLeftBehind, findLeftBehind } from "../../../scripts/left-behind.ts";
import { ANSWERS_MS, eventually } from "../../support/eventually.ts";
import { acknowledged } from "../load.ts";
import { numberedFile, numberedText } from "../programs/numbered-file.ts";
import type { WorkLine } from "../programs/work-log.ts";
import type { Scene } from "../scene.ts";
import type { Ledger } from "./promises.ts";

/** Whoever sends it waits longer from one try to the next. */
const ARRIVES_MS = 120_000;
/** Above it a file is not read for secrets: none of ours is. */
const READ_AT_MOST = 64 * 1024 * 1024;
const LISTENS = "0A";

/** Gives how many were acknowledged, and how many of them are set aside. */
export async function checkWritten(
  scene: Scene,
  share: string,
  lines: readonly WorkLine[],
  ledger: Ledger,
): Promise<string> {
  let open = [...acknowledged(lines, "write")];
  const all = open.length;
  const text = (file: string): Promise<string> => readFile(file, "utf8").catch(() => "");
  const isThere = async (folder: string, number: number): Promise<boolean> =>
    (await text(path.join(folder, numberedFile(number)))) === numberedText(number);
  const without = async (folder: string): Promise<void> => {
    const there = await Promise.all(open.map((number) => isThere(folder, number)));
    open = open.filter((_, index) => there[index] !== true);
  };
  const onServer = scene.exported(share, "written");
  // What the driver kept, of which status names the folder of all, and what was written where the share was not mounted.
  const kept = `mounts/${share}/set-aside`;
  const asides = [`${kept}/**/written`, `volumes/${share}.set-aside-*/written`];
  const places = new Set<string>();
  let setAside = 0;
  const settle = async (): Promise<boolean> => {
    await without(onServer);
    for await (const folder of glob(asides, { cwd: scene.home.home })) {
      const before = open.length;
      await without(path.join(scene.home.home, folder));
      const named = folder.startsWith(`${kept}/`) ? kept : path.dirname(folder);
      if (open.length < before) places.add(path.join(scene.home.home, named));
      setAside += before - open.length;
    }
    return open.length === 0;
  };
  await eventually(settle, ARRIVES_MS, 1_000).catch(() => undefined);
  ledger.checked("written", all);
  for (const number of open) {
    const found = (await text(path.join(onServer, numberedFile(number)))).length;
    ledger.broken(
      "written",
      `${share}: ${numberedFile(number)} is not on the server (${found} characters are)`,
    );
  }
  const { conditions } = await scene.home.shareStatus(share);
  const titles = conditions.flatMap(({ code, title }) => (code === "files_set_aside" ? [title] : []));
  for (const place of places) {
    ledger.expect(
      "written",
      titles.some((title) => title.includes(place)),
      () => `${share}: files are set aside in ${place}, and status does not say so`,
    );
  }
  return `${share}: ${lines.length} files written, ${all} acknowledged, of them ${setAside} set aside`;
}

/** `told`: what commands said. */
export async function checkSecrets(
  scene: Scene,
  secrets: readonly string[],
  told: readonly string[],
  ledger: Ledger,
): Promise<void> {
  const search = (where: string, text: string): void => {
    ledger.checked("secrets");
    if (secrets.some((secret) => text.includes(secret))) ledger.broken("secrets", `a secret is in ${where}`);
  };
  for (const text of told) search("what status says", text);
  for await (const name of glob("**/*", { cwd: scene.home.home })) {
    const file = path.join(scene.home.home, name);
    const found = await stat(file).catch(() => null);
    if (found?.isFile() === true && found.size < READ_AT_MOST) search(name, await readFile(file, "latin1"));
  }
  search("the audit", await readFile(path.join(scene.folder, "audit.jsonl"), "latin1"));
}

/** After daemon and mounts have ended, while the rig still stands. */
export async function checkNothingServes(scene: Scene, ledger: Ledger): Promise<void> {
  const sockets = async (): Promise<readonly string[]> =>
    (await readdir(scene.home.home, { recursive: true, withFileTypes: true })).flatMap((entry) =>
      entry.isSocket() ? [path.join(entry.parentPath, entry.name)] : [],
    );
  await expectNone("sockets", sockets, ledger);
  await expectNone("listening ports", () => listening(scene), ledger);
}

/** After the rig has ended as well. */
export async function checkNothingIsLeft(folder: string, token: string, ledger: Ledger): Promise<void> {
  await expectNone(
    "left behind",
    async () => describeLeftBehind(await findLeftBehind({ folder, token })),
    ledger,
  );
}

async function expectNone(
  what: string,
  find: () => Promise<readonly string[]>,
  ledger: Ledger,
): Promise<void> {
  let found: readonly string[] = [];
  await eventually(
    async () => {
      found = await find();
      return found.length === 0;
    },
    ANSWERS_MS,
    250,
  ).catch(() => undefined);
  ledger.expect("leftovers", found.length === 0, () => `${what}: ${found.join("; ")}`);
}

/** On the workstation, where nobody but ours listens. */
async function listening({ rig }: Scene): Promise<readonly string[]> {
  const [file = "", ...rest] = rig.enter;
  const { stdout } = await promisify(execFile)(file, [...rest, "cat", "/proc/net/tcp"]);
  return stdout
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [, local = "", , state] = line.trim().split(/\s+/);
      return state === LISTENS ? [local] : [];
    });
}
