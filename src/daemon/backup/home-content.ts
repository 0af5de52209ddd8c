// What a backup has of a home: read from the home, and as the encrypted part of the file.
import { readdir, readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { openHistory } from "../../config/history/history.ts";
import { type HomeContext, noFileAt } from "../../config/home-context.ts";
import { recoverFrom } from "../../runtime/errors.ts";
import { object, optional, reader, type TypeOf, text, textThat } from "../../runtime/shape.ts";
import { jsonObject } from "../../runtime/text/json-object.ts";
import { isoTime, systemClock } from "../../runtime/time/clock.ts";
import { packageVersion } from "../../runtime/version.ts";
import { sessionKeyring } from "../../secrets/sealed-file.ts";
import { openSecretStore } from "../../secrets/secret-store.ts";
import { openHome } from "../compose/home.ts";
import { BACKED_UP_FOLDERS, backedUp } from "../home-files.ts";
import { MOST_BYTES, refused } from "./backup-file.ts";
import { openParts } from "./home-parts.ts";

/** Of a backup, or of one of its files. More would take minutes and gigabytes to parse. */
const MOST_OBJECTS = 1_000_000;
/** Where the files begin, and where one ends. Each is parsed apart: the JSON of all would take their memory three times more. */
const [FILES, FILE_END] = [',"files":[', '"}'];
/** The bytes of base64 for each byte, and what a file of a home has next to them in a backup at most. */
const [BASE64, FRAME_BYTES] = [4 / 3, 1_000];
/** How often a home is read whose configuration changes in the meantime. */
const MOST_READS = 5;

const context = { home: text, userHome: text, userName: text, defaultMountRoot: text };
const originShape = object({
  /** ISO 8601 UTC. */
  time: textThat("a time", (value) => !Number.isNaN(Date.parse(value))),
  /** The host's name. */
  machine: text,
  /** Of Mountaineer. */
  version: text,
  context: object({ ...context, machineName: optional(text), smbDriver: optional(text) }),
  /** The path of the configuration file. */
  config: text,
});
const originOf = reader(originShape);
/** `path`: in the home. `content`: in base64. */
const fileOf = reader(object({ path: text, content: text }));

export interface HomeContent extends Readonly<Omit<TypeOf<typeof originShape>, "context">> {
  readonly context: HomeContext;
  /** By their paths in the home. */
  readonly files: ReadonlyMap<string, Buffer>;
}

/**
 * Reads a home, also while its daemon runs: each file is replaced whole. Of a configuration file that has errors, `rejected`
 * says so, and the content that was accepted last is taken, as a start does. Rejects with `secret_unavailable` if the keyring
 * does not answer or a seal does not verify; with the system's error; and as `openHome` does.
 */
export async function readHome(home: string, configPath: string | null, signal: AbortSignal) {
  const { homeContext, snapshot, rejected } = await openHome({ home, configPath, fallsBack: true });
  const history = rejected === null ? [] : await openHistory(home, snapshot.path).newest();
  const accepted = history.find(({ entry }) => entry.sha256 === snapshot.sha256)?.bytes;
  const readConfig = async () => (accepted === undefined ? readFile(snapshot.path) : Buffer.from(accepted));
  const options = { home, clock: systemClock, environment: process.env };
  const keyringFor = async () => sessionKeyring(options);
  const parts = openParts({ folder: home, store: openSecretStore(options), keyringFor, signal });
  for (let reads = 1; ; reads += 1) {
    const config = await readConfig().catch(recoverFrom("ENOENT", null));
    if (config === null) throw noFileAt(snapshot.path);
    const files = new Map<string, Buffer>([[`config.${snapshot.path.split(".").at(-1)}`, config]]);
    for (const path of (await pathsIn(home)).filter((one) => !one.startsWith("config."))) {
      const row = backedUp(path);
      const content = row && (await parts[row.as].read(path));
      if (content !== null) files.set(path, typeof content === "string" ? Buffer.from(content) : content);
    }
    const time = isoTime(systemClock.wallMs());
    const origin = { time, machine: hostname(), version: packageVersion(), config: snapshot.path };
    // The secrets that the configuration names were read after it.
    if (reads === MOST_READS || config.equals(await readConfig()))
      return { rejected, content: { ...origin, context: homeContext, files } satisfies HomeContent };
  }
}

/** The files in the folders of which a backup has files. */
export async function pathsIn(home: string): Promise<readonly string[]> {
  const lists = BACKED_UP_FOLDERS.map(async (folder) => {
    const names = await readdir(join(home, folder)).catch(recoverFrom(["ENOENT", "ENOTDIR"], []));
    return names.map((name) => join(folder, name));
  });
  return (await Promise.all(lists)).flat();
}

/** JSON in parts, the files last. Throws `backup_refused` if the backup would be larger than a restore reads. */
export function encodeContent({ files, ...origin }: HomeContent): Iterable<Buffer> {
  const most = [...files.values()].reduce((sum, { length }) => sum + length * BASE64 + FRAME_BYTES, 0);
  if (most > MOST_BYTES) throw refused("a backup has 256 MiB at most");
  return {
    *[Symbol.iterator]() {
      let before = `${JSON.stringify(origin).slice(0, -1)}${FILES}`;
      for (const [path, content] of files) {
        yield Buffer.from(before + JSON.stringify({ path, content: content.toString("base64") }));
        before = ",";
      }
      yield Buffer.from("]}");
    },
  };
}

/** Throws `backup_refused` unless each file has a name that this version knows, and is there once. */
export function decodeContent(whole: Buffer): HomeContent {
  const begin = whole.indexOf(FILES);
  const origin = hasManyObjects(whole) ? null : originOf(jsonObject(`${whole.toString("utf8", 0, begin)}}`));
  if (origin === null) throw refused("it is foreign: no home is in it");
  const files = new Map<string, Buffer>();
  for (let at = begin + FILES.length, end = 0; at < whole.length - FILE_END.length; at = end + 1) {
    end = whole.indexOf(FILE_END, at) + FILE_END.length;
    const file = fileOf(jsonObject(whole.toString("utf8", at, end)));
    if (file === null) throw refused("it is foreign: its files are not understood");
    const { path, content } = file;
    const bytes = Buffer.from(content, "base64");
    const why = files.has(path)
      ? "is in it twice"
      : backedUp(path) === null
        ? "is not a file of a home"
        : hasManyObjects(bytes)
          ? "has too many parts"
          : null;
    if (why !== null) throw refused(`it is foreign: ${JSON.stringify(path)} ${why}`);
    files.set(path, bytes);
  }
  if ([...files.keys()].filter((path) => path.startsWith("config.")).length !== 1)
    throw refused("it is foreign: it has not one configuration");
  // The assertion holds for what is used of it: the configuration is read as it was read there.
  return { ...origin, context: origin.context as HomeContext, files };
}

function hasManyObjects(bytes: Buffer): boolean {
  let count = 0;
  for (const begin of ["[", "{"])
    for (let at = bytes.indexOf(begin); at !== -1 && count <= MOST_OBJECTS; at = bytes.indexOf(begin, at + 1))
      count += 1;
  return count > MOST_OBJECTS;
}

/** The name of the configuration file in the home. */
export function configNameIn({ files }: Pick<HomeContent, "files">): string {
  return [...files.keys()].find((path) => path.startsWith("config.")) ?? "config.toml";
}
