// What is known of the server behind a share, on disk: written after each proof, read when a server is back.
import { rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { errorText } from "../../runtime/errors.ts";
import { ensureFolder, readIfPresent, writeDurably } from "../../runtime/files/durable-file.ts";
import type { Logger } from "../../runtime/log/log.ts";
import { isObject, type JsonMembers, jsonObject } from "../../runtime/text/json-object.ts";
import { shareFiles } from "../drivers/share-files.ts";
import type { ShareSpec } from "../share-spec.ts";
import type { ListedEntry } from "./root-listing.ts";

export interface KnownEntry extends ListedEntry {
  /** What `modifiedMs` is a multiple of. */
  readonly precisionMs: number;
  /** Only a creation time that is the entry's own, and stays; null: none is known. */
  readonly createdMs: number | null;
}

export interface ServerWitness {
  readonly serverGuid: string;
  /** As for an entry. */
  readonly rootCreatedMs: number | null;
  readonly entries: readonly KnownEntry[];
}

export const KNOWN_ENTRIES_AT_MOST = 64;
const VERSION = 1;

export function createWitnessStore(stateFolder: string, logger: Logger) {
  const pathOf = (share: ShareSpec): string =>
    join(shareFiles(stateFolder, share.name).folder, "server.json");
  return {
    /** null: nothing is known of what the share is now set to. Never rejects. */
    async read(share: ShareSpec): Promise<ServerWitness | null> {
      try {
        return parseWitness(await readIfPresent(pathOf(share)), share);
      } catch (error) {
        logger.warn("cannot read what is known of the server", {
          share: share.name,
          reason: errorText(error),
        });
        return null;
      }
    },
    /** Never rejects: what cannot be kept is logged. */
    async write(share: ShareSpec, witness: ServerWitness): Promise<void> {
      const path = pathOf(share);
      try {
        const text = witnessText(share, witness);
        if ((await readIfPresent(path)) === text) return;
        await ensureFolder(dirname(path), 0o700);
        await writeDurably(path, text, { mode: 0o600 });
      } catch (error) {
        logger.warn("cannot keep what is known of the server", {
          share: share.name,
          reason: errorText(error),
        });
      }
    },
    forget: (share: ShareSpec): Promise<void> => rm(pathOf(share), { force: true }),
  };
}

function witnessText({ shareName, username }: ShareSpec, witness: ServerWitness): string {
  return `${JSON.stringify({ version: VERSION, shareName, username, ...witness })}\n`;
}

/** null for what is not whole, and for another share or login. */
function parseWitness(text: string | null, share: ShareSpec): ServerWitness | null {
  const { version, shareName, username, serverGuid, rootCreatedMs, entries } = jsonObject(text ?? "") ?? {};
  if (version !== VERSION || shareName !== share.shareName || username !== share.username) return null;
  if (typeof serverGuid !== "string" || !isTimeOrNull(rootCreatedMs) || !Array.isArray(entries)) return null;
  const known = entries.map((entry: unknown) => (isObject(entry) ? parseEntry(entry) : null));
  const whole = known.filter((entry) => entry !== null);
  if (whole.length !== known.length || whole.length > KNOWN_ENTRIES_AT_MOST) return null;
  return { serverGuid, rootCreatedMs, entries: whole };
}

function parseEntry({
  name,
  isFolder,
  size,
  modifiedMs,
  precisionMs,
  createdMs,
}: JsonMembers): KnownEntry | null {
  if (typeof name !== "string" || typeof isFolder !== "boolean") return null;
  if (!isTimeOrNull(size) || !isTimeOrNull(modifiedMs) || modifiedMs === null) return null;
  if (typeof precisionMs !== "number" || precisionMs < 1 || !isTimeOrNull(createdMs)) return null;
  return { name, isFolder, size, modifiedMs, precisionMs, createdMs };
}

function isTimeOrNull(value: unknown): value is number | null {
  return value === null || (typeof value === "number" && Number.isFinite(value));
}
