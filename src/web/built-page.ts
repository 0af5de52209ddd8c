// The built files of the page, all read at the first request and cached: they are small, and never change while the daemon
// runs.
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { extname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { PageFile, PageFiles } from "../api/page-files.ts";
import { buildFiles, verifiedPath } from "../runtime/process/build-copy.ts";

const SHELL = "page.html";
/** Prefix of the names of the page's files in the build. The page's script requests its chunks by their file names. */
const PREFIX = "page-";
const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".md": "text/plain; charset=utf-8",
  ".svg": "image/svg+xml",
};

/**
 * The page's files. `folder`: the build's folder, absolute. After a failure the next request reads them
 * again.
 */
export function builtPage(folder: () => Promise<string> = buildFolder): PageFiles {
  let reading: Promise<ReadonlyMap<string, PageFile>> | null = null;
  const read = async (): Promise<ReadonlyMap<string, PageFile>> => {
    try {
      return await readAll(await folder());
    } catch (error) {
      reading = null;
      throw error;
    }
  };
  return {
    async find(path) {
      reading ??= read();
      return (await reading).get(path) ?? null;
    },
  };
}

async function readAll(folder: string): Promise<ReadonlyMap<string, PageFile>> {
  const names = (buildFiles() ?? (await readdir(folder))).filter(
    (name) => name === SHELL || name.startsWith(PREFIX),
  );
  const files = await Promise.all(
    names.map(async (name): Promise<[string, PageFile] | null> => {
      const type = TYPES[extname(name)];
      if (type === undefined) return null;
      const bytes = await readFile(verifiedPath(join(folder, name)));
      const hash = createHash("sha256").update(bytes).digest("base64url");
      const isImmutable = name !== SHELL;
      const path = isImmutable ? `/page/${name}` : "/";
      return [path, { type, bytes, etag: `"${hash.slice(0, 27)}"`, isImmutable }];
    }),
  );
  return new Map(files.filter((file) => file !== null));
}

/** The folder of this build; when run from sources in a checkout, the newest build's. */
async function buildFolder(): Promise<string> {
  if (!import.meta.url.endsWith(".ts")) return fileURLToPath(new URL(".", import.meta.url));
  const dist = fileURLToPath(new URL("../../dist", import.meta.url));
  const current = await readFile(join(dist, "current"), "utf8");
  return join(dist, current.trim());
}
