// The guest's system, built once for each version of its recipe and kept outside the checkout.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import path from "node:path";
import { keptFolder } from "../../scripts/test-places.ts";

export interface GuestImage {
  readonly kernel: string;
  readonly initrd: string;
  readonly disk: string;
}

const RECIPE = path.join(import.meta.dirname, "build-image.sh");
/** Kernels to choose from: Debian 12's own (6.1), and its newer one (6.12). */
export const KERNEL_SUITES = ["bookworm", "bookworm-backports"] as const;
export type KernelSuite = (typeof KERNEL_SUITES)[number];
/** What no run has used for so long is removed. */
const KEPT_MS = 14 * 24 * 3_600_000;

/** The image of this recipe, from the cache or built now. `tell` gets a line for each step of building. */
export async function guestImage(
  kernelSuite: KernelSuite,
  tell: (line: string) => void,
  signal: AbortSignal,
): Promise<GuestImage> {
  const cache = keptFolder("cifs-lab");
  const recipe = await readFile(RECIPE);
  const hash = createHash("sha256").update(recipe).update(kernelSuite).digest("hex").slice(0, 16);
  const folder = path.join(cache, hash);
  await mkdir(cache, { recursive: true });
  if (!(await isThere(path.join(folder, "rootfs.ext4")))) {
    const building = await mkdtemp(path.join(cache, "building-"));
    try {
      await build(building, kernelSuite, tell, signal);
      // Whoever built it at the same time built the same.
      await rename(building, folder).catch(async (error: unknown) => {
        if (!(await isThere(path.join(folder, "rootfs.ext4")))) throw error;
      });
    } finally {
      await rm(building, { recursive: true, force: true });
    }
  }
  const now = new Date();
  await utimes(folder, now, now);
  await removeUnused(cache);
  const [kernel, initrd, disk] = ["vmlinuz", "initrd.img", "rootfs.ext4"].map((name) =>
    path.join(folder, name),
  );
  if (kernel === undefined || initrd === undefined || disk === undefined) throw new Error("three names");
  return { kernel, initrd, disk };
}

function build(
  folder: string,
  kernelSuite: KernelSuite,
  tell: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn("bash", [RECIPE, folder, kernelSuite], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C.UTF-8", LANGUAGE: "" },
      // What it starts ends with it.
      detached: true,
    });
    let said = "";
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (piece: string) => {
        said = (said + piece).slice(-4000);
        for (const line of piece.split("\n")) if (line.trim() !== "") tell(`image: ${line.trim()}`);
      });
    }
    const end = (): void => {
      if (child.pid === undefined) return;
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // It is gone.
      }
    };
    signal.addEventListener("abort", end, { once: true });
    child.once("error", reject);
    child.once("exit", (code) => {
      signal.removeEventListener("abort", end);
      if (code === 0) resolve();
      else
        reject(new Error(`the guest's image could not be built${signal.aborted ? " in time" : ""}: ${said}`));
    });
  });
}

async function removeUnused(cache: string): Promise<void> {
  for (const name of await readdir(cache)) {
    const folder = path.join(cache, name);
    const { mtimeMs } = await stat(folder).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > KEPT_MS) await rm(folder, { recursive: true, force: true });
  }
}

function isThere(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
