// Bundles (`.mcpb`, `.dxt`): a zip with the files of a server, and a manifest that says how it is started.
import { chmod, mkdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { crc32 } from "node:zlib";
import { type Entry, openPromise } from "yauzl";
import { errorText } from "../runtime/errors.ts";
import { sha256Of } from "../runtime/files/sha256.ts";
import { runCommand } from "../runtime/process/child-process.ts";
import { isObject, type JsonMembers, jsonObject, objectOf } from "../runtime/text/json-object.ts";
import { PLATFORM } from "./client.ts";
import { unreadable } from "./client-text.ts";

const MOST_ENTRIES = 10_000;
const MOST_BYTES = 1024 ** 3;
const MOST_RATIO = 100;
const FOLDER_TYPE = 0o040000;
const FILE_TYPE = 0o100000;
const DIGEST_MS = 120_000;

/** Where bundles are kept: not in Mountaineer's home, which no server should reach. */
export function bundlesFolder(userHome: string): string {
  return join(userHome, ".local/share/mountaineer/bundles");
}

/** Unpacks a bundle into `folder`, which is made, and reads its manifest. Rejects with `client_unreadable`. */
export async function unpackBundle(path: string, folder: string): Promise<JsonMembers> {
  try {
    if ((await stat(path)).size > MOST_BYTES) throw new Error("it is larger than 1 GiB");
    const zip = await openPromise(path, { autoClose: false, strictFileNames: true });
    const entries: Entry[] = [];
    try {
      for await (const entry of zip.eachEntry()) {
        if (entries.push(entry) > MOST_ENTRIES) throw new Error(`it has more than ${MOST_ENTRIES} files`);
      }
      requireSafe(entries);
      await mkdir(folder, { recursive: true, mode: 0o700 });
      for (const entry of entries) {
        const target = join(folder, entry.fileName);
        const isFolder = entry.fileName.endsWith("/");
        await mkdir(isFolder ? target : dirname(target), { recursive: true });
        if (isFolder) continue;
        const bytes = Buffer.concat(await (await zip.openReadStreamPromise(entry)).toArray());
        if (crc32(bytes) !== entry.crc32) throw new Error(`${entry.fileName} is damaged`);
        await writeFile(target, bytes, { flag: "wx", mode: (modeOf(entry) & 0o100) === 0 ? 0o644 : 0o755 });
      }
    } finally {
      zip.close();
    }
    const manifest = jsonObject(await readFile(join(folder, "manifest.json"), "utf8"));
    if (manifest === null) throw new Error("its manifest.json is not JSON");
    const { type, entry_point: program } = objectOf(manifest["server"]);
    if (type === "binary" && entries.some(({ fileName }) => fileName === program))
      await chmod(join(folder, String(program)), 0o755);
    return manifest;
  } catch (error) {
    throw unreadable(`${path} is not a bundle that can be taken over: ${errorText(error)}`, { cause: error });
  }
}

/** The mode that Unix gives it, with its type; 0: unknown. */
function modeOf({ externalFileAttributes }: Entry): number {
  return externalFileAttributes >>> 16;
}

/** Throws for what is neither a file nor a folder, a name that leads elsewhere or is there twice, and a bomb. */
function requireSafe(entries: readonly Entry[]): void {
  const kinds = new Map<string, "file" | "folder">();
  for (const entry of entries) {
    const { fileName: name } = entry;
    const isFolder = name.endsWith("/");
    const type = modeOf(entry) & 0o170000;
    if (type !== 0 && type !== (isFolder ? FOLDER_TYPE : FILE_TYPE))
      throw new Error(`${name} is a link or a device`);
    const parts = name.replace(/\/$/, "").split("/");
    if (parts.some((part) => /^\.{0,2}$|[\\:\p{Cc}]/u.test(part)))
      throw new Error(`${JSON.stringify(name)} leads out of it`);
    // As a disk that ignores case would have it.
    const plain = name.replace(/\/$/, "").normalize("NFC").toLowerCase().split("/");
    for (const [index] of plain.entries()) {
      const kind = index < plain.length - 1 || isFolder ? "folder" : "file";
      const known = kinds.get(plain.slice(0, index + 1).join("/"));
      if (known !== undefined && (known === "file" || kind === "file"))
        throw new Error(`${name} is there twice`);
      kinds.set(plain.slice(0, index + 1).join("/"), kind);
    }
  }
  const sum = (key: "uncompressedSize" | "compressedSize") =>
    entries.reduce((all, entry) => all + entry[key], 0);
  if (sum("uncompressedSize") > MOST_BYTES) throw new Error("it unpacks to more than 1 GiB");
  if (sum("uncompressedSize") > MOST_RATIO * Math.max(sum("compressedSize"), 10_240))
    throw new Error("it is packed more than 100 to 1");
}

/** Hashes of all files, which of them are programs, and whatever else is there. */
const LIST = `cd -- "$1" || exit
find . ! -type d ! -type f -exec printf 'other %s\\n' {} +
find . -type f -perm -100 -exec printf 'program %s\\n' {} +
find . -type f -exec sh -c 'if command -v sha256sum >/dev/null; then sha256sum -- "$@"; else shasum -a 256 -- "$@"; fi' sh {} +`;

/** A digest of all files in a folder; another process reads them. Rejects if they cannot be read. */
export async function folderDigest(folder: string): Promise<string> {
  const limits = { deadlineMs: DIGEST_MS, maxOutputBytes: 16 * 1024 * 1024 };
  const { exitCode, stdout, stderr } = await runCommand("sh", ["-c", LIST, "sh", folder], limits);
  if (exitCode !== 0)
    throw unreadable(`the files of the bundle in ${folder} cannot be read: ${stderr.trim()}`);
  return sha256Of(stdout.split("\n").sort().join("\n"));
}

/** The entry of the server that a manifest describes, as a client's file would have it. */
export function entryOfManifest({ server, user_config: config }: JsonMembers): JsonMembers {
  const { type, entry_point: program, mcp_config: mcp } = objectOf(server);
  const { platform_overrides: overrides, ...common } = objectOf(mcp);
  const usual =
    type === "uv" ? { command: "uv", args: ["run", "--directory", "${__dirname}", String(program)] } : {};
  const own: JsonMembers = { ...usual, ...common, ...objectOf(objectOf(overrides)[PLATFORM]) };
  const inputs = objectOf(config);
  /** An input becomes a secret, or its default if it has one and is not sensitive. */
  const filled = (text: string): readonly string[] => {
    const [, whole = ""] = /^\$\{user_config\.([\w-]+)\}$/.exec(text) ?? [];
    const { default: usual, required, sensitive } = objectOf(inputs[whole]);
    if (isObject(inputs[whole]) && usual === undefined && required !== true && sensitive !== true) return [];
    if (Array.isArray(usual)) return usual.map(String);
    return [
      text.replace(/\$\{user_config\.([\w-]+)\}/g, (_, key: string) => {
        const { default: value, sensitive: isSecret } = objectOf(inputs[key]);
        return value === undefined || isSecret === true ? `\${input:${key}}` : String(value);
      }),
    ];
  };
  const env = Object.entries(objectOf(own["env"])).flatMap(([name, text]) =>
    filled(String(text))
      .slice(0, 1)
      .map((one) => [name, one] as const),
  );
  const args = Array.isArray(own["args"]) ? own["args"].flatMap((arg) => filled(String(arg))) : [];
  return { ...own, args, env: Object.fromEntries(env) };
}
