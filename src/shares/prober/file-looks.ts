// Looks at files and folders: they may hang where their disk does.
import { readFile, realpath, stat } from "node:fs/promises";
import { errorText, systemErrorCode } from "../../runtime/errors.ts";
import { type Exposure, exposureOf, ownIdentity } from "../../runtime/files/exposure.ts";
import { FILE_LIMIT_BYTES, type FileBytes, type FileLook } from "./prober.ts";

/** None of them rejects. */
export const fileLooks = {
  /** null: none. */
  realPath: (path: string): Promise<string | null> => realpath(path).catch(() => null),

  async fileLook(path: string): Promise<FileLook> {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
      const [d, i, s, m, c] = [dev, ino, size, mtimeNs, ctimeNs].map(String);
      return { state: "file", dev: d ?? "", ino: i ?? "", size: s ?? "", mtimeNs: m ?? "", ctimeNs: c ?? "" };
    } catch (error) {
      return failed(error);
    }
  },

  /** Only plain files that are not too large: a pipe would never end. */
  async fileBytes(path: string): Promise<FileBytes> {
    try {
      const stats = await stat(path);
      if (stats.isDirectory()) return { state: "failed", errno: "EISDIR" };
      if (!stats.isFile()) return { state: "failed", errno: "EINVAL" };
      if (stats.size > FILE_LIMIT_BYTES) return { state: "failed", errno: "EFBIG" };
      return { state: "read", base64: (await readFile(path)).toString("base64") };
    } catch (error) {
      return failed(error);
    }
  },

  /** One after the other, to take only one thread. */
  async exposures(paths: readonly string[]): Promise<readonly Exposure[]> {
    const identity = await ownIdentity();
    const found: Exposure[] = [];
    for (const path of paths) found.push(await exposureOf(path, identity));
    return found;
  },
} as const;

function failed(error: unknown): { readonly state: "failed"; readonly errno: string } {
  return { state: "failed", errno: systemErrorCode(error) ?? errorText(error) };
}
